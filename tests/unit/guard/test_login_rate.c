/* How often passwords may be tried: by name and by address, and a good try is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "guard/login_rate.h"

#define START_US (UINT64_C(1) << 40)

static void five_tries_a_minute_for_each_name_and_address(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(1024);
    for (int i = 0; i < 5; i++)
        assert_true(login_charge(table, 7, SLICE("alice"), START_US).admitted);
    struct rate_verdict verdict = login_charge(table, 7, SLICE("alice"), START_US);
    assert_false(verdict.admitted);
    assert_in_range(verdict.retry_in_us, 11 * SECOND_US, 12 * SECOND_US);
    assert_false(login_peek(table, 7, SLICE("alice"), START_US).admitted);
    /* Nobody else is locked out by that. */
    assert_true(login_peek(table, 8, SLICE("alice"), START_US).admitted);
    assert_true(login_peek(table, 7, SLICE("bob"), START_US).admitted);
    assert_true(login_peek(table, 7, SLICE(""), START_US).admitted);
    assert_true(login_charge(table, 7, SLICE("alice"), START_US + 12 * SECOND_US).admitted);
    rate_table_destroy(table);
}

static void a_good_try_is_given_back(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(1024);
    for (int i = 0; i < 50; i++) {
        assert_true(login_charge(table, 7, SLICE("alice"), START_US).admitted);
        login_refund(table, 7, SLICE("alice"), START_US);
    }
    assert_int_equal(login_peek(table, 7, SLICE("alice"), START_US).remaining, 5);
    rate_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_tries_a_minute_for_each_name_and_address),
        cmocka_unit_test(a_good_try_is_given_back),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
