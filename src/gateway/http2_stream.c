/* One HTTP/2 stream: the codec's events on one side, struct front on the other. Its body's window
 * opens as the exchange takes the body; its answer waits here, bounded since a stream that has a
 * backlog is `blocked` and its upstream not read. */
#include "gateway/http2_stream.h"

#include "base/clock.h"
#include "gateway/gate.h"

/* More than this waiting for the client pauses the upstream. */
enum { BACKLOG_BYTES = 16 * 1024 };

static struct http2 *session_of(const struct http2_stream *stream)
{
    return stream->carrier->session;
}

/* --- the answer's body --------------------------------------------------------------------------
 */

static void expect_progress(struct http2_stream *stream)
{
    struct worker *worker = stream->worker;
    timer_arm(&worker->loop, &stream->timer,
              worker->loop.now_us + worker_settings(worker)->server.idle_timeout_us);
}

/* Is there something that waits for the client to read? An end without bytes waits for its window
 * too. */
static bool is_unread(const struct http2_stream *stream)
{
    return stream->out.len || stream->answer_ended || stream->answer_cut;
}

static size_t read_body(void *context, void *user, char *room, size_t size, bool *ends)
{
    struct http2_stream *stream = user;
    (void)context;
    size_t n =
        body_take(&stream->out, &stream->worker->answer_blocks, &stream->out_sent, room, size);
    if (stream->out.len)
        expect_progress(stream);
    else if (stream->answer_cut)
        http2_reset(session_of(stream), stream->id, HTTP2_RESET_INTERNAL_ERROR);
    else if (stream->answer_ended)
        *ends = true;
    else if (n)
        list_append(&stream->carrier->drained, &stream->drained);
    return n;
}

void http2_stream_drained(struct http2_stream *stream)
{
    timer_disarm(&stream->worker->loop, &stream->timer);
    if (stream->exchange)
        exchange_unblocked(stream->exchange);
}

/* --- the front ----------------------------------------------------------------------------------
 */

static struct http2_stream *stream_of_exchange(const struct exchange *x)
{
    return x->front_owner;
}

static void send_head(struct exchange *x, const struct answer *answer)
{
    struct http2_stream *stream = stream_of_exchange(x);
    if (!stream)
        return;
    struct http2_answer fields;
    http2_answer_begin(&fields, answer->status, x->worker->builder, BUILDER_BYTES);
    answer_each_field(x, answer, http2_answer_field, &fields);
    bool bodiless = answer->status == 204 || answer->status == 304;
    if (answer->content_length != HTTP_NO_LENGTH && !bodiless) {
        char digits[24];
        struct buffer text = BUFFER_OVER(digits, sizeof digits);
        buffer_number(&text, answer->content_length);
        http2_answer_field(&fields, SLICE("content-length"), buffer_slice(&text));
    }
    x->body_forbidden = x->head_only || bodiless;
    http2_send_head(session_of(stream), stream->id, &fields,
                    x->body_forbidden || answer->content_length == 0);
}

static enum err send_body(struct exchange *x, struct slice piece)
{
    struct http2_stream *stream = stream_of_exchange(x);
    if (!stream || x->body_forbidden || piece.len == 0)
        return OK;
    x->body_bytes_sent += piece.len;
    return body_append(&stream->out, &x->worker->answer_blocks, piece);
}

static void flush(struct exchange *x)
{
    struct http2_stream *stream = stream_of_exchange(x);
    if (!stream)
        return;
    if (is_unread(stream) && !timer_armed(&stream->timer)) /* that there is more is no reading */
        expect_progress(stream);
    http2_resume(session_of(stream), stream->id);
    http2_write(stream->carrier->connection);
    if (!stream_of_exchange(x) || !stream->answer_cut || stream->out.len)
        return;
    /* It needs no window, but would overtake a head that is not out yet. */
    http2_reset(session_of(stream), stream->id, HTTP2_RESET_INTERNAL_ERROR);
    http2_write(stream->carrier->connection);
}

/* Its answer is ended, or broken off. A connection all of whose streams wait for the client alone
 * serves nobody. */
static void stop_serving(struct http2_stream *stream)
{
    struct http2_connection *h = stream->carrier;
    if (!stream->served)
        return;
    stream->served = false;
    if (--h->serving == 0 && !h->ending)
        connection_set_waiting(h->connection, true);
}

static void finish(struct exchange *x)
{
    struct http2_stream *stream = stream_of_exchange(x);
    stream->answer_ended = true;
    stop_serving(stream);
    flush(x);
}

static void break_off(struct exchange *x)
{
    struct http2_stream *stream = stream_of_exchange(x);
    /* What was said goes out; then the stream is reset, so that it cannot pass for complete. */
    stream->answer_cut = true;
    stop_serving(stream);
    flush(x);
}

