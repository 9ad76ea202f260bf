/* The reading side of HTTP/1; http1_front.c is the writing side. The hard problem is that bytes
 * arrive in any pieces while at most one exchange is looked at: what belongs to later requests
 * waits in `in` (or still lies in the worker's scratch as `pending`) and is not parsed before its
 * time. */
#include "base/clock.h"
#include "gateway/connection.h"
#include "gateway/gate.h"
#include "gateway/http2_front.h"

enum {
    REQUESTS_PER_TURN = 16, /* pipelined ones; then other connections have their turn */
    SMALL_BODY_BYTES = 16 * 1024,
    LOOK_BYTES = 1024,
    IN_EXTRA_BYTES = SCRATCH_BYTES /* `in` holds an incomplete head and one read more */
};

/* --- bytes --------------------------------------------------------------------------------------
 */

/* One read into the scratch, or behind what `in` holds. False: nothing came (and perhaps the
 * connection is closed). */
static bool read_some(struct connection *c)
{
    struct http1 *h = &c->http1;
    char *room = c->worker->scratch;
    size_t size = SCRATCH_BYTES, n;
    if (h->in.len) {
        /* As much again: many clients that send little by little must not hold a large buffer
         * each. */
        size = h->in.len < LOOK_BYTES ? LOOK_BYTES : h->in.len;
        if (size > IN_EXTRA_BYTES / 4)
            size = IN_EXTRA_BYTES / 4;
        room = c->readable ? buffer_reserve(&h->in, size) : NULL;
    }
    if (!room) {
        if (c->readable)
            connection_close(c);
        return false;
    }
    if (connection_read(c, room, size, &n) != OK)
        return false;
    if (h->in.len)
        buffer_grow(&h->in, n);
    else
        h->pending = slice_make(room, n);
    return true;
}

static struct slice unread(const struct connection *c)
{
    return c->http1.pending.len ? c->http1.pending : buffer_slice(&c->http1.in);
}

static void consume(struct connection *c, size_t n)
{
    struct http1 *h = &c->http1;
    if (h->pending.len) {
        h->pending = slice_from(h->pending, n);
        return;
    }
    buffer_consume(&h->in, n);
    if (h->in.len == 0)
        buffer_finish(&h->in);
}

bool http1_has_unread(const struct connection *c)
{
    return unread(c).len > 0;
}

bool http1_skip(struct connection *c, uint64_t n)
{
    if (unread(c).len < n)
        return false;
    consume(c, n);
    return true;
}

/* The scratch is about to be used by others. False: no memory for it, the connection is closed. */
static bool keep_pending(struct connection *c)
{
    struct http1 *h = &c->http1;
    if (!h->pending.len)
        return true;
    buffer_append(&h->in, h->pending);
    h->pending = slice_make(NULL, 0);
    if (h->in.failed) {
        record_event(c->worker->ring, EVENT_NO_MEMORY);
        connection_close(c);
    }
    return !c->closed;
}

/* --- heads --------------------------------------------------------------------------------------
 */

static void carry(struct connection *c, struct exchange *x)
{
    struct http1 *h = &c->http1;
    h->exchange = x;
    h->state = HTTP1_ANSWERING;
    h->answer_ended = h->answer_chunked = h->answer_to_end = h->keep_alive = false;
    connection_set_waiting(c, false);
}

/* An exchange without a head, to refuse; NULL: no memory, and the connection is closed. */
static struct exchange *begin_unread(struct connection *c)
{
    connection_make_room(c);
    struct exchange_origin from = connection_origin(c);
    struct exchange *x = exchange_create_faulty(c->worker, &front_http1, c, &from, unread(c));
    c->http1.head_incomplete = false;
    if (x)
        carry(c, x);
    else
        connection_close(c);
    return x;
}

void http1_refuse(struct connection *c, enum refusal refusal)
{
    struct exchange *x = begin_unread(c);
    if (!x)
        return;
    refuse(x, refusal);
    exchange_refuse(x);
}

/* Reading an incomplete head again from its start must not add up to quadratic work for a client
 * that sends byte by byte: beyond the first KiB it waits for the end of a line (of which there are
 * at most a hundred) or for another KiB. */
static bool worth_another_look(const struct http1 *h, struct slice bytes)
{
    size_t fresh = bytes.len - h->looked_at;
    return !h->head_incomplete || bytes.len <= LOOK_BYTES || fresh >= LOOK_BYTES ||
           memchr(bytes.ptr + h->looked_at, '\n', fresh) != NULL;
}

