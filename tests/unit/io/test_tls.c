/* TLS towards upstreams, against a server that the test makes: who is trusted, who is refused and
 * why, and what becomes of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "identity_made.h"
#include "io/stream.h"
#include "io/tls_client.h"

/* --- certificates --------------------------------------------------------------------------- */

enum who { GOOD, EXPIRED, EARLY, SELF_SIGNED, STRANGER, WHO_COUNT };

#define NAMES "DNS:localhost,DNS:*.wild.example,IP:127.0.0.1,IP:::1"

static struct identity authority, stranger_authority, servers[WHO_COUNT], named_by_subject;
static char ca_path[64];

static int make_certificates(void **state)
{
    (void)state;
    authority = identity_make(NULL, "test authority", NULL, true, -DAY_S, DAY_S);
    stranger_authority = identity_make(NULL, "unknown authority", NULL, true, -DAY_S, DAY_S);
    servers[GOOD] = identity_make(&authority, "server", NAMES, false, -DAY_S, DAY_S);
    servers[EXPIRED] = identity_make(&authority, "server", NAMES, false, -2 * DAY_S, -DAY_S);
    servers[EARLY] = identity_make(&authority, "server", NAMES, false, DAY_S, 2 * DAY_S);
    servers[SELF_SIGNED] = identity_make(NULL, "server", NAMES, false, -DAY_S, DAY_S);
    servers[STRANGER] = identity_make(&stranger_authority, "server", NAMES, false, -DAY_S, DAY_S);
    named_by_subject = identity_make(&authority, "subject.example", NULL, false, -DAY_S, DAY_S);
    snprintf(ca_path, sizeof ca_path, "/tmp/tls-test-XXXXXX");
    FILE *file = fdopen(mkstemp(ca_path), "w");
    return file && PEM_write_X509(file, authority.certificate) == 1 && fclose(file) == 0 ? 0 : -1;
}

static int remove_certificates(void **state)
{
    (void)state;
    identity_finish(&authority);
    identity_finish(&stranger_authority);
    identity_finish(&named_by_subject);
    for (int i = 0; i < WHO_COUNT; i++)
        identity_finish(&servers[i]);
    return unlink(ca_path);
}

/* --- the server: one connection, in a thread of its own ----------------------------------------
 */

enum { ECHO_BYTES = 1 << 20 };

enum manners {
    ECHO,       /* sends ECHO_BYTES back as they come, then ends in order */
    CUT,        /* sends five bytes and vanishes without close_notify */
    LISTEN,     /* reads until the client ends */
    SPEAK_HTTP, /* knows no TLS */
};

struct server {
    const struct identity *identity;
    enum manners manners;
    int max_version; /* 0: any */
    int fd;
    /* What it saw. */
    bool shook_hands, client_ended;
    char server_name[256], protocol[32];
    int version;
    pthread_t thread;
};

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *argument)
{
    (void)ssl;
    struct server *server = argument;
    *out = in + 1;
    *out_len = in[0];
    snprintf(server->protocol, sizeof server->protocol, "%.*s of %u", in[0], in + 1, in_len);
    return SSL_TLSEXT_ERR_OK;
}

static void be_polite(struct server *server, SSL *ssl)
{
    char *bytes = malloc(ECHO_BYTES);
    size_t got = 0, n, put = 0;
    while (got < ECHO_BYTES && SSL_read_ex(ssl, bytes + got, ECHO_BYTES - got, &n) == 1)
        got += n;
    while (server->manners == ECHO && put < got &&
           SSL_write_ex(ssl, bytes + put, got - put, &n) == 1)
        put += n;
    if (server->manners == LISTEN)
        server->client_ended = SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN;
    SSL_shutdown(ssl);
    free(bytes);
}

/* Waits for the first bytes and, after its answer, for the end, so that nothing is reset. */
static void speak_http(int fd)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    char bytes[1024];
    if (read(fd, bytes, sizeof bytes) > 0 && write(fd, answer, sizeof answer - 1) > 0)
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
    close(fd);
}

