/* One client's HTTP/2 connection (RFC 9113), server side, without input or output: bytes in,
 * events out; answers in, bytes out. nghttp2 does frames, HPACK and flow control behind http2.c and
 * nowhere else; the rules for heads (http2_head.h), the budgets against floods (http2_budget.h) and
 * the bounds on memory are ours.
 *
 * Whoever owns a connection goes round like this:
 *
 *     http2_feed(what was read)            events are called
 *     http2_output(room) until it gives 0  read_body and on_closed are called; write the room out
 *     http2_is_done()?                     close the socket, http2_destroy
 *
 * It never is an error to feed, send or write after the connection failed: nothing happens, and
 * http2_is_done becomes true. So there is one place to look for the end. Events are called from
 * within http2_feed, http2_output and http2_destroy; within an event everything may be called but
 * these three (an answer sent there leaves with the next http2_output), which http2_inside tells.
 *
 * A stream is known by its id. One thread. Times are microseconds of the monotonic clock. */
#ifndef PROTO_HTTP2_H
#define PROTO_HTTP2_H

#include "proto/http.h"
#include "proto/http2_answer.h"
#include "proto/http2_budget.h"

enum {
    /* Streams of one client at once; more are refused. */
    HTTP2_STREAMS_MAX = 100,
    /* What may arrive of one body before the owner has taken any of it (http2_consume). As much as
     * HTTP/1 reads of one body per turn; with all streams waiting 25 MiB, which the owner keeps
     * under the budget of all bodies. */
    HTTP2_STREAM_WINDOW_BYTES = 256 * 1024,
    /* What is let by of a body whose request was answered, as much as HTTP/1 lets by. */
    HTTP2_DISCARD_BYTES_MAX = 32 * 1024 * 1024,
    /* The connection's window opens on receipt, so a body that waits stalls no other; its size only
     * has to cover what is on its way: 1 MiB is 80 Mbit/s at 100 ms. */
    HTTP2_CONNECTION_WINDOW_BYTES = 1024 * 1024,
    /* What the protocol's own state may take on the heap, past which the connection ends. 100
     * streams with small heads need a twentieth. */
    HTTP2_MEMORY_BYTES_MAX = 4 * 1024 * 1024,
};

/* Why a connection ended before its time. */
enum http2_fault {
    HTTP2_FINE = 0,
    HTTP2_PROTOCOL_ERROR, /* the peer broke RFC 9113 */
    HTTP2_FLOW_CONTROL_ERROR,
    HTTP2_FRAME_SIZE_ERROR,
    HTTP2_COMPRESSION_ERROR,
    HTTP2_STREAM_CLOSED,
    HTTP2_NO_MEMORY,
    HTTP2_HEAD_FLOOD,    /* a field list beyond all bounds (HPACK bomb) */
    HTTP2_CONTINUATIONS, /* a head in too many frames or bytes */
    HTTP2_UNREAD_FRAMES, /* the peer makes us answer and does not read */
    HTTP2_FIRST_BUDGET,  /* a bucket ran empty: + enum http2_budget_kind */
    HTTP2_FAULT_COUNT = HTTP2_FIRST_BUDGET + HTTP2_BUDGET_COUNT
};
/* "protocol_error", "resets": for logs and metrics. */
const char *http2_fault_name(enum http2_fault fault);

/* RFC 9113, 7: what a stream is reset with. */
enum http2_reset {
    HTTP2_RESET_NO_ERROR = 0, /* after a whole answer: the rest of the request is not wanted */
    HTTP2_RESET_INTERNAL_ERROR = 2,
    HTTP2_RESET_REFUSED = 7, /* nothing was done: the client may send it again */
    HTTP2_RESET_CANCEL = 8,
};

struct http2;

