/* HTTP/2's connection: bytes between socket and codec, and its end; http2_stream.c is one stream.
 * The hard problem is the order of things: within an event of the codec nothing may be written, and
 * an answer may come at any time, from a gate that runs in an event or from an upstream's turn. So
 * whoever has something to say leaves it with its stream and calls http2_write, which does nothing
 * while the connection is `busy`: reading, or writing already. Both write at their end. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/http2_stream.h"

enum {
    OUT_BYTES = 64 * 1024, /* waiting for the socket; more stays with the streams */
    NOTICE_US = SECOND_US, /* between the two farewells: requests on their way still count */
};

/* --- output -------------------------------------------------------------------------------------
 */

/* Moves what the codec has for the client behind what waits already. False: there was nothing. */
static bool take_output(struct connection *c)
{
    struct http2_connection *h = c->http2;
    size_t before = c->out.len;
    while (!c->broken && c->out.len < OUT_BYTES && http2_wants_output(h->session)) {
        char *room;
        size_t size;
        if (body_room(&c->out, &c->worker->output_blocks, &room, &size) != OK) {
            c->broken = c->out.len == 0; /* else what waits is written first */
            break;
        }
        size_t n = http2_output(h->session, room, size);
        if (n == 0)
            break;
        body_grow(&c->out, n);
    }
    if (c->out.len == 0)
        body_release(&c->out, &c->worker->output_blocks); /* a room that was not used */
    return c->out.len > before;
}

/* Those whose backlog went out may have more, or be told that it did. */
static void wake_streams(struct http2_connection *h)
{
    for (struct list *one; (one = list_pop(&h->drained));)
        http2_stream_drained(LIST_OF(one, struct http2_stream, drained));
}

static void say_why(const struct connection *c)
{
    enum http2_fault fault = http2_fault_of(c->http2->session);
    if (fault == HTTP2_FINE)
        return;
    record_event(c->worker->ring, EVENT_HTTP2_FAULT + fault);
    char memory[64];
    struct buffer address = BUFFER_OVER(memory, sizeof memory);
    address_print(&address, &c->peer);
    log_debug("an HTTP/2 connection from %.*s was ended: %s", SLICE_ARG(buffer_slice(&address)),
              http2_fault_name(fault));
}

void http2_write(struct connection *c)
{
    struct http2_connection *h = c->http2;
    if (h->busy || http2_inside(h->session))
        return;
    h->busy = true;
    bool took;
    do {
        took = take_output(c);
        if (c->out.len || c->broken)
            connection_flush(c);
        if (c->closed) /* and the rest of it gone */
            return;
        wake_streams(h);
    } while (took && c->out.len == 0);
    h->busy = false;
    if (c->out.len == 0 && http2_is_done(h->session)) {
        say_why(c);
        connection_linger(c);
    }
}

/* --- turns --------------------------------------------------------------------------------------
 */

static void feed(struct connection *c, struct slice bytes)
{
    http2_feed(c->http2->session, bytes, c->worker->loop.now_us);
}

static void read_some(struct connection *c)
{
    size_t n;
    while (!http2_is_done(c->http2->session) && c->out.len < OUT_BYTES &&
           connection_read(c, c->worker->scratch,
                           c->piece_bytes < SCRATCH_BYTES ? c->piece_bytes : SCRATCH_BYTES,
                           &n) == OK) {
        uint64_t begun_us = clock_now_us();
        feed(c, slice_make(c->worker->scratch, n));
        connection_fit_piece(c, n, begun_us);
        if (connection_turn_is_long(c)) {
            connection_defer(c);
            return;
        }
    }
}

static void turn(struct connection *c)
{
    c->http2->busy = true;
    read_some(c);
    if (c->closed)
        return;
    http2_streams_feed_held(c->http2);
    c->http2->busy = false;
    http2_write(c);
}

/* No further streams are taken; the last one that runs ends the connection. One that has begun to
 * come, and whose head is not here yet, does not count: it could be coming for ever. */
static void say_farewell(struct connection *c)
{
    struct http2 *session = c->http2->session;
    bool serves = http2_stream_count(session) > 0;
    http2_goaway(session);
    http2_write(c);
    if (!serves && !c->closed && c->protocol == &protocol_http2 && c->out.len == 0)
        connection_linger(c);
}

static void on_time(struct connection *c)
{
    struct http2_connection *h = c->http2;
    if (c->out.len) { /* the client does not read */
        connection_close(c);
        return;
    }
    if (http2_stream_count(h->session) == 0)
        say_farewell(c);
}

/* All that was taken from the codec is with the kernel. */
static void written(struct connection *c)
{
    http2_write(c);
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static void end(struct connection *c)
{
    struct http2_connection *h = c->http2;
    h->ending = true;
    timer_disarm(&c->worker->loop, &h->farewell);
    loop_release_timers(&c->worker->loop, h->farewell_counted);
    http2_destroy(h->session);
    free(h);
    c->http2 = NULL;
}

static void on_farewell(struct timer *timer)
{
    struct http2_connection *h = CONTAINER_OF(timer, struct http2_connection, farewell);
    say_farewell(h->connection);
}

/* The connection's own timer goes on: it is for a client that does not read. */
static void drain(struct connection *c)
{
    struct http2_connection *h = c->http2;
    struct loop *loop = &c->worker->loop;
    h->draining = true;
    http2_shutdown_notice(h->session);
    if (!h->farewell_counted && loop_reserve_timers(loop, 1) != OK) {
        say_farewell(c);
        return;
    }
    h->farewell_counted = true;
    h->farewell.on_time = on_farewell;
    timer_arm(loop, &h->farewell, loop->now_us + NOTICE_US);
    http2_write(c);
}

void http2_begin(struct connection *c, struct slice bytes)
{
    struct http2_connection *h = calloc(1, sizeof *h);
    struct worker *worker = c->worker;
    if (h)
        h->session = http2_create(&worker->use->snapshot->limits, worker->head,
                                  &http2_stream_events, h, worker->loop.now_us);
    if (!h || !h->session) {
        free(h);
        record_event(worker->ring, EVENT_NO_MEMORY);
        connection_close(c);
        return;
    }
    h->connection = c;
    list_init(&h->streams);
    list_init(&h->drained);
    connection_become(c, &protocol_http2);
    c->http2 = h;
    feed(c, bytes);
    if (worker->draining)
        drain(c);
}

const struct protocol protocol_http2 = {
    .turn = turn,
    .on_time = on_time,
    .written = written,
    .end = end,
    .drain = drain,
};
