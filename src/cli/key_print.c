/* What `sallyport key` prints. Called by key.c only. */
#include "cli/key_print.h"

#include "cli/print_value.h"

// clang-format off
static const struct print_column columns[] = {
    {"ID",          "id",           "-"},
    {"NAME",        "name",         "-"},
    {"OWNER",       "owner",        "-"},
    {"STATUS",      "status",       "-"},
    {"SOURCE",      "source",       "store"},
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
    {"source",      "source",       "store" },
    {"permissions", "permissions",  "none"  },
    {"withheld",    "withheld_permissions", "none"},
    {"models",      "models",       "all"   },
    {"endpoints",   "endpoints",    "all"   },
    {"from",        "ip_ranges",    "anywhere"},
    {"rate",        "rate",         "limits.key"},
    {"burst",       "burst",        "the rate's"},
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

/* Not by way of a cell: that would be one more copy to wipe, and cut. */
static void print_whole(struct buffer *out, const json_t *key, const char *member)
{
    const json_t *text = json_object_get(key, member);
    buffer_append(out, slice_make(json_string_value(text), json_string_length(text)));
}

/* The three things that 004's script printed, in its order. */
static void print_yaml(struct buffer *out, const json_t *key)
{
    buffer_text(out, "\n    ");
    print_whole(out, key, "key");
    buffer_text(out, "\n\nThis is the key. It will not be shown again, and is stored nowhere. Its "
                     "bcrypt hash:\n\n    ");
    print_whole(out, key, "hash");
    buffer_text(out, "\n\nThe entry for the file of keys (security.api_keys_file), below its line "
                     "\"keys:\":\n\n");
    print_whole(out, key, "yaml");
}

static void print_replaced(struct buffer *out, const json_t *key)
{
    char id[CELL_BYTES], end[CELL_BYTES];
    buffer_printf(out, "\nIt takes the place of %s, ", print_cell(key, "replaces", "-", id));
    buffer_printf(out, "which ends at %s.\n", print_cell(key, "replaced_ends_at", "-", end));
}

void key_print_created(struct buffer *out, const json_t *key)
{
    if (json_object_get(key, "yaml")) {
        print_yaml(out, key);
        return;
    }
    buffer_text(out, "\n    ");
    print_whole(out, key, "key");
    buffer_text(out,
                "\n\nThis is the key. It will not be shown again: Sallyport keeps only its hash. "
                "Put it where it is needed now.\n\n");
    key_print_one(out, key);
    if (json_object_get(key, "replaces"))
        print_replaced(out, key);
}

void key_print_pruned(struct buffer *out, const json_t *pruned)
{
    char count[CELL_BYTES], days[CELL_BYTES];
    buffer_printf(out, "Forgot %s keys ", print_cell(pruned, "removed", "-", count));
    buffer_printf(out, "that ended more than %s days ago.\n",
                  print_cell(pruned, "older_than_days", "-", days));
}

void key_print_revoked(struct buffer *out, const json_t *key)
{
    char id[CELL_BYTES], name[CELL_BYTES];
    buffer_printf(out, "Revoked %s (", print_cell(key, "id", "-", id));
    buffer_text(out, print_cell(key, "name", "-", name));
    buffer_text(out, "). It opens nothing any more.\n");
}

/* One line each: its name and what else there is to say. */
static void print_each(struct buffer *out, const json_t *list, const char *verb,
                       const char *between, const char *member)
{
    char name[CELL_BYTES], other[CELL_BYTES];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *key = json_array_get(list, i);
        buffer_printf(out, "%s %s", verb, print_cell(key, "name", "-", name));
        buffer_printf(out, "%s%s.\n", between, print_cell(key, member, "-", other));
    }
}

void key_print_imported(struct buffer *out, const json_t *imported)
{
    const char *served = json_string_value(json_object_get(imported, "served_in"));
    const json_t *keys = json_object_get(imported, "keys");
    print_each(out, keys, "Imported", " as ", "id");
    print_each(out, json_object_get(imported, "skipped"), "Passed over", ": ", "why");
    if (json_array_size(keys) == 0)
        buffer_text(out, "No key was imported.\n");
    if (served)
        buffer_printf(
            out,
            "\nThese keys also stand in %s, which the gateway reads. Take them out there:\n"
            "until then they open, whatever becomes of them here.\n",
            served);
}
