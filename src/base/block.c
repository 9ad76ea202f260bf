#include "base/block.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/arena.h" /* ARENA_CHECKED */

enum { TIDIED_AT_ONCE = 16 };

_Static_assert(sizeof(struct block) <= BLOCK_PAGES_BYTES, "a block fills whole pages");

#ifdef ARENA_CHECKED
static struct block *block_create(void)
{
    return malloc(sizeof(struct block));
}

static void block_destroy(struct block *block)
{
    free(block);
}
#else
static struct block *block_create(void)
{
    void *pages =
        mmap(NULL, BLOCK_PAGES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static void block_destroy(struct block *block)
{
    munmap(block, BLOCK_PAGES_BYTES);
}
#endif

void block_pool_init(struct block_pool *pool, struct block_budget *budget)
{
    *pool = (struct block_pool){.budget = budget};
}

void block_pool_finish(struct block_pool *pool)
{
    while (pool->free) {
        struct block *next = pool->free->next;
        block_destroy(pool->free);
        pool->free = next;
    }
    pool->free_count = 0;
}

bool block_pool_tidy(struct block_pool *pool)
{
    for (unsigned i = 0; i < TIDIED_AT_ONCE && pool->spare; i++, pool->spare--) {
        struct block *next = pool->free->next;
        block_destroy(pool->free);
        pool->free = next;
        pool->free_count--;
    }
    if (pool->spare)
        return true;
    pool->spare = pool->free_count;
    return false;
}

static enum err add_block(struct body *body, struct block_pool *pool)
{
    struct block_budget *budget = pool->budget;
    size_t used_bytes =
        atomic_fetch_add_explicit(&budget->used_bytes, BLOCK_PAGES_BYTES, memory_order_relaxed);
    bool given = pool->first_always && !body->first;
    if (!given && used_bytes + BLOCK_PAGES_BYTES > budget->max_bytes) {
        atomic_fetch_sub_explicit(&budget->used_bytes, BLOCK_PAGES_BYTES, memory_order_relaxed);
        return ERR_LIMIT;
    }
    struct block *block = pool->free;
    if (block) {
        pool->free = block->next;
        if (--pool->free_count < pool->spare)
            pool->spare = pool->free_count;
    } else if (!(block = block_create())) {
        atomic_fetch_sub_explicit(&budget->used_bytes, BLOCK_PAGES_BYTES, memory_order_relaxed);
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

enum err body_rooms(struct body *body, struct block_pool *pool, size_t wanted,
                    struct body_rooms *rooms)
{
    char *room;
    size_t size;
    TRY(body_room(body, pool, &room, &size));
    *rooms = (struct body_rooms){.first = body->last, .count = 1};
    for (;;) {
        size = size < wanted ? size : wanted;
        rooms->pieces[rooms->count - 1] = (struct iovec){room, size};
        wanted -= size;
        if (wanted == 0 || rooms->count == BODY_ROOMS_MAX || add_block(body, pool) != OK)
            return OK;
        rooms->count++;
        room = body->last->bytes;
        size = BLOCK_BYTES;
    }
}

static void release_chain(struct block *block, struct block_pool *pool)
{
    for (struct block *next; block; block = next) {
        next = block->next;
        atomic_fetch_sub_explicit(&pool->budget->used_bytes, BLOCK_PAGES_BYTES,
                                  memory_order_relaxed);
        if (pool->free_count < BLOCKS_KEPT) {
            block->next = pool->free;
            pool->free = block;
            pool->free_count++;
        } else {
            block_destroy(block);
        }
    }
}

void body_fill(struct body *body, struct block_pool *pool, const struct body_rooms *rooms, size_t n)
{
    struct block *block = rooms->first;
    body->len += n;
    for (int i = 0; i < rooms->count; i++) {
        size_t piece = n < rooms->pieces[i].iov_len ? n : rooms->pieces[i].iov_len;
        block->len += (uint32_t)piece;
        n -= piece;
        if (n == 0)
            break;
        block = block->next;
    }
    invariant(n == 0);
    release_chain(block->next, pool);
    block->next = NULL;
    body->last = block;
}

size_t body_drop(struct body *body, struct block_pool *pool, size_t *skip, size_t n)
{
    while (body->first) {
        struct block *block = body->first;
        size_t left = block->len - *skip;
        if (n < left) {
            *skip += n;
            body->len -= n;
            return 0;
        }
        n -= left;
        body->len -= left;
        *skip = 0;
        body->first = block->next;
        if (!body->first)
            body->last = NULL;
        block->next = NULL;
        release_chain(block, pool);
    }
    return n;
}

size_t body_take(struct body *body, struct block_pool *pool, size_t *skip, char *room, size_t size)
{
    size_t taken = 0;
    while (taken < size && body->first) {
        size_t left = body->first->len - *skip;
        size_t n = left < size - taken ? left : size - taken;
        memcpy(room + taken, body->first->bytes + *skip, n);
        taken += n;
        body_drop(body, pool, skip, n);
    }
    return taken;
}

void body_release(struct body *body, struct block_pool *pool)
{
    release_chain(body->first, pool);
    *body = (struct body){0};
}
