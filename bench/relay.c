/* The floor: a relay that reads nothing into what it carries. Each client connection is bound to
 * one connection to the upstream for as long as it lives; bytes go both ways as they come. What a
 * gateway costs above this is the price of being a gateway. It owns its sockets, is built and
 * called by bench/run, and is no part of the product.
 *
 * The hard problem is a peer that does not read: what it has not taken stays in this side's buffer,
 * and until that is empty nothing more is read for it.
 *
 * usage: relay PORT UPSTREAM_PORT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, EVENTS = 128 };

/* One of the two sockets of a pair. `kept` is what its peer's reader has read for it and it has not
 * taken yet; the memory exists only while there is some, so that idle pairs are small. */
struct side {
    struct side *other;
    char *kept;
    size_t kept_len, kept_at;
    int descriptor;
    uint32_t wanted; /* events this side is registered for */
};

struct pair {
    struct side client, upstream;
    struct pair *next_closed;
    bool closed;
};

static int loop;
static char read_buffer[READ_BYTES];
static struct sockaddr_in upstream_address;
static struct pair *closed_pairs; /* freed after the turn: events may still name them */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct pair *pair_of(struct side *side)
{
    return side < side->other ? (struct pair *)(void *)side : (struct pair *)(void *)side->other;
}

static void side_want(struct side *side, uint32_t events)
{
    if (side->wanted == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = side};
    if (epoll_ctl(loop, side->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, side->descriptor, &event) < 0)
        fail("epoll_ctl");
    side->wanted = events;
}

static void pair_close(struct pair *pair)
{
    if (pair->closed)
        return;
    pair->closed = true;
    close(pair->client.descriptor);
    close(pair->upstream.descriptor);
    free(pair->client.kept);
    free(pair->upstream.kept);
    pair->next_closed = closed_pairs;
    closed_pairs = pair;
}

/* Keeps what could not be written, and stops reading for it. False: close the pair. */
static bool side_keep(struct side *side, const char *bytes, size_t len)
{
    side->kept = malloc(len);
    if (!side->kept)
        return false;
    memcpy(side->kept, bytes, len);
    side->kept_len = len;
    side->kept_at = 0;
    side_want(side, EPOLLOUT);
    side_want(side->other, EPOLLERR);
    return true;
}

static bool side_write(struct side *side, const char *bytes, size_t len)
{
    ssize_t n = send(side->descriptor, bytes, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
        return false;
    size_t written = n < 0 ? 0 : (size_t)n;
    return written == len || side_keep(side, bytes + written, len - written);
}

static bool side_read(struct side *side)
{
    ssize_t n = recv(side->descriptor, read_buffer, sizeof(read_buffer), 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    return side_write(side->other, read_buffer, (size_t)n);
}

static bool side_flush(struct side *side)
{
    size_t left = side->kept_len - side->kept_at;
    ssize_t n = send(side->descriptor, side->kept + side->kept_at, left, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN;
    side->kept_at += (size_t)n;
    if ((size_t)n < left)
        return true;
    free(side->kept);
    side->kept = NULL;
    side_want(side, EPOLLIN);
    side_want(side->other, EPOLLIN);
    return true;
}

static void side_turn(struct side *side, uint32_t events)
{
    struct pair *pair = pair_of(side);
    if (pair->closed)
        return;
    bool fine = true;
    if (events & EPOLLOUT)
        fine = !side->kept || side_flush(side);
    else if (side->wanted & EPOLLIN)
        fine = side_read(side);
    else /* does not read at present; the event may be from before that */
        fine = !(events & (EPOLLERR | EPOLLHUP));
    if (!fine)
        pair_close(pair);
}

static void pair_accept(int listener)
{
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    int upstream = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pair *pair = calloc(1, sizeof(*pair));
    if (upstream < 0 || !pair)
        fail("accept");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(upstream, (struct sockaddr *)&upstream_address, sizeof(upstream_address)) < 0 &&
        errno != EINPROGRESS)
        fail("connect");
    pair->client = (struct side){.other = &pair->upstream, .descriptor = client};
    pair->upstream = (struct side){.other = &pair->client, .descriptor = upstream};
    side_want(&pair->client, EPOLLIN);
    side_want(&pair->upstream, EPOLLIN);
}

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_on(const char *port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = loopback(port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 4096) < 0)
        fail("listen");
    return listener;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: relay PORT UPSTREAM_PORT\n");
        return 2;
    }
    int listener = listen_on(argv[1]);
    upstream_address = loopback(argv[2]);
    loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll");
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                side_turn(events[i].data.ptr, events[i].events);
            else
                pair_accept(listener);
        }
        while (closed_pairs) {
            struct pair *pair = closed_pairs;
            closed_pairs = pair->next_closed;
            free(pair);
        }
    }
}
