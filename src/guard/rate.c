/* The table of running rate limits. Called by the gate for every request, from every loop at once.
 *
 * The hard problem is to be exact without a lock: a cell is the identity and its theoretical
 * arrival time (TAT, ITU-T I.371), changed together by one 16-byte compare-and-swap, so that a cell
 * which was given to another identity in between can never be charged by mistake. Only giving a
 * place to a new identity takes a lock (one of a few, for some tens of nanoseconds): two loops that
 * see a caller for the first time must agree on one cell, or the caller would have two buckets.
 *
 * A table grows by tiers: further arrays, in each of which an identity has a set. Nothing ever
 * moves and nothing is freed, so nobody can hold on to what is gone. A place in the first tier is
 * preferred, for that is the one a gateway with ordinary traffic never leaves.
 *
 * Time is counted in ticks of 2^-14 microseconds, the same for all limits, so that cells of
 * different limits can be compared. The interval between two requests is rounded up to whole ticks:
 * a limit may be slow by one part in (interval * 2^14 / us), and is never fast. */
#include "guard/rate.h"

#include <sys/mman.h>

#include "guard/spin.h"

enum { TICK_BITS = 14, SET_CELLS = 4, STRIPES = 64, TIERS_MAX = 7 };

/* How large each tier is, in first ones: 1 MiB grows to 197, room for ten million. */
static const unsigned tier_sizes[TIERS_MAX] = {1, 4, 16, 32, 64, 64, 16};

/* Where an identity's set is differs from tier to tier, so that those who crowd one set do not
 * crowd the next one too. */
static const uint64_t tier_factors[TIERS_MAX] = {
    UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9), UINT64_C(0x94d049bb133111eb),
    UINT64_C(0xd6e8feb86659fd93), UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db),
    UINT64_C(0x8ebc6af09c88c6e3),
};

/* The second tier is opened when so much of the first one was ever used: a set that is full of
 * running limits alone says little, and a flood of some ten thousand strangers should not have us
 * touch more memory. */
enum { FIRST_TIER_PERCENT = 65 };

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
    _Alignas(64) char taken; /* a spin lock */
};

struct tier {
    struct set *sets;
    size_t mask;
};

