/* Called by audit.c: from event loops and jobs to add, from the writer thread to take. The hard
 * problem is a flood: whoever can cause events without end must neither fill the disk nor push out
 * what matters unseen; so repetitions are one record, both tables are bounded, and what finds no
 * room is counted under its event. */
#include "record/audit_queue.h"

#include <stdlib.h>

#include "base/hash.h"

enum err audit_queue_init(struct audit_queue *queue)
{
    *queue = (struct audit_queue){0};
    pthread_mutex_init(&queue->lock, NULL);
    queue->entries = calloc(AUDIT_QUEUE_ENTRIES, sizeof *queue->entries);
    queue->window = calloc(AUDIT_WINDOW_ENTRIES, sizeof *queue->window);
    return queue->entries && queue->window ? OK : ERR_MEMORY;
}

void audit_queue_finish(struct audit_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    free(queue->entries);
    free(queue->window);
    queue->entries = queue->window = NULL;
}

static bool word_equal(const struct audit_word *a, const struct audit_word *b)
{
    return slice_equal(slice_make(a->bytes, a->len), slice_make(b->bytes, b->len));
}

/* The same event by the same caller for the same reason. */
static bool same(const struct audit_entry *a, const struct audit_entry *b)
{
    return a->event == b->event && address_equal(&a->ip, &b->ip) &&
           word_equal(&a->actor, &b->actor) && word_equal(&a->reason, &b->reason);
}

static uint64_t hash_of(const struct audit_entry *entry)
{
    char memory[2 * AUDIT_WORD_MAX + sizeof entry->ip.bytes + 2];
    struct buffer all = BUFFER_OVER(memory, sizeof memory);
    buffer_byte(&all, (char)entry->event);
    buffer_append(&all, slice_make((const char *)entry->ip.bytes, sizeof entry->ip.bytes));
    buffer_append(&all, slice_make(entry->actor.bytes, entry->actor.len));
    buffer_byte(&all, '\0');
    buffer_append(&all, slice_make(entry->reason.bytes, entry->reason.len));
    return hash_bytes(buffer_slice(&all));
}

static bool push(struct audit_queue *queue, const struct audit_entry *entry)
{
    if (queue->count == AUDIT_QUEUE_ENTRIES)
        return false;
    queue->entries[(queue->first + queue->count++) % AUDIT_QUEUE_ENTRIES] = *entry;
    return true;
}

/* Adds to the window, or counts where the same stands there already. */
static bool gather(struct audit_queue *queue, const struct audit_entry *entry)
{
    uint64_t hash = hash_of(entry);
    for (unsigned i = 0; i < queue->window_count; i++) {
        struct audit_entry *earlier = &queue->window[i];
        if (queue->hashes[i] != hash || !same(earlier, entry) ||
            entry->since_us >= earlier->since_us + AUDIT_WINDOW_US)
            continue;
        earlier->count++;
        return true;
    }
    if (queue->window_count == AUDIT_WINDOW_ENTRIES)
        return false;
    queue->hashes[queue->window_count] = hash;
    queue->window[queue->window_count++] = *entry;
    return true;
}

enum err audit_queue_add(struct audit_queue *queue, const struct audit_record *record)
{
    struct audit_entry entry;
    audit_entry_set(&entry, record);
    pthread_mutex_lock(&queue->lock);
    bool added =
        audit_event_get(record->event)->coalesced ? gather(queue, &entry) : push(queue, &entry);
    queue->dropped[record->event] += !added;
    queue->dropped_ever += !added;
    pthread_mutex_unlock(&queue->lock);
    return added ? OK : ERR_BUSY;
}

static void push_dropped(struct audit_queue *queue, uint64_t now_us, uint64_t wall_us)
{
    for (unsigned event = 0; event < AUDIT_EVENT_COUNT; event++) {
        struct audit_entry entry;
        const struct audit_record record = {.wall_us = wall_us,
                                            .now_us = now_us,
                                            .event = (enum audit_event)event,
                                            .actor = SLICE("system"),
                                            .reason = SLICE("queue_full")};
        if (!queue->dropped[event])
            continue;
        audit_entry_set(&entry, &record);
        entry.count = queue->dropped[event];
        if (push(queue, &entry))
            queue->dropped[event] = 0;
    }
}

void audit_queue_ripen(struct audit_queue *queue, uint64_t now_us, uint64_t wall_us)
{
    pthread_mutex_lock(&queue->lock);
    unsigned kept = 0;
    for (unsigned i = 0; i < queue->window_count; i++) {
        bool due = now_us == UINT64_MAX || now_us >= queue->window[i].since_us + AUDIT_WINDOW_US;
        if (due && push(queue, &queue->window[i]))
            continue;
        if (kept != i) {
            queue->window[kept] = queue->window[i];
            queue->hashes[kept] = queue->hashes[i];
        }
        kept++;
    }
    queue->window_count = kept;
    push_dropped(queue, now_us, wall_us);
    pthread_mutex_unlock(&queue->lock);
}

unsigned audit_queue_peek(struct audit_queue *queue, struct audit_entry *entries, unsigned max)
{
    pthread_mutex_lock(&queue->lock);
    unsigned count = queue->count < max ? queue->count : max;
    for (unsigned i = 0; i < count; i++)
        entries[i] = queue->entries[(queue->first + i) % AUDIT_QUEUE_ENTRIES];
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void audit_queue_remove(struct audit_queue *queue, unsigned count)
{
    pthread_mutex_lock(&queue->lock);
    invariant(count <= queue->count);
    queue->first = (queue->first + count) % AUDIT_QUEUE_ENTRIES;
    queue->count -= count;
    pthread_mutex_unlock(&queue->lock);
}

uint64_t audit_queue_dropped(struct audit_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    uint64_t dropped = queue->dropped_ever;
    pthread_mutex_unlock(&queue->lock);
    return dropped;
}
