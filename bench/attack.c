/* Carries out one attack of attack_table.c against a gateway, at no more than its rate, until it is
 * told to stop. One epoll loop; called by bench/run and by tests/faults/test_under_attack.py, no
 * part of the product.
 *
 *   attack                                        prints the table: name, tab, title
 *   attack NAME PORT BODY_FILE KEYS_FILE WRONG_KEYS_FILE
 *
 * It comes from 127.0.0.2 and following, the good client from 127.0.0.1: they share no limit. When
 * the attack is under way it prints "ready"; when standard input ends it lets go of everything and
 * prints one line of JSON: how much of the attack there was, and which answers it got. An attack
 * that gets other answers than its row expects is not the attack that it is called; that is for the
 * caller to judge.
 *
 * The hard problem is not to measure the attacker: it must not take the processor from the good
 * client beside it. So payloads are made before, an overdue beginning is left out and not made up
 * for in a burst, and the caller gives it the lowest priority. */
#include "attack.h"
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    READ_BYTES = 64 * 1024,
    LITTLE_BYTES = 1024, /* a read of READ_LESS */
    SEND_BYTES = 64 * 1024,
    OVERDUE_MS = 5,
    WARM_UP_MS = 100,
    PATIENCE_S = 10,
    STATUS_MAX = 600,
    STATUS_LINE_BYTES = 12 /* "HTTP/1.1 200" */
};

struct payload {
    char *bytes;
    size_t len;
};

struct connection {
    int descriptor; /* -1: closed */
    bool connected;
    const struct payload *payload;
    size_t sent;
    unsigned number, answers;
    uint64_t begun_ns;
    char last[STATUS_LINE_BYTES]; /* bytes of an answer that may begin a status line */
    size_t last_len;
};

char **known_keys, **wrong_keys;
size_t known_key_count, wrong_key_count;
const char *chat_body;

static const struct attack *attack;
static struct payload *payloads;
static size_t payload_count;
static struct connection *connections;
static unsigned *free_stack, free_count;
static unsigned port;
static int loop;
static bool stopped;
static uint64_t start_ns, next_begin_ns, next_step_ns;
static unsigned next_step;
static uint64_t begun, done, unanswered, closed, held_back, sent_bytes;
static uint64_t statuses[STATUS_MAX];
static char read_buffer[STATUS_LINE_BYTES + READ_BYTES];

void payload_add(char *bytes, size_t len)
{
    payloads = realloc(payloads, (payload_count + 1) * sizeof(*payloads));
    if (!bytes || !payloads)
        fail("attack: no memory");
    payloads[payload_count++] = (struct payload){bytes, len};
}

/* --- connections -------------------------------------------------------------------------------*/

static void connection_close(struct connection *c)
{
    if (c->descriptor < 0)
        return;
    close(c->descriptor);
    c->descriptor = -1;
    free_stack[free_count++] = (unsigned)(c - connections);
}

/* The attack on this connection is over. */
static void connection_end(struct connection *c)
{
    if (attack->manner == ASK && c->answers < attack->answers)
        unanswered++;
    else
        done++;
    connection_close(c);
}

static int socket_make(void)
{
    in_addr_t address = INADDR_LOOPBACK + 1;
    if (attack->addresses)
        address += (in_addr_t)(begun % attack->addresses);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        fail("attack: socket: %s", strerror(errno));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (attack->manner == READ_LESS)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    if (bind(descriptor, (struct sockaddr *)&from, sizeof(from)) < 0)
        fail("attack: bind to an address of loopback: %s", strerror(errno));
    return descriptor;
}

