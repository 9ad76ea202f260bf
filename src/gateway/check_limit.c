/* How much this caller may ask: the limits of the key or the account, of the user, and of what is
 * asked for. A key's own rate goes before the one of all keys, whether it is lower or higher. */
#include "base/clock.h"
#include "base/hash.h"
#include "gateway/gate.h"

/* By the route's label: two paths for the same are one way in. */
static uint64_t tries_of(const struct exchange *x)
{
    const uint64_t words[2] = {x->client_hash, hash_bytes(slice_of(x->native->name))};
    return hash_bytes(slice_make((const char *)words, sizeof words));
}

struct limit_request limit_request_of(const struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    const struct principal *principal = &x->principal;
    const struct api_key *key = principal->key;
    struct limit_request request = {
        .rates = x->worker->shared->rates,
        .windows = x->worker->shared->windows,
        .settings = settings,
        .now_us = x->worker->loop.now_us,
        .path = x->head ? x->head->path : slice_make(NULL, 0),
        .address = x->client.family == ADDRESS_UNIX ? 0 : x->client_hash,
        .key = principal->rate_hash,
        .user = principal->user_hash ? principal->user_hash : principal->rate_hash,
        .key_rate = key && key->rate.requests ? &key->rate : &settings->limits.key,
        .tries_rate = x->native ? x->native->tries : NULL,
    };
    if (request.tries_rate)
        request.tries = tries_of(x);
    return request;
}

static const enum refusal refusals[LIMIT_COUNT] = {
    [LIMIT_IP] = REFUSE_IP_RATE,
    [LIMIT_IP_MINUTE] = REFUSE_IP_MINUTE,
    [LIMIT_IP_HOUR] = REFUSE_IP_HOUR,
    [LIMIT_ROUTE] = REFUSE_ROUTE_RATE,
    [LIMIT_TRIES] = REFUSE_LOGIN_RATE,
    [LIMIT_KEY] = REFUSE_KEY_RATE,
    [LIMIT_USER_MINUTE] = REFUSE_USER_MINUTE,
    [LIMIT_USER_HOUR] = REFUSE_USER_HOUR,
};

enum verdict charge_limits(struct exchange *x, limits_charge_fn *charge)
{
    const struct limit_request request = limit_request_of(x);
    if (charge(&request, &x->limits))
        return PASS;
    x->retry_after_s = (x->limits.retry_in_us + SECOND_US - 1) / SECOND_US;
    return refuse(x, refusals[x->limits.refused]);
}

/* A caller without an identity is an address, whose requests in flight check_address counted. */
static bool take_parallel(struct exchange *x)
{
    uint64_t max = exchange_settings(x)->limits.parallel_per_key;
    if (max == 0 || x->principal.rate_hash == 0)
        return true;
    x->parallel_counted =
        caps_take(x->worker->shared->caps, CAP_REQUESTS, x->principal.rate_hash, max);
    return x->parallel_counted;
}

enum verdict check_limit(struct exchange *x)
{
    if (x->native && x->native->unlimited)
        return PASS;
    if (take_parallel(x))
        return charge_limits(x, limits_charge_caller);
    const struct limit_request request = limit_request_of(x);
    limits_give_back_all(&request, &x->limits);
    return refuse(x, REFUSE_KEY_PARALLEL);
}
