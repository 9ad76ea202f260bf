/* One stream of an HTTP/2 connection and the exchange that it carries. Between http2_front.c, the
 * connection, and http2_stream.c. */
#ifndef GATEWAY_HTTP2_STREAM_H
#define GATEWAY_HTTP2_STREAM_H

#include "gateway/connection.h"
#include "gateway/exchange.h"
#include "gateway/http2_front.h"
#include "proto/http2.h"

struct http2_connection {
    struct connection *connection;
    struct http2 *session;
    struct list streams;
    struct list drained; /* streams whose backlog went out since they were last asked */
    unsigned serving;    /* streams that wait for us, not for the client */
    bool busy;           /* the connection is reading or writing, and writes at the end of that */
    bool held_wanted;    /* a body that came early is wanted now */
    bool draining, ending;
    struct timer farewell; /* while draining: requests on their way have had time to arrive */
    bool farewell_counted; /* the loop keeps a place for it */
};

struct http2_stream {
    struct grave grave;
    struct list link, drained;
    struct worker *worker;
    struct http2_connection *carrier;
    uint32_t id;
    struct exchange *exchange; /* NULL: answered; only the rest of its request still comes */
    struct timer
        timer;        /* the body comes too slowly, or the answer is not read, or that rest ends */
    struct body held; /* of the request's body, from before it was wanted: a checkpoint waited */
    struct body out;  /* of the answer's body */
    size_t out_sent;  /* of its first block */
    bool wants_body, request_ended;
    bool served;       /* counted in carrier->serving */
    bool answer_ended; /* nothing follows what is in `out` */
    bool answer_cut;   /* and behind that the stream is reset */
};

extern const struct http2_events http2_stream_events;

/* Writes what the streams have for the client, if this is the time for it. May close the
 * connection. */
void http2_write(struct connection *c);
/* Bodies that came before they were wanted go to their exchanges. */
void http2_streams_feed_held(struct http2_connection *h);
void http2_stream_drained(struct http2_stream *stream);
/* Ends the exchanges that `is_cut`, and resets their streams. May close the connection. */
void http2_streams_cut(struct http2_connection *h, bool (*is_cut)(struct exchange *x));

#endif
