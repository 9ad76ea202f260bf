/* /metrics: Prometheus text for whoever asks for it, document 004's JSON for everybody else. */
#include "api/routes.h"
#include "base/clock.h"
#include "gateway/denylist_file.h"

enum { METRICS_BYTES_MAX = 4 * 1024 * 1024 };

bool metrics_admit(const struct exchange *x)
{
    const struct cidr_list *allow = &exchange_settings(x)->metrics.allow;
    return cidrs_contain(allow->items, allow->count, &x->client);
}

static void answer(struct exchange *x, const char *type,
                   void (*print)(const struct recorder *, const struct metrics_gauges *,
                                 struct buffer *))
{
    const struct shared *shared = x->worker->shared;
    const struct settings *settings = exchange_settings(x);
    struct audit *audit = shared_audit(shared);
    struct denylist_counts denied = denylist_count(shared->denylist);
    const struct rate_table_facts rates = rate_table_facts(shared->rates);
    struct metrics_gauges gauges = {
        .connections = atomic_load_explicit(&shared->connections, memory_order_relaxed),
        .exchanges = atomic_load_explicit(&shared->exchanges, memory_order_relaxed),
        .body_memory_bytes =
            atomic_load_explicit(&shared->request_bodies.used_bytes, memory_order_relaxed),
        .keys = keyring_count(shared->keyring),
        .audit_dropped = audit ? audit_dropped(audit) : 0,
        .audit_failing = audit && audit_failing(audit),
        .denied = {denied.entries[DENY_ADDRESS], denied.entries[DENY_RANGE],
                   denied.entries[DENY_KEY]},
        .bans = denied.banned,
        .bans_refused = denied.refused,
        .denylist_failing = denied.failing,
        .abuse_tracked = abuse_tracked(shared->abuse, settings, x->worker->loop.now_us),
        .threshold_errors = settings->abuse.threshold_errors,
        .window_seconds = settings->abuse.window_seconds,
        .rate_cells = rates.open_cells,
        .rate_evictions = rates.evictions,
        .started_epoch_s = shared->started_epoch_s,
        .version = shared->version,
    };
    for (unsigned i = 0; i < ABUSE_PATTERN_COUNT; i++)
        gauges.abuse_flags[i] = abuse_flags(shared->abuse, i);
    AUTO(buffer) body = BUFFER_MAX(METRICS_BYTES_MAX);
    print(shared->recorder, &gauges, &body);
    if (body.failed) {
        refuse(x, REFUSE_OVERLOADED);
        exchange_refuse(x);
        return;
    }
    exchange_answer(x, 200, type, buffer_slice(&body));
}

void answer_metrics_prometheus(struct exchange *x)
{
    answer(x, "text/plain; version=0.0.4; charset=utf-8", metrics_print_prometheus);
}

void answer_metrics_json(struct exchange *x)
{
    answer(x, "application/json", metrics_print_json);
}

static bool names(struct slice accept, const char *type)
{
    return accept.len && memmem(accept.ptr, accept.len, type, strlen(type));
}

void answer_metrics(struct exchange *x)
{
    if (names(x->head->accept, "text/plain") || names(x->head->accept, "openmetrics"))
        answer_metrics_prometheus(x);
    else
        answer_metrics_json(x);
}