static void *serve(void *argument)
{
    struct server *server = argument;
    if (server->manners == SPEAK_HTTP) {
        speak_http(server->fd);
        return NULL;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (server->max_version) { /* old versions need an old level of security too */
        SSL_CTX_set_security_level(context, 0);
        SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(context, server->max_version);
    }
    SSL_CTX_use_certificate(context, server->identity->certificate);
    SSL_CTX_use_PrivateKey(context, server->identity->key);
    SSL_CTX_set_num_tickets(context, 0); /* the client may be gone before they are written */
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, server);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, server->fd);
    server->shook_hands = SSL_accept(ssl) == 1;
    if (server->shook_hands) {
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        snprintf(server->server_name, sizeof server->server_name, "%s", name ? name : "");
        server->version = SSL_version(ssl);
        if (server->manners == CUT)
            SSL_write(ssl, "five!", 5);
        else
            be_polite(server, ssl);
    }
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(server->fd);
    return NULL;
}

/* Starts the server; returns the client's end, not blocking. */
static int server_start(struct server *server)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    server->fd = pair[1];
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    return pair[0];
}

/* --- the client
 * ----------------------------------------------------------------------------------- */

/* Waits until the socket may have more to say. While bytes wait to be written, waits for either. */
static void wait_for(const struct stream *stream, bool writing)
{
    struct pollfd one = {.fd = stream->fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
    assert_int_equal(poll(&one, 1, 10000), 1);
}

static enum err shake_hands(struct stream *stream)
{
    enum err err;
    while ((err = stream_handshake(stream)) == ERR_AGAIN)
        wait_for(stream, false);
    return err;
}

static struct stream connect_to(struct server *server, struct tls_client *client, const char *host)
{
    struct stream stream = stream_of(server_start(server));
    assert_int_equal(tls_client_connect(client, stream.fd, slice_of(host), &stream.tls), OK);
    return stream;
}

static struct tls_client *trusting_client(void)
{
    struct tls_client *client;
    assert_int_equal(tls_client_create(ca_path, &client, NULL), OK);
    return client;
}

static void only_the_right_server_is_trusted(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *host;
        const struct identity *identity;
        int max_version;
        enum err err;
        const char *reason; /* a part of it */
        const char *server_name;
    } rows[] = {
        {"localhost",        &servers[GOOD],        0, OK, "", "localhost"},
        {"LOCALHOST",        &servers[GOOD],        0, OK, "", "LOCALHOST"},
        {"127.0.0.1",        &servers[GOOD],        0, OK, "", ""}, /* RFC 6066: names only */
        {"::1",              &servers[GOOD],        0, OK, "", ""},
        {"a.wild.example",   &servers[GOOD],        0, OK, "", "a.wild.example"},
        {"localhost",        &servers[GOOD],        TLS1_2_VERSION, OK, "", "localhost"},
        {"localhost",        &servers[GOOD],        TLS1_1_VERSION, ERR_TLS, "", ""},
        {"localhost",        &servers[GOOD],        TLS1_VERSION, ERR_TLS, "", ""},
        {"wrong.example",    &servers[GOOD],        0, ERR_TLS, "ostname mismatch", ""},
        {"localhos",         &servers[GOOD],        0, ERR_TLS, "ostname mismatch", ""},
        {"a.localhost",      &servers[GOOD],        0, ERR_TLS, "ostname mismatch", ""},
        {"a.b.wild.example", &servers[GOOD],        0, ERR_TLS, "ostname mismatch", ""},
        {"wild.example",     &servers[GOOD],        0, ERR_TLS, "ostname mismatch", ""},
        {"127.0.0.2",        &servers[GOOD],        0, ERR_TLS, "IP address mismatch", ""},
        {"::2",              &servers[GOOD],        0, ERR_TLS, "IP address mismatch", ""},
        {"subject.example",  &named_by_subject,     0, ERR_TLS, "ostname mismatch", ""},
        {"localhost",        &servers[EXPIRED],     0, ERR_TLS, "expired", ""},
        {"localhost",        &servers[EARLY],       0, ERR_TLS, "not yet valid", ""},
        {"localhost",        &servers[SELF_SIGNED], 0, ERR_TLS, "self-signed certificate", ""},
        {"localhost",        &servers[STRANGER],    0, ERR_TLS, "unable to get local issuer", ""},
    };
    // clang-format on
    struct tls_client *client = trusting_client();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct server server = {.identity = rows[i].identity, .max_version = rows[i].max_version};
        struct stream stream = connect_to(&server, client, rows[i].host);
        enum err err = shake_hands(&stream);
        AUTO(buffer) reason = BUFFER_MAX(200);
        buffer_text(&reason, tls_session_reason(stream.tls));
        stream_close(&stream);
        pthread_join(server.thread, NULL);
        if (err != rows[i].err || !strstr(buffer_text_of(&reason), rows[i].reason))
            fail_msg("row %zu (%s): %s, \"%s\"", i, rows[i].host, err_name(err), reason.bytes);
        assert_int_equal(ERR_peek_error(), 0);
        if (err)
            continue;
        assert_string_equal(server.server_name, rows[i].server_name);
        assert_string_equal(server.protocol, "http/1.1 of 9");
        assert_int_equal(server.version,
                         rows[i].max_version ? rows[i].max_version : TLS1_3_VERSION);
    }
    tls_client_destroy(client);
}

