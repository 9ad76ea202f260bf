/* Counts exchanges. Called by record_exchange on each event loop. The hard problem is bounded
 * memory and bounded labels: what a client can choose (the method, in effect the status) is folded
 * into a few values, and tables that are full count into a row "other". */
#include "record/metrics.h"

// clang-format off
const struct bucket_bound duration_bounds[] = {
    {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"}, {10000, "0.01"}, {25000, "0.025"},
    {50000, "0.05"}, {100000, "0.1"}, {250000, "0.25"}, {500000, "0.5"}, {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"}, {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
    {120000000, "120"}, {300000000, "300"}, {UINT64_MAX, "+Inf"},
};
const struct bucket_bound overhead_bounds[] = {
    {10, "0.00001"}, {20, "0.00002"}, {50, "0.00005"}, {100, "0.0001"}, {200, "0.0002"},
    {500, "0.0005"}, {1000, "0.001"}, {2000, "0.002"}, {5000, "0.005"}, {10000, "0.01"},
    {20000, "0.02"}, {50000, "0.05"}, {100000, "0.1"}, {UINT64_MAX, "+Inf"},
};
// clang-format on
_Static_assert(COUNT_OF(duration_bounds) <= BUCKETS_MAX, "a bucket for each bound");
_Static_assert(COUNT_OF(overhead_bounds) <= BUCKETS_MAX, "a bucket for each bound");

#define OTHER "other"

/* Labels of our own, so that a client's odd method is no new series. */
static const struct slice methods[] = {
    SLICE(OTHER), SLICE("GET"),   SLICE("HEAD"),   SLICE("POST"),
    SLICE("PUT"), SLICE("PATCH"), SLICE("DELETE"), SLICE("OPTIONS"),
};

const char *metrics_method_name(unsigned method)
{
    return methods[method < COUNT_OF(methods) ? method : 0].ptr;
}

/* One writer: a load and a store. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void observe(struct histogram *histogram, const struct bucket_bound *bounds, uint64_t us)
{
    unsigned i = 0;
    while (us > bounds[i].upto_us)
        i++;
    add(&histogram->buckets[i], 1);
    add(&histogram->sum_us, us);
}

void counters_init(struct counters *counters)
{
    memset(counters, 0, sizeof *counters);
    atomic_store_explicit(&counters->handlers[0].name, OTHER, memory_order_release);
}

/* Nearly always found by its pointer; by its letters when the same name stands in two files. */
static unsigned find_handler(const struct counters *counters, const char *name, unsigned *count)
{
    unsigned i;
    const char *known;
    for (i = 0; i < HANDLERS_MAX; i++) {
        known = atomic_load_explicit(&counters->handlers[i].name, memory_order_acquire);
        if (known == name || !known)
            break;
    }
    if (i < HANDLERS_MAX && known == name)
        return i;
    *count = i;
    for (unsigned j = 0; j < i; j++)
        if (strcmp(atomic_load_explicit(&counters->handlers[j].name, memory_order_acquire), name) ==
            0)
            return j;
    return HANDLERS_MAX;
}

static unsigned take_handler(struct counters *counters, const char *name)
{
    unsigned count = 0, found = find_handler(counters, name ? name : OTHER, &count);
    if (found < HANDLERS_MAX)
        return found;
    if (count == HANDLERS_MAX)
        return 0;
    atomic_store_explicit(&counters->handlers[count].name, name, memory_order_release);
    return count;
}

static unsigned method_index(struct slice method)
{
    for (unsigned i = COUNT_OF(methods) - 1; i > 0; i--)
        if (slice_equal(method, methods[i]))
            return i;
    return 0;
}

/* Never 0, for the status is not. */
static uint32_t series_key(unsigned handler, unsigned method, unsigned status)
{
    return handler << 16 | method << 10 | status;
}

/* The slot that holds the key, or the free one where it belongs. The table is never full. */
static unsigned find_slot(const struct counters *counters, uint32_t key)
{
    unsigned slot = key * UINT32_C(2654435761) >> 22;
    _Static_assert(SERIES_SLOTS == 1 << (32 - 22),
                   "the hash has as many values as there are slots");
    for (;; slot = (slot + 1) % SERIES_SLOTS) {
        uint32_t there = atomic_load_explicit(&counters->series[slot].key, memory_order_acquire);
        if (there == key || there == 0)
            return slot;
    }
}

static void count_series(struct counters *counters, uint32_t key)
{
    unsigned slot = find_slot(counters, key);
    if (atomic_load_explicit(&counters->series[slot].key, memory_order_relaxed) == 0) {
        if (counters->series_count == SERIES_MAX) {
            add(&counters->series_overflow, 1);
            return;
        }
        counters->series_count++;
        atomic_store_explicit(&counters->series[slot].key, key, memory_order_release);
    }
    add(&counters->series[slot].count, 1);
}

uint64_t counters_find(const struct counters *counters, const char *handler, unsigned method,
                       unsigned status)
{
    unsigned ignored, found = find_handler(counters, handler, &ignored);
    if (found == HANDLERS_MAX)
        return 0;
    uint32_t key = series_key(found, method, status);
    unsigned slot = find_slot(counters, key);
    return atomic_load_explicit(&counters->series[slot].count, memory_order_relaxed);
}

/* Nearly always found by the pointer, as handlers are; 0 when there is no such reason. */
static unsigned find_refusal(const char *decision)
{
    for (unsigned i = REFUSAL_COUNT - 1; i > 0; i--)
        if (refusal_get((enum refusal)i)->reason == decision)
            return i;
    for (unsigned i = REFUSAL_COUNT - 1; i > 0; i--)
        if (strcmp(refusal_get((enum refusal)i)->reason, decision) == 0)
            return i;
    return 0;
}

static void count_refusal(struct counters *counters, const char *decision)
{
    if (decision && strcmp(decision, "pass") != 0)
        add(&counters->refusals[find_refusal(decision)], 1);
}

void counters_add_event(struct counters *counters, unsigned event)
{
    add(&counters->events[event], 1);
}

void counters_add(struct counters *counters, const struct exchange_record *record)
{
    unsigned status = record->status >= 100 && record->status < 600 ? record->status : 499;
    unsigned handler = take_handler(counters, record->handler);
    add(&counters->by_class[status / 100], 1);
    count_series(counters, series_key(handler, method_index(record->method), status));
    observe(&counters->handlers[handler].duration, duration_bounds, record->duration_us);
    observe(&counters->overhead, overhead_bounds, record->overhead_us);
    count_refusal(counters, record->decision);

    uint64_t n = atomic_load_explicit(&counters->latency_count, memory_order_relaxed);
    uint32_t latency_us =
        record->duration_us < UINT32_MAX ? (uint32_t)record->duration_us : UINT32_MAX;
    atomic_store_explicit(&counters->latencies_us[n % LATENCIES_KEPT], latency_us,
                          memory_order_relaxed);
    atomic_store_explicit(&counters->latency_count, n + 1, memory_order_release);
}
