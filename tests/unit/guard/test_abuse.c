/* What is counted against whom, for how long, and that nobody else pays for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "guard/abuse.h"

#define START_US (1000 * SECOND_US)

static struct settings settings;

static int set_up(void **state)
{
    hash_seed();
    settings.abuse.threshold_errors = 5;
    settings.abuse.window_seconds = 30;
    settings.abuse.login_spray = PATTERN_BAN;
    settings.abuse.model_enumeration = PATTERN_FLAG;
    *state = abuse_create();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    abuse_destroy(*state);
    return 0;
}

static bool err_at(struct abuse *abuse, uint64_t identity, uint64_t seconds)
{
    return abuse_error(abuse, &settings, identity, START_US + seconds * SECOND_US);
}

static void the_fifth_error_within_thirty_seconds_is_one_too_many(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        assert_false(err_at(*state, 7, i * 5));
    assert_true(err_at(*state, 7, 20));
}

static void an_error_that_is_older_than_the_window_never_counts(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        assert_false(err_at(*state, 7, 0));
    assert_false(err_at(*state, 7, 31));
    for (unsigned i = 0; i < 1000; i++) /* four in any thirty seconds, for hours */
        assert_false(err_at(*state, 8, 100 + i * 8));
}

static void the_count_begins_anew_behind_a_ban(void **state)
{
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(err_at(*state, 7, 0), i == 4);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(err_at(*state, 7, 1), i == 4);
}

static void nobody_pays_for_others(void **state)
{
    for (unsigned round = 0; round < 4; round++)
        for (uint64_t who = 1; who < 1000; who++)
            assert_false(err_at(*state, who * 0x9e3779b97f4a7c15, round));
}

static void a_threshold_of_none_bans_nobody(void **state)
{
    settings.abuse.threshold_errors = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_false(err_at(*state, 7, 0));
    settings.abuse.threshold_errors = 1;
    assert_true(err_at(*state, 7, 0));
    settings.abuse.threshold_errors = 10000;
    for (unsigned i = 1; i <= 10000; i++)
        assert_int_equal(err_at(*state, 7, 0), i == 10000);
}

/* A clock of another loop may be a little behind. */
static void a_late_clock_counts_too(void **state)
{
    assert_false(err_at(*state, 7, 10));
    for (unsigned i = 0; i < 3; i++)
        assert_false(err_at(*state, 7, 8));
    assert_true(err_at(*state, 7, 9));
}

/* Else what was counted before would never leave. */
static void a_longer_window_after_a_reload_begins_anew(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        assert_false(err_at(*state, 7, 0));
    settings.abuse.window_seconds = 3600;
    assert_int_equal(abuse_tracked(*state, &settings, START_US), 0);
    for (unsigned i = 1; i < 100; i++) /* four in any hour, for days */
        assert_false(err_at(*state, 7, i * 1200));
    settings.abuse.window_seconds = 30;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(err_at(*state, 7, 120000), i == 4);
}

static void a_flood_of_strangers_does_not_push_out_who_errs_most(void **state)
{
    for (unsigned i = 0; i < 4; i++)
        assert_false(err_at(*state, 7, 0));
    for (uint64_t who = 1; who < 400000; who++)
        err_at(*state, who * 0x9e3779b97f4a7c15, 1);
    assert_true(err_at(*state, 7, 2));
}

static void the_tracked_are_those_of_the_window(void **state)
{
    assert_int_equal(abuse_tracked(*state, &settings, START_US), 0);
    err_at(*state, 7, 0);
    err_at(*state, 7, 0);
    err_at(*state, 8, 20);
    assert_int_equal(abuse_tracked(*state, &settings, START_US + 20 * SECOND_US), 2);
    assert_int_equal(abuse_tracked(*state, &settings, START_US + 40 * SECOND_US), 1);
    assert_int_equal(abuse_tracked(*state, &settings, START_US + 60 * SECOND_US), 0);
}

/* After how many different things it is told, if ever. */
static unsigned told_after(struct abuse *abuse, enum abuse_pattern pattern, uint64_t identity,
                           unsigned different, uint64_t at_us)
{
    for (unsigned i = 1; i <= different; i++) {
        uint64_t item = hash_bytes(slice_make((const char *)&i, sizeof i));
        if (abuse_seen(abuse, pattern, identity, item, at_us))
            return i;
    }
    return 0;
}

static void many_different_things_are_told_once(void **state)
{
    for (uint64_t who = 1; who <= 50; who++) {
        unsigned after = told_after(*state, ABUSE_LOGIN_SPRAY, who, 30, START_US);
        assert_true(after >= 10 && after <= 12); /* two may look like one, never one like two */
        assert_int_equal(told_after(*state, ABUSE_LOGIN_SPRAY, who, 40, START_US), 0);
    }
    assert_true(told_after(*state, ABUSE_LOGIN_SPRAY, 1, 30, START_US + 600 * SECOND_US));
}

static void the_same_thing_is_none_of_many(void **state)
{
    for (unsigned i = 0; i < 10000; i++)
        assert_false(abuse_seen(*state, ABUSE_KEY_ADDRESSES, 7, i % 19, START_US));
    assert_true(abuse_seen(*state, ABUSE_KEY_ADDRESSES, 7, 19, START_US));
}

static void patterns_do_not_mix(void **state)
{
    assert_int_equal(told_after(*state, ABUSE_LOGIN_SPRAY, 7, 9, START_US), 0);
    assert_int_equal(told_after(*state, ABUSE_MODEL_ENUMERATION, 7, 19, START_US), 0);
    assert_int_equal(told_after(*state, ABUSE_MODEL_ENUMERATION, 8, 19, START_US), 0);
}

static void each_has_its_name_and_its_option(void **state)
{
    char text[64];
    (void)state;
    assert_string_equal(abuse_pattern_name(ABUSE_LOGIN_SPRAY), "login_spray");
    assert_int_equal(abuse_action(&settings, ABUSE_LOGIN_SPRAY), PATTERN_BAN);
    assert_int_equal(abuse_action(&settings, ABUSE_MODEL_ENUMERATION), PATTERN_FLAG);
    assert_int_equal(abuse_action(&settings, ABUSE_KEY_ADDRESSES), PATTERN_OFF);
    abuse_print_reason(&settings, text, sizeof text);
    assert_string_equal(text, "5 errors in 30s");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_fifth_error_within_thirty_seconds_is_one_too_many),
        TEST(an_error_that_is_older_than_the_window_never_counts),
        TEST(the_count_begins_anew_behind_a_ban),
        TEST(nobody_pays_for_others),
        TEST(a_threshold_of_none_bans_nobody),
        TEST(a_longer_window_after_a_reload_begins_anew),
        TEST(a_late_clock_counts_too),
        TEST(a_flood_of_strangers_does_not_push_out_who_errs_most),
        TEST(the_tracked_are_those_of_the_window),
        TEST(many_different_things_are_told_once),
        TEST(the_same_thing_is_none_of_many),
        TEST(patterns_do_not_mix),
        TEST(each_has_its_name_and_its_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
