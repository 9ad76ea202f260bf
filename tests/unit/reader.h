/* A thread that reads in turns, as an event loop does, and what waits for it. */
#ifndef TESTS_READER_H
#define TESTS_READER_H

#include <stdatomic.h>
#include <stdbool.h>

struct reader {
    atomic_uint turns;
    atomic_bool over;
};

/* A grace, whose context is the reader: it has begun a turn since. */
static inline void wait_reader(void *context)
{
    struct reader *reader = context;
    unsigned before = atomic_load(&reader->turns);
    while (!atomic_load(&reader->over) && atomic_load(&reader->turns) - before < 2)
        ;
}

#endif