static void want_body(struct exchange *x)
{
    struct http2_stream *stream = stream_of_exchange(x);
    struct connection *c = stream->carrier->connection;
    stream->wants_body = true;
    x->body_began_us = x->worker->loop.now_us;
    timer_arm(&x->worker->loop, &stream->timer, exchange_body_deadline_us(x));
    if (stream->held.len || stream->request_ended) {
        stream->carrier->held_wanted = true;
        connection_defer(c);
    } else if (x->head->expect_continue) {
        http2_send_continue(session_of(stream), stream->id);
        http2_write(c);
    }
}

static bool blocked(const struct exchange *x)
{
    return stream_of_exchange(x)->out.len > BACKLOG_BYTES;
}

const struct front front_http2 = {
    .send_head = send_head,
    .send_body = send_body,
    .flush = flush,
    .finish = finish,
    .break_off = break_off,
    .want_body = want_body,
    .blocked = blocked,
};

/* --- the request's body -------------------------------------------------------------------------
 */

/* Has the exchange all of the body, or does it not want the rest? A body of the length that was
 * given is not complete before the client ends it: until then more may follow, which would make the
 * request malformed, and such a one is never passed on (RFC 9113, 8.1.1). */
static void body_over(struct http2_stream *stream, enum err err)
{
    struct exchange *x = stream->exchange;
    if (!err && !(x->body_complete && stream->request_ended))
        return;
    stream->wants_body = false;
    timer_disarm(&x->worker->loop, &stream->timer);
    if (err)
        exchange_refuse(x);
    else
        gate_run(x);
}

static void feed_body(struct http2_stream *stream, struct slice piece)
{
    struct exchange *x = stream->exchange;
    size_t used;
    enum err err = exchange_feed_body(x, piece, &used);
    http2_consume(session_of(stream), stream->id, piece.len);
    if (!err)
        timer_arm(&x->worker->loop, &stream->timer, exchange_body_deadline_us(x));
    body_over(stream, err);
}

static void end_body(struct http2_stream *stream)
{
    if (stream->wants_body && stream->request_ended)
        body_over(stream, exchange_end_body(stream->exchange));
}

static void feed_held(struct http2_stream *stream)
{
    struct block_pool *pool = &stream->worker->request_blocks;
    struct body held = stream->held;
    stream->held = (struct body){0};
    for (struct block *block = held.first; block && stream->wants_body; block = block->next)
        feed_body(stream, slice_make(block->bytes, block->len));
    body_release(&held, pool);
    end_body(stream);
}

void http2_streams_feed_held(struct http2_connection *h)
{
    if (!h->held_wanted)
        return;
    h->held_wanted = false;
    LIST_EACH(one, &h->streams)
    {
        struct http2_stream *stream = LIST_OF(one, struct http2_stream, link);
        if (stream->wants_body && (stream->held.len || stream->request_ended))
            feed_held(stream);
    }
}

static void on_body(void *context, void *user, struct slice piece)
{
    struct http2_stream *stream = user;
    (void)context;
    if (stream->answer_ended || stream->answer_cut)
        return; /* answered: the codec lets the rest by */
    if (stream->wants_body && !stream->held.len) {
        feed_body(stream, piece);
        return;
    }
    struct block_pool *pool = &stream->worker->request_blocks;
    if (body_append(&stream->held, pool, piece) == OK)
        return;
    /* Its exchange waits for something else, and cannot be answered from here. */
    refuse(stream->exchange, REFUSE_OVERLOADED);
    http2_reset(session_of(stream), stream->id, HTTP2_RESET_REFUSED);
}

static void on_request_end(void *context, void *user)
{
    struct http2_stream *stream = user;
    (void)context;
    stream->request_ended = true;
    if (!stream->held.len)
        end_body(stream);
}

