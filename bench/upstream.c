/* A tiny upstream for measurements: answers every HTTP/1.1 request from one epoll loop, with one
 * fixed chat completion, or with a stream of events when the body says so. It owns its sockets and
 * nothing else, is built and called by bench/run, and is no part of the product. It trusts its
 * peers: it reads Content-Length and skips that many bytes, no more.
 *
 * A body that begins with {"model":"every-N-us" is answered by an event each N microseconds until
 * the client goes away; each event carries the time it was sent, so that the reader can tell how
 * long it was on its way. One that begins with {"model":"flood-every-N-us" is answered by 16 KB of
 * events each N microseconds, as far as the reader takes them. The hard problem: an event is due to
 * the microsecond and must not wait for others; due streams stand in a list in order of time, and
 * the wait ends when the first is due.
 *
 * usage: upstream PORT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    DESCRIPTORS_MAX = 65536,
    READ_BYTES = 256 * 1024,
    HEAD_BYTES_MAX = 4096,
    OPENING_BYTES = 64, /* of a body that are kept: enough for what it may ask for */
    EVENTS = 128,
    FLOOD_EVENTS = 64, /* that are made beforehand */
    FLOOD_BYTES = 16 * 1024,
};

static const char content[] =
    "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":"
    "\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The "
    "quick brown fox jumps over the lazy dog, and the gate lets the answer through as it "
    "came.\"},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":21,\"total_tokens\":45}}";

static const char stream_begin[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
/* One event; the two numbers have a fixed width, so that the chunk's size does not change. */
static const char event_format[] =
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"bench\",\"at\":%020llu,\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"}"
    ",\"finish_reason\":null}]}\n\n";

struct connection {
    TAILQ_ENTRY(connection) line; /* among the streams, by due_ns */
    char *head;                   /* HEAD_BYTES_MAX bytes while a head is not whole; else NULL */
    size_t head_len;
    char opening[OPENING_BYTES]; /* how the body begins */
    size_t opening_len;
    size_t body_left; /* bytes of the request's body still to come */
    uint64_t period_ns, due_ns;
    int descriptor;
    size_t flood_at; /* how much of `flood` is written, modulo its length */
    bool in_body, last, streams, floods;
};

static struct connection *connections[DESCRIPTORS_MAX];
static TAILQ_HEAD(line, connection) streams = TAILQ_HEAD_INITIALIZER(streams);
static char answer[2048], answer_last[2048], read_buffer[READ_BYTES + 1];
static size_t answer_len, answer_last_len;
static char flood[FLOOD_EVENTS * 600]; /* whole chunks */
static size_t flood_len;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static const char *field_value(const char *head, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    for (size_t i = 0; i + name_len < len; i++)
        if (head[i] == '\n' && strncasecmp(head + i + 1, name, name_len) == 0)
            return head + i + 1 + name_len;
    return NULL;
}

/* The list is in order; streams of one period go to its end without a walk. */
static void stream_line_up(struct connection *c)
{
    struct connection *before = TAILQ_LAST(&streams, line);
    while (before && before->due_ns > c->due_ns)
        before = TAILQ_PREV(before, line, line);
    if (before)
        TAILQ_INSERT_AFTER(&streams, before, c, line);
    else
        TAILQ_INSERT_HEAD(&streams, c, line);
}

static int event_print(char *chunk, size_t room)
{
    char text[512];
    int text_len = snprintf(text, sizeof(text), event_format, (unsigned long long)now_ns());
    return snprintf(chunk, room, "%x\r\n%s\r\n", (unsigned)text_len, text);
}

/* Goes on where the last write ended, which may be within a chunk. */
static bool flood_send(struct connection *c)
{
    size_t left = flood_len - c->flood_at;
    ssize_t n = write(c->descriptor, flood + c->flood_at, left < FLOOD_BYTES ? left : FLOOD_BYTES);
    if (n > 0)
        c->flood_at = (c->flood_at + (size_t)n) % flood_len;
    return n > 0 || errno == EAGAIN;
}

static bool event_send(struct connection *c)
{
    char chunk[600];
    if (c->floods)
        return flood_send(c);
    int len = event_print(chunk, sizeof(chunk));
    /* A reader that has fallen behind loses events here; the load sees too few of them. */
    return write(c->descriptor, chunk, (size_t)len) == len || errno == EAGAIN;
}

static bool stream_start(struct connection *c, unsigned long period_us)
{
    size_t len = sizeof(stream_begin) - 1;
    c->streams = true;
    c->period_ns = period_us * UINT64_C(1000);
    c->due_ns = now_ns() + c->period_ns;
    stream_line_up(c);
    return write(c->descriptor, stream_begin, len) == (ssize_t)len && event_send(c);
}

static bool opens_with(const struct connection *c, const char *text)
{
    return c->opening_len == OPENING_BYTES && strncmp(c->opening, text, strlen(text)) == 0;
}

