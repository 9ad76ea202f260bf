#include "guard/caps.h"

#include <stdlib.h>

#include "guard/spin.h"

/* 16,384 sets of 8 places: far more than the connections a process can hold, so that a full set
 * takes an attacker who knows the seed of the hash. */
enum { SETS = 16384, WAYS = 8, STRIPES = 64 };

struct place {
    uint64_t identity;
    uint32_t counts[CAP_COUNT]; /* all zero: free */
};

struct stripe {
    char taken; /* a spin lock */
    char apart[63];
};

struct caps {
    struct stripe stripes[STRIPES];
    struct place places[SETS][WAYS];
};

struct caps *caps_create(void)
{
    return calloc(1, sizeof(struct caps));
}

void caps_destroy(struct caps *caps)
{
    free(caps);
}

static bool is_free(const struct place *place)
{
    return place->counts[CAP_CONNECTIONS] == 0 && place->counts[CAP_REQUESTS] == 0;
}

/* The identity's place, which may be free by now; else a free one; else NULL. It never has two: the
 * one it had is the first that is looked for. */
static struct place *place_of(struct place set[WAYS], uint64_t identity)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].identity == identity)
            return &set[i];
    for (unsigned i = 0; i < WAYS; i++)
        if (is_free(&set[i]))
            return &set[i];
    return NULL;
}

bool caps_take(struct caps *caps, enum cap cap, uint64_t identity, uint64_t max)
{
    size_t set = identity % SETS;
    char *lock = &caps->stripes[set % STRIPES].taken;
    spin_lock(lock);
    struct place *place = place_of(caps->places[set], identity);
    bool taken = place && place->counts[cap] < max;
    if (taken) {
        place->identity = identity;
        place->counts[cap]++;
    }
    spin_unlock(lock);
    return taken;
}

void caps_give(struct caps *caps, enum cap cap, uint64_t identity)
{
    size_t set = identity % SETS;
    char *lock = &caps->stripes[set % STRIPES].taken;
    spin_lock(lock);
    struct place *place = place_of(caps->places[set], identity);
    invariant(place && place->identity == identity && place->counts[cap] > 0);
    place->counts[cap]--;
    spin_unlock(lock);
}
