/* A worker's connections to one upstream, and where that upstream is. */
#ifndef GATEWAY_UPSTREAM_POOL_H
#define GATEWAY_UPSTREAM_POOL_H

#include "gateway/worker.h"
#include "io/resolver.h"

struct upstream_pool {
    struct list link;          /* in the worker's list */
    struct upstream *upstream; /* a reference */
    struct list idle;          /* connections, most recently used first */
    unsigned idle_count;
    unsigned active_count; /* connections that are not idle */
    struct endpoint_address addresses[LOOKUP_ADDRESSES_MAX];
    unsigned address_count;
    unsigned address_first; /* the one that was good last */
    uint64_t resolved_us;
    bool retired; /* its upstream left the configuration */
};

/* Finds or makes it; NULL: no memory. */
struct upstream_pool *upstream_pool_get(struct worker *worker, struct upstream *upstream);
/* Frees a retired pool once nothing uses it. */
void upstream_pool_drop_unused(struct upstream_pool *pool);

#endif
