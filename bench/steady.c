/* The good client: small authorised chats at a steady rate, whatever happens to the gateway in the
 * meantime. One epoll loop; called by bench/run and by tests/faults/test_under_attack.py, no part
 * of the product.
 *
 *   steady PORT RATE_PER_S BODY_FILE KEYS_FILE (one key per line; "-": no credential)
 *
 * It prints "ready" once a first request was answered. Then each line on standard input, a number
 * of milliseconds, is one measurement: requests are sent for that long, the last answers are waited
 * for, and one line of JSON tells what became of all of them. It ends with standard input.
 *
 * Unlike load.c it takes no mistake for the end: what goes wrong is counted, the first one is told,
 * and the next request is sent when it is due on another connection. A request's clock starts when
 * it was due, so a stall counts against all that should have been sent during it. A connection is
 * left after a few requests: whoever can no longer get in must show too. */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS = 32,
    REQUESTS_EACH = 10, /* on one connection */
    HEAD_BYTES_MAX = 4096,
    READ_BYTES = 64 * 1024,
    PATIENCE_S = 10 /* for one answer; then it counts as lost */
};

enum state { CLOSED, OPENING, WAITING_HEAD, WAITING_BODY, IDLE };

struct connection {
    int descriptor;
    enum state state;
    unsigned requests;
    size_t which; /* request */
    char head[HEAD_BYTES_MAX];
    size_t head_len;
    uint64_t body_left;
    uint64_t due_ns; /* when its request should have left */
};

static struct requests requests;
static struct samples samples;
static struct connection connections[CONNECTIONS];
static char read_buffer[READ_BYTES];
static uint64_t period_ns, sent, done, errors;
static char first_error[160];
static unsigned port;
static int loop;

static bool busy(const struct connection *c)
{
    return c->state == OPENING || c->state == WAITING_HEAD || c->state == WAITING_BODY;
}

static void leave(struct connection *c)
{
    if (c->state != CLOSED)
        close(c->descriptor);
    c->state = CLOSED;
}

static void mistake(struct connection *c, const char *what, const char *which)
{
    if (errors++ == 0)
        snprintf(first_error, sizeof(first_error), "%s %s", what, which);
    if (busy(c)) {
        done++;
        samples_add(&samples, now_ns() - c->due_ns);
    }
    leave(c);
}

static void request_write(struct connection *c)
{
    size_t len = requests.lens[c->which];
    ssize_t n = send(c->descriptor, requests.bytes[c->which], len, MSG_NOSIGNAL);
    if (n != (ssize_t)len) {
        mistake(c, "send:", n < 0 ? strerror(errno) : "not whole");
        return;
    }
    c->state = WAITING_HEAD;
    c->head_len = 0;
    c->requests++;
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->descriptor < 0)
        fail("steady: socket: %s", strerror(errno));
    c->state = OPENING;
    c->requests = 0;
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(c->descriptor, (struct sockaddr *)&address, sizeof(address)) < 0 &&
        errno != EINPROGRESS) {
        mistake(c, "connect:", strerror(errno));
        return;
    }
    if (epoll_ctl(loop, EPOLL_CTL_ADD, c->descriptor, &event) < 0)
        fail("steady: epoll_ctl: %s", strerror(errno));
}

static void answer_done(struct connection *c)
{
    samples_add(&samples, now_ns() - c->due_ns);
    done++;
    c->state = IDLE;
    if (c->requests == REQUESTS_EACH)
        leave(c);
}

/* Takes the answer's head from `at`; returns how many bytes it took. */
static size_t head_take(struct connection *c, const char *at, size_t len)
{
    size_t room = sizeof(c->head) - 1 - c->head_len, before = c->head_len;
    size_t taken = len < room ? len : room;
    memcpy(c->head + before, at, taken);
    c->head_len += taken;
    c->head[c->head_len] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (taken == 0)
            mistake(c, "answer:", "its head is too long");
        return taken;
    }
    char *length = strcasestr(c->head, "\ncontent-length:");
    c->head[strcspn(c->head, "\r")] = 0;
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0 || !length || length > end) {
        mistake(c, "answer:", c->head);
        return len;
    }
    c->body_left = strtoull(length + 16, NULL, 10);
    c->state = WAITING_BODY;
    return (size_t)(end - c->head) + 4 - before;
}

static void bytes_take(struct connection *c, const char *at, size_t len)
{
    while (len && busy(c)) {
        size_t taken;
        if (c->state == WAITING_HEAD) {
            taken = head_take(c, at, len);
        } else {
            taken = len < c->body_left ? len : (size_t)c->body_left;
            c->body_left -= taken;
        }
        at += taken;
        len -= taken;
        if (c->state == WAITING_BODY && c->body_left == 0)
            answer_done(c);
    }
    if (len && c->state == IDLE)
        mistake(c, "answer:", "bytes behind it");
}