static void plain_server_is_refused(void **state)
{
    (void)state;
    struct tls_client *client = trusting_client();
    struct server server = {.identity = &servers[GOOD], .manners = SPEAK_HTTP};
    struct stream stream = connect_to(&server, client, "localhost");
    assert_int_equal(shake_hands(&stream), ERR_TLS);
    assert_string_equal(tls_session_reason(stream.tls), "");
    stream_close(&stream);
    pthread_join(server.thread, NULL);
    tls_client_destroy(client);
}

static void authorities_must_be_readable(void **state)
{
    (void)state;
    struct tls_client *client = NULL;
    AUTO(buffer) reason = BUFFER_MAX(200);
    assert_int_equal(tls_client_create("/nonexistent/ca.pem", &client, &reason), ERR_TLS);
    assert_non_null(strstr(buffer_text_of(&reason), "cannot be read"));
    assert_int_equal(tls_client_create("/dev/null", &client, NULL), ERR_TLS);
    assert_null(client);
    assert_int_equal(ERR_peek_error(), 0);
    tls_client_destroy(NULL);
    tls_session_destroy(NULL);
}

/* The system's authorities know nothing of the test's. */
static void system_authorities_do_not_trust_the_test(void **state)
{
    (void)state;
    struct tls_client *client;
    assert_int_equal(tls_client_create(NULL, &client, NULL), OK);
    struct server server = {.identity = &servers[GOOD], .manners = ECHO};
    struct stream stream = connect_to(&server, client, "localhost");
    assert_int_equal(shake_hands(&stream), ERR_TLS);
    stream_close(&stream);
    pthread_join(server.thread, NULL);
    tls_client_destroy(client);
}

static void hosts_must_be_names(void **state)
{
    (void)state;
    struct tls_client *client = trusting_client();
    struct tls_session *session = NULL;
    char host[256];
    memset(host, 'a', sizeof host);
    assert_int_equal(tls_client_connect(client, 0, slice_make(host, 256), &session), ERR_TLS);
    assert_int_equal(tls_client_connect(client, 0, SLICE(""), &session), ERR_TLS);
    assert_null(session);
    tls_client_destroy(client);
}

