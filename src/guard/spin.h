/* A lock of one byte, for some tens of nanoseconds, where a table has too many parts for a mutex
 * each. Zero is free. */
#ifndef GUARD_SPIN_H
#define GUARD_SPIN_H

#include <sched.h>

static inline void spin_lock(char *taken)
{
    enum { SPINS = 64 };
    for (unsigned spins = 0; __atomic_test_and_set(taken, __ATOMIC_ACQUIRE); spins++)
        if (spins >= SPINS)
            sched_yield(); /* the holder lost its processor */
}

static inline void spin_unlock(char *taken)
{
    __atomic_clear(taken, __ATOMIC_RELEASE);
}

#endif
