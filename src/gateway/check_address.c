/* Where the request comes from: how much that address may ask at all. Comes first, so that a flood
 * costs us no more than this. */
#include "gateway/gate.h"
#include "guard/cors.h"

static bool take_in_flight(struct exchange *x)
{
    uint64_t max = exchange_settings(x)->limits.requests_in_flight_per_ip;
    if (max == 0)
        return true;
    x->in_flight_counted = caps_take(x->worker->shared->caps, CAP_REQUESTS, x->client_hash, max);
    return x->in_flight_counted;
}

enum verdict check_address(struct exchange *x)
{
    const struct native_route *open = find_open_route(x);
    if (check_ban_of_client(x) == REFUSE)
        return REFUSE;
    if (x->over_limit && !open)
        return refuse(x, REFUSE_OVERLOADED);
    if (x->client.family == ADDRESS_UNIX)
        return PASS;
    /* Health checks and the like cost nothing; nor do preflights, whose page's own request will. */
    bool costs = !open || open->charged;
    if (costs && !take_in_flight(x))
        return refuse(x, REFUSE_TOO_MANY_IN_FLIGHT);
    if ((open && open->unlimited) || cors_is_preflight(exchange_settings(x), x->head))
        return PASS;
    if (costs && charge_limits(x, limits_charge_address) == REFUSE)
        return REFUSE;
    return charge_limits(x, limits_charge_address_route);
}
