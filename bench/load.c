/* The loads that a closed loop cannot make: requests at a fixed rate, connections that only stay
 * open, and streams that are read for as long as the measurement takes. One epoll loop; built and
 * called by bench/run, no part of the product.
 *
 *   load rate    CONNECTIONS RATE_PER_S SECONDS  requests on a schedule, whatever the answers do
 *   load idle    CONNECTIONS 0 0                 one request each, then silence
 *   load stream  CONNECTIONS PERIOD_US SECONDS   one request each; counts the events of the answers
 * followed by  PORT STATUS BODY_FILE KEYS_FILE (one key per line; "-": no credential).
 *
 * When everything is open it prints "ready" and waits for a line on standard input, so that the
 * caller can look at the gateway; then it measures, prints one line of JSON and waits for standard
 * input to end before it lets go. An answer with another status than STATUS ends it at once, with
 * status 1.
 *
 * The hard problem is to be honest about time: a request's clock starts when it was due, not when
 * this program came round to it, so that a slow answer also counts against those that queue behind
 * it. */
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
    READ_BYTES = 64 * 1024,
    EVENTS = 256,
    HEAD_BYTES_MAX = 4096,
    OPENING_MAX = 64,      /* connections that are being opened at once */
    EVENTS_TO_BE_READY = 2 /* of each stream */
};

enum mode { RATE, IDLE, STREAM };

struct connection {
    int descriptor;
    char head[HEAD_BYTES_MAX]; /* of the answer, until it is whole */
    size_t head_len;
    uint64_t body_left;
    uint64_t due_ns; /* when its request should have left */
    unsigned events;
    bool in_body, busy;
    char last; /* the last byte read: an event ends with two line feeds */
};

static struct requests requests;
static enum mode mode;
static unsigned connection_count, number, seconds, port;
static char expected[16]; /* "HTTP/1.1 200" */
static int loop;
static struct connection *connections;
static unsigned *idle_stack, idle_count, opened, answered, streaming;
static char read_buffer[READ_BYTES + 1];

static bool measuring;
static uint64_t sent_count, event_count, start_ns;
static struct samples samples;

static void sample_add(uint64_t ns)
{
    if (measuring)
        samples_add(&samples, ns);
}

static void request_send(unsigned index, uint64_t due_ns)
{
    struct connection *c = &connections[index];
    size_t which = sent_count++ % requests.count;
    c->due_ns = due_ns;
    c->busy = true;
    if (write(c->descriptor, requests.bytes[which], requests.lens[which]) !=
        (ssize_t)requests.lens[which])
        fail("load: a request could not be written whole: %s", strerror(errno));
}

static void connection_open(unsigned index)
{
    struct connection *c = &connections[index];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->descriptor < 0 ||
        connect(c->descriptor, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("load: connection %u: %s", index, strerror(errno));
    setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, c->descriptor, &event) < 0)
        fail("load: epoll_ctl: %s", strerror(errno));
    request_send(index, now_ns());
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
            fail("load: the head of an answer is too long");
        return taken;
    }
    if (strncmp(c->head, expected, strlen(expected)) != 0)
        fail("load: expected %s, got %.*s", expected, (int)strcspn(c->head, "\r"), c->head);
    end[2] = 0;
    char *length = strcasestr(c->head, "\ncontent-length:");
    if (!length && mode != STREAM)
        fail("load: an answer without Content-Length");
    c->body_left = length ? strtoull(length + 16, NULL, 10) : UINT64_MAX;
    c->in_body = true;
    c->head_len = 0;
    return (size_t)(end - c->head) + 4 - before;
}

static void answer_done(unsigned index)
{
    struct connection *c = &connections[index];
    c->in_body = false;
    c->busy = false;
    sample_add(now_ns() - c->due_ns);
    idle_stack[idle_count++] = index;
    answered++;
}

/* Counts the ends of events, and how long those whose time stands in this piece were on their way.
 */
static void events_take(struct connection *c, const char *at, size_t len)
{
    static const char field[] = "\"at\":";
    for (const char *next = at, *end = at + len; (next = memchr(next, '\n', (size_t)(end - next)));
         next++) {
        char before = next > at ? next[-1] : c->last;
        if (before != '\n')
            continue;
        if (++c->events == EVENTS_TO_BE_READY)
            streaming++;
        event_count += measuring;
    }
    c->last = at[len - 1];
    const char *sent = measuring ? memmem(at, len, field, sizeof(field) - 1) : NULL;
    if (sent && sent + 26 < at + len)
        sample_add(now_ns() - strtoull(sent + sizeof(field) - 1, NULL, 10));
}

