#include "gateway/listener.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/connection.h"
#include "gateway/gate.h"

enum {
    ACCEPTS_PER_TURN = 64,
    PAUSE_US = 100 * 1000, /* when descriptors have run out: wait for some to close, do not spin */
    COMPLAIN_EVERY_US = 60 * 1000 * 1000,
    SHED_AT_ONCE = 16,
    TOLD_PER_SECOND = 64, /* of those who are banned; others find the door shut */
};

struct listener {
    struct watch watch;
    struct timer pause;
    struct task task;
    int fd;
    struct endpoint_address address;
    struct worker *const *workers;
    unsigned worker_count;
    bool inherited; /* whoever opened it keeps it open */
    bool tls, running;
    uint64_t complain_us; /* not before: descriptors have run out */
    uint64_t told_us;     /* since then `told` banned ones were let in to be told so */
    unsigned told;
};

/* Another worker is asked to close some that serve nobody. */
struct plea {
    struct message message;
    struct worker *worker;
};

/* A connection on its way to another worker. */
struct handover {
    struct message message;
    struct worker *worker;
    struct address peer;
    int fd;
    bool tls;
};

enum err listener_open(const char *text, bool tls, struct inherited *inherited,
                       struct listener **listener)
{
    struct listener *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->fd = -1;
    made->tls = tls;
    enum err err = endpoint_parse(slice_of(text), &made->address);
    if (!err) {
        made->fd = inherited_find(inherited, &made->address);
        made->inherited = made->fd >= 0;
    }
    if (!err && !made->inherited)
        err = socket_listen(&made->address, &made->fd);
    if (!err)
        err = socket_local(made->fd, &made->address);
    if (err) {
        listener_close(made);
        return err;
    }
    *listener = made;
    return OK;
}

void listener_print(const struct listener *listener, struct buffer *out)
{
    endpoint_print(out, &listener->address);
}

static void deliver(struct message *message)
{
    struct handover *handover = CONTAINER_OF(message, struct handover, message);
    connection_start(handover->worker, handover->fd, &handover->peer, handover->tls);
    free(handover);
}

/* The fewest connections, but one of HTTP/2 with many streams is as good as many. */
static struct worker *least_busy(const struct listener *listener)
{
    struct worker *best = listener->workers[0];
    unsigned fewest = UINT32_MAX;
    for (unsigned i = 0; i < listener->worker_count; i++) {
        const struct worker *worker = listener->workers[i];
        unsigned count = atomic_load_explicit(&worker->connection_count, memory_order_relaxed) +
                         atomic_load_explicit(&worker->exchange_count, memory_order_relaxed);
        if (count < fewest) {
            fewest = count;
            best = listener->workers[i];
        }
    }
    return best;
}

static void hand_out(struct listener *listener, int fd, const struct address *peer)
{
    struct worker *worker = least_busy(listener);
    /* Counted here, so that the next choice already sees it. */
    atomic_fetch_add_explicit(&worker->connection_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->shared->connections, 1, memory_order_relaxed);
    if (worker == listener->workers[0]) {
        connection_start(worker, fd, peer, listener->tls);
        return;
    }
    struct handover *handover = malloc(sizeof *handover);
    if (!handover) {
        atomic_fetch_sub_explicit(&worker->connection_count, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&worker->shared->connections, 1, memory_order_relaxed);
        close(fd);
        record_event(listener->workers[0]->ring, EVENT_NO_MEMORY);
        return;
    }
    *handover = (struct handover){.message.deliver = deliver,
                                  .worker = worker,
                                  .peer = *peer,
                                  .fd = fd,
                                  .tls = listener->tls};
    loop_post(&worker->loop, &handover->message);
}

static void complain(struct listener *listener, uint64_t now_us)
{
    if (now_us < listener->complain_us)
        return;
    listener->complain_us = now_us + COMPLAIN_EVERY_US;
    log_error("no descriptor is left for a new connection: those that have waited longest are "
              "closed; raise the limit of open files (ulimit -n) or lower server.max_connections");
}

