/* All limits of one request: which there are, in which order they are charged, and what goes back.
 * A request that one of them refuses consumes nothing of the others. Pure; any thread. */
#ifndef GUARD_LIMITS_H
#define GUARD_LIMITS_H

#include "config/settings.h"
#include "guard/rate.h"
#include "guard/window.h"

/* In the order in which they are charged. */
enum limit {
    LIMIT_NONE,
    /* Of the address, which gets them back when it shows who it is. */
    LIMIT_IP,
    LIMIT_IP_MINUTE, /* twice security.max_requests_per_minute */
    LIMIT_IP_HOUR,   /* the one behind it, as below */
    /* The others stay, unless a later one refuses. */
    LIMIT_ROUTE, /* [[limits.route]] */
    LIMIT_TRIES, /* of a route that strangers may try their luck at: signing in */
    LIMIT_KEY,
    LIMIT_USER_MINUTE,
    LIMIT_USER_HOUR,
    LIMIT_COUNT
};

/* A request in front of its limits. Identities are hashes; 0: there is none. */
struct limit_request {
    struct rate_table *rates;
    struct window_table *windows;
    const struct settings *settings;
    uint64_t now_us;
    struct slice path;
    uint64_t address;
    uint64_t key;  /* of a caller who is known; 0 before */
    uint64_t user; /* whose key it is: many keys may be one user's */
    const struct rate *key_rate;
    const struct rate *tries_rate; /* NULL: none */
    uint64_t tries;
};

/* What one request was charged; all zero at first. A charge holds on to its rate, which must live
 * as long: the settings', the key's, or a static one. */
struct limit_charge {
    uint64_t identity;
    const struct rate *rate; /* NULL: it is of the windows */
    struct window_mark mark;
    enum limit limit;
};

enum { LIMIT_CHARGES_MAX = LIMIT_COUNT + LIMIT_ROUTES_MAX };

struct limits_held {
    enum limit refused; /* which one did */
    uint64_t retry_in_us;
    struct rate_verdict of_address, of_others; /* the tightest of each; limit 0: none yet */
    unsigned count;
    struct limit_charge charges[LIMIT_CHARGES_MAX]; /* the first `count` are set */
};

/* Each of these says whether the request is admitted. If not, all that was charged before is given
 * back, and `refused` and `retry_in_us` say why not. */
typedef bool limits_charge_fn(const struct limit_request *request, struct limits_held *held);
limits_charge_fn limits_charge_address;       /* its bucket and its windows */
limits_charge_fn limits_charge_address_route; /* [[limits.route]] with per = "ip" */
limits_charge_fn limits_charge_caller;        /* all others */

/* The address has shown who it is: that is charged to the caller instead. */
void limits_give_back_address(const struct limit_request *request, struct limits_held *held);
/* Something else refuses the request for now. */
void limits_give_back_all(const struct limit_request *request, struct limits_held *held);

/* The limit with the least remaining share, be it charged or not; limit 0: there is none. */
struct rate_verdict limits_shown(const struct limit_request *request,
                                 const struct limits_held *held);

#endif
