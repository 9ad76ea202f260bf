/* What http2.c and http2_inbound.c share; nobody else includes this, nor nghttp2. */
#ifndef PROTO_HTTP2_SESSION_H
#define PROTO_HTTP2_SESSION_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "proto/http2.h"
#include "proto/http2_head.h"

/* A stream whose head the owner got; nghttp2 keeps it as the stream's user data. */
struct codec_stream {
    struct list link;
    void *user; /* NULL only while on_request is called for it */
    uint32_t id;
    bool ignore_body; /* its request was refused: on_body is not called */
    size_t discarded; /* bytes of the body that came after the answer */
    bool has_length;
    uint64_t length_left; /* of Content-Length */
    bool request_ended;   /* END_STREAM came */
    bool answered;        /* the answer's head was sent */
    bool answer_complete; /* our END_STREAM is in the output */
    bool reset;           /* RST_STREAM is on its way */
    bool reset_by_owner;  /* it was the owner's wish */
};

struct http2 {
    nghttp2_session *session;
    struct list pieces;   /* all memory of the session and the streams */
    size_t session_bytes; /* how much that is */
    struct http_limits limits;
    struct request_head *scratch;
    const struct http2_events *events;
    void *context;
    uint64_t now_us;
    struct http2_budget budget;
    struct list streams;
    unsigned stream_count;
    struct slice out; /* rest of the frame that is being written; nghttp2's memory */
    enum http2_fault fault;
    bool inside; /* an event may be on the stack */
    bool deaf;   /* nothing more is read; what is queued still goes out */
    bool dead;   /* nothing is said any more, not even GOAWAY */
    bool notice_sent, goaway_sent;

    /* The head that is being read; there is one at a time (RFC 9113, 4.3). */
    struct http2_head head;
    bool in_head;
    unsigned continuations;
    size_t head_block_bytes; /* compressed */
};

/* Ends the connection: GOAWAY is queued. The first fault counts. */
void http2_fail(struct http2 *h, enum http2_fault fault);
/* What a function of nghttp2 returned: without memory the connection ends, all else is well. */
void http2_check(struct http2 *h, int result);
/* Takes one from a bucket; false: the connection has failed. */
bool http2_spend(struct http2 *h, enum http2_budget_kind kind);

/* NULL: no memory. */
struct codec_stream *codec_stream_create(struct http2 *h, uint32_t id);
void codec_stream_destroy(struct http2 *h, struct codec_stream *stream);
/* Tells the owner, and destroys it. */
void codec_stream_end(struct http2 *h, struct codec_stream *stream);

void http2_inbound_options(nghttp2_option *option);
void http2_inbound_callbacks(nghttp2_session_callbacks *callbacks);

#endif
