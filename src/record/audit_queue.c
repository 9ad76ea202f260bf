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

/* What makes two events the same: event, caller and reason. */
struct sameness {
    enum audit_event event;
    const struct address *ip;
    struct slice actor, reason; /* AUDIT_WORD_MAX bytes at most */
};

static struct slice word_slice(const struct audit_word *word)
{
    return slice_make(word->bytes, word->len);
}

static struct sameness sameness_of(const struct audit_entry *entry)
{
    return (struct sameness){entry->event, &entry->ip, word_slice(&entry->actor),
                             word_slice(&entry->reason)};
}

static bool same(const struct sameness *a, const struct sameness *b)
{
    return a->event == b->event && address_equal(a->ip, b->ip) && slice_equal(a->actor, b->actor) &&
           slice_equal(a->reason, b->reason);
}

static uint64_t hash_of(const struct sameness *what)
{
    char memory[2 * AUDIT_WORD_MAX + sizeof what->ip->bytes + 2];
    struct buffer all = BUFFER_OVER(memory, sizeof memory);
    buffer_byte(&all, (char)what->event);
    buffer_append(&all, slice_make((const char *)what->ip->bytes, sizeof what->ip->bytes));
    buffer_append(&all, what->actor);
    buffer_byte(&all, '\0');
    buffer_append(&all, what->reason);
    return hash_bytes(buffer_slice(&all));
}

static bool push(struct audit_queue *queue, const struct audit_entry *entry)
{
    if (queue->count == AUDIT_QUEUE_ENTRIES)
        return false;
    queue->entries[(queue->first + queue->count++) % AUDIT_QUEUE_ENTRIES] = *entry;
    return true;
}

/* Counts where the same stands in the window already. */
static bool count_again(struct audit_queue *queue, const struct sameness *what, uint64_t hash,
                        uint64_t now_us)
{
    for (unsigned i = 0; i < queue->window_count; i++) {
        struct audit_entry *earlier = &queue->window[i];
        if (queue->hashes[i] != hash || now_us >= earlier->since_us + AUDIT_WINDOW_US)
            continue;
        struct sameness there = sameness_of(earlier);
        if (!same(&there, what))
            continue;
        earlier->count++;
        return true;
    }
    return false;
}

/* A repetition costs a hash and a comparison: nothing is copied, and no text is looked through for
 * credentials, since all that is kept of it is a number. Words that would be changed on their way
 * into an entry match none here, and are matched once they were (gather). */
static bool repeats(struct audit_queue *queue, const struct audit_record *record)
{
    const struct sameness what = {record->event, &record->ip, record->actor, record->reason};
    if (what.actor.len > AUDIT_WORD_MAX || what.reason.len > AUDIT_WORD_MAX)
        return false;
    uint64_t hash = hash_of(&what);
    pthread_mutex_lock(&queue->lock);
    bool counted = count_again(queue, &what, hash, record->now_us);
    pthread_mutex_unlock(&queue->lock);
    return counted;
}

/* Adds to the window, or counts. */
static bool gather(struct audit_queue *queue, const struct audit_entry *entry)
{
    struct sameness what = sameness_of(entry);
    uint64_t hash = hash_of(&what);
    if (count_again(queue, &what, hash, entry->since_us))
        return true;
    if (queue->window_count == AUDIT_WINDOW_ENTRIES)
        return false;
    queue->hashes[queue->window_count] = hash;
    queue->window[queue->window_count++] = *entry;
    return true;
}

enum err audit_queue_add(struct audit_queue *queue, const struct audit_record *record)
{
    bool coalesced = audit_event_get(record->event)->coalesced;
    if (coalesced && repeats(queue, record))
        return OK;
    struct audit_entry entry;
    audit_entry_set(&entry, record);
    pthread_mutex_lock(&queue->lock);
    bool added = coalesced ? gather(queue, &entry) : push(queue, &entry);
    queue->dropped[record->event] += !added;
    queue->dropped_ever += !added;
    pthread_mutex_unlock(&queue->lock);
    return added ? OK : ERR_BUSY;
}

static void push_dropped(struct audit_queue *queue, uint64_t now_us, uint64_t wall_us)
{
    for (unsigned event = AUDIT_NONE + 1; event < AUDIT_EVENT_COUNT; event++) {
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
