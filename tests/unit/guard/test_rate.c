/* Rate limits: exact in both directions, whatever the rate, the clock and the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "guard/rate.h"

#define MINUTE_US (60 * SECOND_US)
#define DAY_US (86400 * SECOND_US)
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

static void words_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        uint64_t requests, period_us;
    } rows[] = {
        {"60/minute",              OK,         60,   MINUTE_US     },
        {"10/s",                   OK,         10,   SECOND_US     },
        {"10/sec",                 OK,         10,   SECOND_US     },
        {"10/Second",              OK,         10,   SECOND_US     },
        {"30/m",                   OK,         30,   MINUTE_US     },
        {"30/min",                 OK,         30,   MINUTE_US     },
        {"1000/hour",              OK,         1000, 60 * MINUTE_US},
        {"1000/h",                 OK,         1000, 60 * MINUTE_US},
        {"5/day",                  OK,         5,    DAY_US        },
        {" 5 / d ",                OK,         5,    DAY_US        },
        {"0/s",                    OK,         0,    SECOND_US     },
        {"",                       ERR_SYNTAX, 0,    0             },
        {"60",                     ERR_SYNTAX, 0,    0             },
        {"/minute",                ERR_SYNTAX, 0,    0             },
        {"60/",                    ERR_SYNTAX, 0,    0             },
        {"60/fortnight",           ERR_SYNTAX, 0,    0             },
        {"-1/s",                   ERR_SYNTAX, 0,    0             },
        {"1.5/s",                  ERR_SYNTAX, 0,    0             },
        {"60/minute/2",            ERR_SYNTAX, 0,    0             },
        {"18446744073709551616/s", ERR_SYNTAX, 0,    0             },
        {"1000001/s",              ERR_SYNTAX, 0,    0             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rate rate = {0};
        assert_int_equal(rate_parse(slice_of(rows[i].text), &rate), rows[i].err);
        assert_int_equal(rate.requests, rows[i].requests);
        assert_int_equal(rate.period_us, rows[i].period_us);
        assert_int_equal(rate.burst, rows[i].requests);
    }
}

static const struct rate rates[] = {
    {60,      MINUTE_US,      10  },
    {120,     MINUTE_US,      20  },
    {7,       SECOND_US,      3   },
    {1,       SECOND_US,      1   },
    {1000000, SECOND_US,      100 },
    {3,       DAY_US,         3   },
    {1000,    60 * MINUTE_US, 1000},
    {12345,   SECOND_US,      2   }, /* a burst of 1 would lose the fractions of a microsecond */
};

/* Charges as soon as the last verdict allows and in between. At each moment the admissions so far
 * must not exceed burst + rate * t, and must reach it, but for the microsecond that rounding may
 * cost. */
static void saturated_admissions_are_burst_plus_rate_times_time(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(64);
    for (size_t r = 0; r < COUNT_OF(rates); r++) {
        const struct rate *rate = &rates[r];
        uint64_t now = START_US, admitted = 0;
        for (int step = 0; step < 2000; step++) {
            struct rate_verdict verdict;
            while ((verdict = rate_charge(table, r + 1, rate, now)).admitted)
                admitted++;
            uint64_t elapsed_us = now - START_US;
            uint64_t earned =
                (uint64_t)((unsigned __int128)elapsed_us * rate->requests / rate->period_us);
            uint64_t earned_before = (uint64_t)((unsigned __int128)(elapsed_us - (elapsed_us > 0)) *
                                                rate->requests / rate->period_us);
            assert_in_range(admitted, rate->burst + earned_before, rate->burst + earned);
            now += step % 3 == 0 ? any() % verdict.retry_in_us : verdict.retry_in_us;
        }
    }
    rate_table_destroy(table);
}

/* Over every interval between two admissions, not only those from the start. */
static void no_interval_holds_more_than_its_share(void **state)
{
    (void)state;
    enum { MOMENTS = 400 };
    static uint64_t at[MOMENTS];
    struct rate_table *table = rate_table_create(4);
    const struct rate rate = {7, SECOND_US, 5};
    unsigned count = 0;
    uint64_t now = START_US;
    while (count < MOMENTS) {
        now += any() % 8 ? any() % 100000 : any() % 2000000;
        if (rate_charge(table, 5, &rate, now).admitted)
            at[count++] = now;
    }
    for (unsigned from = 0; from < count; from++)
        for (unsigned to = from; to < count; to++)
            assert_true(to - from + 1 <=
                        rate.burst + (at[to] - at[from]) * rate.requests / rate.period_us);
    rate_table_destroy(table);
}

