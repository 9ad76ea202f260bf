/* What `sallyport key` prints. Called by key.c only. */
#include "cli/key_print.h"

#include <jansson.h>
#include <string.h>

enum { CELL_BYTES = 400 };

/* A member as text in `cell`: a string as it is, a list with commas, `none` for null and for
 * nothing. */
static const char *cell_of(const json_t *key, const char *member, const char *none, char *cell)
{
    const json_t *value = json_object_get(key, member);
    struct buffer out = BUFFER_OVER(cell, CELL_BYTES - 4);
    if (json_is_string(value))
        buffer_append(&out, slice_make(json_string_value(value), json_string_length(value)));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *word = json_array_get(value, i);
        if (i)
            buffer_byte(&out, ',');
        buffer_append(&out, slice_make(json_string_value(word), json_string_length(word)));
    }
    if (out.len == 0)
        buffer_text(&out, none);
    /* A long list of models ends in dots; --json has all of it. */
    memcpy(cell + out.len, out.failed ? "..." : "", out.failed ? 4 : 1);
    return cell;
}

/* Code points, not bytes, so that the columns of other scripts stand straight, more or less. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

// clang-format off
static const struct {
    const char *title, *member, *none;
} columns[] = {
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
// clang-format on

static void print_row(struct buffer *out, const json_t *key, const size_t widths[])
{
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        char cell[CELL_BYTES];
        const char *text =
            key ? cell_of(key, columns[i].member, columns[i].none, cell) : columns[i].title;
        buffer_text(out, text);
        for (size_t n = width_of(text); i + 1 < COUNT_OF(columns) && n < widths[i] + 2; n++)
            buffer_byte(out, ' ');
    }
    buffer_byte(out, '\n');
}

void key_print_table(struct buffer *out, const json_t *keys)
{
    size_t widths[COUNT_OF(columns)];
    if (json_array_size(keys) == 0) {
        buffer_text(out, "There are no keys yet; `sallyport key create --name N` makes one.\n");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        widths[i] = width_of(columns[i].title);
        for (size_t row = 0; row < json_array_size(keys); row++) {
            char cell[CELL_BYTES];
            size_t width = width_of(
                cell_of(json_array_get(keys, row), columns[i].member, columns[i].none, cell));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    print_row(out, NULL, widths);
    for (size_t row = 0; row < json_array_size(keys); row++)
        print_row(out, json_array_get(keys, row), widths);
}

void key_print_one(struct buffer *out, const json_t *key)
{
    static const struct {
        const char *title, *member, *none;
    } lines[] = {
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
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char cell[CELL_BYTES];
        buffer_printf(out, "%-12s ", lines[i].title);
        buffer_text(out, cell_of(key, lines[i].member, lines[i].none, cell));
        buffer_byte(out, '\n');
    }
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
    buffer_printf(out, "Revoked %s (", cell_of(key, "id", "-", id));
    buffer_text(out, cell_of(key, "name", "-", name));
    buffer_text(out, "). It opens nothing any more.\n");
}

void key_print_json(struct buffer *out, const json_t *document)
{
    size_t size = json_dumpb(document, NULL, 0, JSON_COMPACT);
    char *room = buffer_reserve(out, size + 1);
    if (!room || json_dumpb(document, room, size, JSON_COMPACT) != size)
        return;
    buffer_grow(out, size);
    buffer_byte(out, '\n');
}
