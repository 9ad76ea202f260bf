#include "guard/login_rate.h"

#include "base/clock.h"
#include "base/hash.h"

static const struct rate login_rate = {.requests = 5, .period_us = 60 * SECOND_US, .burst = 5};

/* Three words, so that it is no other limit's identity: those are over two at most. */
static uint64_t identity(uint64_t from, struct slice name)
{
    const uint64_t words[3] = {from, hash_bytes(name), 0};
    return hash_bytes(slice_make((const char *)words, sizeof words));
}

struct rate_verdict login_charge(struct rate_table *table, uint64_t from, struct slice name,
                                 uint64_t now_us)
{
    return rate_charge(table, identity(from, name), &login_rate, now_us);
}

struct rate_verdict login_peek(struct rate_table *table, uint64_t from, struct slice name,
                               uint64_t now_us)
{
    return rate_peek(table, identity(from, name), &login_rate, now_us);
}

void login_refund(struct rate_table *table, uint64_t from, struct slice name, uint64_t now_us)
{
    rate_refund(table, identity(from, name), &login_rate, now_us);
}
