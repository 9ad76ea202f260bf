/* The life of a connection to an upstream: resolve, connect, shake hands, serve requests, idle,
 * close. What travels on it is upstream_request.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/demo_peer.h"
#include "gateway/upstream_pool.h"
#include "gateway/upstream_wire.h"

enum {
    IDLE_MAX = 32,           /* kept connections per worker and upstream, as in nginx's examples */
    ADDRESS_LIFETIME_S = 30, /* how long a resolved name is believed */
    RETRY_US = 5 * 1000      /* a Unix socket's queue is full: when to knock again */
};

/* A look-up in progress; lives until its answer comes, also when nobody waits for it any more. */
struct pending_lookup {
    struct lookup lookup;
    struct upstream_connection *asker; /* NULL: gone */
};

static void release(struct grave *grave)
{
    struct upstream_connection *c = CONTAINER_OF(grave, struct upstream_connection, grave);
    pool_give(&c->worker->upstream_connections, c);
}

void upstream_connection_close(struct upstream_connection *c)
{
    if (c->state == UPSTREAM_CLOSED)
        return;
    struct loop *loop = &c->worker->loop;
    if (c->stream.fd >= 0)
        loop_unwatch(loop, &c->watch);
    timer_disarm(loop, &c->timer);
    loop_release_timers(loop, 1);
    list_remove(&c->task.link);
    stream_close(&c->stream);
    buffer_finish(&c->in);
    if (c->lookup)
        c->lookup->asker = NULL;
    if (c->state == UPSTREAM_IDLE) {
        list_remove(&c->link);
        c->pool->idle_count--;
    } else {
        c->pool->active_count--;
    }
    c->state = UPSTREAM_CLOSED;
    upstream_pool_drop_unused(c->pool);
    worker_bury(c->worker, &c->grave, release);
}

static void connect_next(struct upstream_connection *c);

/* This address does not take us. */
static void leave_address(struct upstream_connection *c)
{
    loop_unwatch(&c->worker->loop, &c->watch);
    stream_close(&c->stream);
    c->addresses_tried++;
    connect_next(c);
}

static void on_time(struct timer *timer)
{
    struct upstream_connection *c = CONTAINER_OF(timer, struct upstream_connection, timer);
    bool may_go_on = c->worker->loop.now_us < c->connect_until_us;
    if (c->state == UPSTREAM_IDLE)
        upstream_connection_close(c);
    else if (c->state == UPSTREAM_RESOLVING && may_go_on)
        connect_next(c);
    else if (c->state == UPSTREAM_CONNECTING && may_go_on)
        leave_address(c);
    else if (c->request->paused) /* the client is slow; its own connection's timer decides */
        timer_arm(&c->worker->loop, &c->timer,
                  c->worker->loop.now_us + c->pool->upstream->settings->read_timeout_us);
    else
        upstream_wire_fail(c, ERR_TIMEOUT);
}

static void handshake(struct upstream_connection *c)
{
    enum err err = stream_handshake(&c->stream);
    if (err == ERR_AGAIN)
        return;
    if (err) {
        log_warning("upstream %s: TLS handshake failed%s%s", c->pool->upstream->settings->name,
                    *tls_session_reason(c->stream.tls) ? ": " : "",
                    tls_session_reason(c->stream.tls));
        upstream_wire_fail(c, ERR_TLS);
        return;
    }
    upstream_wire_begin(c);
}

/* Which of the pool's addresses is being tried. */
static unsigned address_at(const struct upstream_connection *c)
{
    return (c->address_first + c->addresses_tried) % c->pool->address_count;
}

/* With errno: nobody listens there, there is no way to it, we have no descriptors. */
static void log_unreached(const struct upstream_connection *c)
{
    log_warning("upstream %s: cannot connect: %s", c->pool->upstream->settings->name,
                strerror(errno));
}

