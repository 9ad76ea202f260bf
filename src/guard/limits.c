/* The limits of a request. Each is charged at once, not looked at first: between a look and a
 * charge another loop's request would get in. What a later limit refuses is given back, so that at
 * worst a neighbour is refused the last token for as long as that takes. */
#include "guard/limits.h"

#include "proto/target.h"

static bool is_of_address(enum limit limit)
{
    return limit <= LIMIT_IP_HOUR;
}

static void give_back(const struct limit_request *request, const struct limit_charge *charge)
{
    if (charge->rate)
        rate_refund(request->rates, charge->identity, charge->rate, request->now_us);
    else
        window_refund(request->windows, charge->identity, &charge->mark, request->now_us);
}

void limits_give_back_all(const struct limit_request *request, struct limits_held *held)
{
    while (held->count)
        give_back(request, &held->charges[--held->count]);
    held->of_address = held->of_others = (struct rate_verdict){0};
}

void limits_give_back_address(const struct limit_request *request, struct limits_held *held)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < held->count; i++) {
        if (is_of_address(held->charges[i].limit))
            give_back(request, &held->charges[i]);
        else
            held->charges[kept++] = held->charges[i];
    }
    held->count = kept;
    held->of_address = (struct rate_verdict){0};
}

static void tighten(struct rate_verdict *shown, const struct rate_verdict *verdict)
{
    if (verdict->limit && (shown->limit == 0 || rate_tighter(verdict, shown)))
        *shown = *verdict;
}

/* Holds the charge, which was written behind the last one; or refuses, which is all that the caller
 * is told then. */
static bool settle(const struct limit_request *request, struct limits_held *held, enum limit limit,
                   const struct rate_verdict *verdict)
{
    if (verdict->admitted) {
        tighten(is_of_address(limit) ? &held->of_address : &held->of_others, verdict);
        held->charges[held->count++].limit = limit;
        return true;
    }
    limits_give_back_all(request, held);
    held->of_others = *verdict;
    held->refused = limit;
    held->retry_in_us = verdict->retry_in_us;
    return false;
}

static bool charge_bucket(const struct limit_request *request, struct limits_held *held,
                          enum limit limit, uint64_t identity, const struct rate *rate)
{
    if (identity == 0 || rate->requests == 0)
        return true;
    held->charges[held->count].identity = identity;
    held->charges[held->count].rate = rate;
    const struct rate_verdict verdict =
        rate_charge(request->rates, identity, rate, request->now_us);
    return settle(request, held, limit, &verdict);
}

/* `limit` is that of the minute; `times`: how often a user's number it is. */
static bool charge_windows(const struct limit_request *request, struct limits_held *held,
                           enum limit limit, uint64_t identity, uint64_t times)
{
    const struct settings *settings = request->settings;
    const uint64_t max[WINDOW_COUNT] = {
        [WINDOW_MINUTE] = settings->security.max_requests_per_minute * times,
        [WINDOW_HOUR] = settings->security.max_requests_per_hour * times,
    };
    if (identity == 0 || (max[WINDOW_MINUTE] == 0 && max[WINDOW_HOUR] == 0))
        return true;
    struct limit_charge *charge = &held->charges[held->count];
    charge->identity = identity;
    charge->rate = NULL;
    const struct window_verdict verdict =
        window_charge(request->windows, identity, max, request->now_us, &charge->mark);
    return settle(request, held, limit + verdict.window, &verdict.rate);
}

/* Whose requests a row counts together; who is not known is their address. */
static uint64_t counted_as(const struct limit_request *request, enum limit_per per)
{
    switch (per) {
    case PER_KEY:
        return request->key ? request->key : request->address;
    case PER_USER:
        return request->user ? request->user : request->address;
    default:
        return request->address;
    }
}

/* The rows of one step: those per address, or the others. */
static bool charge_routes(const struct limit_request *request, struct limits_held *held,
                          bool per_address)
{
    const struct settings *settings = request->settings;
    for (unsigned i = 0; i < settings->limits.route_count; i++) {
        const struct limit_route_settings *row = &settings->limits.routes[i];
        if ((row->per == PER_IP) != per_address || !path_fits(request->path, slice_of(row->path)))
            continue;
        uint64_t who = counted_as(request, row->per);
        /* Both are hashes that nobody outside can choose, and so is this. */
        uint64_t identity = row->per == PER_ALL ? row->identity : who ? who ^ row->identity : 0;
        if (!charge_bucket(request, held, LIMIT_ROUTE, identity, &row->rate))
            return false;
    }
    return true;
}

static bool is_off(const struct limit_request *request)
{
    return !request->settings->security.rate_limiting_enabled;
}

bool limits_charge_address(const struct limit_request *request, struct limits_held *held)
{
    return is_off(request) || (charge_bucket(request, held, LIMIT_IP, request->address,
                                             &request->settings->limits.ip) &&
                               charge_windows(request, held, LIMIT_IP_MINUTE, request->address, 2));
}

bool limits_charge_address_route(const struct limit_request *request, struct limits_held *held)
{
    return is_off(request) || charge_routes(request, held, true);
}

bool limits_charge_caller(const struct limit_request *request, struct limits_held *held)
{
    /* Guessing passwords is held back whatever is switched off. */
    if (request->tries_rate &&
        !charge_bucket(request, held, LIMIT_TRIES, request->tries, request->tries_rate))
        return false;
    return is_off(request) ||
           (charge_bucket(request, held, LIMIT_KEY, request->key, request->key_rate) &&
            charge_windows(request, held, LIMIT_USER_MINUTE, request->user, 1) &&
            charge_routes(request, held, false));
}

static bool is_charged(const struct limits_held *held, enum limit limit)
{
    for (unsigned i = 0; i < held->count; i++)
        if (held->charges[i].limit == limit)
            return true;
    return false;
}

/* Whoever is charged nothing, or not yet, is shown the bucket that they would be charged to. */
struct rate_verdict limits_shown(const struct limit_request *request,
                                 const struct limits_held *held)
{
    struct rate_verdict shown = held->of_others;
    tighten(&shown, &held->of_address);
    if (held->refused || is_off(request) || is_charged(held, request->key ? LIMIT_KEY : LIMIT_IP))
        return shown;
    uint64_t identity = request->key ? request->key : request->address;
    struct rate_verdict bucket = {0};
    if (identity)
        bucket = rate_peek(request->rates, identity,
                           request->key ? request->key_rate : &request->settings->limits.ip,
                           request->now_us);
    tighten(&shown, &bucket);
    return shown;
}
