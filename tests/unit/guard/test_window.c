/* Sliding windows: never more than n in any minute, and not much less; what is given back is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "guard/window.h"

#define MINUTE_US (60 * SECOND_US)
#define PART_US (MINUTE_US / 21 + 1)
#define START_US (UINT64_C(1) << 40)

static uint64_t seed = 88172645463325252u;

/* xorshift: the same sequence in every run. */
static uint64_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static struct rate_verdict charge(struct window_table *table, uint64_t who, uint64_t per_minute,
                                  uint64_t now_us)
{
    struct window_mark mark;
    return window_charge(table, who, (uint64_t[]){per_minute, 0}, now_us, &mark).rate;
}

static void no_minute_holds_more_than_its_share(void **state)
{
    (void)state;
    enum { MOMENTS = 3000, MAX = 7 };
    static uint64_t at[MOMENTS];
    struct window_table *table = window_table_create(1);
    uint64_t now = START_US;
    for (unsigned count = 0; count < MOMENTS;) {
        now += any() % 8 ? any() % (3 * SECOND_US) : any() % (30 * SECOND_US);
        if (charge(table, 5, MAX, now).admitted)
            at[count++] = now;
    }
    for (unsigned i = MAX; i < MOMENTS; i++)
        assert_true(at[i] - at[i - MAX] > MINUTE_US);
    window_table_destroy(table);
}

/* Whoever comes back when they are told to is admitted, and not a part earlier than needed. */
static void what_leaves_comes_back_within_a_part(void **state)
{
    (void)state;
    enum { MAX = 5 };
    struct window_table *table = window_table_create(1);
    uint64_t now = START_US, first[MAX];
    for (unsigned round = 0; round < 500; round++) {
        for (unsigned i = 0; i < MAX; i++) {
            now += any() % (4 * SECOND_US);
            struct rate_verdict verdict = charge(table, 9, MAX, now);
            if (!verdict.admitted) {
                assert_false(charge(table, 9, MAX, now + verdict.retry_in_us - 1).admitted);
                now += verdict.retry_in_us;
                assert_true(charge(table, 9, MAX, now).admitted);
                assert_in_range(now - first[i], MINUTE_US, MINUTE_US + PART_US + 21);
            }
            first[i] = now;
        }
    }
    window_table_destroy(table);
}

static void verdicts_tell_what_is_left(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    for (unsigned i = 1; i <= 3; i++) {
        struct rate_verdict verdict = charge(table, 1, 3, START_US);
        assert_true(verdict.admitted);
        assert_int_equal(verdict.limit, 3);
        assert_int_equal(verdict.remaining, 3 - i);
        assert_int_equal(verdict.retry_in_us, 0);
        assert_in_range(verdict.full_in_us, MINUTE_US, MINUTE_US + PART_US + 21);
    }
    struct rate_verdict refused = charge(table, 1, 3, START_US + SECOND_US);
    assert_false(refused.admitted);
    assert_int_equal(refused.remaining, 0);
    assert_in_range(refused.retry_in_us, 59 * SECOND_US, 63 * SECOND_US);
    assert_true(charge(table, 2, 3, START_US + SECOND_US).admitted);
    window_table_destroy(table);
}

/* The tighter one is told, and both are charged or none. */
static void minute_and_hour_are_charged_together(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    const uint64_t max[WINDOW_COUNT] = {3, 7};
    struct window_mark mark;
    uint64_t now = START_US, admitted = 0;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(window_charge(table, 1, max, now, &mark).window, WINDOW_MINUTE);
    for (unsigned i = 0; i < 50; i++) { /* refused by the minute: the hour has four left */
        struct window_verdict verdict = window_charge(table, 1, max, now, &mark);
        assert_false(verdict.rate.admitted);
        assert_int_equal(verdict.window, WINDOW_MINUTE);
    }
    struct window_verdict verdict = {0};
    for (unsigned i = 0; i < 20; i++) {
        now += 30 * SECOND_US;
        verdict = window_charge(table, 1, max, now, &mark);
        admitted += verdict.rate.admitted;
    }
    assert_int_equal(admitted, 4);
    assert_int_equal(verdict.window, WINDOW_HOUR);
    assert_in_range(verdict.rate.retry_in_us, 49 * MINUTE_US, 53 * MINUTE_US);
    window_table_destroy(table);
}

