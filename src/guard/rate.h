/* Rate limits: a token bucket per identity, kept as one 64-bit GCRA value ("theoretical arrival
 * time") in one bounded table that all loops share and change by compare-and-swap. Time is passed
 * in. */
#ifndef GUARD_RATE_H
#define GUARD_RATE_H

#include "base/err.h"
#include "config/rate.h"

struct rate_table;
/* `cells` is rounded up to a power of two; 16 bytes each. NULL when there is no memory. */
struct rate_table *rate_table_create(size_t cells);
/* One that grows to 49 times as many when they are all in use; it never shrinks. Memory is used as
 * it grows. */
struct rate_table *rate_table_create_growing(size_t cells);
void rate_table_destroy(struct rate_table *table);

struct rate_table_facts {
    size_t bytes_max;   /* at its largest */
    size_t open_cells;  /* as large as it has grown */
    uint64_t evictions; /* how many running limits lost their place to others */
};
struct rate_table_facts rate_table_facts(const struct rate_table *table);

/* `identity_hash` names one identity under one limit: it is made with hash_bytes, so that nobody
 * can choose colliding ones, over the identity and what tells the limit from others. A rate without
 * requests admits everything, with limit 0; a burst of 0 counts as 1. */
struct rate_verdict {
    bool admitted;
    uint64_t limit;       /* n of n/period */
    uint64_t remaining;   /* whole requests possible now */
    uint64_t full_in_us;  /* until the bucket is full again */
    uint64_t retry_in_us; /* 0 when admitted */
};

/* Has `a` a smaller share left than `b`? a/b < c/d without dividing. */
static inline bool rate_tighter(const struct rate_verdict *a, const struct rate_verdict *b)
{
    return a->remaining * b->limit < b->remaining * a->limit;
}

/* Charges one request to the identity. Never over-admits, also under contention: admissions over a
 * time t are at most burst + rate * t. When all places of the identity's set are taken by running
 * limits the one closest to full is replaced. */
struct rate_verdict rate_charge(struct rate_table *table, uint64_t identity_hash,
                                const struct rate *rate, uint64_t now_us);
/* What a charge would say, without charging. */
struct rate_verdict rate_peek(struct rate_table *table, uint64_t identity_hash,
                              const struct rate *rate, uint64_t now_us);
/* Gives one request back that was admitted. */
void rate_refund(struct rate_table *table, uint64_t identity_hash, const struct rate *rate,
                 uint64_t now_us);
/* The identity will be asked for soon. */
void rate_prefetch(const struct rate_table *table, uint64_t identity_hash);

#endif
