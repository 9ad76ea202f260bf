#include "guard/caps.h"

#include <pthread.h>
#include <stdlib.h>

/* 16,384 sets of 8 places: far more than the connections a process can hold, so that a full set
 * takes an attacker who knows the seed of the hash. */
enum { SETS = 16384, WAYS = 8, STRIPES = 64 };

struct place {
    uint64_t identity;
    uint32_t counts[CAP_COUNT]; /* all zero: free */
};

struct caps {
    pthread_mutex_t stripes[STRIPES];
    struct place places[SETS][WAYS];
};

struct caps *caps_create(void)
{
    struct caps *caps = calloc(1, sizeof *caps);
    for (unsigned i = 0; caps && i < STRIPES; i++)
        pthread_mutex_init(&caps->stripes[i], NULL);
    return caps;
}

void caps_destroy(struct caps *caps)
{
    for (unsigned i = 0; caps && i < STRIPES; i++)
        pthread_mutex_destroy(&caps->stripes[i]);
    free(caps);
}

static bool is_free(const struct place *place)
{
    return place->counts[CAP_CONNECTIONS] == 0 && place->counts[CAP_REQUESTS] == 0;
}

/* The identity's place; else a free one; else NULL. */
static struct place *place_of(struct place set[WAYS], uint64_t identity)
{
    struct place *free_place = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        if (is_free(&set[i]))
            free_place = &set[i];
        else if (set[i].identity == identity)
            return &set[i];
    }
    return free_place;
}

bool caps_take(struct caps *caps, enum cap cap, uint64_t identity, uint64_t max)
{
    size_t set = identity % SETS;
    pthread_mutex_t *lock = &caps->stripes[set % STRIPES];
    pthread_mutex_lock(lock);
    struct place *place = place_of(caps->places[set], identity);
    bool taken = place && place->counts[cap] < max;
    if (taken) {
        place->identity = identity;
        place->counts[cap]++;
    }
    pthread_mutex_unlock(lock);
    return taken;
}

void caps_give(struct caps *caps, enum cap cap, uint64_t identity)
{
    size_t set = identity % SETS;
    pthread_mutex_t *lock = &caps->stripes[set % STRIPES];
    pthread_mutex_lock(lock);
    struct place *place = place_of(caps->places[set], identity);
    invariant(place && place->identity == identity && place->counts[cap] > 0);
    place->counts[cap]--;
    pthread_mutex_unlock(lock);
}
