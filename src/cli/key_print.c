/* What `sallyport key` prints. Called by key.c only. */
#include "cli/key_print.h"

#include "cli/print_value.h"

// clang-format off
static const struct print_column columns[] = {
    {"ID",          "id",           "-"},
    {"NAME",        "name",         "-"},
    {"OWNER",       "owner",        "-"},
    {"STATUS",      "status",       "-"},
    {"CREATED",     "created_at",   "-"},
    {"EXPIRES",     "expires_at",   "never"},
    {"LAST USED",   "last_used_at", "never"},
    {"MODELS",      "models",       "all"},
    {"PERMISSIONS", "permissions",  "-"},
};

static const struct print_column lines[] = {
    {"id",          "id",           "-"     },
    {"name",        "name",         "-"     },
    {"owner",       "owner",        "nobody"},
    {"status",      "status",       "-"     },
    {"permissions", "permissions",  "none"  },
    {"models",      "models",       "all"   },
    {"created",     "created_at",   "-"     },
    {"expires",     "expires_at",   "never" },
    {"last used",   "last_used_at", "never" },
    {"revoked",     "revoked_at",   "no"    },
};
// clang-format on

void key_print_table(struct buffer *out, const json_t *keys)
{
    print_table(out, keys, columns, COUNT_OF(columns),
                "There are no keys yet; `sallyport key create --name N` makes one.\n");
}

void key_print_one(struct buffer *out, const json_t *key)
{
    print_lines(out, key, lines, COUNT_OF(lines));
}

void key_print_created(struct buffer *out, const json_t *key)
{
    const json_t *plain = json_object_get(key, "key");
    buffer_text(out, "\n    ");
    /* Not by way of a cell: that would be one more copy to wipe. */
    buffer_append(out, slice_make(json_string_value(plain), json_string_length(plain)));
    buffer_text(out,
                "\n\nThis is the key. It will not be shown again: Sallyport keeps only its hash. "
                "Put it where it is needed now.\n\n");
    key_print_one(out, key);
}

void key_print_revoked(struct buffer *out, const json_t *key)
{
    char id[CELL_BYTES], name[CELL_BYTES];
    buffer_printf(out, "Revoked %s (", print_cell(key, "id", "-", id));
    buffer_text(out, print_cell(key, "name", "-", name));
    buffer_text(out, "). It opens nothing any more.\n");
}