static void connection_begin(uint64_t now)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct connection *c = &connections[free_stack[--free_count]];
    *c = (struct connection){.descriptor = socket_make(),
                             .payload = payload_count ? &payloads[begun % payload_count] : NULL,
                             .number = (unsigned)begun,
                             .begun_ns = now};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    begun++;
    if (connect(c->descriptor, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        connection_end(c);
    else if (epoll_ctl(loop, EPOLL_CTL_ADD, c->descriptor, &event) < 0)
        fail("attack: epoll_ctl: %s", strerror(errno));
}

/* --- reading -----------------------------------------------------------------------------------*/

/* Counts the status lines; one may have begun in the bytes before. */
static void answers_count(struct connection *c, size_t len)
{
    char *from = read_buffer + STATUS_LINE_BYTES - c->last_len;
    char *end = read_buffer + STATUS_LINE_BYTES + len, *at;
    memcpy(from, c->last, c->last_len);
    while ((at = memmem(from, (size_t)(end - from), "HTTP/1.1 ", 9)) &&
           at + STATUS_LINE_BYTES <= end) {
        unsigned long status = strtoul((char[]){at[9], at[10], at[11], 0}, NULL, 10);
        statuses[status < STATUS_MAX ? status : 0]++;
        c->answers++;
        from = at + STATUS_LINE_BYTES;
    }
    c->last_len =
        (size_t)(end - from) < STATUS_LINE_BYTES - 1 ? (size_t)(end - from) : STATUS_LINE_BYTES - 1;
    memcpy(c->last, end - c->last_len, c->last_len);
}

/* False: nothing more comes, now or at all. */
static bool connection_read(struct connection *c, size_t most)
{
    ssize_t n = recv(c->descriptor, read_buffer + STATUS_LINE_BYTES, most, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0 && attack->may_be_closed && c->answers == 0) {
        closed++;
        done++;
        connection_close(c);
        return false;
    }
    if (n <= 0) {
        connection_end(c);
        return false;
    }
    answers_count(c, (size_t)n);
    return true;
}

/* --- writing -----------------------------------------------------------------------------------*/

static bool sent_whole(const struct connection *c)
{
    return !c->payload || c->sent == c->payload->len;
}

/* False: the gateway takes no more at present. A gateway that has refused may have closed: what it
 * said before that is still to be read. */
static bool send_some(struct connection *c, size_t most)
{
    ssize_t n = send(c->descriptor, c->payload->bytes + c->sent, most, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return false;
    c->sent += (size_t)n;
    sent_bytes += (uint64_t)n;
    return true;
}

static void send_all(struct connection *c)
{
    size_t left;
    while ((left = c->payload->len - c->sent) &&
           send_some(c, left < SEND_BYTES ? left : SEND_BYTES))
        ;
}

/* A head that is whole goes at once; its body drips. */
static size_t undripped_bytes(const struct payload *payload)
{
    const char *end = memmem(payload->bytes, payload->len, "\r\n\r\n", 4);
    return end ? (size_t)(end - payload->bytes) + 4 : 1;
}

/* --- manners -----------------------------------------------------------------------------------*/

static void ask(struct connection *c)
{
    send_all(c);
    while (c->descriptor >= 0 && connection_read(c, READ_BYTES))
        ;
    if (c->descriptor >= 0 && sent_whole(c) && c->answers >= attack->answers)
        connection_end(c);
}

static void drip(struct connection *c)
{
    if (c->sent == 0)
        send_some(c, undripped_bytes(c->payload));
    while (c->descriptor >= 0 && connection_read(c, READ_BYTES))
        ;
}

static void leave(struct connection *c)
{
    if (c->payload)
        send_all(c);
    if (c->number % 2)
        setsockopt(c->descriptor, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger));
    connection_end(c);
}

static void on_event(struct connection *c, uint32_t events)
{
    if (c->descriptor < 0)
        return;
    if (!c->connected && !(events & EPOLLOUT))
        return;
    c->connected = true;
    switch (attack->manner) {
    case ASK:
        ask(c);
        break;
    case DRIP:
        drip(c);
        break;
    case READ_LESS:
        send_all(c);
        break;
    case LEAVE:
        leave(c);
        break;
    }
}

/* The next byte of a DRIP, the next read of READ_LESS. */
static void step(struct connection *c)
{
    if (c->descriptor < 0 || !c->connected)
        return;
    if (attack->manner == READ_LESS)
        connection_read(c, LITTLE_BYTES);
    else if (!sent_whole(c))
        send_some(c, 1);
}

/* --- time --------------------------------------------------------------------------------------*/

static void begin_due(uint64_t now)
{
    uint64_t period_ns = SECOND_NS / attack->rate_per_s;
    if (now > next_begin_ns + OVERDUE_MS * (SECOND_NS / 1000)) {
        held_back += (now - next_begin_ns) / period_ns;
        next_begin_ns = now;
    }
    for (; next_begin_ns <= now; next_begin_ns += period_ns) {
        if (free_count)
            connection_begin(now);
        else if (attack->manner == ASK || attack->manner == LEAVE)
            held_back++;
    }
}

/* Connections have their steps one after the other, evenly over the pause. */
static void steps_due(uint64_t now)
{
    if (!attack->pause_ms)
        return;
    uint64_t period_ns = attack->pause_ms * (SECOND_NS / 1000) / attack->connections;
    if (now > next_step_ns + OVERDUE_MS * (SECOND_NS / 1000))
        next_step_ns = now;
    for (; next_step_ns <= now; next_step_ns += period_ns)
        step(&connections[next_step++ % attack->connections]);
}

static void give_up_on_late_ones(uint64_t now)
{
    for (unsigned i = 0; attack->manner == ASK && i < attack->connections; i++)
        if (connections[i].descriptor >= 0 &&
            now - connections[i].begun_ns > PATIENCE_S * SECOND_NS)
            connection_end(&connections[i]);
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), next_ns = next_begin_ns;
    if (attack->pause_ms && next_step_ns < next_ns)
        next_ns = next_step_ns;
    uint64_t wait_ns = next_ns > now ? next_ns - now : 0;
    struct timespec wait = {(time_t)(wait_ns / SECOND_NS), (long)(wait_ns % SECOND_NS)};
    int count = epoll_pwait2(loop, events, EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            on_event(events[i].data.ptr, events[i].events);
        else
            stopped = true;
    }
    now = now_ns();
    begin_due(now);
    steps_due(now);
    give_up_on_late_ones(now);
}

