/* Bans: however an address is written, by range or alone, until they are over; never evicted, and
 * seen at once by readers that take no lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../reader.h"
#include "guard/bans.h"

enum { MANY = 1 << 18 }; /* DENYLIST_ENTRIES_MAX */

static int make_bans(void **state)
{
    *state = bans_create(NULL, NULL);
    return *state ? 0 : -1;
}

static int destroy_bans(void **state)
{
    bans_destroy(*state);
    return 0;
}

static struct ban range(const char *text, uint64_t until_us)
{
    struct cidr cidr;
    assert_int_equal(cidr_parse(slice_of(text), &cidr), OK);
    return ban_of_range(&cidr, until_us);
}

static bool held(const struct bans *bans, const char *text, uint64_t now_us)
{
    struct address address;
    assert_int_equal(address_parse(slice_of(text), &address), OK);
    return bans_hold(bans, &address, address_hash(&address), now_us);
}

static void show(struct bans *bans, const struct ban *list, size_t count)
{
    struct ban_table *table = bans_make(count);
    assert_non_null(table);
    for (size_t i = 0; i < count; i++)
        bans_put(table, &list[i]);
    bans_drop(bans, bans_swap(bans, table));
}

static void an_address_is_banned_however_it_is_written(void **state)
{
    struct bans *bans = *state;
    assert_false(held(bans, "203.0.113.9", 0));
    show(bans,
         (struct ban[]){range("203.0.113.9", BAN_FOREVER), range("2001:db8::/64", BAN_FOREVER)}, 2);
    static const struct {
        const char *address;
        bool held;
    } rows[] = {
        {"203.0.113.9",         true },
        {"::ffff:203.0.113.9",  true },
        {"::ffff:cb00:7109",    true },
        {"203.0.113.8",         false},
        {"2001:db8::1",         true },
        {"2001:DB8:0:0:ffff::", true },
        {"2001:db8:0:1::",      false},
        {"::203.0.113.9",       false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (held(bans, rows[i].address, 0) != rows[i].held)
            fail_msg("%s", rows[i].address);
}

static void a_range_bans_all_in_it(void **state)
{
    struct bans *bans = *state;
    show(bans,
         (struct ban[]){range("10.0.0.0/8", 100), range("10.1.0.0/16", 200), range("0.0.0.0/1", 50),
                        range("2001:db8::/32", 100), range("2001:db8:1::7/128", 300),
                        range("192.128.0.0/9", 60), range("198.51.100.0/23", 70),
                        range("4000::/2", 80), range("2a00::/15", 90)},
         9);
    static const struct {
        const char *address;
        uint64_t until_us;
    } rows[] = {
        {"10.255.0.1",      100},
        {"10.1.2.3",        200},
        {"11.0.0.1",        50 },
        {"128.0.0.1",       0  },
        {"2001:db8:1::8",   100},
        {"2001:db8:1::7",   300},
        {"2001:db9::1",     0  },
        {"192.128.0.0",     60 },
        {"192.255.255.255", 60 },
        {"192.127.255.255", 0  },
        {"193.0.0.0",       0  },
        {"198.51.101.255",  70 },
        {"198.51.102.0",    0  },
        {"198.51.99.255",   0  },
        {"4000::",          80 },
        {"7fff:ffff::1",    80 },
        {"3fff::",          0  },
        {"8000::",          0  },
        {"2a00::1",         90 },
        {"2a01::1",         90 },
        {"2a02::1",         0  },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (rows[i].until_us && !held(bans, rows[i].address, rows[i].until_us - 1))
            fail_msg("%s is let go too early", rows[i].address);
        if (held(bans, rows[i].address, rows[i].until_us))
            fail_msg("%s is held too long", rows[i].address);
    }
}

static void a_key_is_no_address(void **state)
{
    struct bans *bans = *state;
    show(bans,
         (struct ban[]){
             {.identity = 42, .until_us = 7}
    },
         1);
    assert_true(bans_hold_key(bans, 42, 6));
    assert_false(bans_hold_key(bans, 42, 7));
    assert_false(bans_hold_key(bans, 43, 6));
}

static void of_two_ends_the_later_holds(void **state)
{
    struct bans *bans = *state;
    assert_true(bans_add(bans, 42, 200));
    assert_true(bans_add(bans, 42, 100));
    assert_true(bans_hold_key(bans, 42, 199));
    show(bans,
         (struct ban[]){
             {.identity = 1, .until_us = 5},
             {.identity = 1, .until_us = 3}
    },
         2);
    assert_true(bans_hold_key(bans, 1, 4));
    assert_false(bans_hold_key(bans, 42, 199)); /* what is shown is all there is */
}

static void what_is_new_moves_the_generation(void **state)
{
    struct bans *bans = *state;
    unsigned before = bans_generation(bans);
    assert_true(bans_add(bans, 42, 200));
    assert_int_not_equal(bans_generation(bans), before);
}

static uint64_t nth(size_t n) /* as hashes are: spread over all bits */
{
    return ((uint64_t)n + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void a_ban_is_never_evicted(void **state)
{
    struct bans *bans = *state;
    size_t added = 0;
    while (added < MANY && bans_add(bans, nth(added), BAN_FOREVER))
        added++;
    assert_in_range(added, 800, 1024); /* then it says no */
    for (size_t i = 0; i < added; i++)
        assert_true(bans_hold_key(bans, nth(i), 1));
    struct ban *list = calloc(MANY, sizeof *list);
    for (size_t i = 0; i < MANY; i++)
        list[i] = (struct ban){.identity = nth(i), .until_us = BAN_FOREVER};
    show(bans, list, MANY);
    free(list);
    for (size_t i = 0; i < MANY; i++)
        assert_true(bans_hold_key(bans, nth(i), 1));
    assert_false(bans_hold_key(bans, nth(MANY), 1));
    assert_true(bans_add(bans, nth(MANY), 2)); /* and there is room for more */
}

/* Readers beside a writer that shows table after table. One is always in it, one never. */
struct race {
    struct bans *bans;
    struct reader reader; /* each turn of which sees one table or the next */
};

static void *read_on(void *context)
{
    struct race *race = context;
    while (!atomic_load(&race->reader.over)) {
        bool there = bans_hold_key(race->bans, nth(1), 1), nobody = bans_hold_key(race->bans, 7, 1);
        invariant(there && !nobody);
        bans_add(race->bans, nth(2), 1000);
        atomic_fetch_add(&race->reader.turns, 1);
    }
    return NULL;
}

static void readers_go_on_beside_a_growing_writer(void **state)
{
    (void)state;
    struct race race = {0};
    pthread_t reader;
    race.bans = bans_create(wait_reader, &race.reader);
    struct ban list[3000];
    for (size_t i = 0; i < COUNT_OF(list); i++)
        list[i] = (struct ban){.identity = nth(i), .until_us = BAN_FOREVER};
    assert_true(bans_add(race.bans, nth(1), BAN_FOREVER));
    assert_int_equal(pthread_create(&reader, NULL, read_on, &race), 0);
    for (size_t count = 2; count < COUNT_OF(list); count += 30)
        show(race.bans, list, count);
    atomic_store(&race.reader.over, true);
    pthread_join(reader, NULL);
    bans_destroy(race.bans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_is_banned_however_it_is_written, make_bans,
                                        destroy_bans),
        cmocka_unit_test_setup_teardown(a_range_bans_all_in_it, make_bans, destroy_bans),
        cmocka_unit_test_setup_teardown(a_key_is_no_address, make_bans, destroy_bans),
        cmocka_unit_test_setup_teardown(of_two_ends_the_later_holds, make_bans, destroy_bans),
        cmocka_unit_test_setup_teardown(what_is_new_moves_the_generation, make_bans, destroy_bans),
        cmocka_unit_test_setup_teardown(a_ban_is_never_evicted, make_bans, destroy_bans),
        cmocka_unit_test(readers_go_on_beside_a_growing_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
