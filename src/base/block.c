#include "base/block.h"

#include <stdlib.h>

void block_pool_init(struct block_pool *pool, struct block_budget *budget)
{
    *pool = (struct block_pool){.budget = budget};
}

void block_pool_finish(struct block_pool *pool)
{
    while (pool->free) {
        struct block *next = pool->free->next;
        free(pool->free);
        pool->free = next;
    }
    pool->free_count = 0;
}

static enum err add_block(struct body *body, struct block_pool *pool)
{
    struct block_budget *budget = pool->budget;
    if (atomic_fetch_add_explicit(&budget->used_bytes, BLOCK_BYTES, memory_order_relaxed) +
            BLOCK_BYTES > budget->max_bytes) {
        atomic_fetch_sub_explicit(&budget->used_bytes, BLOCK_BYTES, memory_order_relaxed);
        return ERR_LIMIT;
    }
    struct block *block = pool->free;
    if (block) {
        pool->free = block->next;
        pool->free_count--;
    } else if (!(block = malloc(sizeof *block))) {
        atomic_fetch_sub_explicit(&budget->used_bytes, BLOCK_BYTES, memory_order_relaxed);
        return ERR_MEMORY;
    }
    block->next = NULL;
    block->len = 0;
    if (body->last)
        body->last->next = block;
    else
        body->first = block;
    body->last = block;
    return OK;
}

enum err body_room(struct body *body, struct block_pool *pool, char **room, size_t *size)
{
    if (!body->last || body->last->len == BLOCK_BYTES)
        TRY(add_block(body, pool));
    *room = body->last->bytes + body->last->len;
    *size = BLOCK_BYTES - body->last->len;
    return OK;
}

void body_grow(struct body *body, size_t n)
{
    invariant(body->last && n <= BLOCK_BYTES - body->last->len);
    body->last->len += (uint32_t)n;
    body->len += n;
}

enum err body_append(struct body *body, struct block_pool *pool, struct slice s)
{
    while (s.len) {
        char *room;
        size_t size;
        TRY(body_room(body, pool, &room, &size));
        size_t n = s.len < size ? s.len : size;
        memcpy(room, s.ptr, n);
        body_grow(body, n);
        s = slice_from(s, n);
    }
    return OK;
}

void body_release(struct body *body, struct block_pool *pool)
{
    for (struct block *block = body->first, *next; block; block = next) {
        next = block->next;
        atomic_fetch_sub_explicit(&pool->budget->used_bytes, BLOCK_BYTES, memory_order_relaxed);
        if (pool->free_count < BLOCKS_KEPT) {
            block->next = pool->free;
            pool->free = block;
            pool->free_count++;
        } else {
            free(block);
        }
    }
    *body = (struct body){0};
}
