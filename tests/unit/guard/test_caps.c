/* Caps: never one more than allowed, whoever else is counted, from however many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "guard/caps.h"

static int make_caps(void **state)
{
    *state = caps_create();
    return *state ? 0 : -1;
}

static int destroy_caps(void **state)
{
    caps_destroy(*state);
    return 0;
}

static void maximum_holds_exactly(void **state)
{
    struct caps *caps = *state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            assert_true(caps_take(caps, CAP_CONNECTIONS, 42, 5));
        assert_false(caps_take(caps, CAP_CONNECTIONS, 42, 5));
        assert_false(caps_take(caps, CAP_CONNECTIONS, 42, 4)); /* the maximum was lowered */
        assert_true(caps_take(caps, CAP_CONNECTIONS, 42, 6));
        for (int i = 0; i < 6; i++)
            caps_give(caps, CAP_CONNECTIONS, 42);
    }
    assert_false(caps_take(caps, CAP_CONNECTIONS, 42, 0));
}

static void connections_and_requests_are_counted_apart(void **state)
{
    struct caps *caps = *state;
    assert_true(caps_take(caps, CAP_CONNECTIONS, 7, 1));
    assert_true(caps_take(caps, CAP_REQUESTS, 7, 1));
    assert_false(caps_take(caps, CAP_CONNECTIONS, 7, 1));
    assert_false(caps_take(caps, CAP_REQUESTS, 7, 1));
    caps_give(caps, CAP_CONNECTIONS, 7);
    assert_false(caps_take(caps, CAP_REQUESTS, 7, 1)); /* its place is kept for the other count */
    assert_true(caps_take(caps, CAP_CONNECTIONS, 7, 1));
    caps_give(caps, CAP_REQUESTS, 7);
    caps_give(caps, CAP_CONNECTIONS, 7);
}

static void identities_are_counted_apart(void **state)
{
    struct caps *caps = *state;
    for (uint64_t identity = 0; identity < 5000; identity++) {
        assert_true(caps_take(caps, CAP_REQUESTS, identity, 1));
        assert_false(caps_take(caps, CAP_REQUESTS, identity, 1));
    }
    for (uint64_t identity = 0; identity < 5000; identity++)
        caps_give(caps, CAP_REQUESTS, identity);
}

/* Identities that differ by multiples of 16,384 share a set of eight places: the ninth finds none
 * and is refused; the eight are not disturbed, and a place that is given back is used again. */
static void full_set_fails_closed(void **state)
{
    struct caps *caps = *state;
    enum { STEP = 16384, WAYS = 8 };
    for (uint64_t i = 0; i < WAYS; i++)
        assert_true(caps_take(caps, CAP_CONNECTIONS, 3 + i * STEP, 10));
    assert_false(caps_take(caps, CAP_CONNECTIONS, 3 + WAYS * STEP, 10));
    assert_true(caps_take(caps, CAP_CONNECTIONS, 4 + WAYS * STEP, 10)); /* another set */
    for (uint64_t i = 0; i < WAYS; i++)
        assert_false(caps_take(caps, CAP_CONNECTIONS, 3 + i * STEP, 1));
    caps_give(caps, CAP_CONNECTIONS, 3 + 2 * STEP);
    assert_true(caps_take(caps, CAP_CONNECTIONS, 3 + WAYS * STEP, 10));
    assert_false(caps_take(caps, CAP_CONNECTIONS, 3 + 2 * STEP, 10));
    /* A place becomes free in front of one that is in use: that one is found all the same. */
    for (uint64_t i = 0; i < WAYS - 1; i++) {
        if (i != 2)
            caps_give(caps, CAP_CONNECTIONS, 3 + i * STEP);
        assert_false(caps_take(caps, CAP_CONNECTIONS, 3 + 7 * STEP, 1));
        assert_false(caps_take(caps, CAP_CONNECTIONS, 3 + WAYS * STEP, 1));
    }
}

enum { THREADS = 4, MAX = 3, ROUNDS = 20000 };

static struct caps *shared;
static atomic_int holding, most, taken;

static void *take_and_give(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        if (!caps_take(shared, CAP_REQUESTS, 99, MAX))
            continue;
        int now = atomic_fetch_add(&holding, 1) + 1, seen = most;
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        atomic_fetch_add(&taken, 1);
        atomic_fetch_sub(&holding, 1);
        caps_give(shared, CAP_REQUESTS, 99);
    }
    return NULL;
}

static void threads_together_keep_the_maximum(void **state)
{
    shared = *state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_in_range(most, 1, MAX);
    assert_true(taken > 0);
    for (int i = 0; i < MAX; i++) /* nothing is left over */
        assert_true(caps_take(shared, CAP_REQUESTS, 99, MAX));
    assert_false(caps_take(shared, CAP_REQUESTS, 99, MAX));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_caps, destroy_caps)
    const struct CMUnitTest tests[] = {
        TEST(maximum_holds_exactly),
        TEST(connections_and_requests_are_counted_apart),
        TEST(identities_are_counted_apart),
        TEST(full_set_fails_closed),
        TEST(threads_together_keep_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
