/* Rate limits: a token bucket per identity, kept as one 64-bit GCRA value ("theoretical arrival time")
 * in one bounded table that all loops share and change by compare-and-swap. Time is passed in. */
#ifndef GUARD_RATE_H
#define GUARD_RATE_H

#include "base/err.h"
#include "base/slice.h"

/* n per period, with room for `burst` at once. Zero requests: no limit. */
struct rate {
    uint64_t requests;
    uint64_t period_us;
    uint64_t burst;
};

/* "60/minute", "10/s", "1000/hour", "5/day"; period words as Caddy and slowapi know them
 * (s|sec|second, m|min|minute, h|hour, d|day). `burst` is set to n. ERR_SYNTAX. */
enum err rate_parse(struct slice text, struct rate *rate) MUST_CHECK;

struct rate_table;
/* `cells` is rounded up to a power of two; 16 bytes each. NULL when there is no memory. */
struct rate_table *rate_table_create(size_t cells);
void rate_table_destroy(struct rate_table *table);

struct rate_verdict {
    bool admitted;
    uint64_t limit;         /* n of n/period */
    uint64_t remaining;     /* whole requests possible now */
    uint64_t full_in_us;    /* until the bucket is full again */
    uint64_t retry_in_us;   /* 0 when admitted */
};

/* Charges one request to the identity. Never over-admits, also under contention: admissions over a time
 * t are at most burst + rate * t. When all places of the identity's set are taken by running limits the
 * one closest to full is replaced. */
struct rate_verdict rate_charge(struct rate_table *table, uint64_t identity_hash,
                                const struct rate *rate, uint64_t now_us);
/* What a charge would say, without charging. */
struct rate_verdict rate_peek(struct rate_table *table, uint64_t identity_hash,
                              const struct rate *rate, uint64_t now_us);
/* Gives one request back (to an address that has proved who it is). */
void rate_refund(struct rate_table *table, uint64_t identity_hash, const struct rate *rate,
                 uint64_t now_us);

#endif