static bool request_answer(struct connection *c)
{
    static const char flooding[] = "{\"model\":\"flood-every-", marker[] = "{\"model\":\"every-";
    c->in_body = false;
    if (opens_with(c, flooding)) {
        c->floods = true;
        return stream_start(c, strtoul(c->opening + sizeof(flooding) - 1, NULL, 10));
    }
    if (opens_with(c, marker))
        return stream_start(c, strtoul(c->opening + sizeof(marker) - 1, NULL, 10));
    if (c->last) {
        (void)!write(c->descriptor, answer_last, answer_last_len);
        return false;
    }
    return write(c->descriptor, answer, answer_len) == (ssize_t)answer_len;
}

/* A head may come in pieces; it is put together in memory that lives no longer than that. Returns
 * the bytes taken from `at`; zero when it is too long. */
static size_t head_take(struct connection *c, const char *at, size_t len)
{
    if (!c->head && !(c->head = malloc(HEAD_BYTES_MAX)))
        fail("malloc");
    size_t room = HEAD_BYTES_MAX - c->head_len, before = c->head_len;
    size_t taken = len < room ? len : room;
    memcpy(c->head + before, at, taken);
    c->head_len += taken;
    const char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (!end)
        return taken;
    size_t head_len = (size_t)(end - c->head) + 4;
    const char *length = field_value(c->head, head_len, "content-length:");
    const char *connection = field_value(c->head, head_len, "connection:");
    c->body_left = length ? strtoul(length, NULL, 10) : 0;
    c->last = connection && strncasecmp(connection, " close", 6) == 0;
    c->in_body = true;
    c->opening_len = 0;
    free(c->head);
    c->head = NULL;
    c->head_len = 0;
    return head_len - before;
}

static size_t body_take(struct connection *c, const char *at, size_t len)
{
    size_t taken = len < c->body_left ? len : c->body_left;
    size_t room = OPENING_BYTES - c->opening_len;
    size_t kept = taken < room ? taken : room;
    memcpy(c->opening + c->opening_len, at, kept);
    c->opening_len += kept;
    c->body_left -= taken;
    return taken;
}

/* False: close the connection. */
static bool connection_read(struct connection *c)
{
    ssize_t n = read(c->descriptor, read_buffer, READ_BYTES);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    for (size_t at = 0; at < (size_t)n;) {
        if (!c->in_body) {
            size_t taken = head_take(c, read_buffer + at, (size_t)n - at);
            if (taken == 0)
                return false;
            at += taken;
        }
        if (c->in_body) {
            at += body_take(c, read_buffer + at, (size_t)n - at);
            if (c->body_left == 0 && !request_answer(c))
                return false;
        }
    }
    return true;
}

static void connection_close(struct connection *c)
{
    if (c->streams)
        TAILQ_REMOVE(&streams, c, line);
    connections[c->descriptor] = NULL;
    close(c->descriptor);
    free(c->head);
    free(c);
}

static void connection_accept(int loop, int listener)
{
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0)
        return;
    if (descriptor >= DESCRIPTORS_MAX) {
        close(descriptor);
        return;
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *c = connections[descriptor] = calloc(1, sizeof(struct connection));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (!c || epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event) < 0)
        fail("accept");
    c->descriptor = descriptor;
}

/* Sends what is due; returns the nanoseconds until the next event, or -1. */
static int64_t streams_turn(void)
{
    for (;;) {
        struct connection *c = TAILQ_FIRST(&streams);
        uint64_t now = now_ns();
        if (!c)
            return -1;
        if (c->due_ns > now)
            return (int64_t)(c->due_ns - now);
        TAILQ_REMOVE(&streams, c, line);
        c->due_ns += c->period_ns;
        stream_line_up(c);
        if (!event_send(c))
            connection_close(c);
    }
}

static size_t answer_print(char *out, size_t room, const char *field)
{
    int n = snprintf(
        out, room,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
        sizeof(content) - 1, field, content);
    return (size_t)n;
}

static int listen_on(unsigned port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 4096) < 0)
        fail("listen");
    return listener;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    answer_len = answer_print(answer, sizeof(answer), "");
    answer_last_len = answer_print(answer_last, sizeof(answer_last), "Connection: close\r\n");
    for (unsigned i = 0; i < FLOOD_EVENTS; i++)
        flood_len += (size_t)event_print(flood + flood_len, sizeof(flood) - flood_len);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL);
    int listener = listen_on((unsigned)strtoul(argv[1], NULL, 10));
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll");
    for (;;) {
        struct epoll_event events[EVENTS];
        int64_t wait_ns = streams_turn();
        struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        int count = epoll_pwait2(loop, events, EVENTS, wait_ns < 0 ? NULL : &wait, NULL);
        for (int i = 0; i < count; i++) {
            int descriptor = events[i].data.fd;
            if (descriptor == listener)
                connection_accept(loop, listener);
            else if (connections[descriptor] && !connection_read(connections[descriptor]))
                connection_close(connections[descriptor]);
        }
    }
}
