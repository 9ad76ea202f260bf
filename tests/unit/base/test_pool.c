/* The object pool: distinct objects, and a bounded number of free ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/arena.h" /* ARENA_CHECKED */
#include "base/pool.h"

enum { OBJECTS = 10, KEEP = 4 };

static void take_all(struct pool *pool, void *objects[OBJECTS], size_t object_bytes)
{
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = pool_take(pool);
        assert_non_null(objects[i]);
        memset(objects[i], i, object_bytes);
    }
    for (int i = 0; i < OBJECTS; i++)
        for (size_t at = 0; at < object_bytes; at++)
            assert_int_equal(((unsigned char *)objects[i])[at], i);
}

static void objects_are_distinct_and_free_ones_bounded(void **state)
{
    (void)state;
    static const size_t sizes[] = {sizeof(void *), 24, 1000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct pool pool;
        void *objects[OBJECTS];
        pool_init(&pool, sizes[i], KEEP);
        for (int round = 0; round < 3; round++) {
            take_all(&pool, objects, sizes[i]);
            assert_int_equal(pool.count, 0);
            for (int n = 0; n < OBJECTS; n++) {
                pool_give(&pool, objects[n]);
                assert_true(pool.count <= KEEP);
            }
#ifndef ARENA_CHECKED
            assert_int_equal(pool.count, KEEP);
#endif
        }
        pool_finish(&pool);
        assert_int_equal(pool.count, 0);
        assert_null(pool.free);
    }
}

static void a_pool_that_keeps_nothing(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, 32, 0);
    void *object = pool_take(&pool);
    assert_non_null(object);
    pool_give(&pool, object);
    assert_int_equal(pool.count, 0);
    pool_finish(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_distinct_and_free_ones_bounded),
        cmocka_unit_test(a_pool_that_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
