/* Sends mutants to a running gateway and watches both of its sides. Built and called by
 * tests/differential/run:
 *
 *   drive run SEED FIRST COUNT CLIENTS UPSTREAM_KEY SAMPLE_MAX SAMPLE_FILE
 *       prints "upstream PORT", waits for a line "GATEWAY_PORT KEY", sends the mutants FIRST to
 *       FIRST+COUNT-1, and ends with one line of JSON. Status 1: something was found.
 *   drive show SEED NUMBER
 *       prints one mutant, and on standard error what it was made of.
 *
 * A mutant has a connection to itself, and a line of NULs behind it: no reader of requests may pass
 * over such a byte, so the gateway has to come to a decision and close, whatever the mutant left
 * open. Only a body that is thrown away unread may swallow the line; then another one follows. A
 * connection is read to its end before it is looked at.
 *
 * The hard problem is to know that nothing else went upstream. Every forwarded request is answered
 * with a number of its own: each number has to come back to one client, once (oracle O1), in the
 * answer to the request that it was made of, which another strict reader finds in the client's
 * bytes at that place. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "mutant.h"
#include "recorder.h"
#include "said.h"
#include "sample.h"

enum {
    SENT_MAX = SAID_BYTES_MAX, /* a mutant that consists of marks, each of them a key */
    GOT_MAX = 256 * 1024,
    EVENTS = 256,
    FINDINGS_MAX = 10,
    STATUSES = 600,
    STOP_BYTES = 139, /* the line of NULs; a length that no changed digit makes up for */
    STOP_AGAIN_S = 2,
    PATIENCE_S = 60, /* for one mutant; only a gateway that never decides needs that long */
    PROGRESS_MUTANTS = 1000000,
};

struct client {
    struct watch watch;
    int descriptor;
    uint64_t number, began_s, stopped_s;
    bool idle, split;     /* split: sent in two pieces, as far as TCP lets us choose */
    unsigned pieces_left; /* turns until the second is sent */
    size_t sent, sent_len, got_len;
    char bytes[SENT_MAX], got[GOT_MAX];
};

static struct {
    uint64_t seed, next, end, count, done;
    unsigned client_count, port, pieces_left;
    const char *key;
    struct client *clients;
    struct recorder recorder;
    struct sample sample;
    unsigned findings;
    uint64_t statuses[STATUSES]; /* of each mutant's first answer */
    uint64_t passed;             /* mutants of which a request was forwarded */
    uint64_t forwarded, answered_lists;
} run;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

/* --- findings -----------------------------------------------------------------------------------
 */

static void show(const char *what, const char *bytes, size_t len)
{
    printf("  %s (%zu bytes): \"", what, len);
    for (size_t i = 0; i < len && i < 3000; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '\r' || byte == '\n')
            printf("\\%c%s", byte == '\r' ? 'r' : 'n',
                   byte == '\n' && i + 1 < len ? "\"\n    \"" : "");
        else if (byte < 0x20 || byte > 0x7e || byte == '\\')
            printf("\\x%02x", byte);
        else
            putchar(byte);
    }
    puts("\"");
}

static void found(const struct client *client, const char *what, const char *bytes, size_t len)
{
    printf("FOUND %s\n", what);
    if (client) {
        printf("  mutant %llu of seed %llu%s\n", (unsigned long long)client->number,
               (unsigned long long)run.seed, client->split ? ", sent in two pieces" : "");
        show("sent", client->bytes, client->sent_len);
        show("answered", client->got, client->got_len);
    }
    if (len)
        show("forwarded", bytes, len);
    if (++run.findings == FINDINGS_MAX) {
        puts("too many findings");
        exit(1);
    }
}

static void forwarded_wrongly(const char *rule, const char *bytes, size_t len)
{
    found(NULL, rule, bytes, len);
}

/* --- the end of a mutant ------------------------------------------------------------------------
 */

static void check_forwarded(const struct client *client, const struct said *said, uint64_t serial)
{
    struct record record;
    struct canonical request;
    if (!recorder_claim(&run.recorder, serial, &record)) {
        found(client, "an answer that was given before, or to nobody", "", 0);
        return;
    }
    run.forwarded++;
    (void)!canonical_read(record.bytes, record.len, &run.recorder.own, &request);
    const char *other = said ? said_compare(said, &request, record.bytes + record.head_len)
                             : "something was forwarded of what is no request";
    if (other)
        found(client, other, record.bytes, record.len);
    sample_offer(&run.sample, client->number, record.bytes, record.head_len, record.len);
    free(record.bytes);
}

/* A gateway that answers so has been brought out of step: it was to refuse by itself. */
static bool is_mishap(unsigned status)
{
    return status == 408 || status == 429 || status == 500 || (status > 501 && status != 505);
}

static bool begins(struct part part, const char *text)
{
    return part.len >= strlen(text) && memcmp(part.at, text, strlen(text)) == 0;
}