static void connection_read(unsigned index)
{
    struct connection *c = &connections[index];
    ssize_t n = recv(c->descriptor, read_buffer, READ_BYTES, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !c->busy)
        fail("load: connection %u: %s", index, n < 0 ? strerror(errno) : "closed by the gateway");
    read_buffer[n] = 0;
    for (size_t at = 0; at < (size_t)n;) {
        if (!c->in_body)
            at += head_take(c, read_buffer + at, (size_t)n - at);
        if (!c->in_body)
            continue;
        size_t left = (size_t)n - at;
        if (mode == STREAM) {
            if (left)
                events_take(c, read_buffer + at, left);
            return;
        }
        size_t taken = left < c->body_left ? left : (size_t)c->body_left;
        c->body_left -= taken;
        at += taken;
        if (c->body_left == 0) {
            answer_done(index);
            if (at < (size_t)n)
                fail("load: bytes after an answer");
        }
    }
}

/* Waits at most `wait_ns` and takes what has come. */
static void turn(uint64_t wait_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = {(time_t)(wait_ns / SECOND_NS), (long)(wait_ns % SECOND_NS)};
    int count = epoll_pwait2(loop, events, EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++)
        connection_read(events[i].data.u32);
}

/* Streams begin evenly over one period, so that their events do not come in one burst. */
static void open_all(void)
{
    uint64_t step_ns = mode == STREAM ? number * UINT64_C(1000) / connection_count : 0;
    uint64_t next_ns = now_ns(), deadline_ns = next_ns + 60 * SECOND_NS;
    while (mode == STREAM ? streaming < connection_count : answered < connection_count) {
        while (opened < connection_count && now_ns() >= next_ns &&
               (mode == STREAM || opened - answered < OPENING_MAX)) {
            connection_open(opened++);
            next_ns += step_ns;
        }
        if (now_ns() > deadline_ns)
            fail("load: %u of %u opened, %u answered, %u streaming after 60 s", opened,
                 connection_count, answered, streaming);
        uint64_t now = now_ns();
        turn(opened < connection_count && next_ns > now ? next_ns - now : SECOND_NS / 1000);
    }
}

/* Sends each request when it is due, or as soon as a connection is free, and waits for the last. */
static void run_rate(void)
{
    uint64_t total = (uint64_t)number * seconds, done = 0, period_ns = SECOND_NS / number;
    unsigned answered_before = answered;
    while (answered - answered_before < total) {
        uint64_t now = now_ns();
        while (done < total && idle_count && start_ns + done * period_ns <= now)
            request_send(idle_stack[--idle_count], start_ns + done++ * period_ns);
        now = now_ns();
        uint64_t next_ns = start_ns + done * period_ns;
        turn(done < total && idle_count ? (next_ns > now ? next_ns - now : 0) : SECOND_NS / 100);
        if (now - start_ns > (seconds + 30) * SECOND_NS)
            fail("load: %u of %llu answered", answered - answered_before,
                 (unsigned long long)total);
    }
}

static void run_until_end(void)
{
    uint64_t end_ns = start_ns + seconds * SECOND_NS;
    for (uint64_t now = now_ns(); now < end_ns; now = now_ns())
        turn(end_ns - now);
}

static void arguments_take(char **argv)
{
    static const char *const modes[] = {"rate", "idle", "stream"};
    while (mode <= STREAM && strcmp(argv[1], modes[mode]) != 0)
        mode++;
    connection_count = (unsigned)strtoul(argv[2], NULL, 10);
    number = (unsigned)strtoul(argv[3], NULL, 10);
    seconds = (unsigned)strtoul(argv[4], NULL, 10);
    port = (unsigned)strtoul(argv[5], NULL, 10);
    if (mode > STREAM || !connection_count || (mode == RATE && !number))
        fail("load: wrong arguments; see the head of bench/load.c");
    snprintf(expected, sizeof(expected), "HTTP/1.1 %.3s", argv[6]);
    requests_make(&requests, argv[7], argv[8]);
}

int main(int argc, char **argv)
{
    char line[16];
    if (argc != 9)
        fail("usage: load rate|idle|stream CONNECTIONS N SECONDS PORT STATUS BODY_FILE KEYS_FILE");
    arguments_take(argv);
    prctl(PR_SET_TIMERSLACK, 1UL);
    loop = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(connection_count, sizeof(*connections));
    idle_stack = calloc(connection_count, sizeof(*idle_stack));
    samples_init(&samples, (size_t)1 << 22);
    if (loop < 0 || !connections || !idle_stack)
        fail("load: no memory");
    open_all();
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        return 1;
    start_ns = now_ns();
    measuring = true;
    (mode == RATE ? run_rate : run_until_end)();
    measuring = false;
    uint64_t done = mode == STREAM ? event_count : samples.count;
    samples_sort(&samples);
    printf("{\"done\":%llu,\"seconds\":%.4f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (unsigned long long)done, (double)(now_ns() - start_ns) / 1e9, samples_us(&samples, 50),
           samples_us(&samples, 99));
    fflush(stdout);
    (void)!fgets(line, sizeof(line), stdin);
    return 0;
}
