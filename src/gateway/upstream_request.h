/* A request to an upstream and the pooled connection it travels on: HTTP/1.1 over a socket, a TLS
 * session, or a socket pair to the demo model. The upstream is not trusted: an answer that is not
 * clearly framed is a failure, and its connection is not used again. */
#ifndef GATEWAY_UPSTREAM_REQUEST_H
#define GATEWAY_UPSTREAM_REQUEST_H

#include "base/block.h"
#include "gateway/upstream.h"
#include "gateway/worker.h"
#include "io/loop.h"
#include "io/stream.h"
#include "proto/chunked.h"
#include "proto/http.h"

struct pending_lookup;
struct upstream_pool;
struct upstream_request;

/* Who asked hears of the answer through these. Each may cancel the request. */
struct upstream_listener {
    /* Slices of `head` are valid during the call. */
    void (*head)(struct upstream_request *request, const struct response_head *head);
    void (*body)(struct upstream_request *request, struct slice piece);
    /* What one read brought was all delivered: time to flush. */
    void (*turn_end)(struct upstream_request *request);
    void (*end)(struct upstream_request *request);
    /* ERR_IO: could not connect, or reset; ERR_CLOSED: it hung up early; ERR_SYNTAX: not HTTP;
     * ERR_TIMEOUT, ERR_TLS, ERR_BUSY, ERR_MEMORY. Nothing comes after it. */
    void (*fail)(struct upstream_request *request, enum err why);
};

struct upstream_request {
    const struct upstream_listener *listener;
    struct upstream *upstream;
    struct worker *worker;
    enum http_method method;
    struct slice head; /* the request's bytes; must outlive the request */
    struct body *body; /* not consumed; must outlive the request; may be NULL */
    struct upstream_connection *connection; /* NULL: not running */
    uint64_t until_us;                      /* all of the answer must be here; 0: it may go on */
    bool paused;                            /* the receiver is slow: do not read */
    bool begun;                             /* some of it was sent: it may be run, and billed */
    bool sent;                              /* all of it: head and body may go */
    bool got_bytes;                         /* of the answer */
    bool retried;
};

/* Starts: on a kept connection, or a new one. Answers come later, never during the call, but `fail`
 * may. Fill in listener, upstream, worker, method, head and body first; the rest is zero. */
void upstream_request_start(struct upstream_request *request);
/* Stops it and closes its connection; no listener is called from now on. Harmless when not running.
 */
void upstream_request_cancel(struct upstream_request *request);
void upstream_request_pause(struct upstream_request *request);
void upstream_request_resume(struct upstream_request *request);

enum upstream_state {
    UPSTREAM_RESOLVING,
    UPSTREAM_CONNECTING,
    UPSTREAM_HANDSHAKING,
    UPSTREAM_BUSY, /* a request is under way */
    UPSTREAM_IDLE,
    UPSTREAM_CLOSED,
};

struct upstream_connection {
    struct grave grave;
    struct watch watch;
    struct timer timer;
    struct task task;
    struct stream stream;
    struct list link; /* in the pool's idle list */
    struct worker *worker;
    struct upstream_pool *pool;
    struct upstream_request *request; /* while not idle */
    const struct upstream_settings *settings;
    struct pending_lookup *lookup; /* while resolving */
    uint64_t connect_until_us;
    unsigned address_first, addresses_tried; /* of the pool's: where it began, and how many were */
    enum upstream_state state;
    bool readable, writable, hung_up, reused;
    /* sending */
    size_t head_sent;
    struct block *block; /* of the request's body */
    size_t block_sent;
    bool sent_all;
    /* receiving */
    struct buffer in; /* an incomplete head */
    enum receive_state { RECEIVE_HEAD, RECEIVE_LENGTH, RECEIVE_CHUNKED, RECEIVE_TO_END } receiving;
    uint64_t left;
    struct chunked chunked;
    bool keep_alive;
    unsigned interim_count; /* 1xx heads */
    uint64_t idle_max_us;
};

/* Not while a request is on it. */
void upstream_connection_close(struct upstream_connection *connection);

/* Marks the pools whose upstream is not in `snapshot` and closes their idle connections. */
void upstream_pools_retire(struct worker *worker, const struct snapshot *snapshot);
void upstream_pools_finish(struct worker *worker);

#endif