static void connected(struct upstream_connection *c)
{
    if (socket_connected(c->stream.fd) != OK) {
        log_unreached(c);
        leave_address(c);
        return;
    }
    struct upstream *upstream = c->pool->upstream;
    c->pool->address_first = address_at(c);
    timer_arm(&c->worker->loop, &c->timer, c->connect_until_us);
    if (!upstream->tls) {
        upstream_wire_begin(c);
        return;
    }
    c->state = UPSTREAM_HANDSHAKING;
    enum err err = tls_client_connect(upstream->tls, c->stream.fd, upstream->settings->url.host,
                                      &c->stream.tls);
    if (err)
        upstream_wire_fail(c, err);
    else
        handshake(c);
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct upstream_connection *c = CONTAINER_OF(watch, struct upstream_connection, watch);
    c->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    c->writable |= (events & EPOLLOUT) != 0;
    c->hung_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    switch (c->state) {
    case UPSTREAM_CONNECTING:
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            connected(c);
        break;
    case UPSTREAM_HANDSHAKING:
        handshake(c);
        break;
    case UPSTREAM_BUSY:
        upstream_wire_turn(c);
        break;
    case UPSTREAM_IDLE:
        /* It hung up, or it says something that nobody asked for. */
        if (c->hung_up || !upstream_wire_quiet(c))
            upstream_connection_close(c);
        break;
    case UPSTREAM_RESOLVING:
    case UPSTREAM_CLOSED:
        break;
    }
}

/* Watches `fd`, which becomes the connection's. */
static enum err adopt(struct upstream_connection *c, int fd)
{
    c->stream = stream_of(fd);
    c->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    c->readable = c->writable = c->hung_up = false;
    enum err err = loop_watch(&c->worker->loop, &c->watch);
    if (err)
        stream_close(&c->stream);
    return err;
}

/* Each address has its share of the time that is left, so that one which is silent, as behind a
 * firewall, leaves some for the others. */
static void await_connection(struct upstream_connection *c)
{
    uint64_t now_us = c->worker->loop.now_us;
    uint64_t left_us = c->connect_until_us > now_us ? c->connect_until_us - now_us : 0;
    timer_arm(&c->worker->loop, &c->timer,
              now_us + left_us / (c->pool->address_count - c->addresses_tried));
    c->state = UPSTREAM_CONNECTING;
}

static void connect_next(struct upstream_connection *c)
{
    struct upstream_pool *pool = c->pool;
    enum err err = ERR_IO;
    if (c->addresses_tried == 0)
        c->address_first = pool->address_first;
    for (; err && c->addresses_tried < pool->address_count; c->addresses_tried += err != OK) {
        int fd;
        err = socket_connect(&pool->addresses[address_at(c)], &fd);
        if (err == ERR_AGAIN) { /* no event will say when there is room */
            timer_arm(&c->worker->loop, &c->timer, c->worker->loop.now_us + RETRY_US);
            return;
        }
        if (!err)
            err = adopt(c, fd);
        if (err)
            log_unreached(c);
    }
    if (err) {
        pool->resolved_us = 0; /* perhaps it moved: ask again next time */
        upstream_wire_fail(c, ERR_IO);
        return;
    }
    await_connection(c);
}

/* One that was good when those before it were not is asked first the next time, too. */
static void keep_addresses(struct upstream_pool *pool, const struct lookup *lookup, uint64_t now_us)
{
    struct endpoint_address good = pool->addresses[pool->address_first];
    bool preferred = pool->address_first != 0;
    memcpy(pool->addresses, lookup->found, lookup->count * sizeof *lookup->found);
    pool->address_count = lookup->count;
    pool->address_first = 0;
    for (unsigned i = 0; preferred && i < lookup->count; i++)
        if (endpoint_equal(&pool->addresses[i], &good))
            pool->address_first = i;
    pool->resolved_us = now_us;
}

static void looked_up(struct lookup *lookup)
{
    struct pending_lookup *pending = CONTAINER_OF(lookup, struct pending_lookup, lookup);
    struct upstream_connection *c = pending->asker;
    if (c) {
        c->lookup = NULL;
        if (lookup->err) {
            log_warning("upstream %s: the name %s does not resolve",
                        c->pool->upstream->settings->name, lookup->host);
            upstream_wire_fail(c, ERR_NOT_FOUND);
        } else {
            keep_addresses(c->pool, lookup, c->worker->loop.now_us);
            connect_next(c);
        }
    }
    free(pending);
}

static enum err look_up(struct upstream_connection *c, const struct url *url)
{
    struct pending_lookup *pending = calloc(1, sizeof *pending);
    if (!pending)
        return ERR_MEMORY;
    pending->asker = c;
    pending->lookup.done = looked_up;
    enum err err = lookup_start(&pending->lookup, c->worker->shared->jobs, &c->worker->loop,
                                url->host, url->port);
    if (err == ERR_AGAIN) {
        c->lookup = pending;
        return ERR_AGAIN;
    }
    if (!err)
        keep_addresses(c->pool, &pending->lookup, c->worker->loop.now_us);
    free(pending);
    return err;
}