static bool under_way(void)
{
    if (now_ns() - start_ns > 2 * PATIENCE_S * SECOND_NS)
        fail("attack: it does not get under way: %llu done, %u of %u connections open",
             (unsigned long long)done, attack->connections - free_count, attack->connections);
    return attack->manner == ASK || attack->manner == LEAVE
               ? done && now_ns() - start_ns > WARM_UP_MS * (SECOND_NS / 1000)
               : free_count == 0;
}

/* --- beginning and end -------------------------------------------------------------------------*/

static bool is_expected(unsigned status)
{
    char text[8];
    snprintf(text, sizeof(text), "%03u", status);
    return attack->statuses && strstr(attack->statuses, text);
}

static void report(void)
{
    uint64_t unexpected = 0;
    const char *between = "";
    double seconds = (double)(now_ns() - start_ns) / 1e9;
    printf("{\"begun\":%llu,\"done\":%llu,\"unanswered\":%llu,\"closed\":%llu,\"held_back\":%llu,"
           "\"per_s\":%.1f,\"bytes_per_s\":%.0f,\"statuses\":{",
           (unsigned long long)begun, (unsigned long long)done, (unsigned long long)unanswered,
           (unsigned long long)closed, (unsigned long long)held_back, (double)begun / seconds,
           (double)sent_bytes / seconds);
    for (unsigned status = 0; status < STATUS_MAX; status++) {
        if (!statuses[status])
            continue;
        printf("%s\"%03u\":%llu", between, status, (unsigned long long)statuses[status]);
        between = ",";
        if (!is_expected(status))
            unexpected += statuses[status];
    }
    printf("},\"unexpected\":%llu}\n", (unsigned long long)unexpected);
    fflush(stdout);
}

static char **lines_read(const char *path, size_t *count)
{
    char *rest = NULL, *text = file_read(path, NULL), **lines = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        lines = realloc(lines, (*count + 1) * sizeof(*lines));
        if (!lines)
            fail("attack: no memory");
        lines[(*count)++] = line;
    }
    if (!*count)
        fail("attack: no key in %s", path);
    return lines;
}

static void prepare(char **argv)
{
    for (unsigned i = 0; i < attack_count; i++)
        if (strcmp(attacks[i].name, argv[1]) == 0)
            attack = &attacks[i];
    port = (unsigned)strtoul(argv[2], NULL, 10);
    if (!attack || !port)
        fail("attack: wrong arguments; see the head of bench/attack.c");
    chat_body = file_read(argv[3], NULL);
    known_keys = lines_read(argv[4], &known_key_count);
    wrong_keys = lines_read(argv[5], &wrong_key_count);
    if (attack->prepare)
        attack->prepare();
    loop = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(attack->connections, sizeof(*connections));
    free_stack = calloc(attack->connections, sizeof(*free_stack));
    if (loop < 0 || !connections || !free_stack)
        fail("attack: no memory");
    for (unsigned i = attack->connections; i-- > 0;) {
        connections[i].descriptor = -1;
        free_stack[free_count++] = i;
    }
}

int main(int argc, char **argv)
{
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    bool told = false;
    if (argc == 1) {
        for (unsigned i = 0; i < attack_count; i++)
            printf("%s\t%s\n", attacks[i].name, attacks[i].title);
        return 0;
    }
    if (argc != 6)
        fail("usage: attack NAME PORT BODY_FILE KEYS_FILE WRONG_KEYS_FILE");
    prepare(argv);
    if (epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
        fail("attack: standard input must be a pipe");
    prctl(PR_SET_TIMERSLACK, 1UL);
    start_ns = next_begin_ns = next_step_ns = now_ns();
    while (!stopped) {
        turn();
        if (!told && under_way()) {
            told = true;
            puts("ready");
            fflush(stdout);
        }
    }
    report();
    return 0;
}
