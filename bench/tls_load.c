/* Loads over TLS 1.3 that wrk and h2load cannot make, or of which they do not say what they did:
 * new connections with a whole handshake each, and connections that only stay open. Built and
 * called by bench/run, no part of the product.
 *
 *   tls_load handshake CONNECTIONS 0 SECONDS  each request on a new connection, that many at once
 *   tls_load idle      CONNECTIONS 0 0        one request each over HTTP/1.1, then silence
 *   tls_load idle-h2   CONNECTIONS 0 0        one request each over HTTP/2, then silence
 * followed by  PORT STATUS BODY_FILE KEYS_FILE, and otherwise used as load.c: "ready", a line on
 * standard input, one line of JSON, the end of standard input.
 *
 * The hard problem is to know that every handshake was a whole one. A session is never offered to
 * the server (each connection begins with a new SSL, and what tickets come are dropped), and after
 * each handshake this program looks whether it was resumed all the same, or was not TLS 1.3, and
 * ends with status 1 if so. Connections are blocking, each with a thread of its own while it works,
 * since what this program costs is not asked. */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OPENERS = 32, /* threads that open idle connections */
    ANSWER_BYTES_MAX = 16 * 1024,
    HTTP2_FRAME_HEAD = 9,
    HTTP2_DATA = 0,
    HTTP2_HEADERS = 1,
    HTTP2_SETTINGS = 4,
    HTTP2_GOAWAY = 7,
    HTTP2_END_STREAM = 1,
    HTTP2_END_HEADERS = 4,
};

enum mode { HANDSHAKE, IDLE, IDLE_HTTP2 };

static struct requests requests; /* HTTP/1.1 */
static char *body;
static size_t body_len;
static enum mode mode;
static unsigned connection_count, seconds, port;
static char expected[16]; /* "HTTP/1.1 200" */
static SSL_CTX *tls;
static SSL **held; /* the idle ones */
static atomic_uint next_connection;
static atomic_size_t next_request;
static uint64_t end_ns;
static struct samples samples;
static pthread_mutex_t samples_lock = PTHREAD_MUTEX_INITIALIZER;

/* --- one connection -----------------------------------------------------------------------------
 */

__attribute__((noreturn)) static void fail_tls(const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    fail("tls_load: %s: %s, %s", what, text, strerror(errno));
}

static int tcp_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0)
        fail("tls_load: a connection could not be opened: %s", strerror(errno));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return descriptor;
}

static void check_handshake(SSL *ssl)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (SSL_version(ssl) != TLS1_3_VERSION || SSL_session_reused(ssl))
        fail("tls_load: a handshake was %s%s", SSL_get_version(ssl),
             SSL_session_reused(ssl) ? ", resumed" : "");
    if ((mode == IDLE_HTTP2) != (len == 2))
        fail("tls_load: the protocol that was chosen is '%.*s'", (int)len,
             len ? (const char *)name : "");
}

static SSL *connection_open(void)
{
    static const unsigned char http1[] = "\x08http/1.1", http2[] = "\x02h2";
    const unsigned char *offer = mode == IDLE_HTTP2 ? http2 : http1;
    SSL *ssl = SSL_new(tls);
    if (!ssl || SSL_set_alpn_protos(ssl, offer, offer[0] + 1u) != 0 || !SSL_set_fd(ssl, tcp_open()))
        fail_tls("no memory");
    if (SSL_connect(ssl) != 1)
        fail_tls("handshake");
    check_handshake(ssl);
    return ssl;
}

static void connection_close(SSL *ssl)
{
    int descriptor = SSL_get_fd(ssl);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(descriptor);
}

static void send_all(SSL *ssl, const char *bytes, size_t len)
{
    if (SSL_write(ssl, bytes, (int)len) != (int)len)
        fail_tls("write");
}

/* --- HTTP/1.1 -----------------------------------------------------------------------------------
 */

/* The request with "Connection: close" in its head. */
static size_t closing_request(char *room, size_t size, const char *request)
{
    const char *line = strstr(request, "\r\n") + 2;
    int len =
        snprintf(room, size, "%.*sConnection: close\r\n%s", (int)(line - request), request, line);
    if (len < 0 || (size_t)len >= size)
        fail("tls_load: the request is too long");
    return (size_t)len;
}