/* Makes the pool's addresses known. ERR_AGAIN: connect_next will be called. */
static enum err find_addresses(struct upstream_connection *c)
{
    struct upstream_pool *pool = c->pool;
    const struct url *url = &pool->upstream->settings->url;
    uint64_t age_us = c->worker->loop.now_us - pool->resolved_us;
    if (pool->resolved_us && age_us < ADDRESS_LIFETIME_S * SECOND_US)
        return OK;
    if (!url->unix_socket)
        return look_up(c, url);
    pool->address_count = 1;
    return endpoint_of_path(url->host, &pool->addresses[0]);
}

static enum err connect_demo(struct upstream_connection *c)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return ERR_IO;
    enum err err = demo_peer_start(c->worker, pair[1]);
    if (err) {
        close(pair[0]);
        close(pair[1]);
        return err;
    }
    return adopt(c, pair[0]);
}

static void on_task(struct task *task)
{
    struct upstream_connection *c = CONTAINER_OF(task, struct upstream_connection, task);
    if (c->state == UPSTREAM_BUSY)
        upstream_wire_turn(c);
}

/* A new connection that carries `request`; NULL: no memory. */
static struct upstream_connection *create(struct upstream_pool *pool,
                                          struct upstream_request *request)
{
    struct worker *worker = request->worker;
    struct upstream_connection *c = pool_take(&worker->upstream_connections);
    if (!c)
        return NULL;
    if (loop_reserve_timers(&worker->loop, 1) != OK) {
        pool_give(&worker->upstream_connections, c);
        return NULL;
    }
    *c = (struct upstream_connection){.worker = worker, .pool = pool, .stream.fd = -1};
    c->timer.on_time = on_time;
    list_init(&c->link);
    task_init(&c->task, on_task);
    buffer_init(&c->in, 256 * 1024);
    pool->active_count++;
    c->request = request;
    request->connection = c;
    return c;
}

static void open_connection(struct upstream_pool *pool, struct upstream_request *request)
{
    struct upstream_connection *c = create(pool, request);
    if (!c) {
        upstream_pool_drop_unused(pool);
        request->listener->fail(request, ERR_MEMORY);
        return;
    }
    c->connect_until_us = c->worker->loop.now_us + pool->upstream->settings->connect_timeout_us;
    if (request->until_us && request->until_us < c->connect_until_us)
        c->connect_until_us = request->until_us;
    timer_arm(&c->worker->loop, &c->timer, c->connect_until_us);
    if (pool->upstream->kind == KIND_DEMO) {
        enum err err = connect_demo(c);
        if (err)
            upstream_wire_fail(c, err);
        else
            upstream_wire_begin(c);
        return;
    }
    c->state = UPSTREAM_RESOLVING;
    enum err err = find_addresses(c);
    if (err == ERR_AGAIN)
        return;
    if (err)
        upstream_wire_fail(c, err);
    else
        connect_next(c);
}

void upstream_connection_get(struct upstream_request *request)
{
    struct upstream_pool *pool = upstream_pool_get(request->worker, request->upstream);
    if (!pool) {
        request->listener->fail(request, ERR_MEMORY);
        return;
    }
    if (list_empty(&pool->idle) || request->retried) {
        open_connection(pool, request);
        return;
    }
    struct upstream_connection *c =
        LIST_OF(list_pop(&pool->idle), struct upstream_connection, link);
    pool->idle_count--;
    pool->active_count++;
    c->reused = true;
    c->request = request;
    request->connection = c;
    upstream_wire_begin(c);
}

void upstream_connection_put(struct upstream_connection *c, bool reusable)
{
    struct upstream_pool *pool = c->pool;
    if (!reusable || c->hung_up || pool->retired || c->worker->draining ||
        pool->idle_count >= IDLE_MAX) {
        upstream_connection_close(c);
        return;
    }
    c->state = UPSTREAM_IDLE;
    pool->active_count--;
    pool->idle_count++;
    list_prepend(&pool->idle, &c->link);
    timer_arm(&c->worker->loop, &c->timer, c->worker->loop.now_us + c->idle_max_us);
}
