/* A byte ring between one thread that writes lines and one that reads them, without a lock and, but
 * for the moment it becomes half full, without a system call. Lines are written in place: reserve,
 * format, commit. A full ring refuses; nobody waits. */
#ifndef RECORD_RING_H
#define RECORD_RING_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/slice.h"

struct ring {
    /* The writing thread's line of cache. */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever committed, padding included */
    uint64_t tail_seen;                 /* the reader's position when last looked at */
    _Atomic uint64_t dropped;           /* lines that found no room */
    /* The reading thread's. */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever released */
    /* Set once. */
    _Alignas(64) char *bytes;
    size_t size; /* a power of two */
};

/* `size` is a power of two of at least 64. ERR_MEMORY. */
enum err ring_create(struct ring *ring, size_t size) MUST_CHECK;
void ring_finish(struct ring *ring);

/* Writer. Room for `max` bytes in one piece, or NULL when there is none. Valid until the commit. */
char *ring_reserve(struct ring *ring, size_t max);
/* Publishes the first `len` bytes of what was reserved (len <= max); `tag` travels along. */
void ring_commit(struct ring *ring, size_t len, uint32_t tag);
/* Counts one line that could not be written. */
void ring_drop(struct ring *ring);
/* Is more than half of it waiting to be read? */
bool ring_half_full(const struct ring *ring);

/* Reader. The oldest line; false when there is none. It stays valid until ring_release. */
bool ring_peek(struct ring *ring, struct slice *line, uint32_t *tag);
void ring_release(struct ring *ring);

#endif