static void verdict_tells_what_is_left_and_when_to_return(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(16);
    const struct rate rate = {60, MINUTE_US, 3};
    struct rate_verdict v = rate_peek(table, 9, &rate, START_US);
    assert_true(v.admitted);
    assert_int_equal(v.remaining, 3);
    assert_int_equal(v.full_in_us, 0);
    for (unsigned i = 1; i <= 3; i++) {
        v = rate_charge(table, 9, &rate, START_US);
        assert_true(v.admitted);
        assert_int_equal(v.limit, 60);
        assert_int_equal(v.remaining, 3 - i);
        assert_int_equal(v.full_in_us, i * SECOND_US);
        assert_int_equal(v.retry_in_us, 0);
    }
    v = rate_charge(table, 9, &rate, START_US + 250000);
    assert_false(v.admitted);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_in_us, 750000);
    assert_false(rate_peek(table, 9, &rate, START_US + 999999).admitted);
    assert_true(rate_peek(table, 9, &rate, START_US + SECOND_US).admitted);
    assert_true(rate_charge(table, 9, &rate, START_US + SECOND_US).admitted);
    assert_false(rate_charge(table, 9, &rate, START_US + SECOND_US).admitted);
    rate_table_destroy(table);
}

static void refund_gives_back_one_and_never_more_than_full(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(16);
    const struct rate rate = {60, MINUTE_US, 2};
    rate_refund(table, 3, &rate, START_US); /* unknown: nothing to give */
    assert_true(rate_charge(table, 3, &rate, START_US).admitted);
    assert_true(rate_charge(table, 3, &rate, START_US).admitted);
    assert_false(rate_charge(table, 3, &rate, START_US).admitted);
    rate_refund(table, 3, &rate, START_US);
    assert_true(rate_charge(table, 3, &rate, START_US).admitted);
    assert_false(rate_charge(table, 3, &rate, START_US).admitted);
    for (int i = 0; i < 10; i++)
        rate_refund(table, 3, &rate, START_US);
    assert_int_equal(rate_peek(table, 3, &rate, START_US).remaining, 2);
    rate_table_destroy(table);
}

static void no_rate_admits_everything(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(1);
    const struct rate none = {0};
    for (int i = 0; i < 1000; i++) {
        struct rate_verdict v = rate_charge(table, 1, &none, START_US);
        assert_true(v.admitted);
        assert_int_equal(v.limit, 0);
    }
    rate_refund(table, 1, &none, START_US);
    rate_table_destroy(table);
}

/* Numbers at the edge: no overflow (UBSan and the admissions tell), and never more than asked for.
 */
