#include "gateway/demo_peer.h"

#include <stdlib.h>

#include "io/stream.h"
#include "llm/demo.h"

/* The longest piece of an answer is an embedding; a reader that is slow stops the demo, as it would
 * a real server. */
enum { ANSWER_PIECE_MAX = 1 << 20 };

struct demo_peer {
    struct grave grave;
    struct list link;
    struct watch watch;
    struct timer timer;
    struct worker *worker;
    struct stream stream;
    struct demo *demo;
    struct buffer out;
    bool ending; /* close once `out` is written */
};

static void release(struct grave *grave)
{
    struct demo_peer *peer = CONTAINER_OF(grave, struct demo_peer, grave);
    demo_destroy(peer->demo);
    buffer_finish(&peer->out);
    free(peer);
}

static void close_peer(struct demo_peer *peer)
{
    if (peer->stream.fd < 0)
        return;
    loop_unwatch(&peer->worker->loop, &peer->watch);
    timer_disarm(&peer->worker->loop, &peer->timer);
    loop_release_timers(&peer->worker->loop, 1);
    stream_close(&peer->stream);
    list_remove(&peer->link);
    worker_bury(peer->worker, &peer->grave, release);
}

/* Writes what there is; false when the reader is slow or gone. */
static bool write_out(struct demo_peer *peer)
{
    while (peer->out.len) {
        struct iovec piece = {peer->out.bytes, peer->out.len};
        size_t n;
        enum err err = stream_write(&peer->stream, &piece, 1, &n);
        if (err == ERR_AGAIN)
            return false;
        if (err) {
            close_peer(peer);
            return false;
        }
        buffer_consume(&peer->out, n);
    }
    if (peer->ending)
        close_peer(peer);
    return !peer->ending;
}

static void answer(struct demo_peer *peer)
{
    while (!timer_armed(&peer->timer) && write_out(peer)) {
        uint64_t pause_us = 0;
        enum err err = demo_next(peer->demo, &peer->out, &pause_us);
        if (err == ERR_AGAIN)
            return;
        if (err || peer->out.failed)
            peer->ending = true;
        else if (pause_us)
            timer_arm(&peer->worker->loop, &peer->timer, peer->worker->loop.now_us + pause_us);
    }
}

static void on_time(struct timer *timer)
{
    answer(CONTAINER_OF(timer, struct demo_peer, timer));
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct demo_peer *peer = CONTAINER_OF(watch, struct demo_peer, watch);
    (void)events;
    for (;;) {
        size_t n;
        enum err err = stream_read(&peer->stream, peer->worker->scratch, SCRATCH_BYTES, &n);
        if (err == ERR_AGAIN)
            break;
        if (err) {
            close_peer(peer);
            return;
        }
        /* What it cannot read it answers with 400, and then wants to close. */
        if (demo_receive(peer->demo, slice_make(peer->worker->scratch, n)) != OK)
            break;
    }
    answer(peer);
}

enum err demo_peer_start(struct worker *worker, int fd)
{
    struct demo_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return ERR_MEMORY;
    peer->worker = worker;
    peer->stream = stream_of(fd);
    peer->watch = (struct watch){.fd = fd, .on_ready = on_ready};
    peer->timer.on_time = on_time;
    peer->out = BUFFER_MAX(ANSWER_PIECE_MAX);
    peer->demo = demo_create();
    list_init(&peer->link);
    enum err err = peer->demo ? loop_reserve_timers(&worker->loop, 1) : ERR_MEMORY;
    if (!err && (err = loop_watch(&worker->loop, &peer->watch)))
        loop_release_timers(&worker->loop, 1);
    if (err) {
        demo_destroy(peer->demo);
        free(peer);
        return err;
    }
    list_append(&worker->demo_peers, &peer->link);
    return OK;
}

void demo_peers_finish(struct worker *worker)
{
    LIST_EACH(link, &worker->demo_peers)
    close_peer(LIST_OF(link, struct demo_peer, link));
}