/* The next answer, to what stands at the start of `rest`. False: it is the last that is looked at.
 */
static bool check_answer(const struct client *client, const char **at, struct part *rest,
                         struct answer *answer)
{
    static struct said request; /* large */
    bool to_head = begins(*rest, "HEAD ") || begins(*rest, "\r\nHEAD ");
    const struct said *said = said_read(rest, &request) ? &request : NULL;
    to_head |= said && part_is(said->method, "HEAD");
    const char *wrong = answer_read(at, client->got + client->got_len, to_head, answer);
    if (!wrong && (answer->status >= STATUSES || is_mishap(answer->status)))
        wrong = "a status that no request may cause";
    if (!wrong && !said && !answer->closes)
        wrong = "the connection stays open behind what is no request";
    if (wrong) {
        found(client, wrong, "", 0);
        return false;
    }
    if (answer->has_serial)
        check_forwarded(client, said, answer->serial);
    else if (answer->status == 200 || answer->status == 404)
        run.answered_lists++; /* or a native route; an upper bound is all that is needed */
    return !answer->closes;
}

/* Answers and requests in step, both read anew. */
static void check_answers(const struct client *client)
{
    const char *at = client->got, *end = client->got + client->got_len;
    struct part rest = {client->bytes, client->sent_len};
    struct answer answer = {0};
    bool passed = false, more = true;
    unsigned findings = run.findings;
    for (unsigned count = 0; more && at < end; count++) {
        more = check_answer(client, &at, &rest, &answer);
        if (count == 0)
            run.statuses[answer.status % STATUSES]++;
        passed |= answer.has_serial;
    }
    run.passed += passed;
    if (run.findings != findings)
        return;
    if (at < end)
        found(client, "bytes behind the last answer", "", 0);
    if (!answer.closes)
        found(client, "the connection was closed without an answer that says so", "", 0);
}

/* --- clients ------------------------------------------------------------------------------------
 */

/* Without TIME_WAIT, or ports would run out. */
static void disconnect(struct client *client)
{
    struct linger abort = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->descriptor, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
    close(client->descriptor);
}

/* What the gateway does not take any more it has decided not to read: the answer tells. */
static void send_up_to(struct client *client, size_t end)
{
    while (client->sent < end) {
        ssize_t n = send(client->descriptor, client->bytes + client->sent, end - client->sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        client->sent = n < 0 ? client->sent_len : client->sent + (size_t)n;
    }
}

static void connect_gateway(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)run.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* Its end is what is waited for; what came before then lies in the socket. */
    struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = &client->watch};
    client->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->descriptor < 0 ||
        connect(client->descriptor, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        epoll_ctl(run.recorder.loop, EPOLL_CTL_ADD, client->descriptor, &event) < 0)
        fail("mutant %llu: no connection: %s", (unsigned long long)client->number, strerror(errno));
    if (client->split)
        setsockopt(client->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static void add_stop(struct client *client)
{
    client->stopped_s = now_s();
    if (SENT_MAX - client->sent_len < STOP_BYTES)
        return;
    memset(client->bytes + client->sent_len, 0, STOP_BYTES - 2);
    client->sent_len += STOP_BYTES;
    memcpy(client->bytes + client->sent_len - 2, "\r\n", 2);
}

/* Every eighth mutant comes in two pieces. */
static void begin(struct client *client)
{
    static struct mutant mutant;
    client->idle = run.next == run.end;
    if (client->idle)
        return;
    client->number = run.next++;
    client->began_s = now_s();
    mutant_make(&mutant, run.seed, client->number);
    client->sent_len = mutant_print(&mutant, run.key, client->bytes, SENT_MAX / 2);
    add_stop(client);
    client->sent = client->got_len = 0;
    client->split = client->sent_len > 2 && client->number % 8 == 0;
    connect_gateway(client);
    size_t first = client->sent_len;
    if (client->split) {
        first = 1 + mutant_below(&mutant, client->sent_len - 2);
        client->pieces_left = 2;
        run.pieces_left += 2;
    }
    send_up_to(client, first);
}

static void end(struct client *client)
{
    disconnect(client);
    run.pieces_left -= client->pieces_left;
    client->pieces_left = 0;
    check_answers(client);
    if (++run.done % PROGRESS_MUTANTS == 0)
        fprintf(stderr, "%llu mutants, %llu requests forwarded, %llu shapes\n",
                (unsigned long long)run.done, (unsigned long long)run.forwarded,
                (unsigned long long)run.sample.shape_count);
    begin(client);
}

static void client_ready(struct watch *watch)
{
    struct client *client = (struct client *)(void *)watch;
    ssize_t n;
    while ((n = recv(client->descriptor, client->got + client->got_len,
                     sizeof(client->got) - client->got_len, MSG_DONTWAIT)) > 0)
        client->got_len += (size_t)n;
    if (n < 0 && errno == EAGAIN)
        return;
    if (client->got_len == sizeof(client->got))
        fail("mutant %llu: an answer without end", (unsigned long long)client->number);
    /* What is sent to a gateway that has closed already is answered with a reset. */
    if (n < 0 && !client->split)
        found(client, "the connection was reset", "", 0);
    end(client);
}

/* --- the loop -----------------------------------------------------------------------------------
 */

/* One turn later than the first, so that the gateway may have read that alone. */
static void send_second_pieces(void)
{
    for (unsigned i = 0; i < run.client_count; i++) {
        struct client *client = &run.clients[i];
        if (client->pieces_left == 1)
            send_up_to(client, client->sent_len);
        if (client->pieces_left)
            run.pieces_left--, client->pieces_left--;
    }
}

static void check_patience(void)
{
    static uint64_t looked_s;
    uint64_t now = now_s();
    if (now == looked_s)
        return;
    looked_s = now;
    for (unsigned i = 0; i < run.client_count; i++) {
        struct client *client = &run.clients[i];
        if (client->idle || now - client->stopped_s < STOP_AGAIN_S)
            continue;
        if (now - client->began_s >= PATIENCE_S) {
            found(client, "no decision, though NULs were sent", "", 0);
            exit(1);
        }
        add_stop(client);
        send_up_to(client, client->sent_len);
        client_ready(&client->watch); /* many answers may be more than a socket holds */
    }
}

static void drive(void)
{
    for (unsigned i = 0; i < run.client_count; i++) {
        run.clients[i].watch.ready = client_ready;
        begin(&run.clients[i]);
    }
    while (run.done < run.count) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(run.recorder.loop, events, EVENTS, run.pieces_left ? 0 : 1000);
        for (int i = 0; i < count; i++) {
            struct watch *watch = events[i].data.ptr;
            watch->ready(watch);
        }
        if (run.pieces_left)
            send_second_pieces();
        check_patience();
    }
}

