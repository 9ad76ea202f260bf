/* A client's connection from its acceptance to its end; connection_out.c is what goes out. The hard
 * problem is to hold many that do nothing: those that serve nobody wait in a list, oldest first,
 * and when the gateway is nearly full, or out of descriptors, the head of that list makes room for
 * whoever comes. */
#include "gateway/connection.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "gateway/gate.h"
#include "gateway/http2_stream.h"
#include "guard/proxies.h"

enum {
    LINGER_BYTES = 32 * 1024 * 1024, /* CONTRACT 10 */
    LINGER_BYTES_PER_TURN = 256 * 1024,
    TURN_US = 200,
    PIECE_BYTES_MIN = 8 * 1024,
    PIECE_BYTES_FIRST = 32 * 1024,
    PIECE_BYTES_MAX = 256 * 1024,
    HANDSHAKES_PER_TURN = 8,
    SPARED_MAX = 8,      /* that ask just now, before one goes none the less */
    OVER_LIMIT_MAX = 64, /* connections beyond server.max_connections, for health checks */
};

static void release(struct grave *grave)
{
    struct connection *c = CONTAINER_OF(grave, struct connection, grave);
    pool_give(&c->worker->connections, c);
}

static void uncount(struct worker *worker)
{
    atomic_fetch_sub_explicit(&worker->connection_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
}

void connection_close(struct connection *c)
{
    if (c->closed)
        return;
    struct worker *worker = c->worker;
    c->closed = true;
    loop_unwatch(&worker->loop, &c->watch);
    timer_disarm(&worker->loop, &c->timer);
    loop_release_timers(&worker->loop, 1);
    list_remove(&c->task.link);
    list_remove(&c->link);
    list_remove(&c->waiting);
    /* An answer that the connection's end completes must not seem complete. */
    if (c->protocol == &protocol_http1 && c->http1.exchange && c->http1.answer_to_end)
        c->reset = true;
    if (c->reset)
        stream_reset(&c->stream);
    else
        stream_close(&c->stream);
    c->protocol->end(c);
    body_release(&c->out, &worker->output_blocks);
    if (c->cap_counted)
        caps_give(worker->shared->caps, CAP_CONNECTIONS, c->peer_hash);
    uncount(worker);
    worker_bury(worker, &c->grave, release);
}

void connection_arm(struct connection *c, uint64_t delay_us)
{
    timer_arm(&c->worker->loop, &c->timer, c->worker->loop.now_us + delay_us);
}

void connection_defer(struct connection *c)
{
    loop_defer(&c->worker->loop, &c->task);
}

bool connection_turn_is_long(const struct connection *c)
{
    return clock_now_us() - c->worker->loop.now_us >= TURN_US;
}

void connection_fit_piece(struct connection *c, size_t n, uint64_t begun_us)
{
    uint64_t took_us = clock_now_us() - begun_us;
    if (took_us > TURN_US && c->piece_bytes > PIECE_BYTES_MIN)
        c->piece_bytes /= 2;
    else if (took_us < TURN_US / 2 && n >= c->piece_bytes && c->piece_bytes < PIECE_BYTES_MAX)
        c->piece_bytes *= 2;
}

void connection_set_waiting(struct connection *c, bool waiting)
{
    list_remove(&c->waiting);
    c->waiting_since_us = c->worker->loop.now_us;
    if (waiting)
        list_append(&c->worker->waiting_connections, &c->waiting);
}

void connection_become(struct connection *c, const struct protocol *protocol)
{
    c->protocol->end(c);
    c->protocol = protocol;
}

/* --- reading ------------------------------------------------------------------------------------
 */

static enum err was_read(struct connection *c, enum err err)
{
    /* What is left after a hang-up announces itself no more. */
    c->readable = err == OK && (!c->stream.drained || c->hung_up);
    if (err != OK && err != ERR_AGAIN)
        connection_close(c);
    return err;
}

enum err connection_read(struct connection *c, char *room, size_t size, size_t *n)
{
    return c->readable ? was_read(c, stream_read(&c->stream, room, size, n)) : ERR_AGAIN;
}

enum err connection_read_pieces(struct connection *c, const struct iovec *pieces, int count,
                                size_t *n)
{
    return c->readable ? was_read(c, stream_read_pieces(&c->stream, pieces, count, n)) : ERR_AGAIN;
}

/* --- lingering ----------------------------------------------------------------------------------
 */

static void linger_turn(struct connection *c)
{
    size_t turn_bytes = 0, n;
    while (connection_read(c, c->worker->scratch, SCRATCH_BYTES, &n) == OK) {
        c->lingered_bytes += n;
        turn_bytes += n;
        if (c->lingered_bytes > LINGER_BYTES) {
            connection_close(c);
            return;
        }
        if (turn_bytes >= LINGER_BYTES_PER_TURN) {
            connection_defer(c);
            return;
        }
    }
}

static void do_nothing(struct connection *c)
{
    (void)c;
}

static const struct protocol lingering = {
    .turn = linger_turn,
    .on_time = connection_close,
    .written = do_nothing,
    .end = do_nothing,
    .drain = connection_close,
};

void connection_linger(struct connection *c)
{
    connection_become(c, &lingering);
    connection_set_waiting(c, true);
    stream_end_writing(&c->stream);
    connection_arm(c, CONNECTION_LINGER_US);
    if (!c->in_turn)
        connection_defer(c);
}

/* --- the TLS handshake --------------------------------------------------------------------------
 */

/* Whoever speaks plain HTTP to this port is told so, in clear. */
static void answer_plain_http(struct connection *c)
{
    tls_session_destroy(c->stream.tls);
    c->stream.tls = NULL;
    c->secure = false;
    http1_begin(c);
    http1_refuse(c, REFUSE_PLAIN_HTTP);
}

/* A handshake costs as much as ten requests: only some of them in one turn of the loop. */
static bool too_many_handshakes(struct worker *worker)
{
    if (worker->handshakes_us != worker->loop.now_us)
        worker->handshakes = 0;
    worker->handshakes_us = worker->loop.now_us;
    return ++worker->handshakes > HANDSHAKES_PER_TURN;
}

static void handshake_turn(struct connection *c)
{
    if (too_many_handshakes(c->worker)) {
        connection_defer(c);
        return;
    }
    enum err err = stream_handshake(&c->stream);
    if (err == ERR_AGAIN)
        return;
    if (err)
        record_event(c->worker->ring, EVENT_HANDSHAKE_FAILED);
    if (err == ERR_SYNTAX) {
        answer_plain_http(c);
        return;
    }
    if (err) {
        connection_close(c);
        return;
    }
    c->readable = true; /* the first request may have come with the handshake's last bytes */
    if (tls_session_protocol(c->stream.tls) == TLS_HTTP2)
        http2_begin(c, slice_make(NULL, 0));
    else
        http1_begin(c);
}

static void handshake_drain(struct connection *c)
{
    connection_arm(c, SECOND_US); /* it was on its way here, and may still ask */
}

static const struct protocol handshake = {
    .turn = handshake_turn,
    .on_time = connection_close,
    .written = do_nothing,
    .end = do_nothing,
    .drain = handshake_drain,
};

/* --- turns --------------------------------------------------------------------------------------
 */

void connection_turn(struct connection *c)
{
    c->in_turn = true;
    if (c->out.len && c->writable)
        connection_flush(c);
    for (const struct protocol *now = NULL; !c->closed && c->protocol != now;) {
        now = c->protocol;
        now->turn(c);
    }
    c->in_turn = false;
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
    struct connection *c = CONTAINER_OF(task, struct connection, task);
    c->in_task = true;
    connection_turn(c);
    c->in_task = false;
}

static void on_time(struct timer *timer)
{
    struct connection *c = CONTAINER_OF(timer, struct connection, timer);
    c->protocol->on_time(c);
}

/* --- the beginning ------------------------------------------------------------------------------
 */

static bool over_cap(struct connection *c)
{
    uint64_t max = worker_settings(c->worker)->limits.connections_per_ip;
    if (max == 0 || c->peer.family == ADDRESS_UNIX ||
        proxies_trust(worker_settings(c->worker), &c->peer)) /* it speaks for many */
        return false;
    c->cap_counted = caps_take(c->worker->shared->caps, CAP_CONNECTIONS, c->peer_hash, max);
    return !c->cap_counted;
}

/* Has it sent what will be read in this turn, or the next one? Not so where the rest is thrown
 * away, and not from one that does not read what it was told. */
static bool is_asking(const struct connection *c)
{
    char byte;
    if (c->protocol == &lingering || c->out.len)
        return false;
    return !list_empty(&c->task.link) || recv(c->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool connections_shed(struct worker *worker)
{
    for (int i = 0; !list_empty(&worker->waiting_connections); i++) {
        struct connection *oldest =
            LIST_OF(worker->waiting_connections.next, struct connection, waiting);
        if (oldest->waiting_since_us == worker->loop.now_us)
            return false; /* it, and all others, may have sent something */
        if (i < SPARED_MAX && is_asking(oldest)) {
            connection_set_waiting(oldest, true);
            continue;
        }
        record_event(worker->ring, EVENT_CONNECTION_SHED);
        connection_close(oldest);
        return true;
    }
    return false;
}

static unsigned open_connections(const struct worker *worker)
{
    return atomic_load_explicit(&worker->shared->connections, memory_order_relaxed);
}

/* Is there no room for this one? Those that wait for nothing make some first. */
static bool over_limit(struct connection *c)
{
    struct worker *worker = c->worker;
    uint64_t max = worker->shared->connections_max;
    unsigned open = open_connections(worker);
    if (open <= max - max / 5)
        return false;
    bool shed = connections_shed(worker);
    c->over_limit = open > max && !shed;
    return open > max + OVER_LIMIT_MAX && !shed;
}

void connection_make_room(struct connection *c)
{
    if (!c->over_limit || c->worker->draining)
        return;
    connection_set_waiting(c, true); /* the last of them: not itself */
    c->over_limit = open_connections(c->worker) > c->worker->shared->connections_max &&
                    !connections_shed(c->worker);
}

struct exchange_origin connection_origin(const struct connection *c)
{
    return (struct exchange_origin){
        .peer = c->peer, .secure = c->secure, .over_limit = c->over_limit};
}

static enum refusal reason_against(struct connection *c)
{
    if (peer_is_banned(c->worker, &c->peer))
        return REFUSE_BANNED_ADDRESS;
    if (over_cap(c))
        return REFUSE_TOO_MANY_CONNECTIONS;
    return over_limit(c) ? REFUSE_OVERLOADED : REFUSE_NONE;
}

/* One that was on its way here when the drain began may still ask, if it does so now. */
static void await_request(struct connection *c)
{
    connection_arm(c, c->worker->draining || c->over_limit
                          ? SECOND_US
                          : worker_settings(c->worker)->server.header_timeout_us);
    connection_set_waiting(c, true);
}

static bool open_stream(struct connection *c, bool tls)
{
    struct worker *worker = c->worker;
    if ((!tls || tls_server_accept(worker->tls, c->stream.fd, &c->stream.tls) == OK) &&
        loop_watch(&worker->loop, &c->watch) == OK)
        return true;
    record_event(worker->ring, EVENT_NO_MEMORY); /* OpenSSL's, or the kernel's */
    return false;
}

void connection_start(struct worker *worker, int fd, const struct address *peer, bool tls)
{
    struct connection *c = pool_take(&worker->connections);
    struct stream stream = stream_of(fd);
    if (!c || loop_reserve_timers(&worker->loop, 1) != OK) {
        if (c)
            pool_give(&worker->connections, c);
        stream_close(&stream);
        uncount(worker);
        record_event(worker->ring, EVENT_NO_MEMORY);
        return;
    }
    *c = (struct connection){.worker = worker,
                             .stream = stream,
                             .peer = *peer,
                             .secure = tls,
                             .piece_bytes = PIECE_BYTES_FIRST};
    c->peer_hash = address_hash(peer);
    c->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    c->timer.on_time = on_time;
    task_init(&c->task, on_task);
    list_init(&c->link);
    list_init(&c->waiting);
    list_append(&worker->all_connections, &c->link);
    c->protocol = &handshake;
    if (!tls)
        http1_begin(c);
    /* Who is not wanted is told why over plain HTTP; no TLS work is done for it. */
    enum refusal refusal = reason_against(c);
    if ((refusal && tls) || !open_stream(c, tls))
        connection_close(c);
    else if (refusal)
        http1_refuse(c, refusal);
    else
        await_request(c);
}

void connections_drain(struct worker *worker)
{
    worker->draining = true;
    LIST_EACH(link, &worker->all_connections)
    {
        struct connection *c = LIST_OF(link, struct connection, link);
        c->protocol->drain(c);
    }
}

/* --- exchanges that are cut ---------------------------------------------------------------------
 */

/* One that was refused already is on its way out by itself, with an answer that says why. */
static bool is_banned_meanwhile(struct exchange *x)
{
    if (x->cut || x->refusal || !exchange_is_banned(x))
        return false;
    x->cut = true;
    return true;
}

static void cut_exchanges(struct connection *c, bool (*is_cut)(struct exchange *x))
{
    if (c->protocol == &protocol_http2)
        http2_streams_cut(c->http2, is_cut);
    else if (c->protocol == &protocol_http1 && c->http1.exchange && is_cut(c->http1.exchange))
        connection_close(c); /* it carries nobody else's */
}

void connections_cut(struct worker *worker)
{
    LIST_EACH(link, &worker->all_connections)
    {
        struct connection *c = LIST_OF(link, struct connection, link);
        if (c->protocol == &lingering) /* it was answered, and goes in a moment */
            continue;
        cut_exchanges(c, is_banned_meanwhile);
        if (!c->closed && peer_is_banned(worker, &c->peer))
            connection_close(c);
    }
}

/* The time to end by itself is over (server.drain_timeout, or a second signal). */
static bool is_left_over(struct exchange *x)
{
    if (!x->refusal)
        refuse(x, REFUSE_SHUTTING_DOWN); /* only written down */
    return true;
}

void connections_end(struct worker *worker)
{
    LIST_EACH(link, &worker->all_connections)
    {
        struct connection *c = LIST_OF(link, struct connection, link);
        cut_exchanges(c, is_left_over);
        if (!c->closed)
            connection_close(c);
    }
}
