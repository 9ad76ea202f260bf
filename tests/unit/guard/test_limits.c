/* All limits of a request: one that is refused by any of them has consumed nothing of the others,
 * and what is shown is the tightest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "guard/limits.h"

#define MINUTE_US (60 * SECOND_US)
#define DAY_US (86400 * SECOND_US)
#define START_US (UINT64_C(1) << 40)

static const struct rate day[] = {
    {0,  0,      0 },
    {1,  DAY_US, 1 },
    {2,  DAY_US, 2 },
    {50, DAY_US, 50},
};
enum { ONE = 1, TWO = 2, FIFTY = 3 };

static struct limit_route_settings rows[4];
static struct settings settings;
static struct limit_request request;

/* Whatever is asked, fifty times. */
static int set_up(void **state)
{
    (void)state;
    static char path[] = "/v1/*";
    memset(&settings, 0, sizeof settings);
    settings.security.rate_limiting_enabled = true;
    settings.security.max_requests_per_minute = settings.security.max_requests_per_hour = 50;
    settings.limits.ip = settings.limits.key = day[FIFTY];
    settings.limits.ip_counts_all = true;
    for (unsigned i = 0; i < 4; i++)
        rows[i] = (struct limit_route_settings){path, day[FIFTY], (enum limit_per)i, 1000 + i};
    settings.limits.routes = rows;
    settings.limits.route_count = 4;
    request = (struct limit_request){
        .rates = rate_table_create(1024),
        .windows = window_table_create(1024),
        .settings = &settings,
        .now_us = START_US,
        .path = SLICE("/v1/chat"),
        .address = 71,
        .key = 72,
        .user = 73,
        .key_rate = &settings.limits.key,
        .tries_rate = &day[FIFTY],
        .tries = 74,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rate_table_destroy(request.rates);
    window_table_destroy(request.windows);
    return 0;
}

/* What refuses, or LIMIT_NONE. */
static enum limit ask(struct limits_held *held)
{
    *held = (struct limits_held){0};
    if (limits_charge_address(&request, held) && limits_charge_address_route(&request, held))
        limits_charge_caller(&request, held);
    return held->refused;
}

enum { LOOKED_AT = 11 };

/* How much is left of everything that can be charged. */
static void look(uint64_t left[LOOKED_AT])
{
    const uint64_t buckets[] = {71, 72, 74, 71 ^ 1000, 72 ^ 1001, 73 ^ 1002, 1003};
    unsigned count = 0;
    for (unsigned i = 0; i < COUNT_OF(buckets); i++)
        left[count++] = rate_peek(request.rates, buckets[i], &day[FIFTY], START_US).full_in_us;
    for (uint64_t who = 71; who <= 73; who += 2) {
        for (unsigned window = 0; window < WINDOW_COUNT; window++) {
            uint64_t max[WINDOW_COUNT] = {0};
            max[window] = 1000;
            struct window_mark mark;
            left[count++] =
                window_charge(request.windows, who, max, START_US, &mark).rate.remaining;
            window_refund(request.windows, who, &mark, START_US);
        }
    }
}

/* Each row makes one limit the one that is used up by the second request. */
static void a_refusal_by_any_limit_leaves_all_others_as_they_were(void **state)
{
    (void)state;
    const struct {
        enum limit limit;
        struct rate *rate;
        uint64_t *number, times;
    } table[] = {
        {LIMIT_IP,          &settings.limits.ip,  NULL,                                       0},
        {LIMIT_IP_MINUTE,   NULL,                 &settings.security.max_requests_per_minute, 2},
        {LIMIT_IP_HOUR,     NULL,                 &settings.security.max_requests_per_hour,   2},
        {LIMIT_ROUTE,       &rows[PER_IP].rate,   NULL,                                       0},
        {LIMIT_ROUTE,       &rows[PER_KEY].rate,  NULL,                                       0},
        {LIMIT_ROUTE,       &rows[PER_USER].rate, NULL,                                       0},
        {LIMIT_ROUTE,       &rows[PER_ALL].rate,  NULL,                                       0},
        {LIMIT_KEY,         &settings.limits.key, NULL,                                       0},
        {LIMIT_USER_MINUTE, NULL,                 &settings.security.max_requests_per_minute, 1},
        {LIMIT_USER_HOUR,   NULL,                 &settings.security.max_requests_per_hour,   1},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct limits_held held;
        uint64_t before[LOOKED_AT], after[LOOKED_AT];
        set_up(NULL);
        if (table[i].rate)
            *table[i].rate = day[TWO];
        else
            *table[i].number = 2 / table[i].times;
        if (table[i].times == 2) /* the user's number would be used up first */
            request.user = 0;
        assert_int_equal(ask(&held), LIMIT_NONE);
        assert_int_equal(ask(&held), LIMIT_NONE);
        look(before);
        assert_int_equal(ask(&held), table[i].limit);
        assert_int_equal(held.count, 0);
        assert_true(held.retry_in_us > 0);
        look(after);
        assert_memory_equal(before, after, sizeof before);
        /* The refusing one is what is shown. */
        struct rate_verdict shown = limits_shown(&request, &held);
        assert_int_equal(shown.limit, 2);
        assert_int_equal(shown.remaining, 0);
        tear_down(NULL);
    }
}

static void the_tries_of_a_route_count_whatever_is_off(void **state)
{
    (void)state;
    struct limits_held held;
    settings.security.rate_limiting_enabled = false;
    settings.limits.ip = settings.limits.key = rows[0].rate = day[ONE];
    request.tries_rate = &day[TWO];
    assert_int_equal(ask(&held), LIMIT_NONE);
    assert_int_equal(limits_shown(&request, &held).remaining, 1);
    assert_int_equal(ask(&held), LIMIT_NONE);
    assert_int_equal(ask(&held), LIMIT_TRIES);
    request.tries_rate = NULL;
    assert_int_equal(ask(&held), LIMIT_NONE);
    assert_int_equal(limits_shown(&request, &held).limit, 0);
}

static void the_tightest_is_shown(void **state)
{
    (void)state;
    struct limits_held held;
    request.key = request.user = 0; /* not known yet */
    held = (struct limits_held){0};
    assert_int_equal(limits_shown(&request, &held).remaining, 50); /* what it would be charged to */
    assert_true(limits_charge_address(&request, &held));
    assert_int_equal(limits_shown(&request, &held).remaining, 49);
    settings.limits.routes[PER_IP].rate = (struct rate){10, DAY_US, 10};
    assert_true(limits_charge_address_route(&request, &held));
    assert_int_equal(limits_shown(&request, &held).limit, 10);
    /* What went back is shown no more, and what counts every request still is. */
    settings.limits.key = (struct rate){100, DAY_US, 5};
    limits_give_back_address(&request, &held);
    assert_int_equal(held.count, 1);
    request.key = 72;
    request.user = 73;
    struct rate_verdict shown = limits_shown(&request, &held); /* 5 of 100, before it is charged */
    assert_int_equal(shown.limit, 100);
    assert_int_equal(shown.remaining, 5);
    assert_true(limits_charge_caller(&request, &held));
    assert_int_equal(limits_shown(&request, &held).remaining, 4);
    settings.limits.ip.burst = 0;
    assert_int_equal(limits_shown(&request, &held).limit, 100);
}

static void what_the_address_paid_comes_back(void **state)
{
    (void)state;
    struct limits_held held = {0};
    uint64_t before[LOOKED_AT], after[LOOKED_AT];
    settings.limits.route_count = 0;
    look(before);
    assert_true(limits_charge_address(&request, &held));
    assert_int_equal(held.count, 2);
    limits_give_back_address(&request, &held);
    look(after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(held.count, 0);
}

static void rows_are_for_their_paths(void **state)
{
    (void)state;
    static char exact[] = "/v1/chat";
    struct limits_held held;
    settings.limits.ip = settings.limits.key = day[0];
    settings.security.max_requests_per_minute = settings.security.max_requests_per_hour = 0;
    rows[0] = (struct limit_route_settings){
        exact, {1, MINUTE_US, 1},
         PER_IP, 2000
    };
    settings.limits.route_count = 1;
    assert_int_equal(ask(&held), LIMIT_NONE);
    assert_int_equal(ask(&held), LIMIT_ROUTE);
    for (unsigned i = 0; i < 3; i++) {
        request.path = (struct slice[]){SLICE("/v1/chats"), SLICE("/v1/cha"), SLICE("/")}[i];
        assert_int_equal(ask(&held), LIMIT_NONE);
        assert_int_equal(limits_shown(&request, &held).limit, 50); /* the tries only */
    }
    /* Nobody's address: by Unix socket. */
    request.path = SLICE("/v1/chat");
    request.address = 0;
    assert_int_equal(ask(&held), LIMIT_NONE);
}

/* Whose requests are counted together. */
static void per_says_who(void **state)
{
    (void)state;
    static const struct {
        uint64_t address, key, user;
        bool admitted[4]; /* ip key user all, after a first request of 1 2 3 */
    } table[] = {
        {1, 2, 3, {false, false, false, false}},
        {9, 2, 3, {true, false, false, false} },
        {9, 8, 3, {true, true, false, false}  },
        {9, 8, 7, {true, true, true, false}   },
        {1, 0, 0, {false, true, true, false}  },
    };
    settings.limits.ip = settings.limits.key = day[0];
    settings.security.max_requests_per_minute = settings.security.max_requests_per_hour = 0;
    settings.limits.route_count = 1;
    for (unsigned per = 0; per < 4; per++) {
        for (size_t i = 0; i < COUNT_OF(table); i++) {
            struct limits_held held;
            rows[0] = (struct limit_route_settings){
                rows[1].path, {1, MINUTE_US, 1},
                 per, (10 * i + per + 1) << 16
            };
            request.address = 1, request.key = 2, request.user = 3;
            assert_int_equal(ask(&held), LIMIT_NONE);
            request.address = table[i].address;
            request.key = table[i].key;
            request.user = table[i].user;
            assert_int_equal(ask(&held) == LIMIT_NONE, table[i].admitted[per]);
        }
    }
}

/* As many rows as there can be, all about one path. */
static void as_many_rows_as_may_be(void **state)
{
    (void)state;
    static struct limit_route_settings many[LIMIT_ROUTES_MAX];
    struct limits_held held;
    for (unsigned i = 0; i < LIMIT_ROUTES_MAX; i++)
        many[i] = (struct limit_route_settings){rows[0].path, day[FIFTY], i % 4, 7000 + i};
    settings.limits.routes = many;
    settings.limits.route_count = LIMIT_ROUTES_MAX;
    assert_int_equal(ask(&held), LIMIT_NONE);
    assert_true(held.count <= LIMIT_CHARGES_MAX);
    many[LIMIT_ROUTES_MAX - 1].rate = day[ONE];
    assert_int_equal(ask(&held), LIMIT_ROUTE);
    assert_int_equal(held.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_by_any_limit_leaves_all_others_as_they_were),
        cmocka_unit_test_setup_teardown(the_tries_of_a_route_count_whatever_is_off, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_tightest_is_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_address_paid_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_are_for_their_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(per_says_who, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_many_rows_as_may_be, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
