/* The counters behind /metrics. Each event loop counts into its own struct; the renderer adds them
 * up. Counters are written by one thread with plain relaxed stores, so that counting costs no
 * locked instruction; a reader sees each number whole, if not all of them of one moment. */
#ifndef RECORD_METRICS_H
#define RECORD_METRICS_H

#include <stdatomic.h>

#include "record/record.h"

enum {
    HANDLERS_MAX = 32, /* routes with a name of their own; further ones are "other" */
    SERIES_MAX = 512,  /* combinations of method, status and handler; further ones are "other" */
    SERIES_SLOTS = 1024,
    BUCKETS_MAX = 18,
    LATENCIES_KEPT = 1000, /* for document 004's percentiles */
};

struct histogram {
    _Atomic uint64_t buckets[BUCKETS_MAX]; /* not cumulative; the last is +Inf */
    _Atomic uint64_t sum_us;
};

struct counters {
    _Atomic uint64_t by_class[6]; /* by the first digit of the status */
    struct {
        _Atomic(const char *) name; /* NULL: free from here on */
        struct histogram duration;
    } handlers[HANDLERS_MAX]; /* the first is "other" */
    struct {
        _Atomic uint32_t key; /* handler, method and status packed; 0: free */
        _Atomic uint64_t count;
    } series[SERIES_SLOTS]; /* open addressing; rows are never removed */
    unsigned series_count;
    _Atomic uint64_t series_overflow;
    struct histogram overhead;
    _Atomic uint64_t refusals[REFUSAL_COUNT]; /* REFUSE_NONE: a reason that is not in the table */
    _Atomic uint64_t events[EVENT_COUNT];
    _Atomic uint32_t latencies_us[LATENCIES_KEPT];
    _Atomic uint64_t latency_count;
};

/* A new one is all zeroes but for this. */
void counters_init(struct counters *counters);
/* Called by the owning thread. */
void counters_add(struct counters *counters, const struct exchange_record *record);
void counters_add_event(struct counters *counters, unsigned event);

/* recorder.c: the counters of the i-th ring. */
const struct counters *recorder_counters(const struct recorder *recorder, unsigned i);
unsigned recorder_ring_count(const struct recorder *recorder);

/* metrics.c, for the renderer. */
struct bucket_bound {
    uint64_t upto_us; /* inclusive */
    const char *le;   /* the same in seconds */
};
extern const struct bucket_bound duration_bounds[], overhead_bounds[]; /* each ends with "+Inf" */

/* The count of one combination of method, status and handler; 0 when there is none. */
uint64_t counters_find(const struct counters *counters, const char *handler, unsigned method,
                       unsigned status);
const char *metrics_method_name(unsigned method);
static inline unsigned series_handler(uint32_t key)
{
    return key >> 16;
}
static inline unsigned series_method(uint32_t key)
{
    return key >> 10 & 0x3f;
}
static inline unsigned series_status(uint32_t key)
{
    return key & 0x3ff;
}

#endif
