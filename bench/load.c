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
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    EVENTS = 256,
    HEAD_BYTES_MAX = 4096,
    OPENING_MAX = 64,      /* connections that are being opened at once */
    EVENTS_TO_BE_READY = 2 /* of each stream */
};
#define SECOND_NS UINT64_C(1000000000)

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

/* Requests as they are sent, one per key. */
static char **requests;
static size_t *request_lens, request_count;

static enum mode mode;
static unsigned connection_count, number, seconds, port;
static char expected[16]; /* "HTTP/1.1 200" */
static int loop;
static struct connection *connections;
static unsigned *idle_stack, idle_count, opened, answered, streaming;
static char read_buffer[READ_BYTES + 1];

static bool measuring;
static uint64_t sent_count, event_count, start_ns;
static uint32_t *samples; /* nanoseconds */
static size_t sample_count, sample_max;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void sample_add(uint64_t ns)
{
    if (measuring && sample_count < sample_max)
        samples[sample_count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void request_send(unsigned index, uint64_t due_ns)
{
    struct connection *c = &connections[index];
    size_t which = sent_count++ % request_count;
    c->due_ns = due_ns;
    c->busy = true;
    if (write(c->descriptor, requests[which], request_lens[which]) != (ssize_t)request_lens[which])
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

static int samples_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double sample_us(unsigned percent)
{
    return sample_count ? samples[(sample_count - 1) * percent / 100] / 1000.0 : 0;
}

static char *file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("load: %s: %s", path, strerror(errno));
    size_t len = 0, room = 1 << 20;
    char *text = malloc(room + 1);
    while (text && (len += fread(text + len, 1, room - len, file)) == room)
        text = realloc(text, (room *= 2) + 1);
    if (!text)
        fail("load: no memory");
    text[len] = 0;
    fclose(file);
    return text;
}

static void request_add(const char *key, const char *body)
{
    char authorization[256] = "";
    if (key)
        snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s\r\n", key);
    requests = realloc(requests, (request_count + 1) * sizeof(*requests));
    request_lens = realloc(request_lens, (request_count + 1) * sizeof(*request_lens));
    int len = !requests || !request_lens
                  ? -1
                  : asprintf(&requests[request_count],
                             "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
                             "Content-Type: application/json\r\nAccept: application/json\r\n"
                             "User-Agent: OpenAI/Python 1.0\r\nContent-Length: %zu\r\n\r\n%s",
                             authorization, strlen(body), body);
    if (len < 0)
        fail("load: no memory");
    request_lens[request_count++] = (size_t)len;
}

static void requests_make(const char *body_path, const char *keys_path)
{
    char *body = file_read(body_path), *rest = NULL;
    if (strcmp(keys_path, "-") == 0) {
        request_add(NULL, body);
    } else {
        char *keys = file_read(keys_path);
        for (char *key = strtok_r(keys, "\n", &rest); key; key = strtok_r(NULL, "\n", &rest))
            request_add(key, body);
        free(keys);
    }
    free(body);
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
    requests_make(argv[7], argv[8]);
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
    sample_max = (size_t)1 << 22;
    samples = malloc(sample_max * sizeof(*samples));
    if (loop < 0 || !connections || !idle_stack || !samples)
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
    uint64_t done = mode == STREAM ? event_count : sample_count;
    qsort(samples, sample_count, sizeof(*samples), samples_compare);
    printf("{\"done\":%llu,\"seconds\":%.4f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (unsigned long long)done, (double)(now_ns() - start_ns) / 1e9, sample_us(50),
           sample_us(99));
    fflush(stdout);
    (void)!fgets(line, sizeof(line), stdin);
    return 0;
}
