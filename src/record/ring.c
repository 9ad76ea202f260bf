/* Called by every event loop (through recorder.c) and by the writer thread. The hard problem is the
 * end of the memory: a line must lie in one piece, so that what is left there is filled with an
 * empty record when the next line might not fit. */
#include "record/ring.h"

#include <stdlib.h>

/* In front of each line; records begin at multiples of 8. */
struct record_head {
    uint32_t len; /* SKIP: nothing follows up to the end of the memory */
    uint32_t tag;
};

#define SKIP UINT32_MAX

enum { ALIGNMENT = 8 };

static size_t footprint(size_t len)
{
    return sizeof(struct record_head) + ((len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
}

enum err ring_create(struct ring *ring, size_t size)
{
    invariant(size >= 64 && (size & (size - 1)) == 0);
    *ring = (struct ring){.bytes = malloc(size), .size = size};
    return ring->bytes ? OK : ERR_MEMORY;
}

void ring_finish(struct ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

static bool has_room(struct ring *ring, uint64_t head, size_t needed)
{
    if (needed <= ring->size - (size_t)(head - ring->tail_seen))
        return true;
    ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return needed <= ring->size - (size_t)(head - ring->tail_seen);
}

static struct record_head *record_at(struct ring *ring, uint64_t position)
{
    return (struct record_head *)(void *)(ring->bytes + (position & (ring->size - 1)));
}

char *ring_reserve(struct ring *ring, size_t max)
{
    if (max > ring->size / 2)
        return NULL;
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t needed = footprint(max), to_end = ring->size - (size_t)(head & (ring->size - 1));
    if (needed > to_end) {
        if (!has_room(ring, head, to_end + needed))
            return NULL;
        record_at(ring, head)->len = SKIP;
        head += to_end;
        atomic_store_explicit(&ring->head, head, memory_order_release);
    } else if (!has_room(ring, head, needed)) {
        return NULL;
    }
    return (char *)(record_at(ring, head) + 1);
}

void ring_commit(struct ring *ring, size_t len, uint32_t tag)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    *record_at(ring, head) = (struct record_head){(uint32_t)len, tag};
    atomic_store_explicit(&ring->head, head + footprint(len), memory_order_release);
}

void ring_drop(struct ring *ring)
{
    /* One writer: a plain addition that readers see whole. */
    uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    atomic_store_explicit(&ring->dropped, dropped + 1, memory_order_relaxed);
}

bool ring_half_full(const struct ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    return head - ring->tail_seen > ring->size / 2 &&
           head - atomic_load_explicit(&ring->tail, memory_order_relaxed) > ring->size / 2;
}

bool ring_peek(struct ring *ring, struct slice *line, uint32_t *tag)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail != head && record_at(ring, tail)->len == SKIP) {
        tail += ring->size - (tail & (ring->size - 1));
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    if (tail == head)
        return false;
    const struct record_head *record = record_at(ring, tail);
    *line = slice_make((const char *)(record + 1), record->len);
    *tag = record->tag;
    return true;
}

void ring_release(struct ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    tail += footprint(record_at(ring, tail)->len);
    atomic_store_explicit(&ring->tail, tail, memory_order_release);
}
