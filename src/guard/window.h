/* Sliding windows: how often an identity came in the last minute and the last hour, in one bounded
 * table that all loops share. Unlike a bucket (rate.h) a window never holds more than its number in
 * any 60 or 3600 seconds, whatever came before. Time is passed in. */
#ifndef GUARD_WINDOW_H
#define GUARD_WINDOW_H

#include "guard/rate.h"

enum window { WINDOW_MINUTE, WINDOW_HOUR, WINDOW_COUNT };

struct window_table;
/* `identities` is rounded up to a power of two; 128 bytes each, of which none is used before
 * somebody is charged. NULL: no memory. */
struct window_table *window_table_create(size_t identities);
void window_table_destroy(struct window_table *table);

/* Where a charge stands, so that it can be given back; set when it was admitted. */
struct window_mark {
    uint32_t parts[WINDOW_COUNT];
};

struct window_verdict {
    struct rate_verdict rate;
    enum window window; /* which one it is about: the one that refuses, or has least left */
};

/* Charges one request to both windows, or to none. `max`: how many each may hold; 0: no bound. What
 * was charged counts for the window's length and at most a twenty-first of it more. */
struct window_verdict window_charge(struct window_table *table, uint64_t identity_hash,
                                    const uint64_t max[WINDOW_COUNT], uint64_t now_us,
                                    struct window_mark *mark);
/* Gives back what was charged. */
void window_refund(struct window_table *table, uint64_t identity_hash,
                   const struct window_mark *mark, uint64_t now_us);
/* The identity will be asked for soon. */
void window_prefetch(const struct window_table *table, uint64_t identity_hash);

#endif
