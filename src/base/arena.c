#include "base/arena.h"

#include <stdlib.h>

struct arena_piece {
    struct arena_piece *next;
    max_align_t memory[];
};

enum { PIECE_BYTES = 8192 };

void arena_init(struct arena *arena, void *first, size_t first_size, size_t max)
{
    *arena = (struct arena){.first = first, .first_size = first_size, .max = max};
    arena->at = first;
    arena->end = first ? arena->first + first_size : NULL;
}

void arena_reset(struct arena *arena)
{
    while (arena->pieces) {
        struct arena_piece *next = arena->pieces->next;
        free(arena->pieces);
        arena->pieces = next;
    }
    arena_init(arena, arena->first, arena->first_size, arena->max);
}

void arena_finish(struct arena *arena)
{
    arena_reset(arena);
}

static struct arena_piece *add_piece(struct arena *arena, size_t size)
{
    struct arena_piece *piece = malloc(sizeof *piece + size);
    if (piece) {
        piece->next = arena->pieces;
        arena->pieces = piece;
    }
    return piece;
}

static void *take(struct arena *arena, size_t size, size_t alignment)
{
    if (size > arena->max || arena->used > arena->max - size)
        return NULL;
#ifdef ARENA_CHECKED
    (void)alignment;
    struct arena_piece *own = add_piece(arena, size);
    if (!own)
        return NULL;
    arena->used += size;
    return own->memory;
#else
    size_t padding = -(uintptr_t)arena->at & (alignment - 1);
    if (!arena->at || (size_t)(arena->end - arena->at) < size + padding) {
        size_t piece_size = size > PIECE_BYTES ? size : PIECE_BYTES;
        struct arena_piece *piece = add_piece(arena, piece_size);
        if (!piece)
            return NULL;
        arena->at = (char *)piece->memory;
        arena->end = arena->at + piece_size;
        padding = 0;
    }
    char *memory = arena->at + padding;
    arena->at = memory + size;
    arena->used += size;
    return memory;
#endif
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *memory = take(arena, size, _Alignof(max_align_t));
    if (memory)
        memset(memory, 0, size);
    return memory;
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
    char *copy = take(arena, s.len + 1, 1);
    if (!copy)
        return slice_make(NULL, 0);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return slice_make(copy, s.len);
}
