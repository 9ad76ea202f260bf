#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/rate.h"

static void reads_rates_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t requests, seconds;
    } good[] = {
        {"60/minute",   60,      60   },
        {"10/s",        10,      1    },
        {"1000/hour",   1000,    3600 },
        {"5/day",       5,       86400},
        {"5/d",         5,       86400},
        {"7/sec",       7,       1    },
        {"7/second",    7,       1    },
        {"7/m",         7,       60   },
        {"7/min",       7,       60   },
        {"7/h",         7,       3600 },
        {"60 / Minute", 60,      60   },
        {"0/minute",    0,       60   },
        {"1000000/s",   1000000, 1    },
    };
    for (unsigned i = 0; i < COUNT_OF(good); i++) {
        struct rate rate = {0};
        assert_int_equal(rate_parse(slice_of(good[i].text), &rate), OK);
        assert_int_equal(rate.requests, good[i].requests);
        assert_int_equal(rate.period_us, good[i].seconds * 1000000);
        assert_int_equal(rate.burst, good[i].requests);
    }
}

static void refuses_what_is_no_rate(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "60",
        "/minute",
        "60/",
        "-1/minute",
        "1.5/minute",
        "60/fortnight",
        "60//m",
        "60/minutes",
        "6e1/minute",
        "1000001/s",
        "60/m/m",
        "99999999999999999999/day",
    };
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        struct rate rate = {0};
        if (rate_parse(slice_of(bad[i]), &rate) != ERR_SYNTAX)
            fail_msg("\"%s\" was taken for a rate", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rates_as_people_write_them),
        cmocka_unit_test(refuses_what_is_no_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
