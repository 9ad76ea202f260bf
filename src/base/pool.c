#include "base/pool.h"

#include <stdlib.h>

#include "base/arena.h" /* ARENA_CHECKED */
#include "base/err.h"

void pool_init(struct pool *pool, size_t object_bytes, unsigned keep)
{
    invariant(object_bytes >= sizeof(void *));
#ifdef ARENA_CHECKED
    keep = 0;
#endif
    *pool = (struct pool){.object_bytes = object_bytes, .keep = keep};
}

void pool_finish(struct pool *pool)
{
    while (pool->free) {
        void *next = *(void **)pool->free;
        free(pool->free);
        pool->free = next;
    }
    pool->count = 0;
}

void *pool_take(struct pool *pool)
{
    void *object = pool->free;
    if (!object)
        return malloc(pool->object_bytes);
    pool->free = *(void **)object;
    if (--pool->count < pool->spare)
        pool->spare = pool->count;
    return object;
}

void pool_give(struct pool *pool, void *object)
{
    if (pool->count == pool->keep) {
        free(object);
        return;
    }
    *(void **)object = pool->free;
    pool->free = object;
    pool->count++;
}

void pool_tidy(struct pool *pool)
{
    for (; pool->spare; pool->spare--) {
        void *next = *(void **)pool->free;
        free(pool->free);
        pool->free = next;
        pool->count--;
    }
    pool->spare = pool->count;
}