static const struct slice http2_line = SLICE("PRI * HTTP/2.0\r\n");

/* HTTP/2 by prior knowledge (RFC 9113, section 3.3) begins with a line that is no HTTP/1 head. Is
 * this the line, or as much of it as there is? */
static bool begins_http2(struct connection *c, struct slice bytes)
{
    if (c->http1.had_head || c->secure || !worker_settings(c->worker)->server.http2_plain)
        return false;
    size_t len = bytes.len < http2_line.len ? bytes.len : http2_line.len;
    return slice_starts(http2_line, slice_to(bytes, len));
}

static void become_http2(struct connection *c)
{
    struct buffer in = c->http1.in; /* of the worker's scratch, or this: see unread */
    struct slice bytes = unread(c);
    buffer_init(&c->http1.in, 0);
    http2_begin(c, bytes);
    buffer_finish(&in);
}

static bool head_incomplete(struct connection *c)
{
    if (!c->http1.head_incomplete) { /* from the first byte on */
        connection_arm(c, worker_settings(c->worker)->server.header_timeout_us);
        connection_set_waiting(c, true); /* one that asks has not waited since its last answer */
    }
    c->http1.head_incomplete = true;
    return keep_pending(c);
}

/* True: there may be more to do. */
static bool read_head(struct connection *c)
{
    struct http1 *h = &c->http1;
    if ((unread(c).len == 0 || h->head_incomplete) && !read_some(c))
        return false;
    struct request_head *head = c->worker->head;
    struct slice bytes = unread(c);
    if (!worth_another_look(h, bytes))
        return true;
    if (begins_http2(c, bytes)) {
        if (bytes.len < http2_line.len)
            return head_incomplete(c);
        become_http2(c);
        return false;
    }
    h->looked_at = bytes.len;
    enum http_fault fault;
    size_t used;
    enum err err =
        request_head_parse(bytes, &c->worker->use->snapshot->limits, head, &used, &fault);
    if (err == ERR_AGAIN)
        return head_incomplete(c);
    h->head_incomplete = false;
    h->had_head = true;
    if (err) {
        struct exchange *x = begin_unread(c);
        if (x)
            exchange_refuse_fault(x, fault);
        return x != NULL;
    }
    connection_make_room(c);
    struct exchange_origin from = connection_origin(c);
    struct exchange *x =
        exchange_create(c->worker, &front_http1, c, &from, head, slice_to(bytes, used));
    if (!x) {
        connection_close(c);
        return false;
    }
    carry(c, x);
    h->turn_requests++;
    consume(c, used);
    gate_run(x);
    return true;
}

/* --- bodies -------------------------------------------------------------------------------------
 */

/* Large bodies are read by the loop's tasks, first come, first served, so that no number of new
 * ones keeps an old one waiting; the first of a turn always goes on. What came with the head is in
 * the worker's scratch and read while it lies there. */
static bool body_must_wait(struct connection *c)
{
    struct worker *worker = c->worker;
    if (c->in_task && worker->large_body_us != worker->loop.now_us) {
        worker->large_body_us = worker->loop.now_us;
        return false;
    }
    return (!c->in_task && !c->http1.pending.len) || connection_turn_is_long(c);
}

static bool is_small(const struct exchange *x)
{
    return !x->head->chunked && x->body_left <= SMALL_BODY_BYTES;
}

/* A body of known length goes straight into the block it will be sent from. */
static bool read_in_place(struct connection *c, struct exchange *x, enum err *err, size_t *n)
{
    struct body_rooms rooms;
    size_t most = c->stream.tls ? BLOCK_BYTES : c->piece_bytes; /* TLS reads a record at a time */
    size_t wanted = x->body_left < most ? x->body_left : most;
    *err = body_rooms(&x->body, &c->worker->request_blocks, wanted, &rooms);
    if (*err) {
        refuse(x, REFUSE_OVERLOADED);
        return true;
    }
    enum err got = connection_read_pieces(c, rooms.pieces, rooms.count, n);
    if (got) {
        if (!c->closed) /* else the body is gone */
            body_fill(&x->body, &c->worker->request_blocks, &rooms, 0);
        return false;
    }
    *err = exchange_take_body(x, &rooms, *n);
    return true;
}