struct rate_table {
    struct stripe stripes[STRIPES]; /* of identities, not of sets */
    struct tier tiers[TIERS_MAX];
    unsigned tier_count;
    unsigned open_tiers; /* atomic; the others are not touched yet */
    size_t first_used;   /* atomic; cells of the first tier that are free no more */
    uint64_t evictions;  /* atomic */
    size_t bytes;
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

static struct set *set_of(const struct rate_table *table, unsigned tier, uint64_t identity)
{
    const struct tier *t = &table->tiers[tier];
    return &t->sets[(identity * tier_factors[tier] >> 24) & t->mask];
}

static unsigned open_tiers(const struct rate_table *table)
{
    return __atomic_load_n(&table->open_tiers, __ATOMIC_ACQUIRE);
}

void rate_prefetch(const struct rate_table *table, uint64_t identity)
{
    unsigned tiers = open_tiers(table);
    for (unsigned tier = 0; tier < tiers; tier++)
        __builtin_prefetch(set_of(table, tier, identity), 1);
}

static union cell *find(const struct rate_table *table, uint64_t identity)
{
    unsigned tiers = open_tiers(table);
    if (tiers > 1) /* each may be a miss: together they cost one */
        rate_prefetch(table, identity);
    for (unsigned tier = 0; tier < tiers; tier++) {
        struct set *set = set_of(table, tier, identity);
        for (unsigned i = 0; i < SET_CELLS; i++)
            if (__atomic_load_n(&set->cells[i].identity, __ATOMIC_ACQUIRE) == identity)
                return &set->cells[i];
    }
    return NULL;
}

/* A place that may be given away. */
struct victim {
    union cell *cell, seen;
    unsigned tier;
};

/* The one with the earliest TAT of the lowest tier where that is over: free (0) or full again; of
 * all tiers when none is. */
static struct victim choose_victim(const struct rate_table *table, unsigned tiers,
                                   uint64_t identity, uint64_t now)
{
    struct victim victim = {.seen.tat = UINT64_MAX};
    for (unsigned tier = 0; tier < tiers && victim.seen.tat > now; tier++) {
        struct set *set = set_of(table, tier, identity);
        for (unsigned i = 0; i < SET_CELLS; i++) {
            union cell seen = cell_load(&set->cells[i]);
            if (!victim.cell || seen.tat < victim.seen.tat)
                victim = (struct victim){&set->cells[i], seen, tier};
        }
    }
    return victim;
}

/* The tier behind the `tiers` that were looked at, unless another thread was faster. */
static bool open_next_tier(struct rate_table *table, unsigned tiers)
{
    size_t cells = (table->tiers[0].mask + 1) * SET_CELLS;
    size_t used = __atomic_load_n(&table->first_used, __ATOMIC_RELAXED);
    if (tiers == table->tier_count || used < cells / 100 * FIRST_TIER_PERCENT)
        return false;
    __atomic_compare_exchange_n(&table->open_tiers, &tiers, tiers + 1, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_RELAXED);
    return true;
}

/* Gives the identity a place, with a full bucket, if it has none yet. When all that it may have are
 * running limits of others, the table grows; when it cannot, the limit that is closest to full
 * loses its place. */
static void claim(struct rate_table *table, uint64_t identity, uint64_t now)
{
    char *taken = &table->stripes[identity % STRIPES].taken;
    spin_lock(taken);
    while (!find(table, identity)) {
        unsigned tiers = open_tiers(table);
        struct victim victim = choose_victim(table, tiers, identity, now);
        bool running = victim.seen.tat > now;
        if (running && open_next_tier(table, tiers))
            continue;
        /* Fails when the victim was charged, or given away, meanwhile: look again. */
        if (!cell_swap(victim.cell, victim.seen, (union cell){.identity = identity, .tat = now}))
            continue;
        if (running)
            __atomic_fetch_add(&table->evictions, 1, __ATOMIC_RELAXED);
        if (victim.seen.identity == 0 && victim.tier == 0)
            __atomic_fetch_add(&table->first_used, 1, __ATOMIC_RELAXED);
    }
    spin_unlock(taken);
}

/* One mapping for all, of which only the first tier is touched: now, not by the first requests. It
 * is not on the heap, since what an untouched array costs there is up to the allocator. */
static struct rate_table *create(size_t cells, unsigned tier_count)
{
    size_t sets = 1, all = 0, bytes;
    while (sets < cells / SET_CELLS + (cells % SET_CELLS != 0))
        if (__builtin_mul_overflow(sets, (size_t)2, &sets))
            return NULL;
    for (unsigned i = 0; i < tier_count; i++)
        all += tier_sizes[i];
    if (__builtin_mul_overflow(sets, all * sizeof(struct set), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct rate_table), &bytes))
        return NULL;
    struct rate_table *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return NULL;
    table->bytes = bytes;
    table->tier_count = tier_count;
    table->open_tiers = 1;
    struct set *at = (struct set *)(table + 1);
    for (unsigned i = 0; i < tier_count; i++) {
        table->tiers[i] = (struct tier){at, sets * tier_sizes[i] - 1};
        at += sets * tier_sizes[i];
    }
    memset(table->tiers[0].sets, 0, sets * sizeof(struct set));
    return table;
}

struct rate_table *rate_table_create(size_t cells)
{
    return create(cells, 1);
}

struct rate_table *rate_table_create_growing(size_t cells)
{
    return create(cells, TIERS_MAX);
}

void rate_table_destroy(struct rate_table *table)
{
    if (table)
        munmap(table, table->bytes);
}

struct rate_table_facts rate_table_facts(const struct rate_table *table)
{
    struct rate_table_facts facts = {
        .bytes_max = table->bytes,
        .evictions = __atomic_load_n(&table->evictions, __ATOMIC_RELAXED),
    };
    for (unsigned tier = 0; tier < open_tiers(table); tier++)
        facts.open_cells += (table->tiers[tier].mask + 1) * SET_CELLS;
    return facts;
}

struct rate_verdict rate_charge(struct rate_table *table, uint64_t identity_hash,
                                const struct rate *rate, uint64_t now_us)
{
    if (rate->requests == 0)
        return (struct rate_verdict){.admitted = true};
    struct bucket bucket = bucket_of(rate, now_us);
    uint64_t identity = identity_hash ? identity_hash : 1;
    for (;;) {
        union cell *cell = find(table, identity);
        if (!cell) {
            claim(table, identity, bucket.now);
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
    union cell *cell = find(table, identity);
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
    union cell *cell, seen, wanted;
    do {
        cell = find(table, identity);
        if (!cell)
            return; /* it lost its place: its bucket counts as full already */
        seen = cell_load(cell);
        if (seen.identity != identity || seen.tat <= bucket.now)
            return;
        wanted = seen;
        wanted.tat -= least(wanted.tat, bucket.interval);
    } while (!cell_swap(cell, seen, wanted));
}
