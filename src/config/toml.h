/* A TOML document as a flat row of leaves. The one door to the C++ library behind it, and therefore
 * plain C types only; no exception comes out. */
#ifndef CONFIG_TOML_H
#define CONFIG_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum toml_type {
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOLEAN,
    TOML_TIME,
    TOML_EMPTY_LIST,
    TOML_EMPTY_TABLE,
    TOML_NESTED, /* a list or a table inside a list of values, or tables too deep to mean anything
                  */
};

struct toml_leaf {
    const char *path; /* "upstream.url"; a key that is not a bare word stands in quotes */
    int table;        /* which of several [[tables]] it belongs to, from 0; -1: a single table */
    int item;         /* its place in a list, from 0; -1: not in a list */
    enum toml_type type;
    const char *text; /* of a string, `text_len` bytes; any byte, NUL included */
    size_t text_len;
    int64_t integer;
    bool boolean;
    unsigned line;
};

struct toml_error {
    char sentence[400];
    unsigned line; /* 0: none */
};

/* Calls `leaf` for every leaf in the order of lines; what a leaf points at lives until it returns,
 * and strings are wiped afterwards. False: not TOML, and nothing was called; `error` says why. */
typedef void toml_leaf_fn(void *context, const struct toml_leaf *leaf);
bool toml_walk(const char *text, size_t text_len, toml_leaf_fn *leaf, void *context,
               struct toml_error *error);

const char *toml_type_name(enum toml_type type); /* "a text", "a list" */

#ifdef __cplusplus
}
#endif

#endif