static void absurd_numbers_stay_on_the_safe_side(void **state)
{
    (void)state;
    static const struct {
        struct rate rate;
        uint64_t now_us;
        uint64_t at_least, at_most; /* admissions of 50 tries at one moment */
    } rows[] = {
        {{1, DAY_US, UINT64_MAX},                0,          50, 50},
        {{1, UINT64_MAX, 1},                     UINT64_MAX, 1,  1 },
        {{1, UINT64_MAX, UINT64_MAX},            UINT64_MAX, 4,  4 }, /* 2^62 / 2^60 ticks */
        {{UINT64_MAX, 1, UINT64_MAX},            UINT64_MAX, 50, 50},
        {{UINT64_MAX, 1, 1},                     START_US,   1,  1 },
        {{1000000000000, DAY_US, 1000000000000}, START_US,   50, 50},
        {{5, DAY_US, 5},                         0,          5,  5 },
        {{5, DAY_US, 0},                         START_US,   1,  1 },
        {{5, 0, 2},                              START_US,   2,  2 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rate_table *table = rate_table_create(4);
        uint64_t admitted = 0;
        for (int n = 0; n < 50; n++)
            admitted += rate_charge(table, 0, &rows[i].rate, rows[i].now_us).admitted;
        assert_in_range(admitted, rows[i].at_least, rows[i].at_most);
        rate_table_destroy(table);
    }
}

/* One set of four places. A stranger takes the place of a full bucket, else of the one that is
 * closest to full; those who still have most to pay stay limited. */
static void place_of_a_full_bucket_goes_first(void **state)
{
    (void)state;
    struct rate_table *table = rate_table_create(4);
    const struct rate rate = {60, MINUTE_US, 4};
    for (uint64_t who = 1; who <= 4; who++)
        for (uint64_t n = 0; n < who; n++)
            assert_true(rate_charge(table, who, &rate, START_US).admitted);
    uint64_t later = START_US + SECOND_US; /* 1 is full now, 2 nearly */
    assert_true(rate_charge(table, 50, &rate, later).admitted);
    assert_int_equal(rate_peek(table, 2, &rate, later).remaining, 3);
    assert_int_equal(rate_peek(table, 3, &rate, later).remaining, 2);
    assert_int_equal(rate_peek(table, 4, &rate, later).remaining, 1);
    for (uint64_t who = 60; who < 100; who++)
        assert_true(rate_charge(table, who, &rate, later).admitted);
    assert_int_equal(rate_peek(table, 4, &rate, later).remaining, 1);
    rate_table_destroy(table);
}

/* --- a table that grows -------------------------------------------------------------------------
 */

/* As strangers' addresses are: hashes. */
static uint64_t identity(uint64_t number)
{
    uint64_t z = number + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* One of two hundred of each by default, which behaves as the whole. */
static void ten_million_identities_fit_and_keep_their_charge(void **state)
{
    (void)state;
    bool whole = getenv("SALLYPORT_THOROUGH");
    size_t cells = whole ? 1 << 16 : 1 << 8;
    uint64_t count = whole ? 10000000 : 10000000 / 256, lost = 0;
    const struct rate rate = {2, 60 * MINUTE_US, 2};
    struct rate_table *table = rate_table_create_growing(cells);
    for (uint64_t i = 0; i < count; i++)
        assert_true(rate_charge(table, identity(i), &rate, START_US).admitted);
    for (uint64_t i = 0; i < count; i++)
        lost += rate_peek(table, identity(i), &rate, START_US).remaining != 1;
    struct rate_table_facts facts = rate_table_facts(table);
    assert_true(facts.bytes_max <= cells * 4096); /* 256 MiB for the whole */
    assert_true(lost <= count / 100);
    assert_int_equal(lost, facts.evictions);
    rate_table_destroy(table);
}

static void a_tier_opens_only_when_the_last_is_used(void **state)
{
    (void)state;
    enum { CELLS = 1 << 12 };
    const struct rate rate = {1, MINUTE_US, 1};
    struct rate_table *table = rate_table_create_growing(CELLS);
    uint64_t now = START_US, next = 0;
    /* However many come, one after the other: full buckets make room. */
    for (uint64_t i = 0; i < 20 * CELLS; i++, now += MINUTE_US / 40)
        rate_charge(table, identity(next++), &rate, now);
    assert_int_equal(rate_table_facts(table).open_cells, CELLS);
    assert_int_equal(rate_table_facts(table).evictions, 0);
    /* Many at once, but not as many as there is room for: some lose their place, nothing grows. */
    now += 2 * MINUTE_US;
    rate_table_destroy(table);
    table = rate_table_create_growing(CELLS);
    for (uint64_t i = 0; i < CELLS * 6 / 10; i++)
        rate_charge(table, identity(next++), &rate, now);
    assert_int_equal(rate_table_facts(table).open_cells, CELLS);
    for (uint64_t i = 0; i < CELLS; i++)
        rate_charge(table, identity(next++), &rate, now);
    assert_int_equal(rate_table_facts(table).open_cells, 5 * CELLS);
    rate_table_destroy(table);
}

/* A flood of ten times what fits: who owes most keeps its place. */
static void strangers_never_push_out_who_still_owes(void **state)
{
    (void)state;
    enum { CELLS = 1 << 8, CALLERS = 20 };
    const struct rate rate = {60, MINUTE_US, 50};
    struct rate_table *table = rate_table_create_growing(CELLS);
    for (uint64_t who = 0; who < CALLERS; who++)
        for (int n = 0; n < 50; n++)
            assert_true(rate_charge(table, identity(who), &rate, START_US).admitted);
    for (uint64_t i = 0; i < 490 * CELLS; i++)
        rate_charge(table, identity(CALLERS + i), &rate, START_US);
    assert_true(rate_table_facts(table).evictions > 0);
    for (uint64_t who = 0; who < CALLERS; who++)
        assert_false(rate_charge(table, identity(who), &rate, START_US).admitted);
    rate_table_destroy(table);
}

struct hammer {
    struct rate_table *table;
    const struct rate *rate;
    uint64_t strangers; /* identities charged in between, to move places around */
    uint64_t admitted;
    pthread_barrier_t *begin;
};

static void *hammer_run(void *context)
{
    struct hammer *hammer = context;
    pthread_barrier_wait(hammer->begin);
    for (uint64_t i = 0; i < 20000; i++) {
        hammer->admitted += rate_charge(hammer->table, 77, hammer->rate, START_US).admitted;
        if (hammer->strangers)
            rate_charge(hammer->table, 1000 + i % hammer->strangers, hammer->rate, START_US);
    }
    return NULL;
}

static void threads_together_never_get_more_than_the_burst(void **state)
{
    (void)state;
    const struct rate rate = {5, DAY_US, 5000};
    /* With strangers: three others share the set of four, so every place is claimed by two threads
     * at once, and none is ever taken away. */
    for (uint64_t strangers = 0; strangers <= 3; strangers += 3) {
        for (int round = 0; round < 5; round++) {
            pthread_barrier_t begin;
            pthread_barrier_init(&begin, NULL, 2);
            struct rate_table *table = rate_table_create(4);
            struct hammer hammers[2];
            pthread_t threads[2];
            for (int i = 0; i < 2; i++) {
                hammers[i] = (struct hammer){table, &rate, strangers, 0, &begin};
                assert_int_equal(pthread_create(&threads[i], NULL, hammer_run, &hammers[i]), 0);
            }
            for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
            assert_int_equal(hammers[0].admitted + hammers[1].admitted, rate.burst);
            rate_table_destroy(table);
            pthread_barrier_destroy(&begin);
        }
    }
}

struct crowd {
    struct rate_table *table;
    uint64_t *admitted; /* of each identity; this thread's own */
    pthread_barrier_t *begin;
};

enum { CROWD = 3000 };

static void *crowd_run(void *context)
{
    struct crowd *crowd = context;
    const struct rate rate = {5, DAY_US, 5};
    pthread_barrier_wait(crowd->begin);
    for (uint64_t i = 0; i < CROWD; i++)
        for (int n = 0; n < 4; n++)
            crowd->admitted[i] += rate_charge(crowd->table, identity(i), &rate, START_US).admitted;
    return NULL;
}

/* Two threads see the same callers for the first time, while the table grows. */
static void threads_agree_on_one_cell_across_tiers(void **state)
{
    (void)state;
    static uint64_t admitted[2][CROWD];
    pthread_barrier_t begin;
    pthread_barrier_init(&begin, NULL, 2);
    struct rate_table *table = rate_table_create_growing(128);
    struct crowd crowds[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        crowds[i] = (struct crowd){table, admitted[i], &begin};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowds[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    struct rate_table_facts facts = rate_table_facts(table);
    assert_true(facts.open_cells >= 13 * 128);
    uint64_t beyond = 0;
    for (int i = 0; i < CROWD; i++)
        beyond += admitted[0][i] + admitted[1][i] != 5;
    assert_true(beyond <= facts.evictions);
    rate_table_destroy(table);
    pthread_barrier_destroy(&begin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read),
        cmocka_unit_test(saturated_admissions_are_burst_plus_rate_times_time),
        cmocka_unit_test(no_interval_holds_more_than_its_share),
        cmocka_unit_test(verdict_tells_what_is_left_and_when_to_return),
        cmocka_unit_test(refund_gives_back_one_and_never_more_than_full),
        cmocka_unit_test(no_rate_admits_everything),
        cmocka_unit_test(absurd_numbers_stay_on_the_safe_side),
        cmocka_unit_test(place_of_a_full_bucket_goes_first),
        cmocka_unit_test(ten_million_identities_fit_and_keep_their_charge),
        cmocka_unit_test(a_tier_opens_only_when_the_last_is_used),
        cmocka_unit_test(strangers_never_push_out_who_still_owes),
        cmocka_unit_test(threads_together_never_get_more_than_the_burst),
        cmocka_unit_test(threads_agree_on_one_cell_across_tiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
