/* Values of options: from text into a field, and from a field to text. Texts come from all sources
 * in one form, so that "10MB" means the same in TOML, in the environment and as a default. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/arena.h"
#include "config/option.h"

/* settings.log.access always has room for this many. */
enum { ACCESS_LOGS_MAX = 8 };

/* What a value is read into and for. */
struct assignment {
    const struct option *option;
    void *object; /* the struct that option->offset counts from */
    struct arena *arena;
    const char *directory; /* relative paths are relative to it; NULL: left as they are */
    uint64_t unit;         /* of a bare number; 0 is 1 */
    char why[256];         /* set on failure when there is more to say than what was expected */
};

/* Reads a whole value; a list is cut at commas. On failure the field is untouched or, for a list,
 * holds what was read so far. ERR_SYNTAX, ERR_RANGE, ERR_MEMORY. */
enum err value_parse(struct assignment *assignment, struct slice text) MUST_CHECK;
/* Appends one item to a list. */
enum err value_append(struct assignment *assignment, struct slice item) MUST_CHECK;
/* Empties a list. */
void value_clear(const struct assignment *assignment);

/* "a size from 1KB to 4GB, such as "10MB"". */
void value_print_expected(const struct option *option, struct buffer *out);
/* As a literal that both TOML and JSON understand; secrets as "********", "null" when there is
 * none. */
void value_print(const struct option *option, const void *object, struct buffer *out);
/* In the largest unit that divides it, without quotes. */
void value_print_number(enum option_type type, uint64_t number, struct buffer *out);

#define SECRET_MASK "\"********\""

/* Pieces with files of their own (listen.c, database.c). They fill assignment->why. */
enum err listen_parse(struct assignment *assignment, struct slice text,
                      struct slice *out) MUST_CHECK;
enum err database_parse(struct assignment *assignment, struct slice text) MUST_CHECK;
/* One item of a list, in the one form that is compared later (names.c). */
enum err origin_parse(struct assignment *assignment, struct slice text,
                      struct slice *out) MUST_CHECK;
enum err host_parse(struct assignment *assignment, struct slice text, struct slice *out) MUST_CHECK;
enum err method_parse(struct assignment *assignment, struct slice text,
                      struct slice *out) MUST_CHECK;
enum err field_name_parse(struct assignment *assignment, struct slice text,
                          struct slice *out) MUST_CHECK;
/* A word that stands for ranges of addresses; NULL when `text` is none. */
const char *range_word(struct slice text);

/* `text` in the arena, as a path: relative ones are joined to the folder; "-" stays; "" gives NULL.
 */
enum err path_resolve(struct assignment *assignment, struct slice text, char **path) MUST_CHECK;

#endif
