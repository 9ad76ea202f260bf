/* Renders the counters: Prometheus' text format 0.0.4, drawn from one table of metrics, and
 * document 004's JSON. Called by the native endpoint /metrics. The hard problem is that each ring
 * has tables of its own: a combination that two rings know must still be printed once, with its
 * sum. */
#include <stdlib.h>

#include "record/metrics.h"

/* What a row of the table prints from. */
struct view {
    const struct recorder *recorder;
    unsigned rings;
    const struct metrics_gauges *gauges;
    struct buffer *out;
    const char *name;
};

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static const struct counters *ring_of(const struct view *view, unsigned i)
{
    return recorder_counters(view->recorder, i);
}

static void print_plain(const struct view *view, uint64_t value)
{
    buffer_text(view->out, view->name);
    buffer_byte(view->out, ' ');
    buffer_number(view->out, value);
    buffer_byte(view->out, '\n');
}

static void print_series(const struct view *view, const char *method, const char *status,
                         const char *handler, uint64_t count)
{
    buffer_printf(view->out, "%s{method=\"%s\",status=\"%s\",handler=\"%s\"} %llu\n", view->name,
                  method, status, handler, (unsigned long long)count);
}

/* One combination as ring `ring` knows it, added up over all rings, unless an earlier one had it.
 */
static void print_combination(const struct view *view, unsigned ring, uint32_t key)
{
    const char *handler = atomic_load_explicit(
        &ring_of(view, ring)->handlers[series_handler(key)].name, memory_order_acquire);
    unsigned method = series_method(key), status = series_status(key);
    uint64_t sum = 0;
    for (unsigned i = 0; i < view->rings; i++) {
        uint64_t count = counters_find(ring_of(view, i), handler, method, status);
        if (count && i < ring)
            return;
        sum += count;
    }
    char text[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10), '\0'};
    print_series(view, metrics_method_name(method), text, handler, sum);
}

static void print_requests(const struct view *view)
{
    uint64_t overflow = 0;
    for (unsigned i = 0; i < view->rings; i++) {
        const struct counters *counters = ring_of(view, i);
        overflow += get(&counters->series_overflow);
        for (unsigned slot = 0; slot < SERIES_SLOTS; slot++) {
            uint32_t key = atomic_load_explicit(&counters->series[slot].key, memory_order_acquire);
            if (key && get(&counters->series[slot].count))
                print_combination(view, i, key);
        }
    }
    if (overflow)
        print_series(view, "other", "other", "other", overflow);
}

/* Adds `from` to the plain numbers of `sums`. */
struct histogram_sums {
    uint64_t buckets[BUCKETS_MAX], sum_us;
};

static void add_histogram(struct histogram_sums *sums, const struct histogram *from)
{
    for (unsigned i = 0; i < BUCKETS_MAX; i++)
        sums->buckets[i] += get(&from->buckets[i]);
    sums->sum_us += get(&from->sum_us);
}

/* `label` is `handler="x"` or empty. */
static void print_histogram(const struct view *view, const struct histogram_sums *sums,
                            const struct bucket_bound *bounds, const char *label)
{
    uint64_t total = 0;
    const char *comma = *label ? "," : "", *open = *label ? "{" : "", *close = *label ? "}" : "";
    for (unsigned i = 0;; i++) {
        total += sums->buckets[i];
        buffer_printf(view->out, "%s_bucket{%s%sle=\"%s\"} %llu\n", view->name, label, comma,
                      bounds[i].le, (unsigned long long)total);
        if (bounds[i].upto_us == UINT64_MAX)
            break;
    }
    buffer_printf(view->out, "%s_sum%s%s%s %llu.%06llu\n", view->name, open, label, close,
                  (unsigned long long)(sums->sum_us / 1000000),
                  (unsigned long long)(sums->sum_us % 1000000));
    buffer_printf(view->out, "%s_count%s%s%s %llu\n", view->name, open, label, close,
                  (unsigned long long)total);
}

