#include "gateway/upstream_pool.h"

#include <stdlib.h>

#include "gateway/upstream_request.h"

static bool in_snapshot(const struct snapshot *snapshot, const struct upstream *upstream)
{
    for (unsigned i = 0; i < snapshot->upstream_count; i++)
        if (snapshot->upstreams[i] == upstream)
            return true;
    return false;
}

struct upstream_pool *upstream_pool_get(struct worker *worker, struct upstream *upstream)
{
    LIST_EACH(link, &worker->upstream_pools)
    {
        struct upstream_pool *pool = LIST_OF(link, struct upstream_pool, link);
        if (pool->upstream == upstream)
            return pool;
    }
    struct upstream_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    upstream_ref(upstream);
    pool->upstream = upstream;
    list_init(&pool->idle);
    pool->retired = !in_snapshot(worker->use->snapshot, upstream); /* the exchange is older */
    list_append(&worker->upstream_pools, &pool->link);
    return pool;
}

void upstream_pool_drop_unused(struct upstream_pool *pool)
{
    if (!pool->retired || pool->idle_count || pool->active_count)
        return;
    list_remove(&pool->link);
    upstream_unref(pool->upstream);
    free(pool);
}

static void retire(struct upstream_pool *pool)
{
    pool->retired = true;
    pool->active_count++; /* keeps the pool while its idle connections go */
    LIST_EACH(link, &pool->idle)
    upstream_connection_close(LIST_OF(link, struct upstream_connection, link));
    pool->active_count--;
    upstream_pool_drop_unused(pool);
}

void upstream_pools_retire(struct worker *worker, const struct snapshot *snapshot)
{
    LIST_EACH(link, &worker->upstream_pools)
    {
        struct upstream_pool *pool = LIST_OF(link, struct upstream_pool, link);
        if (!in_snapshot(snapshot, pool->upstream))
            retire(pool);
    }
}

void upstream_pools_finish(struct worker *worker)
{
    LIST_EACH(link, &worker->upstream_pools)
    retire(LIST_OF(link, struct upstream_pool, link));
}