/* A megabyte out in odd pieces, which lie elsewhere whenever they are offered again, and back. */
static void large_writes_go_in_pieces(void **state)
{
    (void)state;
    struct tls_client *client = trusting_client();
    struct server server = {.identity = &servers[GOOD], .manners = ECHO};
    struct stream stream = connect_to(&server, client, "localhost");
    assert_int_equal(shake_hands(&stream), OK);
    char *sent = malloc(ECHO_BYTES), *got = malloc(ECHO_BYTES);
    assert_true(sent && got);
    for (size_t i = 0; i < ECHO_BYTES; i++)
        sent[i] = (char)(i * 7 + i / 255);

    bool refused = false;
    for (size_t at = 0, n; at < ECHO_BYTES;) {
        enum { OFFERED = 40000 };
        size_t offered = ECHO_BYTES - at < OFFERED ? ECHO_BYTES - at : OFFERED, third = offered / 3;
        char *moved = malloc(offered); /* freed before the next try */
        assert_non_null(moved);
        memcpy(moved, sent + at, offered);
        struct iovec pieces[] = {
            {moved,             1                  },
            {moved,             0                  },
            {moved + 1,         third              },
            {moved + 1 + third, offered - 1 - third}
        };
        if (offered < 3)
            pieces[0].iov_len = offered;
        enum err err = stream_write(&stream, pieces, offered < 3 ? 1 : 4, &n);
        free(moved);
        if (err == ERR_AGAIN) {
            refused = true;
            wait_for(&stream, true);
            continue;
        }
        assert_int_equal(err, OK);
        assert_in_range(n, 1, offered);
        at += n;
    }
    (void)refused; /* likely, but up to the kernel */

    size_t got_bytes = 0, n;
    enum err err;
    while ((err = stream_read(&stream, got + got_bytes,
                              ECHO_BYTES - got_bytes ? ECHO_BYTES - got_bytes : 1, &n)) == OK ||
           err == ERR_AGAIN) {
        assert_true(stream.drained || err == OK);
        if (err == OK)
            got_bytes += n;
        if (stream.drained && got_bytes < ECHO_BYTES) /* whatever comes next has an event */
            wait_for(&stream, false);
        assert_true(got_bytes <= ECHO_BYTES);
        if (got_bytes == ECHO_BYTES)
            break;
    }
    assert_int_equal(got_bytes, ECHO_BYTES);
    assert_memory_equal(sent, got, ECHO_BYTES);
    while ((err = stream_read(&stream, got, 1, &n)) == ERR_AGAIN)
        wait_for(&stream, false);
    assert_int_equal(err, ERR_CLOSED); /* the orderly end */
    free(sent);
    free(got);
    stream_close(&stream);
    pthread_join(server.thread, NULL);
    tls_client_destroy(client);
}

/* RFC 8446, section 6.1: an end without close_notify is a truncation. */
static void truncation_is_not_an_end(void **state)
{
    (void)state;
    struct tls_client *client = trusting_client();
    struct server server = {.identity = &servers[GOOD], .manners = CUT};
    struct stream stream = connect_to(&server, client, "localhost");
    assert_int_equal(shake_hands(&stream), OK);
    char bytes[100];
    size_t got = 0, n;
    enum err err;
    while ((err = stream_read(&stream, bytes + got, sizeof bytes - got, &n)) == OK ||
           err == ERR_AGAIN) {
        if (err == ERR_AGAIN)
            wait_for(&stream, false);
        else
            got += n;
    }
    assert_int_equal(got, 5);
    assert_true(err == ERR_TLS || err == ERR_IO);
    stream_close(&stream);
    pthread_join(server.thread, NULL);
    tls_client_destroy(client);
}

static void closing_tells_the_server(void **state)
{
    (void)state;
    struct tls_client *client = trusting_client();
    for (int orderly = 0; orderly < 2; orderly++) {
        struct server server = {.identity = &servers[GOOD], .manners = LISTEN};
        struct stream stream = connect_to(&server, client, "localhost");
        struct iovec piece = {(char *)"hello", 5};
        size_t n = 0;
        assert_int_equal(shake_hands(&stream), OK);
        assert_int_equal(stream_write(&stream, &piece, 0, &n), OK);
        assert_int_equal(n, 0);
        assert_int_equal(stream_write(&stream, &piece, 1, &n), OK);
        assert_int_equal(n, 5);
        if (orderly)
            stream_end_writing(&stream);
        stream_close(&stream);
        assert_null(stream.tls);
        assert_int_equal(stream.fd, -1);
        pthread_join(server.thread, NULL);
        assert_true(server.client_ended);
    }
    tls_client_destroy(client);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does: OpenSSL writes without MSG_NOSIGNAL */
    alarm(30);                /* what hangs fails */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_right_server_is_trusted),
        cmocka_unit_test(plain_server_is_refused),
        cmocka_unit_test(authorities_must_be_readable),
        cmocka_unit_test(system_authorities_do_not_trust_the_test),
        cmocka_unit_test(hosts_must_be_names),
        cmocka_unit_test(large_writes_go_in_pieces),
        cmocka_unit_test(truncation_is_not_an_end),
        cmocka_unit_test(closing_tells_the_server),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