static const struct histogram *find_duration(const struct counters *counters, const char *handler)
{
    for (unsigned i = 0; i < HANDLERS_MAX; i++) {
        const char *name = atomic_load_explicit(&counters->handlers[i].name, memory_order_acquire);
        if (!name)
            return NULL;
        if (strcmp(name, handler) == 0)
            return &counters->handlers[i].duration;
    }
    return NULL;
}

static void print_handler_duration(const struct view *view, unsigned ring, const char *handler)
{
    struct histogram_sums sums = {0};
    uint64_t seen = 0;
    for (unsigned i = 0; i < view->rings; i++) {
        const struct histogram *histogram = find_duration(ring_of(view, i), handler);
        if (histogram && i < ring)
            return; /* printed with the earlier ring */
        if (histogram)
            add_histogram(&sums, histogram);
    }
    for (unsigned i = 0; i < BUCKETS_MAX; i++)
        seen += sums.buckets[i];
    if (seen == 0)
        return;
    char label[128];
    struct buffer text = BUFFER_OVER(label, sizeof label);
    buffer_printf(&text, "handler=\"%s\"", handler);
    print_histogram(view, &sums, duration_bounds, buffer_text_of(&text));
}

static void print_durations(const struct view *view)
{
    for (unsigned i = 0; i < view->rings; i++) {
        for (unsigned h = 0; h < HANDLERS_MAX; h++) {
            const char *name =
                atomic_load_explicit(&ring_of(view, i)->handlers[h].name, memory_order_acquire);
            if (!name)
                break;
            print_handler_duration(view, i, name);
        }
    }
}

static void print_overhead(const struct view *view)
{
    struct histogram_sums sums = {0};
    for (unsigned i = 0; i < view->rings; i++)
        add_histogram(&sums, &ring_of(view, i)->overhead);
    print_histogram(view, &sums, overhead_bounds, "");
}

/* Every reason is printed, at 0 too, so that an alert can be written before the first refusal. */
static void print_refusals(const struct view *view)
{
    for (unsigned refusal = 0; refusal < REFUSAL_COUNT; refusal++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < view->rings; i++)
            sum += get(&ring_of(view, i)->refusals[refusal]);
        const char *reason =
            refusal == REFUSE_NONE ? "other" : refusal_get((enum refusal)refusal)->reason;
        buffer_printf(view->out, "%s{reason=\"%s\"} %llu\n", view->name, reason,
                      (unsigned long long)sum);
    }
}

static void print_events(const struct view *view)
{
    static const char *const names[EVENT_HTTP2_FAULT] = {
        [EVENT_NO_MEMORY] = "no_memory",
        [EVENT_HANDSHAKE_FAILED] = "tls_handshake_failed",
        [EVENT_CONNECTION_SHED] = "shed",
        [EVENT_HTTP2_MALFORMED] = "http2_malformed",
    };
    for (unsigned event = 0; event < EVENT_COUNT; event++) {
        uint64_t sum = 0;
        if (event == EVENT_HTTP2_FAULT + HTTP2_FINE)
            continue;
        for (unsigned i = 0; i < view->rings; i++)
            sum += get(&ring_of(view, i)->events[event]);
        bool fault = event >= EVENT_HTTP2_FAULT;
        const char *name =
            fault ? http2_fault_name((enum http2_fault)(event - EVENT_HTTP2_FAULT)) : names[event];
        buffer_printf(view->out, "%s{event=\"%s%s\"} %llu\n", view->name, fault ? "http2_" : "",
                      name, (unsigned long long)sum);
    }
}

static void print_connections(const struct view *view)
{
    print_plain(view, view->gauges->connections);
}

static void print_exchanges(const struct view *view)
{
    print_plain(view, view->gauges->exchanges);
}

static void print_body_memory(const struct view *view)
{
    print_plain(view, view->gauges->body_memory_bytes);
}

static void print_keys(const struct view *view)
{
    print_plain(view, view->gauges->keys);
}