/* Is what was read one whole answer? */
static bool answer_whole(const char *answer, size_t len)
{
    const char *end = strstr(answer, "\r\n\r\n");
    if (!end)
        return false;
    if (strncmp(answer, expected, strlen(expected)) != 0)
        fail("tls_load: expected %s, got %.*s", expected, (int)strcspn(answer, "\r"), answer);
    const char *length = strcasestr(answer, "\ncontent-length:");
    if (!length || length > end)
        fail("tls_load: an answer without Content-Length");
    return len == (size_t)(end + 4 - answer) + strtoull(length + 16, NULL, 10);
}

static void exchange_http1(SSL *ssl, bool last)
{
    char text[ANSWER_BYTES_MAX];
    size_t which = next_request++ % requests.count, len = 0;
    if (last)
        send_all(ssl, text, closing_request(text, sizeof text, requests.bytes[which]));
    else
        send_all(ssl, requests.bytes[which], requests.lens[which]);
    do {
        int n = SSL_read(ssl, text + len, (int)(sizeof text - 1 - len));
        if (n <= 0)
            fail_tls("read");
        len += (size_t)n;
        text[len] = 0;
    } while (!answer_whole(text, len));
}

/* --- HTTP/2 -------------------------------------------------------------------------------------
 */

static size_t frame_put(char *room, unsigned type, unsigned flags, unsigned stream,
                        const void *bytes, size_t len)
{
    const unsigned char head[HTTP2_FRAME_HEAD] = {(unsigned char)(len >> 16),
                                                  (unsigned char)(len >> 8),
                                                  (unsigned char)len,
                                                  (unsigned char)type,
                                                  (unsigned char)flags,
                                                  0,
                                                  0,
                                                  0,
                                                  (unsigned char)stream};
    memcpy(room, head, sizeof head);
    memcpy(room + sizeof head, bytes, len);
    return sizeof head + len;
}

/* A literal without indexing: a name of the static table, or a new one (RFC 7541, 6.2.2). */
static size_t field_put(char *room, unsigned index, const char *name, const char *value,
                        size_t value_len)
{
    size_t n = 0, name_len = strlen(name);
    room[n++] = (char)index;
    if (!index) {
        room[n++] = (char)name_len;
        memcpy(room + n, name, name_len);
        n += name_len;
    }
    if (value_len > 126)
        fail("tls_load: a value of %zu bytes", value_len);
    room[n++] = (char)value_len;
    memcpy(room + n, value, value_len);
    return n + value_len;
}

static size_t head_put(char *room, const char *authorization, size_t len)
{
    enum { METHOD_POST = 0x83, SCHEME_HTTPS = 0x87, AUTHORITY = 1, PATH = 4 }; /* static table */
    size_t n = 0;
    room[n++] = (char)METHOD_POST;
    room[n++] = (char)SCHEME_HTTPS;
    n += field_put(room + n, PATH, "", "/v1/chat/completions", 20);
    n += field_put(room + n, AUTHORITY, "", "127.0.0.1", 9);
    n += field_put(room + n, 0, "content-type", "application/json", 16);
    n += field_put(room + n, 0, "user-agent", "OpenAI/Python 1.0", 17);
    return len ? n + field_put(room + n, 0, "authorization", authorization, len) : n;
}

static void send_http2(SSL *ssl)
{
    char text[ANSWER_BYTES_MAX] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", head[1024];
    const char *request = requests.bytes[next_request++ % requests.count];
    const char *authorization = strstr(request, "Authorization: ");
    size_t len = strlen(text);
    if (authorization)
        authorization += strlen("Authorization: ");
    if (len + body_len + sizeof head > sizeof text)
        fail("tls_load: the request is too long");
    len += frame_put(text + len, HTTP2_SETTINGS, 0, 0, "", 0);
    size_t head_len =
        head_put(head, authorization, authorization ? strcspn(authorization, "\r") : 0);
    len += frame_put(text + len, HTTP2_HEADERS, HTTP2_END_HEADERS, 1, head, head_len);
    len += frame_put(text + len, HTTP2_DATA, HTTP2_END_STREAM, 1, body, body_len);
    send_all(ssl, text, len);
}

/* :status is the first field, perhaps behind a new size of the table (RFC 7541, 6.3); 200 has an
 * entry of its own in the static table, and nothing else is looked for. */
static void check_status(const unsigned char *block, size_t len)
{
    enum { STATUS_200 = 0x88 };
    while (len && (*block & 0xe0) == 0x20)
        block++, len--;
    if (!len || *block != STATUS_200)
        fail("tls_load: an answer over HTTP/2 that is not 200");
}

