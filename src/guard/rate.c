/* The table of running rate limits. Called by the gate for every request, from every loop at once.
 *
 * The hard problem is to be exact without a lock: a cell is the identity and its theoretical
 * arrival time (TAT, ITU-T I.371), changed together by one 16-byte compare-and-swap, so that a cell
 * which was given to another identity in between can never be charged by mistake. Only giving a
 * place to a new identity takes a lock (one of a few, for some tens of nanoseconds): two loops that
 * see a caller for the first time must agree on one cell, or the caller would have two buckets.
 *
 * Time is counted in ticks of 2^-14 microseconds, the same for all limits, so that cells of
 * different limits can be compared. The interval between two requests is rounded up to whole ticks:
 * a limit may be slow by one part in (interval * 2^14 / us), and is never fast. */
#include "guard/rate.h"

#include <sched.h>
#include <stdlib.h>

enum { TICK_BITS = 14, SET_CELLS = 4, STRIPES = 64, STRIPE_SPINS = 64 };

/* Bounds that keep every sum below 2^64: now <= 2^63, tolerance <= 2^62, interval <= 2^60 ticks. A
 * machine that is up for longer than 17 years stops refilling, which is the safe side. */
#define NOW_MAX_US (UINT64_C(1) << 49)
#define TOLERANCE_MAX (UINT64_C(1) << 62)
#define PERIOD_MAX_US (UINT64_C(1) << 46)

/* Swapped whole. `identity` 0 is a free place; a TAT in the past is a full bucket. */
union cell {
    struct {
        uint64_t identity, tat;
    };
    unsigned __int128 both;
};

/* One cache line. */
struct set {
    _Alignas(64) union cell cells[SET_CELLS];
};

struct stripe {
    _Alignas(64) char taken;
};

struct rate_table {
    struct stripe stripes[STRIPES];
    size_t set_mask;
    struct set sets[];
};

/* One limit and one moment, in ticks. */
struct bucket {
    uint64_t now;
    uint64_t interval;  /* between two requests at the sustained rate */
    uint64_t tolerance; /* burst * interval: how far the TAT may lie ahead of now */
};

/* Written out for x86-64, whose baseline lacks the instruction (every machine since 2006 has it):
 * clang would call a library for the builtin. */
static bool cell_swap(union cell *cell, union cell from, union cell to)
{
#if defined(__x86_64__)
    bool swapped;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(swapped), "+m"(cell->both), "+a"(from.identity), "+d"(from.tat)
                     : "b"(to.identity), "c"(to.tat)
                     : "memory");
    return swapped;
#else
    return __sync_bool_compare_and_swap(&cell->both, from.both, to.both);
#endif
}