static void print_dropped(const struct view *view)
{
    print_plain(view, recorder_dropped_lines(view->recorder));
}

static void print_audit_dropped(const struct view *view)
{
    print_plain(view, view->gauges->audit_dropped);
}

static void print_audit_failing(const struct view *view)
{
    print_plain(view, view->gauges->audit_failing);
}

static void print_denied(const struct view *view)
{
    static const char *const kinds[] = {"address", "range", "key"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        buffer_printf(view->out, "%s{kind=\"%s\"} %llu\n", view->name, kinds[i],
                      (unsigned long long)view->gauges->denied[i]);
}

static void print_bans(const struct view *view)
{
    print_plain(view, view->gauges->bans);
}

static void print_bans_refused(const struct view *view)
{
    print_plain(view, view->gauges->bans_refused);
}

static void print_denylist_failing(const struct view *view)
{
    print_plain(view, view->gauges->denylist_failing);
}

static void print_flags(const struct view *view)
{
    for (unsigned i = 0; i < ABUSE_PATTERN_COUNT; i++)
        buffer_printf(view->out, "%s{pattern=\"%s\"} %llu\n", view->name, abuse_pattern_name(i),
                      (unsigned long long)view->gauges->abuse_flags[i]);
}

static void print_tracked(const struct view *view)
{
    print_plain(view, view->gauges->abuse_tracked);
}

static void print_rate_cells(const struct view *view)
{
    print_plain(view, view->gauges->rate_cells);
}

static void print_rate_evictions(const struct view *view)
{
    print_plain(view, view->gauges->rate_evictions);
}

static void print_started(const struct view *view)
{
    print_plain(view, view->gauges->started_epoch_s);
}

static void print_build(const struct view *view)
{
    buffer_printf(view->out, "%s{version=\"%s\"} 1\n", view->name,
                  view->gauges->version ? view->gauges->version : "");
}

// clang-format off
static const struct metric {
    const char *name, *type, *help;
    void (*print)(const struct view *view);
} metrics[] = {
    {"http_requests_total", "counter",
     "Requests answered, by method, status and handler.", print_requests},
    {"http_request_duration_seconds", "histogram",
     "Time from a request's first byte to the last byte of its answer.", print_durations},
    {"sallyport_request_overhead_seconds", "histogram",
     "Our own share of that time: without upstream and queue.", print_overhead},
    {"sallyport_refusals_total", "counter",
     "Requests refused, by reason.", print_refusals},
    {"sallyport_connection_events_total", "counter",
     "Connections that ended before their time, or streams of theirs, by reason.", print_events},
    {"sallyport_connections", "gauge",
     "Client connections open.", print_connections},
    {"sallyport_exchanges", "gauge",
     "Requests in progress.", print_exchanges},
    {"sallyport_body_memory_bytes", "gauge",
     "Memory held by bodies in flight.", print_body_memory},
    {"sallyport_api_keys", "gauge",
     "API keys that can be used.", print_keys},
    {"sallyport_log_lines_dropped_total", "counter",
     "Log lines lost to a full ring or a failing disk.", print_dropped},
    {"sallyport_audit_dropped_total", "counter",
     "Audit records that found no room; each event's number of them is recorded.",
     print_audit_dropped},
    {"sallyport_audit_failing", "gauge",
     "1 while the audit log cannot be written, and changes are refused.", print_audit_failing},
    {"sallyport_denylist_entries", "gauge",
     "Entries of the deny-list, by kind.", print_denied},
    {"sallyport_bans_total", "counter",
     "Clients and keys that were banned for what they did.", print_bans},
    {"sallyport_bans_refused_total", "counter",
     "Those that were not, since there are too many bans.", print_bans_refused},
    {"sallyport_denylist_failing", "gauge",
     "1 while the deny-list's file cannot be read or written; all bans stay.", print_denylist_failing},
    {"sallyport_abuse_flags_total", "counter",
     "Clients and keys that showed a pattern of abuse, by pattern.", print_flags},
    {"sallyport_abuse_tracked", "gauge",
     "Clients and keys with errors within the window.", print_tracked},
    {"sallyport_rate_cells", "gauge",
     "Limits that the table has room for, as large as it has grown.", print_rate_cells},
    {"sallyport_rate_evictions_total", "counter",
     "Limits in use that were forgotten for want of room.", print_rate_evictions},
    {"process_start_time_seconds", "gauge",
     "When the process started, in seconds since 1970.", print_started},
    {"sallyport_build_info", "gauge",
     "Always 1; the version is its label.", print_build},
};
// clang-format on

void metrics_print_prometheus(const struct recorder *recorder, const struct metrics_gauges *gauges,
                              struct buffer *out)
{
    for (size_t i = 0; i < COUNT_OF(metrics); i++) {
        const struct metric *metric = &metrics[i];
        struct view view = {recorder, recorder_ring_count(recorder), gauges, out, metric->name};
        buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                      metric->type);
        metric->print(&view);
    }
}

