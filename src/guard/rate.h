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
void rate_table_destroy(struct rate_table *table);

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

/* Charges one request to the identity. Never over-admits, also under contention: admissions over a
 * time t are at most burst + rate * t. When all places of the identity's set are taken by running
 * limits the one closest to full is replaced. */
struct rate_verdict rate_charge(struct rate_table *table, uint64_t identity_hash,
                                const struct rate *rate, uint64_t now_us);
/* What a charge would say, without charging. */
struct rate_verdict rate_peek(struct rate_table *table, uint64_t identity_hash,
                              const struct rate *rate, uint64_t now_us);
/* Gives one request back (to an address that has proved who it is). */
void rate_refund(struct rate_table *table, uint64_t identity_hash, const struct rate *rate,
                 uint64_t now_us);

#endif
