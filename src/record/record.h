/* What is written down about each exchange: one line in every access log, one in the application
 * log, counters and histograms. Event loops format lines into rings of their own; one writer thread
 * puts them on disk within a second. A ring that is full drops the line and counts it; nothing ever
 * waits. */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/log.h"
#include "config/settings.h"
#include "guard/abuse.h"
#include "proto/address.h"
#include "proto/http2.h"
#include "record/refusal.h"

/* The facts of one finished exchange. Slices need to live during the call only. */
struct exchange_record {
    uint64_t wall_us;     /* when the request began */
    uint64_t duration_us; /* until its last byte was handed to the kernel */
    uint64_t overhead_us; /* duration less upstream and queue time: our own share */
    uint64_t upstream_us; /* from the first upstream byte sent to the last one read; 0: none */
    uint64_t queue_us;    /* waiting for admission */
    struct address client;
    struct slice request_line; /* as sent; may hold any byte; cut at 2 KiB in the log; a query value
                                  that is shaped like a secret was replaced by the caller */
    struct slice method, path; /* for the application log */
    struct slice request_id, correlation_id;
    struct slice key_id; /* public id, or empty */
    struct slice user;   /* key's name, "anonymous", or empty */
    struct slice model, upstream;
    const char *handler; /* the route's name: a bounded label ("chat_completions", "unmatched") */
    unsigned status;     /* 0: no answer was begun; logged as 499 */
    uint64_t body_bytes_sent;
    uint64_t tokens_in, tokens_out; /* UINT64_MAX: unknown */
    bool streamed;
    bool incomplete;      /* the answer broke off */
    const char *decision; /* "pass", or the refusal's reason */
};

struct recorder;    /* process-wide: sinks, writer thread */
struct record_ring; /* one event loop's end of it */

/* Opens the logs (directories are made; one that cannot be opened becomes standard error, with a
 * warning through log_line), starts the writer thread and becomes log_line's sink. ERR_IO,
 * ERR_MEMORY. */
enum err recorder_create(const struct settings *settings, unsigned rings,
                         struct recorder **recorder) MUST_CHECK;
/* Writes what is left, stops the thread, closes the files, gives log_line back to standard error.
 */
void recorder_destroy(struct recorder *recorder);
/* Takes over what may change while running: log.level (of log_line too) and log.app_requests. Any
 * thread. */
void recorder_configure(struct recorder *recorder, const struct settings *settings);
/* USR1: opens all files again under their names; lines before the call went to the old files. */
void recorder_reopen(struct recorder *recorder);
/* The i-th loop's ring; used by that thread alone. */
struct record_ring *recorder_ring(struct recorder *recorder, unsigned i);
uint64_t recorder_dropped_lines(const struct recorder *recorder);

/* Formats and queues the lines; counts the metrics. Never blocks, allocates nothing. */
void record_exchange(struct record_ring *ring, const struct exchange_record *record);

/* What happens to connections rather than to exchanges; counted. */
enum connection_event {
    EVENT_NO_MEMORY, /* for a connection, or to begin a request */
    EVENT_HANDSHAKE_FAILED,
    EVENT_CONNECTION_SHED, /* served nobody, and made room for another */
    EVENT_HTTP2_MALFORMED, /* a stream that was reset before it was an exchange */
    EVENT_HTTP2_FAULT,     /* + enum http2_fault: the connection was ended */
    EVENT_COUNT = EVENT_HTTP2_FAULT + HTTP2_FAULT_COUNT
};
void record_event(struct record_ring *ring, unsigned event);

/* Gauges that live elsewhere, given to the renderer. */
struct metrics_gauges {
    uint64_t connections, exchanges, body_memory_bytes, keys;
    uint64_t audit_dropped; /* records, ever */
    bool audit_failing;     /* the last write did */
    uint64_t started_epoch_s;
    const char *version;
    uint64_t denied[3];    /* addresses, ranges, keys on the deny-list */
    uint64_t bans;         /* made without anybody's asking for it, ever */
    uint64_t bans_refused; /* not made, since there are too many */
    bool denylist_failing; /* its file could not be read or written the last time */
    uint64_t abuse_flags[ABUSE_PATTERN_COUNT];
    uint64_t abuse_tracked;                    /* identities with errors within the window */
    uint64_t threshold_errors, window_seconds; /* what settings.abuse says */
    uint64_t rate_cells, rate_evictions;
};
/* All rings added up. Prometheus text 0.0.4, or document 004's JSON (requests_total, requests_2xx
 * ...). */
void metrics_print_prometheus(const struct recorder *recorder, const struct metrics_gauges *gauges,
                              struct buffer *out);
void metrics_print_json(const struct recorder *recorder, const struct metrics_gauges *gauges,
                        struct buffer *out);

#endif