static void on_time(struct timer *timer)
{
    struct http2_stream *stream = CONTAINER_OF(timer, struct http2_stream, timer);
    if (!stream->exchange) {
        http2_reset(session_of(stream), stream->id, HTTP2_RESET_NO_ERROR);
        http2_write(stream->carrier->connection);
    } else if (stream->wants_body) {
        stream->wants_body = false;
        refuse(stream->exchange, REFUSE_BODY_TIMEOUT);
        exchange_refuse(stream->exchange); /* with it the connection may end */
    } else if (is_unread(stream)) {
        http2_reset(session_of(stream), stream->id, HTTP2_RESET_CANCEL);
        http2_write(stream->carrier->connection);
    }
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static void release(struct grave *grave)
{
    struct http2_stream *stream = CONTAINER_OF(grave, struct http2_stream, grave);
    pool_give(&stream->worker->http2_streams, stream);
}

/* It has its answer, or will not get more of it. */
static void end_exchange(struct http2_stream *stream, bool complete)
{
    struct worker *worker = stream->worker;
    struct exchange *x = stream->exchange;
    stream->exchange = NULL;
    stream->wants_body = false;
    stop_serving(stream);
    list_remove(&stream->drained);
    timer_disarm(&worker->loop, &stream->timer);
    body_release(&stream->held, &worker->request_blocks);
    body_release(&stream->out, &worker->answer_blocks);
    if (!complete && stream->answer_cut)
        x->answer_state = ANSWER_BROKEN;
    if (complete || stream->answer_cut)
        exchange_end(x);
    else
        exchange_client_gone(x);
}

static void on_answered(void *context, void *user)
{
    struct http2_stream *stream = user;
    (void)context;
    end_exchange(stream, true);
    timer_arm(&stream->worker->loop, &stream->timer,
              stream->worker->loop.now_us + CONNECTION_LINGER_US);
}

static void on_closed(void *context, void *user, bool complete)
{
    struct http2_connection *h = context;
    struct http2_stream *stream = user;
    struct worker *worker = h->connection->worker;
    if (stream->exchange)
        end_exchange(stream, complete);
    list_remove(&stream->link);
    timer_disarm(&worker->loop, &stream->timer);
    loop_release_timers(&worker->loop, 1);
    worker_bury(worker, &stream->grave, release);
    if (list_empty(&h->streams) && !h->ending)
        connection_arm(h->connection, h->draining || h->connection->over_limit
                                          ? SECOND_US
                                          : worker_settings(worker)->server.idle_timeout_us);
}

/* A reset only leaves with the output, for which the client can let us wait: what runs for it ends
 * now, and its stream with the reset, so that the list does not change here. */
void http2_streams_cut(struct http2_connection *h, bool (*is_cut)(struct exchange *x))
{
    bool any = false;
    LIST_EACH(one, &h->streams)
    {
        struct http2_stream *stream = LIST_OF(one, struct http2_stream, link);
        if (!stream->exchange || !is_cut(stream->exchange))
            continue;
        http2_reset(h->session, stream->id, HTTP2_RESET_CANCEL);
        end_exchange(stream, false);
        any = true;
    }
    if (any)
        http2_write(h->connection);
}

static struct http2_stream *make(struct http2_connection *h, uint32_t id)
{
    struct worker *worker = h->connection->worker;
    struct http2_stream *stream = pool_take(&worker->http2_streams);
    if (!stream || loop_reserve_timers(&worker->loop, 1) != OK) {
        if (stream)
            pool_give(&worker->http2_streams, stream);
        record_event(worker->ring, EVENT_NO_MEMORY);
        return NULL;
    }
    *stream = (struct http2_stream){.carrier = h, .worker = worker, .id = id};
    stream->timer.on_time = on_time;
    list_init(&stream->link);
    list_init(&stream->drained);
    return stream;
}

/* No exchange could be made for it. */
static void unmake(struct http2_stream *stream)
{
    loop_release_timers(&stream->worker->loop, 1);
    pool_give(&stream->worker->http2_streams, stream);
}

static void carry(struct http2_connection *h, struct http2_stream *stream)
{
    list_append(&h->streams, &stream->link);
    stream->served = true;
    h->serving++;
    connection_set_waiting(h->connection, false);
}

static void *on_request(void *context, uint32_t id, const struct request_head *head,
                        struct slice head_bytes)
{
    struct http2_connection *h = context;
    struct http2_stream *stream = make(h, id);
    if (!stream)
        return NULL;
    connection_make_room(h->connection);
    struct exchange_origin from = connection_origin(h->connection);
    stream->exchange =
        exchange_create(stream->worker, &front_http2, stream, &from, head, head_bytes);
    if (!stream->exchange) {
        unmake(stream);
        return NULL;
    }
    carry(h, stream);
    stream->request_ended = !request_has_body(head);
    gate_run(stream->exchange);
    return stream;
}

static void *on_bad_request(void *context, uint32_t id, enum http_fault fault,
                            struct slice head_bytes)
{
    struct http2_connection *h = context;
    struct http2_stream *stream = make(h, id);
    if (!stream)
        return NULL;
    connection_make_room(h->connection);
    struct exchange_origin from = connection_origin(h->connection);
    stream->exchange =
        exchange_create_faulty(stream->worker, &front_http2, stream, &from, head_bytes);
    if (!stream->exchange) {
        unmake(stream);
        return NULL;
    }
    carry(h, stream);
    exchange_refuse_fault(stream->exchange, fault);
    return stream;
}

/* The codec resets it; here it is only written down. */
static void on_malformed(void *context, uint32_t id, void *user, enum http_fault fault)
{
    const struct http2_connection *h = context;
    struct http2_stream *stream = user;
    (void)id;
    (void)fault;
    if (stream)
        refuse(stream->exchange, REFUSE_BAD_REQUEST);
    else
        record_event(h->connection->worker->ring, EVENT_HTTP2_MALFORMED);
}

const struct http2_events http2_stream_events = {
    .on_request = on_request,
    .on_bad_request = on_bad_request,
    .on_malformed = on_malformed,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .read_body = read_body,
    .on_answered = on_answered,
    .on_closed = on_closed,
};
