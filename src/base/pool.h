/* A pool of equal objects for one thread: taken and given back without the heap once it is warm.
 * Built with AddressSanitizer it is plain malloc and free, so that use after give shows. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

struct pool {
    void *free; /* the first word of a free object points to the next */
    size_t object_bytes;
    unsigned count, keep; /* free objects now, and at most */
    unsigned spare;       /* the fewest there were since pool_tidy: nobody needed these */
};

/* `object_bytes` is at least a pointer's size. */
void pool_init(struct pool *pool, size_t object_bytes, unsigned keep);
void pool_finish(struct pool *pool);
/* Not zeroed; NULL when there is no memory. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *object);
/* Frees the objects that lay about ever since the last time. */
void pool_tidy(struct pool *pool);

#endif
