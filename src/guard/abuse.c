/* Called when something is refused, when somebody fails to sign in, and when a key changes its
 * address. The hard problem is that whoever attacks chooses how many identities there are: so both
 * tables have a fixed size, a place is taken from who has least on it, and what is lost by that is
 * a count, never a ban (guard/bans.h). */
#include "guard/abuse.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "guard/spin.h"

enum {
    PARTS = 16,           /* of a window: what is counted leaves it by a sixteenth */
    COUNT_SETS = 1 << 11, /* 8,192 identities with errors at once: 400 KB */
    SIGHT_SETS = 1 << 10, /* 4,096 with patterns: 330 KB */
    PLACES = 4,           /* of a set */
    STRIPES = 64,         /* locks of a table */
    PATTERN_BITS = 512    /* at most some tens are ever set: few fall together */
};
#define PATTERN_US (600 * SECOND_US)

/* The errors of one identity. Free: identity 0. */
struct count {
    uint64_t identity;
    uint64_t part;          /* the one that the newest count is of */
    uint16_t counts[PARTS]; /* of a part: at its number modulo PARTS */
};

/* The different things that one identity did in these ten minutes. */
struct sight {
    uint64_t identity;
    uint32_t epoch;
    bool told;
    uint64_t bits[PATTERN_BITS / 64];
};

struct abuse {
    _Atomic uint64_t flags[ABUSE_PATTERN_COUNT];
    char taken[STRIPES]; /* spin locks */
    struct count counts[COUNT_SETS][PLACES];
    struct sight sights[SIGHT_SETS][PLACES];
};

// clang-format off
static const struct pattern_row {
    const char *name;
    unsigned many;
    size_t action; /* in struct settings */
} patterns[ABUSE_PATTERN_COUNT] = {
    [ABUSE_LOGIN_SPRAY]       = {"login_spray",       10, offsetof(struct settings, abuse.login_spray)},
    [ABUSE_MODEL_ENUMERATION] = {"model_enumeration", 20, offsetof(struct settings, abuse.model_enumeration)},
    [ABUSE_KEY_ADDRESSES]     = {"key_addresses",     20, offsetof(struct settings, abuse.key_addresses)},
};
// clang-format on

const char *abuse_pattern_name(enum abuse_pattern pattern)
{
    invariant((unsigned)pattern < ABUSE_PATTERN_COUNT);
    return patterns[pattern].name;
}

enum pattern_action abuse_action(const struct settings *settings, enum abuse_pattern pattern)
{
    return *(const enum pattern_action *)(const void *)((const char *)settings +
                                                        patterns[pattern].action);
}

void abuse_print_reason(const struct settings *settings, char *text, size_t size)
{
    snprintf(text, size, "%llu errors in %llus",
             (unsigned long long)settings->abuse.threshold_errors,
             (unsigned long long)settings->abuse.window_seconds);
}

void abuse_count_flag(struct abuse *abuse, enum abuse_pattern pattern)
{
    atomic_fetch_add_explicit(&abuse->flags[pattern], 1, memory_order_relaxed);
}

uint64_t abuse_flags(struct abuse *abuse, enum abuse_pattern pattern)
{
    return atomic_load_explicit(&abuse->flags[pattern], memory_order_relaxed);
}

struct abuse *abuse_create(void)
{
    return calloc(1, sizeof(struct abuse));
}

void abuse_destroy(struct abuse *abuse)
{
    free(abuse);
}

static size_t set_lock(struct abuse *abuse, uint64_t identity, size_t sets)
{
    size_t set = (identity ^ identity >> 32) % sets;
    spin_lock(&abuse->taken[set % STRIPES]);
    return set;
}

static void set_unlock(struct abuse *abuse, size_t set)
{
    spin_unlock(&abuse->taken[set % STRIPES]);
}

/* --- errors -------------------------------------------------------------------------------------
 */

static uint64_t part_us(const struct settings *settings)
{
    return settings->abuse.window_seconds * SECOND_US / PARTS;
}

/* Empties the parts between the newest count and now. Loops have clocks of their own: one that is
 * late counts for the newest part; one that is as late as a window is none, then the parts were
 * shorter before the configuration was read again. */
