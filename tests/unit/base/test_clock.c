/* Time: what is printed can be read, and what is no date is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "base/clock.h"

static void monotonic_time_never_goes_back(void **state)
{
    (void)state;
    uint64_t last = clock_now_us();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_now_us();
        assert_true(now >= last);
        last = now;
    }
    time_t before = time(NULL);
    uint64_t wall_s = clock_wall_us() / SECOND_US;
    assert_true(wall_s + 1 >= (uint64_t)before && wall_s <= (uint64_t)time(NULL) + 1);
}

static void credentials_are_judged_by_the_wall_clock_while_it_is_right(void **state)
{
    (void)state;
    uint64_t before = clock_wall_us() / SECOND_US - 1;
    uint64_t judged = clock_credential_s();
    assert_true(judged >= before && judged <= clock_wall_us() / SECOND_US);
}

static void a_time_to_come_is_told_from_a_neighbours_clock(void **state)
{
    (void)state;
    static const struct {
        uint64_t made, now;
        bool ahead;
    } rows[] = {
        {100,                    100,        false},
        {100,                    99,         false},
        {100 + CLOCK_SKEW_S,     100,        false},
        {100 + CLOCK_SKEW_S + 1, 100,        true },
        {0,                      UINT64_MAX, false},
        {UINT64_MAX,             0,          true },
        {UINT64_MAX,             UINT64_MAX, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(clock_is_ahead(rows[i].made, rows[i].now), rows[i].ahead);
}

static void times_are_printed_in_each_form(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        uint64_t wall_us;
        const char *rfc3339, *rfc3339_ms, *plain, *http;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", "1970-01-01 00:00:00",
         "Thu, 01 Jan 1970 00:00:00 GMT"},
        {UINT64_C(1762165800123999), "2025-11-03T10:30:00Z", "2025-11-03T10:30:00.123Z",
         "2025-11-03 10:30:00", "Mon, 03 Nov 2025 10:30:00 GMT"},
        {UINT64_C(1709210096007000), "2024-02-29T12:34:56Z", "2024-02-29T12:34:56.007Z",
         "2024-02-29 12:34:56", "Thu, 29 Feb 2024 12:34:56 GMT"},
        {UINT64_C(4102444799999999), "2099-12-31T23:59:59Z", "2099-12-31T23:59:59.999Z",
         "2099-12-31 23:59:59", "Thu, 31 Dec 2099 23:59:59 GMT"},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buffer) out = BUFFER_MAX(100);
        clock_print_rfc3339(&out, rows[i].wall_us);
        assert_string_equal(buffer_text_of(&out), rows[i].rfc3339);
        buffer_clear(&out);
        clock_print_rfc3339_ms(&out, rows[i].wall_us);
        assert_string_equal(buffer_text_of(&out), rows[i].rfc3339_ms);
        buffer_clear(&out);
        clock_print_plain(&out, rows[i].wall_us);
        assert_string_equal(buffer_text_of(&out), rows[i].plain);
        buffer_clear(&out);
        clock_print_http(&out, rows[i].wall_us);
        assert_string_equal(buffer_text_of(&out), rows[i].http);
    }
}

static void dates_are_read(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *text;
        uint64_t epoch_s;
    } rows[] = {
        {"1970-01-01T00:00:00Z",           0},
        {"1970-01-01T00:00:00-00:00",      0},
        {"1970-01-01T01:00:00+01:00",      0},
        {"1970-01-01T00:00:00-01:30",      5400},
        {"2025-11-03T10:30:00Z",           1762165800},
        {"2025-11-03t10:30:00z",           1762165800},
        {"2025-11-03T10:30:00.5Z",         1762165800},
        {"2025-11-03T10:30:00.999999999999Z", 1762165800},
        {"2025-11-03T16:00:00+05:30",      1762165800},
        {"2025-11-03T00:30:00-10:00",      1762165800},
        {"2024-02-29T00:00:00Z",           1709164800},
        {"2000-02-29T00:00:00Z",           951782400},
        {"2024-03-01T00:00:00+23:59",      1709251200 - 23 * 3600 - 59 * 60},
        {"2016-12-31T23:59:60Z",           1483228800}, /* leap second: the next minute's first */
        {"9999-12-31T23:59:59Z",           UINT64_C(253402300799)},
        {"9999-12-31T23:59:59+00:01",      UINT64_C(253402300739)},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t epoch_s = 1;
        enum err err = clock_parse_rfc3339(slice_of(rows[i].text), &epoch_s);
        if (err)
            print_error("%s\n", rows[i].text);
        assert_int_equal(err, OK);
        assert_int_equal(epoch_s, rows[i].epoch_s);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "2",
        "2025",
        "2025-11-03",
        "2025-11-03T10:30:00",
        "2025-11-03T10:30Z",
        "2025-11-03 10:30:00Z",
        " 2025-11-03T10:30:00Z",
        "2025-11-03T10:30:00Z ",
        "2025-11-03T10:30:00Zx",
        "2025/11/03T10:30:00Z",
        "2025-1-03T10:30:00Z",
        "02025-11-03T10:30:00Z",
        "-025-11-03T10:30:00Z",
        "+025-11-03T10:30:00Z",
        "2025-00-03T10:30:00Z",
        "2025-13-03T10:30:00Z",
        "2025-11-00T10:30:00Z",
        "2025-11-31T10:30:00Z",
        "2025-12-32T10:30:00Z",
        "2025-02-29T10:30:00Z",
        "2024-02-30T10:30:00Z",
        "2100-02-29T10:30:00Z",
        "2025-04-31T00:00:00Z",
        "2025-11-03T24:00:00Z",
        "2025-11-03T10:60:00Z",
        "2025-11-03T10:30:61Z",
        "2025-11-03T10:30:00.Z",
        "2025-11-03T10:30:00.",
        "2025-11-03T10:30:00.5",
        "2025-11-03T10:30:00,5Z",
        "2025-11-03T10:30:00+01",
        "2025-11-03T10:30:00+0100",
        "2025-11-03T10:30:00+01:0",
        "2025-11-03T10:30:00+01:000",
        "2025-11-03T10:30:00+24:00",
        "2025-11-03T10:30:00+99:99",
        "2025-11-03T10:30:00-01:60",
        "2025-11-03T10:30:00Z+01:00",
        "2025-11-03T10:30:00--1:00",
        "2025-11-03T1 :30:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01", /* in the year 10000 */
        "0000-01-01T00:00:00Z",
        "now",
        "1762165800",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t epoch_s = 7;
        if (clock_parse_rfc3339(slice_of(rows[i]), &epoch_s) != ERR_SYNTAX)
            fail_msg("\"%s\" was read as %llu", rows[i], (unsigned long long)epoch_s);
        assert_int_equal(epoch_s, 7);
    }
    uint64_t epoch_s;
    assert_int_equal(clock_parse_rfc3339(SLICE("2025-11-03T10:30:00\0Z"), &epoch_s), ERR_SYNTAX);
    assert_int_equal(clock_parse_rfc3339(slice_make(NULL, 0), &epoch_s), ERR_SYNTAX);
}

/* Every day of a good century, there and back. */
static void every_day_comes_back(void **state)
{
    (void)state;
    for (uint64_t s = 43200; s < UINT64_C(4200000000); s += 86400 + 61) {
        AUTO(buffer) out = BUFFER_MAX(100);
        uint64_t back = 0;
        clock_print_rfc3339(&out, s * SECOND_US);
        assert_int_equal(clock_parse_rfc3339(buffer_slice(&out), &back), OK);
        assert_int_equal(back, s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(credentials_are_judged_by_the_wall_clock_while_it_is_right),
        cmocka_unit_test(a_time_to_come_is_told_from_a_neighbours_clock),
        cmocka_unit_test(times_are_printed_in_each_form),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(every_day_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
