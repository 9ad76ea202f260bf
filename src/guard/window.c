/* The table of sliding windows. Called by the gate for every request while a window is asked for.
 *
 * A window is cut into 21 parts that begin at multiples of their length. 22 counters cover it
 * together with the part that is only half in it: what they hold is never less than what came
 * within the window, so nothing is over-admitted, and what leaves is noticed a part late at most.
 *
 * Two identities share a set, its 256 bytes and its lock. There is a lock on this path, unlike in
 * rate.c, because 22 counters do not fit a compare-and-swap; it is held for some tens of
 * nanoseconds, and two loops meet at it only for the same caller. */
#include "guard/window.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "guard/spin.h"

enum { PARTS = 21, COUNTERS = PARTS + 1, WAYS = 2 };
#define NOT_CHARGED UINT32_MAX

static const uint64_t part_us[WINDOW_COUNT] = {
    [WINDOW_MINUTE] = 60 * SECOND_US / PARTS + 1,
    [WINDOW_HOUR] = 3600 * SECOND_US / PARTS + 1,
};

struct counts {
    uint32_t part; /* the latest one */
    uint32_t total;
    uint16_t of[COUNTERS]; /* part p at p % COUNTERS */
};

struct set {
    _Alignas(64) char taken;   /* a spin lock, of everything here */
    uint64_t identities[WAYS]; /* 0: free */
    struct counts counts[WAYS][WINDOW_COUNT];
};
_Static_assert(sizeof(struct set) == 256, "four cache lines");

struct window_table {
    size_t mask, bytes;
    struct set sets[];
};

static size_t set_of(const struct window_table *table, uint64_t identity)
{
    return (identity ^ identity >> 32) & table->mask;
}

/* --- one window ---------------------------------------------------------------------------------
 */

static void forget_until(struct counts *counts, uint32_t now_part)
{
    uint32_t steps = now_part - counts->part;
    if (steps >
        UINT32_MAX / 2) /* clocks of two loops differ by a turn: an earlier one moves nothing */
        return;
    counts->part = now_part;
    for (uint32_t i = 0; i < steps && counts->total; i++) {
        uint16_t *left = &counts->of[(now_part - i) % COUNTERS];
        counts->total -= *left;
        *left = 0;
    }
}

/* Forgets what has left. */
static void move_on(struct counts counts[WINDOW_COUNT], uint64_t now_us)
{
    for (unsigned i = 0; i < WINDOW_COUNT; i++)
        forget_until(&counts[i], (uint32_t)(now_us / part_us[i]));
}

static uint16_t *latest(struct counts *counts)
{
    return &counts->of[counts->part % COUNTERS];
}

/* When so much has left that there is room for one more. */
static uint64_t room_in_us(const struct counts *counts, unsigned window, uint64_t max,
                           uint64_t now_us)
{
    uint64_t left = 0;
    uint32_t age = PARTS;
    for (; age > 0; age--) {
        left += counts->of[(counts->part - age) % COUNTERS];
        if (counts->total - left < max)
            break;
    }
    uint64_t at_us = (now_us / part_us[window] + COUNTERS - age) * part_us[window];
    return at_us - now_us;
}

static struct rate_verdict judge(const struct counts *counts, unsigned window, uint64_t max,
                                 uint64_t now_us, bool admitted)
{
    struct rate_verdict verdict = {.admitted = admitted, .limit = max};
    verdict.remaining = counts->total < max ? max - counts->total : 0;
    verdict.full_in_us = (now_us / part_us[window] + COUNTERS) * part_us[window] - now_us;
    if (!admitted)
        verdict.retry_in_us = room_in_us(counts, window, max, now_us);
    return verdict;
}

/* --- the table ----------------------------------------------------------------------------------
 */

struct window_table *window_table_create(size_t identities)
{
    size_t sets = 1, bytes;
    while (sets < identities / WAYS + (identities % WAYS != 0))
        if (__builtin_mul_overflow(sets, (size_t)2, &sets))
            return NULL;
    if (__builtin_mul_overflow(sets, sizeof(struct set), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct window_table), &bytes))
        return NULL;
    struct window_table *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return NULL;
    table->mask = sets - 1;
    table->bytes = bytes;
    return table;
}

void window_table_destroy(struct window_table *table)
{
    if (table)
        munmap(table, table->bytes);
}

/* How much would be forgotten with it. */
static uint32_t weight(const struct counts counts[WINDOW_COUNT])
{
    return counts[WINDOW_MINUTE].total + counts[WINDOW_HOUR].total;
}