static void count_move(struct count *count, uint64_t part)
{
    if (count->part >= part + PARTS) {
        memset(count->counts, 0, sizeof count->counts);
        count->part = part;
    }
    if (part <= count->part)
        return;
    if (part - count->part >= PARTS)
        memset(count->counts, 0, sizeof count->counts);
    else
        for (uint64_t i = count->part + 1; i <= part; i++)
            count->counts[i % PARTS] = 0;
    count->part = part;
}

static uint64_t count_sum(const struct count *count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < PARTS; i++)
        sum += count->counts[i];
    return sum;
}

/* The identity's place, or that of who has fewest errors left. */
static struct count *count_place(struct count *places, uint64_t identity, uint64_t part)
{
    struct count *place = NULL;
    uint64_t fewest = UINT64_MAX;
    for (unsigned i = 0; i < PLACES; i++) {
        if (places[i].identity == identity)
            return &places[i];
        count_move(&places[i], part);
        uint64_t sum = places[i].identity ? count_sum(&places[i]) : 0;
        if (sum < fewest) {
            fewest = sum;
            place = &places[i];
        }
    }
    *place = (struct count){.identity = identity, .part = part};
    return place;
}

bool abuse_error(struct abuse *abuse, const struct settings *settings, uint64_t identity,
                 uint64_t now_us)
{
    uint64_t threshold = settings->abuse.threshold_errors, part = now_us / part_us(settings);
    if (!threshold || !identity)
        return false;
    size_t set = set_lock(abuse, identity, COUNT_SETS);
    struct count *count = count_place(abuse->counts[set], identity, part);
    count_move(count, part);
    uint16_t *now = &count->counts[count->part % PARTS];
    *now += *now < UINT16_MAX;
    bool over = count_sum(count) >= threshold;
    if (over)
        *count = (struct count){0};
    set_unlock(abuse, set);
    return over;
}

size_t abuse_tracked(struct abuse *abuse, const struct settings *settings, uint64_t now_us)
{
    uint64_t part = now_us / part_us(settings);
    size_t tracked = 0;
    for (size_t i = 0; i < COUNT_SETS; i++) {
        spin_lock(&abuse->taken[i % STRIPES]);
        for (unsigned n = 0; n < PLACES; n++)
            tracked += abuse->counts[i][n].identity && part < abuse->counts[i][n].part + PARTS &&
                       abuse->counts[i][n].part < part + PARTS;
        set_unlock(abuse, i);
    }
    return tracked;
}

/* --- patterns -----------------------------------------------------------------------------------
 */

static unsigned bits_set(const struct sight *sight)
{
    unsigned count = 0;
    for (unsigned i = 0; i < COUNT_OF(sight->bits); i++)
        count += (unsigned)__builtin_popcountll(sight->bits[i]);
    return count;
}

/* The identity's place, or one of an earlier time, or that of who did fewest things. */
static struct sight *sight_place(struct sight *places, uint64_t identity, uint32_t epoch)
{
    struct sight *place = NULL;
    unsigned fewest = UINT32_MAX;
    for (unsigned i = 0; i < PLACES; i++) {
        bool now = places[i].identity && places[i].epoch == epoch;
        if (now && places[i].identity == identity)
            return &places[i];
        unsigned count = now ? bits_set(&places[i]) + 1 : 0;
        if (count < fewest) {
            fewest = count;
            place = &places[i];
        }
    }
    *place = (struct sight){.identity = identity, .epoch = epoch};
    return place;
}

bool abuse_seen(struct abuse *abuse, enum abuse_pattern pattern, uint64_t identity, uint64_t item,
                uint64_t now_us)
{
    const uint64_t words[2] = {identity, pattern};
    identity = hash_bytes(slice_make((const char *)words, sizeof words)) | 1;
    size_t set = set_lock(abuse, identity, SIGHT_SETS);
    struct sight *sight =
        sight_place(abuse->sights[set], identity, (uint32_t)(now_us / PATTERN_US));
    unsigned bit = (unsigned)((item ^ item >> 32) % PATTERN_BITS);
    sight->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    bool many = !sight->told && bits_set(sight) >= patterns[pattern].many;
    sight->told |= many;
    set_unlock(abuse, set);
    return many;
}
