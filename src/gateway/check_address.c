/* Where the request comes from: how much that address may ask at all. Comes first, so that a flood
 * costs us no more than this. */
#include "gateway/gate.h"
#include "guard/cors.h"

void exchange_show_limit(struct exchange *x, const struct rate_verdict *verdict)
{
    if (verdict->limit == 0)
        return;
    /* Least remaining share: a/b < c/d without dividing. */
    if (!x->has_shown ||
        verdict->remaining * x->shown.limit < x->shown.remaining * verdict->limit) {
        x->shown = *verdict;
        x->has_shown = true;
    }
}

enum verdict charge_address(struct exchange *x)
{
    if (x->client.family == ADDRESS_UNIX)
        return PASS;
    struct rate_verdict verdict =
        rate_charge(x->worker->shared->rates, x->client_hash, &exchange_settings(x)->limits.ip,
                    x->worker->loop.now_us);
    exchange_show_limit(x, &verdict);
    if (verdict.admitted) {
        x->address_charged = true;
        return PASS;
    }
    x->retry_after_s = (verdict.retry_in_us + 999999) / 1000000;
    return refuse(x, REFUSE_IP_RATE);
}

void show_address_limit(struct exchange *x)
{
    if (x->client.family == ADDRESS_UNIX)
        return;
    struct rate_verdict verdict =
        rate_peek(x->worker->shared->rates, x->client_hash, &exchange_settings(x)->limits.ip,
                  x->worker->loop.now_us);
    exchange_show_limit(x, &verdict);
}

enum verdict check_address(struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    const struct native_route *open = find_open_route(x);
    if (check_ban_of_client(x) == REFUSE)
        return REFUSE;
    if (x->over_limit && !open)
        return refuse(x, REFUSE_OVERLOADED);
    if (x->client.family == ADDRESS_UNIX)
        return PASS;
    if (open && !open->charged) { /* health checks and the like are charged to nobody */
        show_address_limit(x);
        return PASS;
    }
    uint64_t in_flight_max = settings->limits.requests_in_flight_per_ip;
    if (in_flight_max) {
        if (!caps_take(x->worker->shared->caps, CAP_REQUESTS, x->client_hash, in_flight_max))
            return refuse(x, REFUSE_TOO_MANY_IN_FLIGHT);
        x->in_flight_counted = true;
    }
    if (cors_is_preflight(settings, x->head)) { /* the page's own request will be charged */
        show_address_limit(x);
        return PASS;
    }
    return charge_address(x);
}
