/* What verbs answer, for people and for scripts. The buffer may end up with a plain key in it:
 * whoever owns it wipes it. */
#ifndef CLI_PRINT_VALUE_H
#define CLI_PRINT_VALUE_H

#include <jansson.h>

#include "base/buffer.h"

enum { CELL_BYTES = 400 };

/* A member of an object, under its title; `none` stands for null and for nothing. */
struct print_column {
    const char *title, *member, *none;
};

/* A member as text in `cell`: a string as it is, a list with commas. */
const char *print_cell(const json_t *object, const char *member, const char *none,
                       char cell[CELL_BYTES]);
/* An object or an array, on one line. */
void print_json(struct buffer *out, const json_t *document);
/* A row for each object, under titles; `nothing` when there is none. */
void print_table(struct buffer *out, const json_t *objects, const struct print_column *columns,
                 size_t count, const char *nothing);
/* A line for each member. */
void print_lines(struct buffer *out, const json_t *object, const struct print_column *lines,
                 size_t count);

#endif