/* Two loads that belong together: the identity is the same before and after. */
static union cell cell_load(const union cell *cell)
{
    union cell seen;
    uint64_t again = __atomic_load_n(&cell->identity, __ATOMIC_ACQUIRE);
    do {
        seen.identity = again;
        seen.tat = __atomic_load_n(&cell->tat, __ATOMIC_ACQUIRE);
        again = __atomic_load_n(&cell->identity, __ATOMIC_ACQUIRE);
    } while (again != seen.identity);
    return seen;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct bucket bucket_of(const struct rate *rate, uint64_t now_us)
{
    struct bucket bucket;
    uint64_t period = least(rate->period_us, PERIOD_MAX_US) << TICK_BITS;
    bucket.now = least(now_us, NOW_MAX_US) << TICK_BITS;
    bucket.interval = period / rate->requests + (period % rate->requests != 0);
    if (bucket.interval == 0)
        bucket.interval = 1;
    /* A burst of 0 would never let anything pass; it means one at a time. */
    uint64_t burst = rate->burst ? rate->burst : 1;
    if (__builtin_mul_overflow(burst, bucket.interval, &bucket.tolerance) ||
        bucket.tolerance > TOLERANCE_MAX)
        bucket.tolerance = TOLERANCE_MAX;
    return bucket;
}

static uint64_t ticks_to_us(uint64_t ticks)
{
    return (ticks >> TICK_BITS) + ((ticks & ((1 << TICK_BITS) - 1)) != 0);
}

/* What may be said about a bucket whose TAT is `tat`, at the bucket's moment. */
static struct rate_verdict verdict_of(const struct rate *rate, const struct bucket *bucket,
                                      uint64_t tat, bool admitted)
{
    struct rate_verdict verdict = {.admitted = admitted, .limit = rate->requests};
    uint64_t ahead = tat > bucket->now ? tat - bucket->now : 0;
    if (ahead < bucket->tolerance)
        verdict.remaining = (bucket->tolerance - ahead) / bucket->interval;
    verdict.full_in_us = ticks_to_us(ahead);
    if (!admitted)
        verdict.retry_in_us = ticks_to_us(ahead + bucket->interval - bucket->tolerance);
    return verdict;
}

/* The TAT after one more request; false when the bucket has no room for it. */
static bool bucket_charge(const struct bucket *bucket, uint64_t *tat)
{
    uint64_t from = *tat > bucket->now ? *tat : bucket->now;
    if (from - bucket->now > bucket->tolerance - bucket->interval)
        return false;
    *tat = from + bucket->interval;
    return true;
}

static struct set *set_of(struct rate_table *table, uint64_t identity)
{
    return &table->sets[(identity ^ identity >> 32) & table->set_mask];
}

static union cell *set_find(struct set *set, uint64_t identity)
{
    for (unsigned i = 0; i < SET_CELLS; i++)
        if (__atomic_load_n(&set->cells[i].identity, __ATOMIC_ACQUIRE) == identity)
            return &set->cells[i];
    return NULL;
}

static void stripe_lock(struct stripe *stripe)
{
    for (unsigned spins = 0; __atomic_test_and_set(&stripe->taken, __ATOMIC_ACQUIRE); spins++)
        if (spins >= STRIPE_SPINS)
            sched_yield(); /* the holder lost its processor */
}

/* Gives the identity a place, with a full bucket, if it has none yet. The place that is lost is the
 * one with the earliest TAT: free ones (0) and full ones come before running limits. */
static void set_claim(struct rate_table *table, struct set *set, uint64_t identity, uint64_t now)
{
    struct stripe *stripe = &table->stripes[(size_t)(set - table->sets) % STRIPES];
    stripe_lock(stripe);
    while (!set_find(set, identity)) {
        union cell *victim = NULL, seen = {.tat = UINT64_MAX};
        for (unsigned i = 0; i < SET_CELLS; i++) {
            union cell cell = cell_load(&set->cells[i]);
            if (!victim || cell.tat < seen.tat) {
                victim = &set->cells[i];
                seen = cell;
            }
        }
        /* Fails when the victim was charged meanwhile: look again. */
        cell_swap(victim, seen, (union cell){.identity = identity, .tat = now});
    }
    __atomic_clear(&stripe->taken, __ATOMIC_RELEASE);
}

struct rate_table *rate_table_create(size_t cells)
{
    size_t sets = 1, bytes;
    while (sets < cells / SET_CELLS + (cells % SET_CELLS != 0))
        if (__builtin_mul_overflow(sets, (size_t)2, &sets))
            return NULL;
    if (__builtin_mul_overflow(sets, sizeof(struct set), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct rate_table), &bytes))
        return NULL;
    struct rate_table *table = aligned_alloc(64, bytes);
    if (!table)
        return NULL;
    memset(table, 0, bytes);
    table->set_mask = sets - 1;
    return table;
}

void rate_table_destroy(struct rate_table *table)
{
    free(table);
}

struct rate_verdict rate_charge(struct rate_table *table, uint64_t identity_hash,
                                const struct rate *rate, uint64_t now_us)
{
    if (rate->requests == 0)
        return (struct rate_verdict){.admitted = true};
    struct bucket bucket = bucket_of(rate, now_us);
    uint64_t identity = identity_hash ? identity_hash : 1;
    struct set *set = set_of(table, identity);
    for (;;) {
        union cell *cell = set_find(set, identity);
        if (!cell) {
            set_claim(table, set, identity, bucket.now);
            continue;
        }
        union cell seen = cell_load(cell);
        if (seen.identity != identity)
            continue;
        union cell wanted = seen;
        if (!bucket_charge(&bucket, &wanted.tat))
            return verdict_of(rate, &bucket, seen.tat, false);
        if (cell_swap(cell, seen, wanted))
            return verdict_of(rate, &bucket, wanted.tat, true);
    }
}

struct rate_verdict rate_peek(struct rate_table *table, uint64_t identity_hash,
                              const struct rate *rate, uint64_t now_us)
{
    if (rate->requests == 0)
        return (struct rate_verdict){.admitted = true};
    struct bucket bucket = bucket_of(rate, now_us);
    uint64_t identity = identity_hash ? identity_hash : 1;
    union cell *cell = set_find(set_of(table, identity), identity);
    union cell seen = cell ? cell_load(cell) : (union cell){0};
    uint64_t before = seen.identity == identity ? seen.tat : 0;
    uint64_t after = before;
    bool admitted = bucket_charge(&bucket, &after);
    return verdict_of(rate, &bucket, before, admitted);
}

void rate_refund(struct rate_table *table, uint64_t identity_hash, const struct rate *rate,
                 uint64_t now_us)
{
    if (rate->requests == 0)
        return;
    struct bucket bucket = bucket_of(rate, now_us);
    uint64_t identity = identity_hash ? identity_hash : 1;
    struct set *set = set_of(table, identity);
    union cell *cell, seen, wanted;
    do {
        cell = set_find(set, identity);
        if (!cell)
            return; /* it lost its place: its bucket counts as full already */
        seen = cell_load(cell);
        if (seen.identity != identity || seen.tat <= bucket.now)
            return;
        wanted = seen;
        wanted.tat -= least(wanted.tat, bucket.interval);
    } while (!cell_swap(cell, seen, wanted));
}