static bool frame_ends_answer(SSL *ssl, const unsigned char *frame, size_t len)
{
    unsigned type = frame[3], flags = frame[4];
    char acknowledged[HTTP2_FRAME_HEAD];
    if (type == HTTP2_SETTINGS && !flags)
        send_all(ssl, acknowledged, frame_put(acknowledged, HTTP2_SETTINGS, 1, 0, "", 0));
    if (type == HTTP2_HEADERS)
        check_status(frame + HTTP2_FRAME_HEAD, len);
    if (type == HTTP2_GOAWAY)
        fail("tls_load: GOAWAY");
    return (type == HTTP2_HEADERS || type == HTTP2_DATA) && flags & HTTP2_END_STREAM;
}

static void exchange_http2(SSL *ssl)
{
    unsigned char text[ANSWER_BYTES_MAX];
    size_t have = 0;
    send_http2(ssl);
    for (bool over = false; !over;) {
        int n = SSL_read(ssl, text + have, (int)(sizeof text - have));
        if (n <= 0)
            fail_tls("read");
        have += (size_t)n;
        size_t at = 0;
        while (have - at >= HTTP2_FRAME_HEAD) {
            size_t len = (size_t)text[at] << 16 | (size_t)text[at + 1] << 8 | text[at + 2];
            if (have - at < HTTP2_FRAME_HEAD + len)
                break;
            over |= frame_ends_answer(ssl, text + at, len);
            at += HTTP2_FRAME_HEAD + len;
        }
        have -= at;
        memmove(text, text + at, have);
    }
}

/* --- the loads ----------------------------------------------------------------------------------
 */

static void *open_idle(void *nothing)
{
    for (unsigned index; (index = next_connection++) < connection_count;) {
        held[index] = connection_open();
        if (mode == IDLE_HTTP2)
            exchange_http2(held[index]);
        else
            exchange_http1(held[index], false);
    }
    return nothing;
}

/* A new connection, its handshake, one exchange, its end; over and over. */
static void *run_handshakes(void *nothing)
{
    for (uint64_t begun_ns; (begun_ns = now_ns()) < end_ns;) {
        SSL *ssl = connection_open();
        exchange_http1(ssl, true);
        pthread_mutex_lock(&samples_lock);
        samples_add(&samples, now_ns() - begun_ns);
        pthread_mutex_unlock(&samples_lock);
        connection_close(ssl);
    }
    return nothing;
}

static void run_threads(unsigned count, void *(*work)(void *))
{
    pthread_t *threads = calloc(count, sizeof *threads);
    for (unsigned i = 0; i < count; i++)
        if (!threads || pthread_create(&threads[i], NULL, work, NULL) != 0)
            fail("tls_load: no thread");
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}

static void arguments_take(char **argv)
{
    static const char *const modes[] = {"handshake", "idle", "idle-h2"};
    while (mode <= IDLE_HTTP2 && strcmp(argv[1], modes[mode]) != 0)
        mode++;
    connection_count = (unsigned)strtoul(argv[2], NULL, 10);
    seconds = (unsigned)strtoul(argv[4], NULL, 10);
    port = (unsigned)strtoul(argv[5], NULL, 10);
    if (mode > IDLE_HTTP2 || !connection_count)
        fail("tls_load: wrong arguments; see the head of bench/tls_load.c");
    snprintf(expected, sizeof expected, "HTTP/1.1 %.3s", argv[6]);
    requests_make(&requests, argv[7], argv[8]);
    body = file_read(argv[7], &body_len);
}

/* The certificate is not looked at: that would be our own work, and says nothing about the gateway.
 */
static void tls_make(void)
{
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls || SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) != 1)
        fail_tls("no memory");
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
}

int main(int argc, char **argv)
{
    char line[16];
    if (argc != 9)
        fail("usage: tls_load handshake|idle|idle-h2 CONNECTIONS 0 SECONDS PORT STATUS BODY KEYS");
    arguments_take(argv);
    tls_make();
    samples_init(&samples, (size_t)1 << 22);
    held = calloc(connection_count, sizeof(*held));
    if (!held)
        fail("tls_load: no memory");
    if (mode != HANDSHAKE)
        run_threads(OPENERS, open_idle);
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 1;
    uint64_t start_ns = now_ns();
    end_ns = start_ns + seconds * SECOND_NS;
    if (mode == HANDSHAKE)
        run_threads(connection_count, run_handshakes);
    double elapsed_s = (double)(now_ns() - start_ns) / 1e9;
    samples_sort(&samples);
    printf("{\"done\":%zu,\"seconds\":%.4f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", samples.count,
           elapsed_s, samples_us(&samples, 50), samples_us(&samples, 99));
    fflush(stdout);
    (void)!fgets(line, sizeof line, stdin);
    return 0;
}
