/* What waits to be written: a bounded queue, and before it a bounded table in which repetitions
 * become one. Has a short lock of its own under which nothing but memory is touched, so that event
 * loops may add. */
#ifndef RECORD_AUDIT_QUEUE_H
#define RECORD_AUDIT_QUEUE_H

#include <pthread.h>

#include "record/audit_line.h"

enum {
    AUDIT_QUEUE_ENTRIES = 1024,
    AUDIT_WINDOW_ENTRIES = 512,
    AUDIT_WINDOW_US = 10 * 1000 * 1000, /* repetitions within it are one record */
};

struct audit_queue {
    pthread_mutex_t lock;
    struct audit_entry *entries; /* AUDIT_QUEUE_ENTRIES, a ring */
    unsigned first, count;
    struct audit_entry *window; /* AUDIT_WINDOW_ENTRIES, oldest first */
    uint64_t hashes[AUDIT_WINDOW_ENTRIES];
    unsigned window_count;
    uint64_t dropped[AUDIT_EVENT_COUNT]; /* not yet recorded */
    uint64_t dropped_ever;
};

/* ERR_MEMORY. */
enum err audit_queue_init(struct audit_queue *queue) MUST_CHECK;
void audit_queue_finish(struct audit_queue *queue);
/* ERR_BUSY: no room; it was counted. */
enum err audit_queue_add(struct audit_queue *queue, const struct audit_record *record) MUST_CHECK;
/* Makes what is due at `now_us`, and what was dropped, ready to be taken; UINT64_MAX: all. */
void audit_queue_ripen(struct audit_queue *queue, uint64_t now_us, uint64_t wall_us);
/* Copies the first `max` at most; they stay until they are removed. Returns how many. */
unsigned audit_queue_peek(struct audit_queue *queue, struct audit_entry *entries, unsigned max);
void audit_queue_remove(struct audit_queue *queue, unsigned count);
uint64_t audit_queue_dropped(struct audit_queue *queue);

#endif