/* The identity's counts, up to date; NULL: it has none. */
static struct counts *find(struct set *set, uint64_t identity, uint64_t now_us)
{
    for (unsigned way = 0; way < WAYS; way++) {
        if (set->identities[way] != identity)
            continue;
        move_on(set->counts[way], now_us);
        return set->counts[way];
    }
    return NULL;
}

/* Forgets those of somebody who came less often for it: a flood of strangers, who come once each,
 * pushes out nobody who came twice. */
static struct counts *claim(struct set *set, uint64_t identity, uint64_t now_us)
{
    unsigned least = 0;
    for (unsigned way = 0; way < WAYS; way++) {
        move_on(set->counts[way], now_us);
        if (weight(set->counts[way]) < weight(set->counts[least]))
            least = way;
    }
    set->identities[least] = identity;
    memset(set->counts[least], 0, sizeof set->counts[least]);
    move_on(set->counts[least], now_us);
    return set->counts[least];
}

static bool has_room(struct counts counts[WINDOW_COUNT], unsigned window, uint64_t max)
{
    return max == 0 || (counts[window].total < max && *latest(&counts[window]) < UINT16_MAX);
}

/* The one that refuses, for the longest time. */
static struct window_verdict refuse(struct counts counts[WINDOW_COUNT],
                                    const uint64_t max[WINDOW_COUNT], uint64_t now_us)
{
    struct window_verdict longest = {0};
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        if (has_room(counts, i, max[i]))
            continue;
        struct rate_verdict verdict = judge(&counts[i], i, max[i], now_us, false);
        if (verdict.retry_in_us > longest.rate.retry_in_us)
            longest = (struct window_verdict){verdict, (enum window)i};
    }
    return longest;
}

/* The one with less left. */
static enum window tighter(const struct counts counts[WINDOW_COUNT],
                           const uint64_t max[WINDOW_COUNT])
{
    if (max[WINDOW_HOUR] == 0 || max[WINDOW_MINUTE] == 0)
        return max[WINDOW_HOUR] ? WINDOW_HOUR : WINDOW_MINUTE;
    return counts[WINDOW_MINUTE].total * max[WINDOW_HOUR] >
                   counts[WINDOW_HOUR].total * max[WINDOW_MINUTE]
               ? WINDOW_MINUTE
               : WINDOW_HOUR;
}

static struct window_verdict charge(struct counts counts[WINDOW_COUNT],
                                    const uint64_t max[WINDOW_COUNT], uint64_t now_us,
                                    struct window_mark *mark)
{
    if (!has_room(counts, WINDOW_MINUTE, max[WINDOW_MINUTE]) ||
        !has_room(counts, WINDOW_HOUR, max[WINDOW_HOUR]))
        return refuse(counts, max, now_us);
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        mark->parts[i] = NOT_CHARGED;
        if (max[i] == 0)
            continue;
        mark->parts[i] = counts[i].part;
        counts[i].total++;
        ++*latest(&counts[i]);
    }
    enum window window = tighter(counts, max);
    return (struct window_verdict){judge(&counts[window], window, max[window], now_us, true),
                                   window};
}

struct window_verdict window_charge(struct window_table *table, uint64_t identity_hash,
                                    const uint64_t max[WINDOW_COUNT], uint64_t now_us,
                                    struct window_mark *mark)
{
    uint64_t identity = identity_hash ? identity_hash : 1;
    struct set *set = &table->sets[set_of(table, identity)];
    spin_lock(&set->taken);
    struct counts *counts = find(set, identity, now_us);
    if (!counts)
        counts = claim(set, identity, now_us);
    struct window_verdict verdict = charge(counts, max, now_us, mark);
    spin_unlock(&set->taken);
    return verdict;
}

void window_refund(struct window_table *table, uint64_t identity_hash,
                   const struct window_mark *mark, uint64_t now_us)
{
    uint64_t identity = identity_hash ? identity_hash : 1;
    struct set *set = &table->sets[set_of(table, identity)];
    spin_lock(&set->taken);
    struct counts *counts = find(set, identity, now_us);
    for (unsigned i = 0; counts && i < WINDOW_COUNT; i++) {
        uint16_t *of = &counts[i].of[mark->parts[i] % COUNTERS];
        if (mark->parts[i] == NOT_CHARGED || counts[i].part - mark->parts[i] >= COUNTERS ||
            *of == 0)
            continue; /* the charge has left, or lost its place */
        --*of;
        counts[i].total--;
    }
    spin_unlock(&set->taken);
}

void window_prefetch(const struct window_table *table, uint64_t identity)
{
    __builtin_prefetch(&table->sets[set_of(table, identity)], 1);
}