static void a_charge_given_back_is_gone(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    const uint64_t max[WINDOW_COUNT] = {2, 100};
    struct window_mark mark[2];
    assert_true(window_charge(table, 1, max, START_US, &mark[0]).rate.admitted);
    assert_true(window_charge(table, 1, max, START_US + 30 * SECOND_US, &mark[1]).rate.admitted);
    /* The first one, which stands in another part than the latest: the second leaves later. */
    window_refund(table, 1, &mark[0], START_US + 31 * SECOND_US);
    assert_true(window_charge(table, 1, max, START_US + 31 * SECOND_US, &mark[0]).rate.admitted);
    struct rate_verdict refused =
        window_charge(table, 1, max, START_US + 70 * SECOND_US, &mark[0]).rate;
    assert_false(refused.admitted);
    /* Unknown and long gone ones give nothing. */
    window_refund(table, 77, &mark[1], START_US + 70 * SECOND_US);
    assert_false(window_charge(table, 1, max, START_US + 70 * SECOND_US, &mark[0]).rate.admitted);
    window_refund(table, 1, &mark[1], START_US + 600 * SECOND_US);
    assert_int_equal(charge(table, 1, 2, START_US + 600 * SECOND_US).remaining, 1);
    window_table_destroy(table);
}

/* Loops have read the clock at different moments; a machine is suspended. */
static void the_clock_may_step(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    assert_true(charge(table, 1, 2, START_US).admitted);
    assert_true(charge(table, 1, 2, START_US - 5 * SECOND_US).admitted);
    assert_false(charge(table, 1, 2, START_US - 5 * SECOND_US).admitted);
    assert_false(charge(table, 1, 2, START_US + 50 * SECOND_US).admitted);
    assert_true(charge(table, 1, 2, START_US + UINT64_C(1000000) * MINUTE_US).admitted);
    window_table_destroy(table);
}

/* More than a counter holds. */
static void a_full_counter_refuses(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    uint64_t admitted = 0;
    struct rate_verdict verdict = {0};
    for (unsigned i = 0; i < 70000; i++) {
        verdict = charge(table, 1, 120000, START_US);
        admitted += verdict.admitted;
    }
    assert_int_equal(admitted, UINT16_MAX);
    assert_in_range(verdict.retry_in_us, 1, PART_US);
    assert_true(charge(table, 1, 120000, START_US + verdict.retry_in_us).admitted);
    window_table_destroy(table);
}

static void a_flood_keeps_the_callers_line(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    for (unsigned i = 0; i < 60; i++)
        assert_true(charge(table, 1, 60, START_US).admitted);
    for (uint64_t i = 0; i < 10000; i++)
        assert_true(charge(table, 1000 + i, 120, START_US).admitted);
    assert_false(charge(table, 1, 60, START_US).admitted);
    window_table_destroy(table);
}

struct hammer {
    struct window_table *table;
    uint64_t admitted;
};

static void *hammer_run(void *context)
{
    struct hammer *hammer = context;
    for (uint64_t i = 0; i < 20000; i++) {
        struct window_mark mark;
        const uint64_t max[WINDOW_COUNT] = {5000, 6000};
        struct rate_verdict verdict =
            window_charge(hammer->table, 1, max, START_US + i, &mark).rate;
        if (verdict.admitted && i % 3 == 0)
            window_refund(hammer->table, 1, &mark, START_US + i);
        else
            hammer->admitted += verdict.admitted;
    }
    return NULL;
}

static void two_threads_never_pass_n(void **state)
{
    (void)state;
    struct window_table *table = window_table_create(1);
    struct hammer hammers[2] = {
        {table, 0},
        {table, 0}
    };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(hammers[0].admitted + hammers[1].admitted, 5000);
    window_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_minute_holds_more_than_its_share),
        cmocka_unit_test(what_leaves_comes_back_within_a_part),
        cmocka_unit_test(verdicts_tell_what_is_left),
        cmocka_unit_test(minute_and_hour_are_charged_together),
        cmocka_unit_test(a_charge_given_back_is_gone),
        cmocka_unit_test(the_clock_may_step),
        cmocka_unit_test(a_full_counter_refuses),
        cmocka_unit_test(a_flood_keeps_the_callers_line),
        cmocka_unit_test(two_threads_never_pass_n),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
