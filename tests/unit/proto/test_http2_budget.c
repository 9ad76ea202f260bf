/* The buckets of an HTTP/2 connection: what a burst is, how they fill again, what is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/http2_budget.h"

enum { SECOND = 1000000 };

static unsigned take_all(struct http2_budget *budget, enum http2_budget_kind kind, uint64_t now_us)
{
    unsigned n = 0;
    while (http2_budget_take(budget, kind, now_us))
        n++;
    return n;
}

static void every_bucket_holds_its_burst_and_fills_with_time(void **state)
{
    (void)state;
    for (enum http2_budget_kind kind = 0; kind < HTTP2_BUDGET_COUNT; kind++) {
        const struct http2_budget_row *row = &http2_budget_table()[kind];
        assert_non_null(row->name);
        assert_true(row->burst > 0 && row->per_second > 0 && SECOND % row->per_second == 0);
        struct http2_budget budget = {0};
        uint64_t now_us = 7 * SECOND;
        assert_int_equal(take_all(&budget, kind, now_us), row->burst);
        assert_int_equal(take_all(&budget, kind, now_us), 0);
        assert_int_equal(take_all(&budget, kind, now_us + SECOND - 1), row->per_second - 1);
        assert_int_equal(take_all(&budget, kind, now_us + SECOND), 1);
        assert_int_equal(take_all(&budget, kind, now_us + 3600 * (uint64_t)SECOND), row->burst);
    }
}

static void buckets_do_not_touch_each_other(void **state)
{
    (void)state;
    struct http2_budget budget = {0};
    take_all(&budget, HTTP2_PINGS, SECOND);
    for (enum http2_budget_kind kind = 0; kind < HTTP2_BUDGET_COUNT; kind++)
        assert_int_equal(http2_budget_take(&budget, kind, SECOND), kind != HTTP2_PINGS);
}

static void what_is_owed_can_be_taken_whenever_it_comes(void **state)
{
    (void)state;
    struct http2_budget budget = {0};
    unsigned burst = http2_budget_table()[HTTP2_WINDOW_UPDATES].burst;
    take_all(&budget, HTTP2_WINDOW_UPDATES, SECOND);
    http2_budget_give(&budget, HTTP2_WINDOW_UPDATES, 3);
    assert_int_equal(take_all(&budget, HTTP2_WINDOW_UPDATES, SECOND), 3);
    /* A client that did not read for a while: what it answers all at once was owed, and the bucket
     * is full still. */
    budget = (struct http2_budget){0};
    for (unsigned i = 0; i < 3000; i++)
        http2_budget_give(&budget, HTTP2_WINDOW_UPDATES, 3);
    assert_int_equal(take_all(&budget, HTTP2_WINDOW_UPDATES, SECOND), 9000 + burst);
    /* But not without end. */
    for (unsigned i = 0; i < 100000; i++)
        http2_budget_give(&budget, HTTP2_WINDOW_UPDATES, 3);
    unsigned most = take_all(&budget, HTTP2_WINDOW_UPDATES, SECOND);
    assert_true(most >= 100000 && most <= 150000);
}

static void a_clock_that_begins_at_zero_is_no_empty_bucket(void **state)
{
    (void)state;
    struct http2_budget budget = {0};
    assert_int_equal(take_all(&budget, HTTP2_RESETS, 0), http2_budget_table()[HTTP2_RESETS].burst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bucket_holds_its_burst_and_fills_with_time),
        cmocka_unit_test(buckets_do_not_touch_each_other),
        cmocka_unit_test(what_is_owed_can_be_taken_whenever_it_comes),
        cmocka_unit_test(a_clock_that_begins_at_zero_is_no_empty_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
