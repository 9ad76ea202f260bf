/* The reading side of a client's connection; http1_front.c is the writing side. The hard problem is
 * that bytes arrive in any pieces while at most one exchange is looked at: what belongs to later
 * requests waits in `in` (or still lies in the worker's scratch as `pending`) and is not parsed
 * before its time. */
#include "gateway/connection.h"

#include "base/clock.h"
#include "base/hash.h"
#include "gateway/gate.h"

enum {
    REQUESTS_PER_TURN = 16, /* pipelined ones; then other connections have their turn */
    BODY_BYTES_PER_TURN = 256 * 1024,
    LOOK_BYTES = 1024,
    LINGER_BYTES = 32 * 1024 * 1024, /* CONTRACT 10 */
    LINGER_US = 5 * 1000 * 1000,
    IN_EXTRA_BYTES = SCRATCH_BYTES /* `in` holds an incomplete head and one read more */
};

static void release(struct grave *grave)
{
    struct connection *c = CONTAINER_OF(grave, struct connection, grave);
    pool_give(&c->worker->connections, c);
}

static void arm(struct connection *c, uint64_t delay_us)
{
    timer_arm(&c->worker->loop, &c->timer, c->worker->loop.now_us + delay_us);
}

void connection_close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED)
        return;
    struct worker *worker = c->worker;
    c->state = CONNECTION_CLOSED;
    loop_unwatch(&worker->loop, &c->watch);
    timer_disarm(&worker->loop, &c->timer);
    loop_release_timers(&worker->loop, 1);
    list_remove(&c->task.link);
    list_remove(&c->link);
    if (c->reset)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
    struct exchange *x = c->exchange;
    c->exchange = NULL;
    if (x)
        exchange_client_gone(x);
    buffer_finish(&c->in);
    body_release(&c->out, &worker->answer_blocks);
    if (c->cap_counted)
        caps_give(worker->shared->caps, CAP_CONNECTIONS, c->peer_hash);
    atomic_fetch_sub_explicit(&worker->connection_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    worker_bury(worker, &c->grave, release);
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* One read into the scratch, or behind what `in` holds. False: nothing came (and perhaps the
 * connection is closed). */
static bool read_some(struct connection *c)
{
    if (!c->readable)
        return false;
    char *room = c->worker->scratch;
    size_t n;
    if (c->in.len && !(room = buffer_reserve(&c->in, IN_EXTRA_BYTES / 4))) {
        connection_close(c);
        return false;
    }
    enum err err =
        stream_read(&c->stream, room, c->in.len ? IN_EXTRA_BYTES / 4 : SCRATCH_BYTES, &n);
    c->readable = err == OK ? !c->stream.drained || c->hung_up : false;
    if (err == ERR_AGAIN)
        return false;
    if (err) {
        connection_close(c);
        return false;
    }
    if (c->in.len)
        buffer_grow(&c->in, n);
    else
        c->pending = slice_make(room, n);
    return true;
}

static struct slice unread(const struct connection *c)
{
    return c->pending.len ? c->pending : buffer_slice(&c->in);
}

static void consume(struct connection *c, size_t n)
{
    if (c->pending.len) {
        c->pending = slice_from(c->pending, n);
        return;
    }
    buffer_consume(&c->in, n);
    if (c->in.len == 0)
        buffer_finish(&c->in);
}

bool connection_skip(struct connection *c, uint64_t n)
{
    if (unread(c).len < n)
        return false;
    consume(c, n);
    return true;
}

/* The scratch is about to be used by others. False: no memory for it, the connection is closed. */
static bool keep_pending(struct connection *c)
{
    if (!c->pending.len)
        return true;
    buffer_append(&c->in, c->pending);
    c->pending = slice_make(NULL, 0);
    if (c->in.failed)
        connection_close(c);
    return !c->in.failed;
}

/* --- heads --------------------------------------------------------------------------------------
 */

static void begin(struct connection *c, struct exchange *x)
{
    c->exchange = x;
    c->state = CONNECTION_ANSWERING;
    c->answer_ended = c->answer_chunked = false;
    c->keep_alive = false;
}

static bool refuse_unread(struct connection *c, enum refusal refusal, enum http_fault fault)
{
    struct exchange *x = exchange_create_faulty(c->worker, &front_http1, c, &c->peer, unread(c));
    c->head_incomplete = false;
    if (!x) {
        connection_close(c);
        return false;
    }
    begin(c, x);
    if (fault)
        refuse_with(x, refusal, NULL, "The request could not be read: %s.", http_fault_name(fault));
    else
        refuse(x, refusal);
    exchange_refuse(x);
    return true;
}

/* Reading an incomplete head again from its start must not add up to quadratic work for a client
 * that sends byte by byte: beyond the first KiB it waits for the end of a line (of which there are
 * at most a hundred) or for another KiB. */
static bool worth_another_look(const struct connection *c, struct slice bytes)
{
    size_t fresh = bytes.len - c->looked_at;
    return !c->head_incomplete || bytes.len <= LOOK_BYTES || fresh >= LOOK_BYTES ||
           memchr(bytes.ptr + c->looked_at, '\n', fresh) != NULL;
}

/* True: there may be more to do. */
static bool read_head(struct connection *c)
{
    if ((unread(c).len == 0 || c->head_incomplete) && !read_some(c))
        return false;
    struct request_head *head = c->worker->head;
    struct slice bytes = unread(c);
    if (!worth_another_look(c, bytes))
        return true;
    c->looked_at = bytes.len;
    enum http_fault fault;
    size_t used;
    enum err err =
        request_head_parse(bytes, &c->worker->use->snapshot->limits, head, &used, &fault);
    if (err == ERR_AGAIN) {
        if (!c->head_incomplete)
            arm(c,
                worker_settings(c->worker)->server.header_timeout_us); /* from the first byte on */
        c->head_incomplete = true;
        return keep_pending(c);
    }
    c->head_incomplete = false;
    if (err)
        return refuse_unread(c, refusal_of_http_fault(fault), fault);
    struct exchange *x =
        exchange_create(c->worker, &front_http1, c, &c->peer, head, slice_to(bytes, used));
    if (!x) {
        connection_close(c);
        return false;
    }
    begin(c, x);
    c->turn_requests++;
    consume(c, used);
    gate_run(x);
    return true;
}

/* --- bodies -------------------------------------------------------------------------------------
 */

/* A body of known length goes straight into the block it will be sent from. */
static bool read_in_place(struct connection *c, struct exchange *x, enum err *err, size_t *n)
{
    struct body_rooms rooms;
    *err = body_rooms(&x->body, &c->worker->request_blocks, x->body_left, &rooms);
    if (*err) {
        refuse(x, REFUSE_OVERLOADED);
        return true;
    }
    enum err got = stream_read_pieces(&c->stream, rooms.pieces, rooms.count, n);
    c->readable = got == OK ? !c->stream.drained || c->hung_up : false;
    if (got) {
        body_fill(&x->body, &c->worker->request_blocks, &rooms, 0);
        if (got != ERR_AGAIN)
            connection_close(c);
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
    *err = exchange_feed_body(x, unread(c), n);
    consume(c, *n);
    return true;
}

static bool read_body(struct connection *c)
{
    struct exchange *x = c->exchange;
    uint64_t timeout_us = worker_settings(c->worker)->server.body_timeout_us;
    size_t total = 0, n;
    enum err err = OK;
    while (read_piece(c, x, &err, &n)) {
        if (err) {
            c->state = CONNECTION_ANSWERING;
            exchange_refuse(x);
            return true;
        }
        if (x->body_complete) {
            c->state = CONNECTION_ANSWERING;
            gate_run(x);
            return true;
        }
        total += n;
        if (total >= BODY_BYTES_PER_TURN) {
            loop_defer(&c->worker->loop, &c->task);
            break;
        }
    }
    if (c->state == CONNECTION_BODY)
        arm(c, timeout_us);
    return false;
}

/* --- lingering ----------------------------------------------------------------------------------
 */

/* Reads and throws away, unparsed, so that the client sees our answer and not a reset. */
static void linger(struct connection *c)
{
    size_t budget = BODY_BYTES_PER_TURN;
    buffer_finish(&c->in);
    c->pending = slice_make(NULL, 0);
    while (c->readable && c->state == CONNECTION_LINGERING) {
        size_t n;
        enum err err = stream_read(&c->stream, c->worker->scratch, SCRATCH_BYTES, &n);
        c->readable = err == OK ? !c->stream.drained || c->hung_up : false;
        if (err == ERR_AGAIN)
            return;
        if (err || (c->lingered_bytes += n) > LINGER_BYTES) {
            connection_close(c);
            return;
        }
        if (n >= budget) {
            loop_defer(&c->worker->loop, &c->task);
            return;
        }
        budget -= n;
    }
}

/* --- turns --------------------------------------------------------------------------------------
 */

static void turn(struct connection *c)
{
    for (;;) {
        switch (c->state) {
        case CONNECTION_HEAD:
            if (c->turn_requests >= REQUESTS_PER_TURN) {
                loop_defer(&c->worker->loop, &c->task);
                return;
            }
            if (!read_head(c))
                return;
            break;
        case CONNECTION_BODY:
            if (!read_body(c))
                return;
            break;
        case CONNECTION_ANSWERING:
            /* Nobody is there to hear the answer: stop the model. */
            if (c->hung_up && !c->answer_ended)
                connection_close(c);
            return;
        case CONNECTION_LINGERING:
            linger(c);
            return;
        case CONNECTION_CLOSED:
            return;
        }
    }
}

void connection_turn(struct connection *c)
{
    c->in_turn = true;
    c->turn_requests = 0;
    if (c->out.len && c->writable)
        connection_flush(c);
    turn(c);
    c->in_turn = false;
    if (c->state != CONNECTION_CLOSED)
        keep_pending(c);
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct connection *c = CONTAINER_OF(watch, struct connection, watch);
    c->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    c->writable |= (events & EPOLLOUT) != 0;
    c->hung_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    connection_turn(c);
}

static void on_task(struct task *task)
{
    connection_turn(CONTAINER_OF(task, struct connection, task));
}

static void on_time(struct timer *timer)
{
    struct connection *c = CONTAINER_OF(timer, struct connection, timer);
    switch (c->state) {
    case CONNECTION_HEAD:
        if (c->head_incomplete)
            refuse_unread(c, REFUSE_HEADER_TIMEOUT, HTTP_FINE);
        else
            connection_close(c);
        break;
    case CONNECTION_BODY:
        c->state = CONNECTION_ANSWERING;
        refuse(c->exchange, REFUSE_BODY_TIMEOUT);
        exchange_refuse(c->exchange);
        break;
    case CONNECTION_ANSWERING:
        if (c->out.len) /* the client does not read */
            connection_close(c);
        break;
    case CONNECTION_LINGERING:
        connection_close(c);
        break;
    case CONNECTION_CLOSED:
        break;
    }
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static bool over_cap(struct connection *c)
{
    uint64_t max = worker_settings(c->worker)->limits.connections_per_ip;
    if (max == 0 || c->peer.family == ADDRESS_UNIX)
        return false;
    c->cap_counted = caps_take(c->worker->shared->caps, CAP_CONNECTIONS, c->peer_hash, max);
    return !c->cap_counted;
}

void connection_start(struct worker *worker, int fd, const struct address *peer)
{
    struct connection *c = pool_take(&worker->connections);
    struct stream stream = stream_of(fd);
    bool reserved = c && loop_reserve_timers(&worker->loop, 1) == OK;
    if (!reserved) {
        if (c)
            pool_give(&worker->connections, c);
        stream_close(&stream);
        atomic_fetch_sub_explicit(&worker->connection_count, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
        return;
    }
    const struct settings *settings = worker_settings(worker);
    *c = (struct connection){.worker = worker, .stream = stream, .peer = *peer};
    struct address identity = address_identity(peer);
    c->peer_hash = hash_bytes(slice_make((const char *)identity.bytes, sizeof identity.bytes));
    c->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    c->timer.on_time = on_time;
    task_init(&c->task, on_task);
    list_init(&c->link);
    buffer_init(&c->in, settings->server.max_header_bytes + 2 * IN_EXTRA_BYTES);
    list_append(&worker->all_connections, &c->link);
    if (loop_watch(&worker->loop, &c->watch) != OK) {
        connection_close(c);
        return;
    }
    /* One that was on its way here when the drain began may still ask, if it does so now. */
    arm(c, worker->draining ? SECOND_US : settings->server.header_timeout_us);
    unsigned open = atomic_load_explicit(&worker->shared->connections, memory_order_relaxed);
    if (over_cap(c))
        refuse_unread(c, REFUSE_TOO_MANY_CONNECTIONS, HTTP_FINE);
    else if (open > settings->server.max_connections)
        refuse_unread(c, REFUSE_OVERLOADED, HTTP_FINE);
}

void connections_drain(struct worker *worker)
{
    worker->draining = true;
    LIST_EACH(link, &worker->all_connections)
    {
        struct connection *c = LIST_OF(link, struct connection, link);
        if (c->state == CONNECTION_LINGERING ||
            (c->state == CONNECTION_HEAD && !c->head_incomplete && !c->in.len))
            connection_close(c);
    }
}
