#include "cli/print_value.h"

#include <stdlib.h>
#include <string.h>

const char *print_cell(const json_t *object, const char *member, const char *none,
                       char cell[CELL_BYTES])
{
    const json_t *value = json_object_get(object, member);
    struct buffer out = BUFFER_OVER(cell, CELL_BYTES - 4);
    if (json_is_string(value))
        buffer_append(&out, slice_make(json_string_value(value), json_string_length(value)));
    else if (json_is_integer(value))
        buffer_number(&out, (uint64_t)json_integer_value(value));
    else if (json_is_boolean(value))
        buffer_text(&out, json_is_true(value) ? "yes" : "no");
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

/* `object` NULL: the titles. */
static const char *cell_text(const json_t *object, const struct print_column *column,
                             char cell[CELL_BYTES])
{
    return object ? print_cell(object, column->member, column->none, cell) : column->title;
}

static size_t column_width(const json_t *objects, const struct print_column *column)
{
    size_t widest = width_of(column->title);
    for (size_t row = 0; row < json_array_size(objects); row++) {
        char cell[CELL_BYTES];
        size_t width = width_of(cell_text(json_array_get(objects, row), column, cell));
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void print_row(struct buffer *out, const json_t *object, const struct print_column *columns,
                      size_t count, const size_t widths[])
{
    for (size_t i = 0; i < count; i++) {
        char cell[CELL_BYTES];
        const char *text = cell_text(object, &columns[i], cell);
        buffer_text(out, text);
        for (size_t n = width_of(text); i + 1 < count && n < widths[i] + 2; n++)
            buffer_byte(out, ' ');
    }
    buffer_byte(out, '\n');
}

void print_table(struct buffer *out, const json_t *objects, const struct print_column *columns,
                 size_t count, const char *nothing)
{
    if (json_array_size(objects) == 0) {
        buffer_text(out, nothing);
        return;
    }
    size_t *widths = calloc(count, sizeof *widths);
    if (!widths) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        widths[i] = column_width(objects, &columns[i]);
    print_row(out, NULL, columns, count, widths);
    for (size_t row = 0; row < json_array_size(objects); row++)
        print_row(out, json_array_get(objects, row), columns, count, widths);
    free(widths);
}

void print_lines(struct buffer *out, const json_t *object, const struct print_column *lines,
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char cell[CELL_BYTES];
        buffer_printf(out, "%-12s ", lines[i].title);
        buffer_text(out, print_cell(object, lines[i].member, lines[i].none, cell));
        buffer_byte(out, '\n');
    }
}

void print_json(struct buffer *out, const json_t *document)
{
    size_t size = json_dumpb(document, NULL, 0, JSON_COMPACT);
    char *room = buffer_reserve(out, size + 1);
    if (!room || json_dumpb(document, room, size, JSON_COMPACT) != size)
        return;
    buffer_grow(out, size);
    buffer_byte(out, '\n');
}
