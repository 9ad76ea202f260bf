/* SQLite's steps, of which some fail as they might when a disk is full; for one source file of a
 * program. The program's own function comes before the library's. */
#ifndef TESTS_STORE_FAILING_STEP_H
#define TESTS_STORE_FAILING_STEP_H

#include <dlfcn.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"
#include "place.h"

static struct {
    int wait;    /* so many come before the first one that fails */
    int failing; /* and so many fail */
} steps;

int sqlite3_step(sqlite3_stmt *statement)
{
    static int (*real)(sqlite3_stmt *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    if (steps.failing == 0 || steps.wait-- > 0)
        return real(statement);
    steps.wait = 0;
    steps.failing--;
    return SQLITE_FULL;
}

static void say_nothing(struct slice line)
{
    (void)line;
}

struct change {
    enum err (*make)(struct store *store);
    enum err made; /* what it returns when nothing fails */
    void (*assert_unmade)(const struct place *place, struct store *store);
};

/* The first step of the change fails, then the second, and so on until none does; alone, or with
 * all that come behind it, ROLLBACK and the opening anew too. */
static inline void fail_each_step(const struct place *place, struct store *store, int failing,
                                  const struct change *change)
{
    log_set_sink(say_nothing);
    for (int nth = 0; nth < 50; nth++) {
        steps.wait = nth;
        steps.failing = failing;
        enum err err = change->make(store);
        bool came = steps.failing < failing;
        steps.failing = 0;
        if (!came) {
            assert_int_equal(err, change->made);
            assert_true(nth > 0);
            return;
        }
        assert_int_equal(err, ERR_STORE);
        change->assert_unmade(place, store);
    }
    fail_msg("there is no end to the steps");
}

enum { ONE_STEP = 1, ALL_STEPS = 1000 };

/* fail_each_step of each change, in both ways, in a store that `open` makes. */
static inline void fail_each_change(const struct place *place,
                                    struct store *(*open)(const struct place *place),
                                    const struct change *changes, size_t count)
{
    static const int failing[] = {ONE_STEP, ALL_STEPS};
    for (size_t i = 0; i < 2 * count; i++) {
        struct store *store = open(place);
        fail_each_step(place, store, failing[i % 2], &changes[i / 2]);
        store_close(store);
        unlink(place->path);
    }
}

/* Each change while no file may grow. */
static inline void fill_disk_before_each(const struct place *place, struct store *store,
                                         const struct change *changes, size_t count)
{
    struct rlimit before;
    log_set_sink(say_nothing);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit none = {0, before.rlim_max};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
        enum err err = changes[i].make(store);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(err, ERR_STORE);
        changes[i].assert_unmade(place, store);
    }
}

#endif
