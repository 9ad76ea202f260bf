/* A rate as people write it in settings: "60/minute". The limits themselves are guard/rate.h. */
#ifndef CONFIG_RATE_H
#define CONFIG_RATE_H

#include "base/err.h"
#include "base/slice.h"

/* n per period, with room for `burst` at once. Zero requests: no limit. */
struct rate {
    uint64_t requests;
    uint64_t period_us;
    uint64_t burst;
};

/* "60/minute", "10/s", "1000/hour", "5/day"; period words as Caddy and slowapi know them
 * (s|sec|second, m|min|minute, h|hour, d|day). `burst` is set to n. ERR_SYNTAX. */
enum err rate_parse(struct slice text, struct rate *rate) MUST_CHECK;

#endif