static void heed(struct message *message)
{
    struct plea *plea = CONTAINER_OF(message, struct plea, message);
    for (int i = 0; i < SHED_AT_ONCE && connections_shed(plea->worker); i++)
        ;
    free(plea);
}

/* Closes one here that serves nobody. False: there is none; the others are asked, and it is time to
 * pause. */
static bool make_room(struct listener *listener)
{
    struct loop *loop = &listener->workers[0]->loop;
    complain(listener, loop->now_us);
    if (connections_shed(listener->workers[0]))
        return true;
    for (unsigned i = 1; i < listener->worker_count; i++) {
        struct plea *plea = malloc(sizeof *plea);
        if (!plea)
            break;
        *plea = (struct plea){.message.deliver = heed, .worker = listener->workers[i]};
        loop_post(&plea->worker->loop, &plea->message);
    }
    timer_arm(loop, &listener->pause, loop->now_us + PAUSE_US);
    return false;
}

/* One that is banned costs no more than this, unless it is among the first in a second: the
 * connection tells it why (connection.c). */
static bool shut_out(struct listener *listener, int fd, const struct address *peer)
{
    struct worker *worker = listener->workers[0];
    if (!peer_is_banned(worker, peer))
        return false;
    if (worker->loop.now_us >= listener->told_us + SECOND_US) {
        listener->told_us = worker->loop.now_us;
        listener->told = 0;
    }
    if (listener->told++ < TOLD_PER_SECOND)
        return false;
    struct stream stream = stream_of(fd);
    stream_reset(&stream);
    return true;
}

static void accept_some(struct listener *listener)
{
    struct loop *loop = &listener->workers[0]->loop;
    bool any = false;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd;
        struct address peer;
        enum err err = socket_accept(listener->fd, &fd, &peer);
        if (err == ERR_AGAIN)
            return;
        if (err == ERR_LIMIT && !make_room(listener))
            return;
        if (err)
            continue; /* there is a descriptor now, or this one was gone before we came to it */
        any = true;
        if (!shut_out(listener, fd, &peer))
            hand_out(listener, fd, &peer);
    }
    if (any)
        loop_defer(loop, &listener->task);
    else /* the socket itself is broken: somebody shut it down */
        timer_arm(loop, &listener->pause, loop->now_us + PAUSE_US);
}

static void on_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    accept_some(CONTAINER_OF(watch, struct listener, watch));
}

static void on_time(struct timer *timer)
{
    accept_some(CONTAINER_OF(timer, struct listener, pause));
}

static void on_task(struct task *task)
{
    accept_some(CONTAINER_OF(task, struct listener, task));
}

enum err listener_start(struct listener *listener, struct worker *const *workers, unsigned count)
{
    listener->workers = workers;
    listener->worker_count = count;
    listener->watch = (struct watch){.fd = listener->fd, .on_ready = on_ready};
    listener->pause.on_time = on_time;
    task_init(&listener->task, on_task);
    TRY(loop_reserve_timers(&workers[0]->loop, 1));
    TRY(loop_watch(&workers[0]->loop, &listener->watch));
    listener->running = true;
    return OK;
}

static void close_socket(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    close(listener->fd);
    listener->fd = -1;
    if (listener->address.any.sa_family == AF_UNIX && !listener->inherited)
        unlink(listener->address.unix_path.sun_path);
}

void listener_stop(struct listener *listener)
{
    if (!listener->running)
        return;
    struct loop *loop = &listener->workers[0]->loop;
    loop_unwatch(loop, &listener->watch);
    timer_disarm(loop, &listener->pause);
    loop_release_timers(loop, 1);
    list_remove(&listener->task.link);
    listener->running = false;
    close_socket(listener);
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    listener_stop(listener);
    close_socket(listener);
    free(listener);
}
