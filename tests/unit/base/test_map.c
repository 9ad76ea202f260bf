/* The map against a model: entries come, go and come again, and every other one stays to be found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"

enum { KEYS = 600 };

static char names[KEYS][12];
static int values[KEYS];

static struct slice key(unsigned i)
{
    return slice_of(names[i]);
}

static int make_keys(void **state)
{
    (void)state;
    hash_seed();
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "key-%u", i);
    return 0;
}

static uint64_t seed = 88172645463325252u;

/* xorshift: the same sequence in every run. */
static unsigned any(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % below);
}

static void check_all(const struct map *map, const bool *present, unsigned count)
{
    unsigned walked = 0;
    bool seen[KEYS] = {false};
    struct map_entry entry;
    for (size_t at = 0; map_next(map, &at, &entry); walked++) {
        size_t i = (size_t)((int *)entry.value - values);
        assert_true(i < KEYS && present[i] && !seen[i]);
        assert_true(slice_equal(entry.key, key((unsigned)i)));
        seen[i] = true;
    }
    assert_int_equal(walked, count);
    assert_int_equal(map->count, count);
    for (unsigned i = 0; i < KEYS; i++)
        assert_ptr_equal(map_find(map, key(i)), present[i] ? &values[i] : NULL);
}

/* Few places, many keys: runs of colliding entries form and are cut at every point. */
static void holds_against_a_model(void **state)
{
    (void)state;
    struct map map;
    bool present[KEYS] = {false};
    unsigned count = 0;
    map_init(&map, KEYS);
    for (unsigned step = 0; step < 40000; step++) {
        /* The number of keys in play grows and shrinks, so that the table is nearly full at times.
         */
        unsigned i = any(step / 4000 % 2 ? KEYS : 40);
        if (any(5) < 3) {
            assert_int_equal(map_add(&map, key(i), &values[i]), present[i] ? ERR_EXISTS : OK);
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(map_remove(&map, key(i)), present[i] ? &values[i] : NULL);
            count -= present[i];
            present[i] = false;
        }
        if (step % 500 == 0)
            check_all(&map, present, count);
    }
    check_all(&map, present, count);
    for (unsigned i = 0; i < KEYS; i++)
        assert_ptr_equal(map_remove(&map, key(i)), present[i] ? &values[i] : NULL);
    assert_int_equal(map.count, 0);
    map_finish(&map);
}

/* In a table of sixteen places with ten entries, take out each in turn: the nine others stay. */
static void removal_leaves_the_rest_of_a_run_findable(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        hash_seed();
        struct map map;
        map_init(&map, 10);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(map_add(&map, key(i), &values[i]), OK);
        assert_int_equal(map.size, 16);
        unsigned gone = round % 10;
        assert_ptr_equal(map_remove(&map, key(gone)), &values[gone]);
        for (unsigned i = 0; i < 10; i++)
            assert_ptr_equal(map_find(&map, key(i)), i == gone ? NULL : &values[i]);
        assert_null(map_remove(&map, key(gone)));
        assert_int_equal(map_add(&map, key(gone), &values[gone]), OK);
        assert_ptr_equal(map_find(&map, key(gone)), &values[gone]);
        map_finish(&map);
    }
}

static void maximum_holds_exactly(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, 3);
    assert_null(map_find(&map, key(0)));
    assert_null(map_remove(&map, key(0)));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(map_add(&map, key(i), &values[i]), OK);
    assert_int_equal(map_add(&map, key(3), &values[3]), ERR_LIMIT);
    assert_null(map_find(&map, key(3)));
    assert_non_null(map_remove(&map, key(1)));
    assert_int_equal(map_add(&map, key(0), &values[3]), ERR_EXISTS);
    assert_ptr_equal(map_find(&map, key(0)), &values[0]);
    assert_int_equal(map_add(&map, key(3), &values[3]), OK);
    map_finish(&map);
    assert_int_equal(map.count, 0);
    assert_int_equal(map_add(&map, key(0), &values[0]), OK); /* usable again, same maximum */
    map_finish(&map);
    map_init(&map, 0);
    assert_int_equal(map_add(&map, key(0), &values[0]), ERR_LIMIT);
    map_finish(&map);
}

static void keys_are_all_their_bytes(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, 10);
    static const struct slice keys[] = {SLICE(""), SLICE("\0"), SLICE("\0\0"), SLICE("a"),
                                        SLICE("a\0")};
    for (unsigned i = 0; i < COUNT_OF(keys); i++)
        assert_int_equal(map_add(&map, keys[i], &values[i]), OK);
    for (unsigned i = 0; i < COUNT_OF(keys); i++)
        assert_ptr_equal(map_find(&map, keys[i]), &values[i]);
    assert_ptr_equal(map_find(&map, slice_make(NULL, 0)), &values[0]);
    map_finish(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_against_a_model),
        cmocka_unit_test(removal_leaves_the_rest_of_a_run_findable),
        cmocka_unit_test(maximum_holds_exactly),
        cmocka_unit_test(keys_are_all_their_bytes),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
