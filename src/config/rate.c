/* Reads "60/minute". Called by the option table for every rate option. Its one hard problem: to
 * refuse numbers that guard/rate.c could not keep exactly. */
#include "config/rate.h"

#include "base/clock.h"

/* Period words as Caddy, nginx and slowapi know them. */
static const struct {
    const char *word;
    uint64_t seconds;
} periods[] = {
    {"s",      1    },
    {"sec",    1    },
    {"second", 1    },
    {"m",      60   },
    {"min",    60   },
    {"minute", 60   },
    {"h",      3600 },
    {"hour",   3600 },
    {"d",      86400},
    {"day",    86400},
};

enum err rate_parse(struct slice text, struct rate *rate)
{
    struct slice word = text;
    struct slice number = slice_trim(slice_cut(&word, '/'));
    word = slice_trim(word);
    for (unsigned i = 0; i < COUNT_OF(periods); i++) {
        if (!slice_equal_nocase(word, slice_of(periods[i].word)))
            continue;
        uint64_t requests, period_us = periods[i].seconds * SECOND_US;
        /* More than one request per microsecond is beyond what a bucket can tell apart. */
        if (!slice_number(number, period_us, &requests))
            return ERR_SYNTAX;
        *rate = (struct rate){requests, period_us, requests};
        return OK;
    }
    return ERR_SYNTAX;
}
