/* A slice: bytes that somebody else owns. Not NUL-terminated; may be empty with a NULL pointer. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)(s).len, (s).len ? (s).ptr : ""

static inline struct slice slice_make(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* A slice over a NUL-terminated string; NULL gives an empty slice. */
static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* All but the first `n` bytes; n is at most s.len. */
static inline struct slice slice_from(struct slice s, size_t n)
{
    return (struct slice){s.ptr + n, s.len - n};
}

/* The first `n` bytes; n is at most s.len. */
static inline struct slice slice_to(struct slice s, size_t n)
{
    return (struct slice){s.ptr, n};
}

/* ASCII letters compare without case; all other bytes exactly. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_nocase(struct slice s, struct slice prefix);

/* The position of the first `byte`, or s.len. */
size_t slice_find(struct slice s, char byte);

/* Without spaces and tabs at both ends. */
struct slice slice_trim(struct slice s);

/* Cuts `*rest` at the first `separator`: returns what stands before it (or all), leaves what
 * follows. */
struct slice slice_cut(struct slice *rest, char separator);

/* Decimal digits only, no sign, no space; false when empty, not a number, or larger than `max`. */
bool slice_number(struct slice s, uint64_t max, uint64_t *number);

#endif
