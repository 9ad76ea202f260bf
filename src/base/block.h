/* Bodies wait in chains of pooled 32 KiB blocks. Each event loop has a pool of its own; all pools
 * together stay under one budget, whose exhaustion is answered with 503 and never with a crash.
 *
 * Blocks come from the system and go back to it, not to the heap: there a burst of them would leave
 * holes, and an end, that a thread's heap keeps for ever. */
#ifndef BASE_BLOCK_H
#define BASE_BLOCK_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/slice.h"

enum { BLOCK_PAGES_BYTES = 32 * 1024, BLOCK_HEAD_BYTES = 16, BLOCKS_KEPT = 512 };
enum { BLOCK_BYTES = BLOCK_PAGES_BYTES - BLOCK_HEAD_BYTES };

struct block {
    struct block *next;
    uint32_t len;
    char bytes[BLOCK_BYTES];
};

/* Shared by all loops; a block counts with BLOCK_PAGES_BYTES. */
struct block_budget {
    atomic_size_t used_bytes;
    size_t max_bytes;
};

/* One loop's; keeps at most BLOCKS_KEPT free blocks, which do not count against the budget. */
struct block_pool {
    struct block *free;
    unsigned free_count;
    unsigned spare; /* the fewest there were since block_pool_tidy: nobody needed these */
    struct block_budget *budget;
    bool first_always; /* a body gets its first block beyond the budget, too */
};

/* A chain of blocks; zero is empty. */
struct body {
    struct block *first, *last;
    size_t len;
};

void block_pool_init(struct block_pool *pool, struct block_budget *budget);
void block_pool_finish(struct block_pool *pool);
/* Frees the blocks that lay about ever since the last time. True: there are more, which the next
 * call frees; all at once would take a millisecond. */
bool block_pool_tidy(struct block_pool *pool);

/* ERR_LIMIT when the budget is used up, ERR_MEMORY. What fitted stays appended. */
enum err body_append(struct body *body, struct block_pool *pool, struct slice s) MUST_CHECK;
/* Room at the end to read into: sets `*room` and `*size` (at least 1). Written bytes are taken over
 * by body_grow. ERR_LIMIT, ERR_MEMORY. */
enum err body_room(struct body *body, struct block_pool *pool, char **room,
                   size_t *size) MUST_CHECK;
void body_grow(struct body *body, size_t n);
/* Room for one large read: what is left of the last block, and fresh ones behind it. */
enum { BODY_ROOMS_MAX = 8 };
struct body_rooms {
    struct block *first; /* where the first piece lies */
    struct iovec pieces[BODY_ROOMS_MAX];
    int count;
};
/* Room for up to `wanted` bytes (at least 1), or as much as budget and memory allow. ERR_LIMIT,
 * ERR_MEMORY when there is none at all. Followed by body_fill before anything else happens to the
 * body. */
enum err body_rooms(struct body *body, struct block_pool *pool, size_t wanted,
                    struct body_rooms *rooms) MUST_CHECK;
/* The first `n` bytes of the rooms were written; blocks that were not needed go back. */
void body_fill(struct body *body, struct block_pool *pool, const struct body_rooms *rooms,
               size_t n);
/* Drops `n` bytes from the front, of whose first block `*skip` bytes are gone already. Returns how
 * many of `n` there were not. */
size_t body_drop(struct body *body, struct block_pool *pool, size_t *skip, size_t n);
/* Moves up to `size` bytes from the front to `room`. Returns how many. */
size_t body_take(struct body *body, struct block_pool *pool, size_t *skip, char *room, size_t size);
/* Gives all blocks back. */
void body_release(struct body *body, struct block_pool *pool);

#endif
