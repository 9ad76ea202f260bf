/* A secret: bytes that no formatter accepts, that are wiped when they go, and that are compared in
 * constant time. Nothing but secret_reveal leads to the bytes, so that a reader finds every use. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/err.h"
#include "base/slice.h"

struct secret {
    unsigned char *hidden;
    size_t size;
};

/* Takes a copy. ERR_MEMORY. */
enum err secret_set(struct secret *secret, struct slice bytes) MUST_CHECK;
/* Wipes and frees. */
void secret_finish(struct secret *secret);

static inline bool secret_empty(const struct secret *secret)
{
    return secret->size == 0;
}

/* The bytes, for the one place that must send, hash or store them. */
static inline struct slice secret_reveal(const struct secret *secret)
{
    return slice_make((const char *)secret->hidden, secret->size);
}

/* In a time that depends on the length of `presented` only. */
bool secret_equal(const struct secret *secret, struct slice presented);

/* Constant-time comparison of two digests of the same size. */
bool digest_equal(const void *a, const void *b, size_t size);

#endif
