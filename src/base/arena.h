/* An arena: many small allocations with one lifetime, the exchange's. Bump allocation out of a
 * first piece that the owner brings along, then out of heap pieces, up to a maximum; nothing is
 * freed singly.
 *
 * Built with AddressSanitizer every allocation is a malloc of its own, so that an overrun of one
 * object into the next shows (Varnish's workspace emulator). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"
#include "base/slice.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_CHECKED 1
#endif
#endif

struct arena_piece;

struct arena {
    char *at, *end; /* the free room of the current piece */
    char *first;    /* the owner's memory */
    size_t first_size;
    struct arena_piece *pieces; /* heap pieces, newest first */
    size_t used, max;           /* bytes handed out, and their bound */
};

/* `first` may be NULL with size 0. Never fails; `max` bounds all that is handed out. */
void arena_init(struct arena *arena, void *first, size_t first_size, size_t max);
/* Frees everything that was handed out; the arena is as after arena_init. */
void arena_reset(struct arena *arena);
void arena_finish(struct arena *arena);

/* Zeroed and aligned for anything; NULL when `max` is reached or the heap is empty. */
void *arena_alloc(struct arena *arena, size_t size);
/* A copy of `s`, followed by a NUL that is not counted. `.ptr` is NULL when there is no room. */
struct slice arena_copy(struct arena *arena, struct slice s);

#define ARENA_NEW(arena, type) ((type *)arena_alloc(arena, sizeof(type)))

#endif