/* Edge-triggered: reads until there is no more. */
static void connection_read(struct connection *c)
{
    while (c->state == WAITING_HEAD || c->state == WAITING_BODY || c->state == IDLE) {
        ssize_t n = recv(c->descriptor, read_buffer, READ_BYTES, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0)
            bytes_take(c, read_buffer, (size_t)n);
        else if (c->state == IDLE)
            leave(c); /* closing between requests is the gateway's right */
        else
            mistake(c, "recv:", n < 0 ? strerror(errno) : "closed before the answer was whole");
    }
}

static void on_event(struct connection *c, uint32_t events)
{
    if (c->state == OPENING && (events & (EPOLLERR | EPOLLHUP))) {
        int error = 0;
        getsockopt(c->descriptor, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
        mistake(c, "connect:", strerror(error));
        return;
    }
    if (c->state == OPENING && (events & EPOLLOUT))
        request_write(c);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        connection_read(c);
}

static void turn(uint64_t wait_ns)
{
    struct epoll_event events[CONNECTIONS];
    struct timespec wait = {(time_t)(wait_ns / SECOND_NS), (long)(wait_ns % SECOND_NS)};
    int count = epoll_pwait2(loop, events, CONNECTIONS, &wait, NULL);
    for (int i = 0; i < count; i++)
        on_event(events[i].data.ptr, events[i].events);
}

/* An idle connection, else one that can be opened; NULL when all are busy. */
static struct connection *connection_find(void)
{
    struct connection *closed = NULL;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (connections[i].state == IDLE)
            return &connections[i];
        if (connections[i].state == CLOSED)
            closed = &connections[i];
    }
    return closed;
}

/* False: all connections are busy. */
static bool request_send(uint64_t due_ns)
{
    struct connection *c = connection_find();
    if (!c)
        return false;
    c->which = sent++ % requests.count;
    c->due_ns = due_ns;
    if (c->state == IDLE)
        request_write(c);
    else
        open_connection(c);
    return true;
}

static void give_up_on_late_ones(void)
{
    uint64_t now = now_ns();
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (busy(&connections[i]) && now - connections[i].due_ns > PATIENCE_S * SECOND_NS)
            mistake(&connections[i], "answer:", "none in time");
}

static void measure(uint64_t length_ns)
{
    uint64_t start_ns = now_ns(), total = length_ns / period_ns;
    samples_clear(&samples);
    sent = done = errors = 0;
    first_error[0] = 0;
    while (done < total) {
        while (sent < total && start_ns + sent * period_ns <= now_ns() &&
               request_send(start_ns + sent * period_ns))
            ;
        uint64_t now = now_ns(), next_ns = start_ns + sent * period_ns;
        turn(sent < total && next_ns > now ? next_ns - now : SECOND_NS / 1000);
        give_up_on_late_ones();
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        leave(&connections[i]);
    samples_sort(&samples);
    printf("{\"done\":%llu,\"errors\":%llu,\"first_error\":\"", (unsigned long long)done,
           (unsigned long long)errors);
    for (const char *at = first_error; *at; at++)
        putchar(*at == '"' || *at == '\\' || *at < ' ' ? '?' : *at);
    printf("\",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", samples_us(&samples, 50),
           samples_us(&samples, 99), (double)samples.worst_ns / 1000);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[32];
    if (argc != 5)
        fail("usage: steady PORT RATE_PER_S BODY_FILE KEYS_FILE");
    port = (unsigned)strtoul(argv[1], NULL, 10);
    unsigned long rate = strtoul(argv[2], NULL, 10);
    if (!port || !rate || rate > SECOND_NS)
        fail("steady: wrong arguments; see the head of bench/steady.c");
    period_ns = SECOND_NS / rate;
    requests_make(&requests, argv[3], argv[4]);
    samples_init(&samples, (size_t)1 << 20);
    prctl(PR_SET_TIMERSLACK, 1UL);
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0)
        fail("steady: epoll: %s", strerror(errno));
    for (uint64_t start_ns = now_ns(); done == errors;) {
        if (now_ns() - start_ns > PATIENCE_S * SECOND_NS)
            fail("steady: nothing is answered: %s", first_error);
        if (sent == done)
            request_send(now_ns());
        turn(SECOND_NS / 100);
    }
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin))
        measure(strtoull(line, NULL, 10) * (SECOND_NS / 1000));
    return 0;
}