/* `context` is the one given to http2_create, `user` what on_request returned for the stream. */
struct http2_events {
    /* A request's head. `head` and `head_bytes` (its text, which `head` points into) are valid
     * until the event returns. request_has_body(head): on_body and on_request_end follow. Returns
     * what the stream's further events get; NULL refuses the stream (REFUSED_STREAM). */
    void *(*on_request)(void *context, uint32_t id, const struct request_head *head,
                        struct slice head_bytes);
    /* A head that is well formed for HTTP/2 but that HTTP/1 would answer with a status (400, 414,
     * 417, 431, 501): so it can be here. `head_bytes` is what could be spelled of it, for the
     * record, maybe nothing. Returns as above; on_body and on_request_end are not called. */
    void *(*on_bad_request)(void *context, uint32_t id, enum http_fault fault,
                            struct slice head_bytes);
    /* A request that was reset with PROTOCOL_ERROR since it is malformed (RFC 9113, 8.1.1): for the
     * record. With `user`, when it turned out with the body or the trailers; on_closed follows.
     * Without (NULL), when the head was so; nothing follows. */
    void (*on_malformed)(void *context, uint32_t id, void *user, enum http_fault fault);
    /* A piece of the body, valid until the event returns. Its length is checked against
     * Content-Length. The client's window for it opens with http2_consume. */
    void (*on_body)(void *context, void *user, struct slice piece);
    /* The body is complete; its length was right. Not called when there is none. */
    void (*on_request_end)(void *context, void *user);
    /* Puts the next bytes of the answer's body into `room` and says how many. `*end`: these were
     * the last. 0 without `*end`: there is nothing now, http2_resume will say when. */
    size_t (*read_body)(void *context, void *user, char *room, size_t size, bool *end);
    /* All of the answer went into the output, but the client has not ended its request. What still
     * comes of that is dropped, HTTP2_DISCARD_BYTES_MAX of it; on_body and on_request_end are not
     * called again. The owner resets the stream with NO_ERROR when that takes too long. */
    void (*on_answered)(void *context, void *user);
    /* The stream is over, and `user` is not used any more: called once for each that was returned.
     * `complete`: all of the answer went into the output. */
    void (*on_closed)(void *context, void *user, bool complete);
};

/* `scratch` is where heads are parsed into, one at a time: connections of one thread may share it.
 * `scratch`, `events` and `context` outlive the connection; `limits` are copied. The client is told
 * our settings with the first output. NULL: no memory. An idle connection holds about 25 KiB (see
 * http2_memory), nearly all of it nghttp2's. */
struct http2 *http2_create(const struct http_limits *limits, struct request_head *scratch,
                           const struct http2_events *events, void *context, uint64_t now_us);
/* on_closed is called for every stream there still is. NULL does nothing. */
void http2_destroy(struct http2 *h);

/* Bytes that the client sent, from its preface on. Cost is linear in their number. */
void http2_feed(struct http2 *h, struct slice bytes, uint64_t now_us);
/* The next bytes for the client, at most `size`; 0: none now. All of them are to be written. */
size_t http2_output(struct http2 *h, char *room, size_t size);
bool http2_wants_output(const struct http2 *h);
/* Everything that will ever be said was said: the socket can be closed. After a fault, after both
 * sides' farewell, or when the peer said GOAWAY and no stream is left. */
bool http2_is_done(const struct http2 *h);
/* Why it ended; HTTP2_FINE while it goes well. */
enum http2_fault http2_fault_of(const struct http2 *h);
/* Is an event of this connection on the stack? */
bool http2_inside(const struct http2 *h);

/* The answer's head. `ends`: there is no body, else read_body is asked for it. Of a stream that is
 * over nothing is sent. When `answer` is not whole the stream is reset. Once per stream. */
void http2_send_head(struct http2 *h, uint32_t id, const struct http2_answer *answer, bool ends);
/* 100 (Continue), before the answer's head. */
void http2_send_continue(struct http2 *h, uint32_t id);
/* read_body has something again. Costs nothing when it was not asked for. */
void http2_resume(struct http2 *h, uint32_t id);
/* Breaks the stream off. Of its events only on_closed still comes, with the output. */
void http2_reset(struct http2 *h, uint32_t id, enum http2_reset code);
/* `n` bytes of the body were used or kept within a budget: the client may send as many more. */
void http2_consume(struct http2 *h, uint32_t id, size_t n);

/* An orderly end in two steps: first the client is told to open no more streams, while those on
 * their way are still taken; a round trip or a second later http2_goaway ends that, and
 * http2_is_done is true when the last stream is over. */
void http2_shutdown_notice(struct http2 *h);
void http2_goaway(struct http2 *h);

/* Streams with a user: at most HTTP2_STREAMS_MAX. */
unsigned http2_stream_count(const struct http2 *h);
/* Bytes on the heap that this connection holds. */
size_t http2_memory(const struct http2 *h);

#endif