/* Reads some of the body. False: nothing came. `*err` is what the exchange says of it. */
static bool read_piece(struct connection *c, struct exchange *x, enum err *err, size_t *n)
{
    *n = 0;
    if (unread(c).len == 0 && !x->head->chunked && x->body_left)
        return c->readable && read_in_place(c, x, err, n);
    bool empty = !x->head->chunked && x->body_left == 0; /* Content-Length: 0 */
    if (unread(c).len == 0 && !empty && !read_some(c))
        return false;
    struct slice bytes = unread(c);
    if (bytes.len > c->piece_bytes)
        bytes.len = c->piece_bytes;
    *err = exchange_feed_body(x, bytes, n);
    consume(c, *n);
    return true;
}

static bool read_body(struct connection *c)
{
    struct exchange *x = c->http1.exchange;
    size_t n;
    enum err err = OK;
    for (;;) {
        bool small = is_small(x);
        if (!small && body_must_wait(c)) {
            connection_defer(c);
            break;
        }
        uint64_t begun_us = small ? 0 : clock_now_us();
        if (!read_piece(c, x, &err, &n))
            break;
        if (!small)
            connection_fit_piece(c, n, begun_us);
        if (err) {
            c->http1.state = HTTP1_ANSWERING;
            exchange_refuse(x);
            return true;
        }
        if (x->body_complete) {
            c->http1.state = HTTP1_ANSWERING;
            gate_run(x);
            return true;
        }
    }
    if (!c->closed)
        timer_arm(&c->worker->loop, &c->timer, exchange_body_deadline_us(x));
    return false;
}

/* --- turns --------------------------------------------------------------------------------------
 */

static bool go_on(struct connection *c)
{
    struct http1 *h = &c->http1;
    switch (h->state) {
    case HTTP1_HEAD:
        if (h->turn_requests == 0 ||
            (h->turn_requests < REQUESTS_PER_TURN && !connection_turn_is_long(c)))
            return read_head(c);
        connection_defer(c);
        return false;
    case HTTP1_BODY:
        return read_body(c);
    case HTTP1_ANSWERING:
        /* Nobody is there to hear the answer: stop the model. */
        if (c->hung_up && !h->answer_ended)
            connection_close(c);
        return false;
    }
    return false;
}

static bool is_ours(const struct connection *c)
{
    return !c->closed && c->protocol == &protocol_http1;
}

static void turn(struct connection *c)
{
    c->http1.turn_requests = 0;
    while (is_ours(c) && go_on(c))
        ;
    if (is_ours(c))
        keep_pending(c);
}

static void on_time(struct connection *c)
{
    struct http1 *h = &c->http1;
    switch (h->state) {
    case HTTP1_HEAD:
        if (h->head_incomplete)
            http1_refuse(c, REFUSE_HEADER_TIMEOUT);
        else
            connection_close(c);
        break;
    case HTTP1_BODY:
        h->state = HTTP1_ANSWERING;
        refuse(h->exchange, REFUSE_BODY_TIMEOUT);
        exchange_refuse(h->exchange);
        break;
    case HTTP1_ANSWERING:
        if (c->out.len) /* the client does not read */
            connection_close(c);
        break;
    }
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static void end(struct connection *c)
{
    struct http1 *h = &c->http1;
    struct exchange *x = h->exchange;
    h->exchange = NULL;
    if (x)
        exchange_client_gone(x);
    buffer_finish(&h->in);
    h->pending = slice_make(NULL, 0);
}

static bool is_idle(const struct connection *c)
{
    const struct http1 *h = &c->http1;
    return is_ours(c) && h->state == HTTP1_HEAD && !h->head_incomplete && !h->in.len;
}

/* A request that is here already counts as under way. A client that has just connected is about to
 * send its first: to close in its face would lose it, for who connects anew expects an answer,
 * while who waits on a kept connection knows that it may close. */
static void drain(struct connection *c)
{
    if (!is_idle(c))
        return;
    c->readable = true;
    connection_turn(c);
    if (!is_idle(c))
        return;
    if (c->http1.had_head)
        connection_close(c);
    else
        connection_arm(c, SECOND_US);
}

void http1_begin(struct connection *c)
{
    c->protocol = &protocol_http1;
    c->http1 = (struct http1){.state = HTTP1_HEAD};
    buffer_init(&c->http1.in,
                worker_settings(c->worker)->server.max_header_bytes + 2 * IN_EXTRA_BYTES);
}

const struct protocol protocol_http1 = {
    .turn = turn,
    .on_time = on_time,
    .written = http1_written,
    .end = end,
    .drain = drain,
};