static int compare_latencies(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The latest of all rings; the count, or 0 when there is no memory. */
static size_t collect_latencies(const struct view *view, uint32_t **latencies_us)
{
    size_t count = 0;
    *latencies_us = calloc(view->rings, LATENCIES_KEPT * sizeof **latencies_us);
    if (!*latencies_us)
        return 0;
    for (unsigned i = 0; i < view->rings; i++) {
        const struct counters *counters = ring_of(view, i);
        uint64_t kept = atomic_load_explicit(&counters->latency_count, memory_order_acquire);
        for (unsigned j = 0; j < LATENCIES_KEPT && j < kept; j++)
            (*latencies_us)[count++] =
                atomic_load_explicit(&counters->latencies_us[j], memory_order_relaxed);
    }
    qsort(*latencies_us, count, sizeof **latencies_us, compare_latencies);
    return count;
}

static void print_percentile(struct buffer *out, const char *name, const uint32_t *latencies_us,
                             size_t count, size_t at)
{
    unsigned hundredths = count ? (latencies_us[at] + 5) / 10 : 0;
    buffer_printf(out, ",\"%s\":%u.%02u", name, hundredths / 100, hundredths % 100);
}

void metrics_print_json(const struct recorder *recorder, const struct metrics_gauges *gauges,
                        struct buffer *out)
{
    struct view view = {recorder, recorder_ring_count(recorder), gauges, out, NULL};
    uint64_t by_class[6] = {0}, total = 0;
    for (unsigned i = 0; i < view.rings; i++)
        for (unsigned class = 1; class < COUNT_OF(by_class); class ++)
            by_class[class] += get(&ring_of(&view, i)->by_class[class]);
    for (unsigned class = 1; class < COUNT_OF(by_class); class ++)
        total += by_class[class];
    buffer_printf(out, "{\"requests_total\":%llu", (unsigned long long)total);
    for (unsigned class = 2; class < COUNT_OF(by_class); class ++)
        buffer_printf(out, ",\"requests_%uxx\":%llu", class, (unsigned long long)by_class[class]);

    uint32_t *latencies_us;
    size_t count = collect_latencies(&view, &latencies_us);
    print_percentile(out, "latency_p50_ms", latencies_us, count, count / 2);
    print_percentile(out, "latency_p95_ms", latencies_us, count, count * 95 / 100);
    buffer_printf(out,
                  ",\"abuse_stats\":{\"denied_count\":%llu,\"tracked_entities\":%llu,"
                  "\"threshold_errors\":%llu,\"window_seconds\":%llu}}",
                  (unsigned long long)(gauges->denied[0] + gauges->denied[1] + gauges->denied[2]),
                  (unsigned long long)gauges->abuse_tracked,
                  (unsigned long long)gauges->threshold_errors,
                  (unsigned long long)gauges->window_seconds);
    free(latencies_us);
}