/* What only the whole shows. */
static void check_totals(void)
{
    if (run.recorder.open_count)
        found(NULL, "requests went upstream whose answer no client saw (O1)", "", 0);
    if (run.recorder.list_count > run.answered_lists)
        found(NULL, "lists were asked for that no client was given (O1)", "", 0);
}

static void report(void)
{
    printf("{\"mutants\": %llu, \"passed\": %llu, \"forwarded\": %llu, \"lists\": %llu, "
           "\"shapes\": %llu, \"sampled\": %zu, \"findings\": %u, \"statuses\": {",
           (unsigned long long)run.done, (unsigned long long)run.passed,
           (unsigned long long)run.forwarded, (unsigned long long)run.recorder.list_count,
           (unsigned long long)run.sample.shape_count, run.sample.count, run.findings);
    const char *comma = "";
    for (unsigned status = 0; status < STATUSES; status++) {
        if (!run.statuses[status])
            continue;
        printf("%s\"%u\": %llu", comma, status, (unsigned long long)run.statuses[status]);
        comma = ", ";
    }
    puts("}}");
}

/* --- the command line ---------------------------------------------------------------------------
 */

static int command_show(char **argv)
{
    static struct mutant mutant;
    mutant_make(&mutant, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    fprintf(stderr, "%s", mutant.seed);
    for (unsigned i = 0; i < mutant.mutation_count; i++)
        fprintf(stderr, " > %s", mutant.mutations[i]);
    fputc('\n', stderr);
    fwrite(mutant.bytes, 1, mutant.len, stdout);
    return 0;
}

static int command_run(char **argv)
{
    char line[256], key[200];
    run.seed = strtoull(argv[2], NULL, 10);
    run.next = strtoull(argv[3], NULL, 10);
    run.count = strtoull(argv[4], NULL, 10);
    run.end = run.next + run.count;
    run.client_count = (unsigned)strtoul(argv[5], NULL, 10);
    run.clients = calloc(run.client_count, sizeof(*run.clients));
    int loop = epoll_create1(EPOLL_CLOEXEC);
    if (!run.clients || !sample_init(&run.sample, strtoul(argv[7], NULL, 10), run.seed))
        fail("no memory");
    run.recorder.complain = forwarded_wrongly;
    if (loop < 0 || !recorder_start(&run.recorder, loop, argv[6]))
        fail("the upstream cannot listen: %s", strerror(errno));
    printf("upstream %u\n", run.recorder.port);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin) || sscanf(line, "%u %199s", &run.port, key) != 2 ||
        strlen(key) != MUTANT_KEY_BYTES)
        fail("expected a line with the gateway's port and a key");
    run.key = key;
    drive();
    check_totals();
    report();
    if (!sample_write(&run.sample, argv[8]))
        fail("%s: %s", argv[8], strerror(errno));
    return run.findings ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 9 && strcmp(argv[1], "run") == 0)
        return command_run(argv);
    if (argc == 4 && strcmp(argv[1], "show") == 0)
        return command_show(argv);
    fail("wrong arguments; see the head of tests/differential/drive.c");
}
