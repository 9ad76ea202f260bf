/* TLS towards clients, against OpenSSL's client in the same thread, whose bytes the test carries to
 * and fro and so can cut, count and repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "identity_made.h"
#include "io/stream.h"
#include "io/tls_server.h"

enum { FIRST, SECOND_EC, SECOND_RSA, IDENTITIES };

static char home[64];
static char *certificates[IDENTITIES], *keys[IDENTITIES];
static struct tls_identities *identities;
static struct tls_tickets *tickets;

static int make_identities(void **state)
{
    (void)state;
    static const struct {
        const char *subject, *names;
        bool rsa;
    } rows[IDENTITIES] = {
        [FIRST] = {"first",      "DNS:a.example,DNS:*.wild.example",     false},
        [SECOND_EC] = {"second",     "DNS:B.example,DNS:exact.wild.example", false},
        [SECOND_RSA] = {"second-rsa", "DNS:b.example,IP:127.0.0.1",           true },
    };
    snprintf(home, sizeof home, "/tmp/tls-server-XXXXXX");
    assert_non_null(mkdtemp(home));
    for (int i = 0; i < IDENTITIES; i++) {
        struct identity made =
            identity_of_key(rows[i].rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), NULL,
                            rows[i].subject, rows[i].names, false, -DAY_S, DAY_S);
        assert_true(asprintf(&certificates[i], "%s/%d.pem", home, i) > 0);
        assert_true(asprintf(&keys[i], "%s/%d.key", home, i) > 0);
        identity_save_certificate(&made, NULL, certificates[i]);
        identity_save_key(&made, NULL, keys[i]);
        identity_finish(&made);
    }
    AUTO(faults) faults = {0};
    tickets = tls_tickets_create(0);
    assert_int_equal(
        tls_identities_load(certificates, keys, IDENTITIES, clock_wall_us(), &identities, &faults),
        OK);
    return tickets ? 0 : -1;
}

static int remove_identities(void **state)
{
    (void)state;
    for (int i = 0; i < IDENTITIES; i++) {
        unlink(certificates[i]);
        unlink(keys[i]);
        free(certificates[i]);
        free(keys[i]);
    }
    tls_identities_unref(identities);
    tls_tickets_destroy(tickets);
    tls_tickets_destroy(NULL);
    return rmdir(home);
}

/* --- both ends ----------------------------------------------------------------------------------
 */

/* What the client is like; zero is an ordinary one. */
struct manners {
    int min_version, max_version;
    const char *ciphers; /* of TLS 1.2 */
    const char *signatures;
    const char *groups;
    const char *name; /* SNI */
    struct slice protocols;
    SSL_SESSION *resume;
    bool http2, only_tls13; /* what the server is told */
    size_t step;            /* how many bytes the server gets at once; 0: all */
};

struct ends {
    struct tls_server *server;
    struct stream stream; /* the server's */
    int fd;               /* the client's */
    SSL_CTX *context;
    SSL *client;
    SSL_SESSION *ticket; /* the last one given */
    size_t step;
};

static struct tls_server *make_server(const struct manners *manners)
{
    struct tls_server *server = NULL;
    struct tls_terms terms = {identities, tickets, manners->only_tls13, manners->http2};
    assert_int_equal(tls_server_create(&terms, &server), OK);
    return server;
}

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct ends *ends = SSL_get_app_data(ssl);
    SSL_SESSION_free(ends->ticket);
    ends->ticket = session;
    return 1;
}

static void open_server_end(struct ends *ends, const struct manners *manners)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    ends->stream = stream_of(pair[0]);
    ends->fd = pair[1];
    ends->step = manners->step;
    ends->server = make_server(manners);
    assert_int_equal(tls_server_accept(ends->server, pair[0], &ends->stream.tls), OK);
}

static void open_ends(struct ends *ends, const struct manners *manners)
{
    *ends = (struct ends){0};
    open_server_end(ends, manners);
    ends->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(
        ends->context, manners->max_version && manners->max_version < TLS1_2_VERSION ? 0 : 1);
    SSL_CTX_set_min_proto_version(ends->context,
                                  manners->min_version ? manners->min_version : TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ends->context, manners->max_version);
    SSL_CTX_set_session_cache_mode(ends->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ends->context, keep_ticket);
    if (manners->ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(ends->context, manners->ciphers), 1);
    if (manners->signatures)
        assert_int_equal(SSL_CTX_set1_sigalgs_list(ends->context, manners->signatures), 1);
    if (manners->groups)
        assert_int_equal(SSL_CTX_set1_groups_list(ends->context, manners->groups), 1);
    ends->client = SSL_new(ends->context);
    SSL_set_app_data(ends->client, ends);
    SSL_set_bio(ends->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ends->client), -1);
    SSL_set_connect_state(ends->client);
    if (manners->name)
        SSL_set_tlsext_host_name(ends->client, manners->name);
    if (manners->protocols.len)
        SSL_set_alpn_protos(ends->client, (const unsigned char *)manners->protocols.ptr,
                            (unsigned)manners->protocols.len);
    if (manners->resume) { /* a copy: a client gives an old ticket up when it gets a new one */
        SSL_SESSION *copy = SSL_SESSION_dup(manners->resume);
        assert_int_equal(SSL_set_session(ends->client, copy), 1);
        SSL_SESSION_free(copy);
    }
}

static void close_ends(struct ends *ends)
{
    stream_close(&ends->stream);
    tls_server_unref(ends->server);
    /* Or the client takes its ticket for spoilt. */
    if (ends->client)
        SSL_set_shutdown(ends->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ends->client);
    SSL_CTX_free(ends->context);
    SSL_SESSION_free(ends->ticket);
    close(ends->fd);
    ERR_clear_error();
}

/* Carries what the client has written to the server: at most one step. False: it had nothing. */
static bool carry_out(struct ends *ends)
{
    char bytes[65536];
    size_t size = ends->step ? ends->step : sizeof bytes;
    int n = BIO_read(SSL_get_wbio(ends->client), bytes, (int)size);
    if (n <= 0)
        return false;
    assert_int_equal(send(ends->fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
    return true;
}

/* Carries all that the server has written to the client. */
static bool carry_in(struct ends *ends)
{
    char bytes[65536];
    ssize_t n, all = 0;
    while ((n = recv(ends->fd, bytes, sizeof bytes, 0)) > 0) {
        BIO_write(SSL_get_rbio(ends->client), bytes, (int)n);
        all += n;
    }
    return all > 0;
}

/* The server's verdict; OK once the client is content too. */
static enum err shake_hands(struct ends *ends)
{
    enum err err = ERR_AGAIN;
    for (bool moved = true; moved;) {
        SSL_do_handshake(ends->client);
        moved = carry_out(ends);
        if (err == ERR_AGAIN)
            err = stream_handshake(&ends->stream);
        moved |= carry_in(ends);
        if (err != OK && err != ERR_AGAIN)
            break;
    }
    SSL_do_handshake(ends->client);
    ERR_clear_error();
    return err == OK && !SSL_is_init_finished(ends->client) ? ERR_AGAIN : err;
}

/* Reads as a connection does: until nothing is left. */
static enum err read_all(struct ends *ends, struct buffer *got)
{
    char bytes[4096];
    for (;;) {
        size_t n;
        enum err err = stream_read(&ends->stream, bytes, sizeof bytes, &n);
        if (err)
            return err;
        buffer_append(got, slice_make(bytes, n));
        if (ends->stream.drained)
            return OK;
    }
}

static bool socket_empty(const struct ends *ends)
{
    char byte;
    return recv(ends->stream.fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* --- the handshake ------------------------------------------------------------------------------
 */

static void only_strong_terms_are_agreed_on(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct manners manners;
        enum err err;
        int version;
        const char *cipher;
    } rows[] = {
        {{0}, OK, TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384"},
        {{.max_version = TLS1_2_VERSION}, OK, TLS1_2_VERSION, "ECDHE-ECDSA-"},
        {{.max_version = TLS1_1_VERSION}, ERR_TLS, 0, NULL},
        {{.max_version = TLS1_VERSION}, ERR_TLS, 0, NULL},
        {{.max_version = TLS1_2_VERSION, .only_tls13 = true}, ERR_TLS, 0, NULL},
        {{.only_tls13 = true}, OK, TLS1_3_VERSION, "TLS_"},
        {{.max_version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305"}, OK,
         TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"},
        {{.max_version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256"}, ERR_TLS, 0, NULL},
        {{.max_version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-CCM"}, ERR_TLS, 0, NULL},
        {{.max_version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256", .name = "127.0.0.1"},
         ERR_TLS, 0, NULL},
        {{.max_version = TLS1_2_VERSION, .ciphers = "DHE-RSA-AES128-GCM-SHA256"}, ERR_TLS, 0, NULL},
        {{.groups = "P-384"}, OK, TLS1_3_VERSION, "TLS_"},
        {{.groups = "P-521"}, ERR_TLS, 0, NULL},
        {{.groups = "ffdhe2048", .min_version = TLS1_3_VERSION}, ERR_TLS, 0, NULL},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ends ends;
        open_ends(&ends, &rows[i].manners);
        enum err err = shake_hands(&ends);
        if (err != rows[i].err)
            fail_msg("row %zu: %s", i, err_name(err));
        assert_int_equal(ERR_peek_error(), 0);
        if (!err) {
            assert_int_equal(SSL_version(ends.client), rows[i].version);
            assert_non_null(strstr(SSL_get_cipher_name(ends.client), rows[i].cipher));
            assert_null(SSL_get_current_compression(ends.client));
        }
        close_ends(&ends);
    }
}

#define H2 "\x02h2"
#define HTTP11 "\x08http/1.1"
#define HTTP10 "\x08http/1.0"

static void the_protocol_is_chosen(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct slice offers;
        bool http2;
        enum err err;
        enum tls_protocol protocol;
        const char *told; /* what the client hears; NULL: nothing */
    } rows[] = {
        {{0},                   true,  OK, TLS_HTTP1, NULL},
        {SLICE(H2 HTTP11),      true,  OK, TLS_HTTP2, "h2"},
        {SLICE(HTTP11 H2),      true,  OK, TLS_HTTP2, "h2"},
        {SLICE(H2 HTTP11),      false, OK, TLS_HTTP1, "http/1.1"},
        {SLICE(HTTP11),         true,  OK, TLS_HTTP1, "http/1.1"},
        {SLICE(HTTP10 HTTP11),  true,  OK, TLS_HTTP1, "http/1.1"},
        {SLICE(HTTP10),         true,  ERR_TLS, TLS_HTTP1, NULL},
        {SLICE(H2),             false, ERR_TLS, TLS_HTTP1, NULL},
        {SLICE("\x02h3\x03h2c"), true, ERR_TLS, TLS_HTTP1, NULL},
        {SLICE("\x01h" "\x03" "2h2"), true, ERR_TLS, TLS_HTTP1, NULL},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ends ends;
        struct manners manners = {.protocols = rows[i].offers, .http2 = rows[i].http2};
        open_ends(&ends, &manners);
        enum err err = shake_hands(&ends);
        if (err != rows[i].err)
            fail_msg("row %zu: %s", i, err_name(err));
        const unsigned char *told;
        unsigned len;
        SSL_get0_alpn_selected(ends.client, &told, &len);
        assert_true(slice_equal(slice_make((const char *)told, len), slice_of(rows[i].told)));
        if (!err)
            assert_int_equal(tls_session_protocol(ends.stream.tls), rows[i].protocol);
        close_ends(&ends);
    }
}

/* TLS-05: the client hears why. */
static void no_common_protocol_is_an_alert(void **state)
{
    (void)state;
    struct ends ends;
    struct manners manners = {.protocols = SLICE(HTTP10)};
    open_ends(&ends, &manners);
    SSL_do_handshake(ends.client);
    carry_out(&ends);
    assert_int_equal(stream_handshake(&ends.stream), ERR_TLS);
    carry_in(&ends);
    assert_true(SSL_do_handshake(ends.client) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    close_ends(&ends);
}

static void the_name_chooses_the_certificate(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *name, *signatures, *subject;
    } rows[] = {
        {NULL,                  NULL, "/CN=first"},
        {"unknown.example",     NULL, "/CN=first"},
        {"a.example",           NULL, "/CN=first"},
        {"A.EXAMPLE",           NULL, "/CN=first"},
        {"b.example",           NULL, "/CN=second"},
        {"b.exAmple",           NULL, "/CN=second"},
        {"b.example",           "RSA-PSS+SHA256", "/CN=second-rsa"},
        {"x.wild.example",      NULL, "/CN=first"},
        {"exact.wild.example",  NULL, "/CN=second"},
        {"x.y.wild.example",    NULL, "/CN=first"}, /* none: the default */
        {"wild.example",        NULL, "/CN=first"},
        {"second",              NULL, "/CN=first"}, /* the subject's name says nothing */
        {"b.example.",          NULL, "/CN=first"},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct ends ends;
            struct manners manners = {
                .name = rows[i].name, .signatures = rows[i].signatures, .max_version = version};
            open_ends(&ends, &manners);
            assert_int_equal(shake_hands(&ends), OK);
            char subject[64];
            X509_NAME_oneline(X509_get_subject_name(SSL_get0_peer_certificate(ends.client)),
                              subject, sizeof subject);
            if (strcmp(subject, rows[i].subject) != 0)
                fail_msg("row %zu: %s", i, subject);
            close_ends(&ends);
        }
    }
}

/* The first pair has no RSA key: what the name does not lead to stays out of reach. */
static void other_identities_do_not_leak_into_a_handshake(void **state)
{
    (void)state;
    struct ends ends;
    struct manners manners = {.name = "a.example", .signatures = "RSA-PSS+SHA256"};
    open_ends(&ends, &manners);
    assert_int_equal(shake_hands(&ends), ERR_TLS);
    close_ends(&ends);
}

/* --- tickets ------------------------------------------------------------------------------------
 */

/* One connection that reads what the server sent; the ticket it got, if any. */
static bool connect_with(const struct manners *manners, SSL_SESSION **ticket)
{
    struct ends ends;
    open_ends(&ends, manners); /* a server of its own each time: as on another worker */
    assert_int_equal(shake_hands(&ends), OK);
    char byte;
    carry_in(&ends);
    SSL_read(ends.client, &byte, 1);
    bool resumed = SSL_session_reused(ends.client);
    if (ticket) {
        *ticket = ends.ticket;
        ends.ticket = NULL;
    }
    close_ends(&ends);
    return resumed;
}

/* TLS-03 */
static void tickets_live_for_two_periods(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct manners manners = {.max_version = version};
        struct tls_tickets *shared = tickets;
        tickets = tls_tickets_create(0);
        assert_false(connect_with(&manners, &manners.resume));
        assert_non_null(manners.resume);
        assert_int_equal(SSL_SESSION_get_max_early_data(manners.resume), 0);
        assert_true(connect_with(&manners, NULL));
        tls_tickets_turn(tickets, TICKET_PERIOD_US - 1); /* not yet */
        assert_true(connect_with(&manners, NULL));
        tls_tickets_turn(tickets, TICKET_PERIOD_US);
        assert_true(connect_with(&manners, NULL));
        tls_tickets_turn(tickets, 2 * TICKET_PERIOD_US - 1);
        assert_true(connect_with(&manners, NULL));
        tls_tickets_turn(tickets, 2 * TICKET_PERIOD_US);
        assert_false(connect_with(&manners, NULL));
        SSL_SESSION_free(manners.resume);

        assert_false(connect_with(&(struct manners){.max_version = version}, &manners.resume));
        tls_tickets_turn(tickets, 10 * TICKET_PERIOD_US); /* nobody looked meanwhile */
        assert_false(connect_with(&manners, NULL));
        SSL_SESSION_free(manners.resume);
        tls_tickets_destroy(tickets);
        tickets = shared;
    }
}

static void tickets_of_another_gateway_mean_nothing(void **state)
{
    (void)state;
    struct manners manners = {0};
    struct tls_tickets *shared = tickets;
    assert_false(connect_with(&manners, &manners.resume));
    tickets = tls_tickets_create(0);
    assert_false(connect_with(&manners, NULL));
    tls_tickets_destroy(tickets);
    tickets = shared;
    SSL_SESSION_free(manners.resume);
}

static unsigned ticket_count;

static int count_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl, (void)session;
    ticket_count++;
    return 0;
}

static void a_handshake_gives_one_ticket(void **state)
{
    (void)state;
    struct ends ends;
    char byte;
    ticket_count = 0;
    open_ends(&ends, &(struct manners){0});
    SSL_CTX_sess_set_new_cb(ends.context, count_ticket);
    assert_int_equal(shake_hands(&ends), OK);
    carry_in(&ends);
    SSL_read(ends.client, &byte, 1);
    assert_int_equal(ticket_count, 1);
    close_ends(&ends);
}

/* --- bytes --------------------------------------------------------------------------------------
 */

/* Everything the client ever sends arrives in steps of every small size. */
static void records_may_be_split_anywhere(void **state)
{
    (void)state;
    static const char request[] = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t step = 1; step < 80; step++) {
            struct ends ends;
            AUTO(buffer) got = BUFFER_MAX(1 << 16);
            open_ends(&ends, &(struct manners){.step = step, .max_version = version});
            assert_int_equal(shake_hands(&ends), OK);
            for (int i = 0; i < 3; i++)
                assert_int_equal(SSL_write(ends.client, request, sizeof request - 1),
                                 sizeof request - 1);
            while (carry_out(&ends)) {
                enum err err = read_all(&ends, &got);
                assert_true(err == OK || err == ERR_AGAIN);
                assert_true(socket_empty(&ends));
            }
            assert_int_equal(got.len, 3 * (sizeof request - 1));
            for (int i = 0; i < 3; i++)
                assert_memory_equal(got.bytes + i * (sizeof request - 1), request,
                                    sizeof request - 1);
            close_ends(&ends);
        }
    }
}

/* The first request comes along with the end of the handshake: no event will announce it. */
static void data_right_behind_the_handshake_is_read(void **state)
{
    (void)state;
    struct ends ends;
    AUTO(buffer) got = BUFFER_MAX(1 << 16);
    open_ends(&ends, &(struct manners){.min_version = TLS1_3_VERSION});
    SSL_do_handshake(ends.client);
    carry_out(&ends);
    assert_int_equal(stream_handshake(&ends.stream), ERR_AGAIN);
    carry_in(&ends);
    assert_int_equal(SSL_do_handshake(ends.client), 1);
    assert_int_equal(SSL_write(ends.client, "hello", 5), 5);
    carry_out(&ends);
    assert_int_equal(stream_handshake(&ends.stream), OK);
    assert_true(socket_empty(&ends));
    assert_int_equal(read_all(&ends, &got), ERR_AGAIN);
    assert_true(slice_equal(buffer_slice(&got), SLICE("hello")));
    close_ends(&ends);
}

static void one_read_of_the_socket_brings_a_whole_record(void **state)
{
    (void)state;
    struct ends ends;
    char bytes[64];
    size_t n;
    open_ends(&ends, &(struct manners){0});
    assert_int_equal(shake_hands(&ends), OK);
    SSL_write(ends.client, "hello", 5);
    carry_out(&ends);
    assert_int_equal(stream_read(&ends.stream, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 5);
    assert_true(ends.stream.drained); /* without a second one that brings nothing */
    assert_int_equal(stream_read(&ends.stream, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_true(ends.stream.drained);
    close_ends(&ends);
}

/* `drained` must not be believed for longer than the read that found it out. */
static void what_came_between_two_reads_is_not_forgotten(void **state)
{
    (void)state;
    struct ends ends;
    char bytes[64];
    size_t n;
    AUTO(buffer) got = BUFFER_MAX(1 << 16);
    open_ends(&ends, &(struct manners){0});
    assert_int_equal(shake_hands(&ends), OK);
    SSL_write(ends.client, "one", 3);
    SSL_write(ends.client, "two", 3);
    carry_out(&ends);
    assert_int_equal(stream_read(&ends.stream, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 3);
    assert_false(ends.stream.drained); /* OpenSSL holds the second record */
    SSL_write(ends.client, "three", 5);
    carry_out(&ends); /* its event comes now, while the connection means to read on anyway */
    assert_int_equal(stream_read(&ends.stream, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 3);
    assert_false(ends.stream.drained);
    assert_int_equal(read_all(&ends, &got), OK);
    assert_true(slice_equal(buffer_slice(&got), SLICE("three")));
    close_ends(&ends);
}

/* A record larger than what the caller has room for. */
static void part_of_a_record_is_not_drained(void **state)
{
    (void)state;
    struct ends ends;
    char bytes[5];
    size_t n;
    open_ends(&ends, &(struct manners){0});
    assert_int_equal(shake_hands(&ends), OK);
    SSL_write(ends.client, "123456789", 9);
    carry_out(&ends);
    assert_int_equal(stream_read(&ends.stream, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 5);
    assert_false(ends.stream.drained);
    assert_int_equal(stream_read(&ends.stream, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 4);
    close_ends(&ends);
}

static void much_arrives_whole_both_ways(void **state)
{
    (void)state;
    enum { BYTES = 300000 };
    struct ends ends;
    char *sent = malloc(BYTES), *back = malloc(BYTES);
    AUTO(buffer) got = BUFFER_MAX(BYTES);
    assert_true(sent && back);
    for (size_t i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 31 + i / 251);
    open_ends(&ends, &(struct manners){.step = 7001});
    assert_int_equal(shake_hands(&ends), OK);
    assert_int_equal(SSL_write(ends.client, sent, BYTES), BYTES);
    while (carry_out(&ends)) {
        enum err err = read_all(&ends, &got);
        assert_true(err == OK || err == ERR_AGAIN);
        assert_true(socket_empty(&ends));
    }
    assert_int_equal(got.len, BYTES);
    assert_memory_equal(got.bytes, sent, BYTES);
    size_t put = 0, got_back = 0, n;
    while (got_back < BYTES) {
        struct iovec pieces[] = {
            {sent + put,                     (BYTES - put) / 2              },
            {sent + put + (BYTES - put) / 2, BYTES - put - (BYTES - put) / 2}
        };
        if (put < BYTES && stream_write(&ends.stream, pieces, 2, &n) == OK)
            put += n;
        carry_in(&ends);
        while (SSL_read_ex(ends.client, back + got_back, BYTES - got_back, &n) == 1)
            got_back += n;
    }
    assert_memory_equal(back, sent, BYTES);
    free(sent);
    free(back);
    close_ends(&ends);
}

static void the_end_is_orderly_or_it_is_not(void **state)
{
    (void)state;
    for (int orderly = 0; orderly < 2; orderly++) {
        struct ends ends;
        AUTO(buffer) got = BUFFER_MAX(1 << 16);
        open_ends(&ends, &(struct manners){0});
        assert_int_equal(shake_hands(&ends), OK);
        SSL_write(ends.client, "bye", 3);
        if (orderly)
            SSL_shutdown(ends.client);
        carry_out(&ends);
        shutdown(ends.fd, SHUT_WR);
        enum err err = read_all(&ends, &got);
        if (!err) /* the end has an event of its own */
            err = read_all(&ends, &got);
        assert_int_equal(err, orderly ? ERR_CLOSED : ERR_TLS);
        assert_int_equal(got.len, 3);
        close_ends(&ends);
    }
}

/* An answer that broke off must not look complete. */
static void only_a_close_says_goodbye(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct ends ends;
        char bytes[16];
        open_ends(&ends, &(struct manners){0});
        assert_int_equal(shake_hands(&ends), OK);
        carry_in(&ends);
        if (reset)
            stream_reset(&ends.stream);
        else
            stream_close(&ends.stream);
        carry_in(&ends);
        assert_true(SSL_read(ends.client, bytes, sizeof bytes) <= 0);
        assert_int_equal(SSL_get_shutdown(ends.client) & SSL_RECEIVED_SHUTDOWN,
                         reset ? 0 : SSL_RECEIVED_SHUTDOWN);
        close_ends(&ends);
    }
}

/* A change of certificates lets go of the server while sessions of it are under way. */
static void a_session_outlives_its_server(void **state)
{
    (void)state;
    struct ends ends;
    open_ends(&ends, &(struct manners){.name = "b.example"});
    tls_server_unref(ends.server);
    ends.server = NULL;
    assert_int_equal(shake_hands(&ends), OK);
    close_ends(&ends);
}

/* --- those who mean no good ---------------------------------------------------------------------
 */

/* TLS-12. Nothing may have been sent: a plain answer follows. */
static void plain_requests_are_recognised(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct slice bytes;
        enum err err;
    } rows[] = {
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_SYNTAX},
        {SLICE("POST /v1/chat/completions HTTP/1.1\r\n"), ERR_SYNTAX},
        {SLICE("OPTIONS * HTTP/1.1\r\n"), ERR_SYNTAX},
        {SLICE("DELETE / HTTP/1.1\r\n"), ERR_SYNTAX},
        {SLICE("CONNECT a:1 HTTP/1.1\r\n"), ERR_SYNTAX},
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ERR_SYNTAX},
        {SLICE("SSH-2.0-x\r\n"), ERR_SYNTAX}, /* as good as any */
        {SLICE("GET "), ERR_AGAIN},
        {SLICE("\0\0\0\0\0\0\0\0\0\0"), ERR_TLS},
        {SLICE("\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_TLS},
        {SLICE("\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff"), ERR_TLS},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ends ends = {0};
        char byte;
        open_server_end(&ends, &(struct manners){0});
        assert_true(send(ends.fd, rows[i].bytes.ptr, rows[i].bytes.len, 0) > 0);
        enum err err = stream_handshake(&ends.stream);
        if (err != rows[i].err)
            fail_msg("row %zu: %s", i, err_name(err));
        if (err == ERR_SYNTAX) {
            assert_true(recv(ends.fd, &byte, 1, 0) < 0);
            tls_session_destroy(ends.stream.tls);
            ends.stream.tls = NULL;
            assert_int_equal(
                stream_write(&ends.stream, &(struct iovec){(void *)"no", 2}, 1, &(size_t){0}), OK);
            assert_int_equal(recv(ends.fd, (char[8]){0}, 8, 0), 2);
        }
        close_ends(&ends);
    }
}

/* TLS-08: the same few bytes, many times, while the handshake is under way. */
static void floods_in_the_handshake_end_it(void **state)
{
    (void)state;
    static const struct slice records[] = {
        SLICE("\x16\x03\x01\x00\x00"),         /* an empty one */
        SLICE("\x15\x03\x01\x00\x02\x01\x5a"), /* a warning */
        SLICE("\x17\x03\x03\x00\x00"),         /* data before its time */
        SLICE("\x14\x03\x03\x00\x01\x01"),     /* ChangeCipherSpec, to which TLS 1.3 is deaf */
        SLICE("\x16\x03\x01\x48\x01"),         /* an oversize one */
    };
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        for (int after_hello = 0; after_hello < 2; after_hello++) {
            struct ends ends;
            enum err err = ERR_AGAIN;
            open_ends(&ends, &(struct manners){0});
            SSL_do_handshake(ends.client);
            if (after_hello)
                carry_out(&ends);
            for (int n = 0; n < 1000 && err == ERR_AGAIN; n++) {
                assert_int_equal(send(ends.fd, records[i].ptr, records[i].len, 0),
                                 (ssize_t)records[i].len);
                err = stream_handshake(&ends.stream);
            }
            if (err != ERR_TLS)
                fail_msg("record %zu, %d: %s", i, after_hello, err_name(err));
            close_ends(&ends);
        }
    }
}

/* Sends one KeyUpdate that asks for ours in return. */
static void update_key(struct ends *ends)
{
    assert_int_equal(SSL_key_update(ends->client, SSL_KEY_UPDATE_REQUESTED), 1);
    SSL_do_handshake(ends->client);
    carry_out(ends);
}

static void key_updates_without_data_are_bounded(void **state)
{
    (void)state;
    struct ends ends;
    AUTO(buffer) got = BUFFER_MAX(1 << 16);
    open_ends(&ends, &(struct manners){.min_version = TLS1_3_VERSION});
    assert_int_equal(shake_hands(&ends), OK);
    unsigned taken = 0;
    enum err err;
    for (; taken < 1000; taken++) {
        update_key(&ends);
        if ((err = read_all(&ends, &got)) != ERR_AGAIN)
            break;
        carry_in(&ends);
    }
    assert_int_equal(err, ERR_TLS);
    assert_int_equal(taken, 8);
    assert_int_equal(read_all(&ends, &got), ERR_TLS); /* and stays so */
    close_ends(&ends);
}

static void key_updates_with_data_are_fine_but_not_for_ever(void **state)
{
    (void)state;
    struct ends ends;
    AUTO(buffer) got = BUFFER_MAX(1 << 16);
    open_ends(&ends, &(struct manners){.min_version = TLS1_3_VERSION});
    assert_int_equal(shake_hands(&ends), OK);
    unsigned taken = 0;
    enum err err = OK;
    for (; taken < 1000 && !err; taken++) {
        update_key(&ends);
        SSL_write(ends.client, "x", 1);
        carry_out(&ends);
        err = read_all(&ends, &got);
        carry_in(&ends);
    }
    assert_int_equal(err, ERR_TLS);
    assert_in_range(taken, 100, 102);
    close_ends(&ends);
}

/* TLS-02 */
static void renegotiation_is_refused_and_counted(void **state)
{
    (void)state;
    struct ends ends;
    AUTO(buffer) got = BUFFER_MAX(1 << 16);
    open_ends(&ends, &(struct manners){.max_version = TLS1_2_VERSION});
    assert_int_equal(shake_hands(&ends), OK);
    /* One ClientHello within the session; OpenSSL's client gives up at the answer. */
    assert_int_equal(SSL_renegotiate(ends.client), 1);
    SSL_do_handshake(ends.client);
    assert_true(carry_out(&ends));
    assert_int_equal(read_all(&ends, &got), ERR_AGAIN);
    assert_int_equal(ends.stream.tls->all_records, 1);
    assert_true(carry_in(&ends));
    assert_true(SSL_do_handshake(ends.client) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    /* The session goes on for our side. */
    size_t n;
    assert_int_equal(stream_write(&ends.stream, &(struct iovec){(void *)"still", 5}, 1, &n), OK);
    close_ends(&ends);
}

static void nothing_made_is_nothing_to_release(void **state)
{
    (void)state;
    tls_server_unref(NULL);
    tls_session_destroy(NULL);
}

int main(void)
{
    alarm(120); /* a handshake that waits for ever fails */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_strong_terms_are_agreed_on),
        cmocka_unit_test(the_protocol_is_chosen),
        cmocka_unit_test(no_common_protocol_is_an_alert),
        cmocka_unit_test(the_name_chooses_the_certificate),
        cmocka_unit_test(other_identities_do_not_leak_into_a_handshake),
        cmocka_unit_test(tickets_live_for_two_periods),
        cmocka_unit_test(tickets_of_another_gateway_mean_nothing),
        cmocka_unit_test(a_handshake_gives_one_ticket),
        cmocka_unit_test(records_may_be_split_anywhere),
        cmocka_unit_test(data_right_behind_the_handshake_is_read),
        cmocka_unit_test(one_read_of_the_socket_brings_a_whole_record),
        cmocka_unit_test(what_came_between_two_reads_is_not_forgotten),
        cmocka_unit_test(part_of_a_record_is_not_drained),
        cmocka_unit_test(much_arrives_whole_both_ways),
        cmocka_unit_test(the_end_is_orderly_or_it_is_not),
        cmocka_unit_test(only_a_close_says_goodbye),
        cmocka_unit_test(a_session_outlives_its_server),
        cmocka_unit_test(plain_requests_are_recognised),
        cmocka_unit_test(floods_in_the_handshake_end_it),
        cmocka_unit_test(key_updates_without_data_are_bounded),
        cmocka_unit_test(key_updates_with_data_are_fine_but_not_for_ever),
        cmocka_unit_test(renegotiation_is_refused_and_counted),
        cmocka_unit_test(nothing_made_is_nothing_to_release),
    };
    return cmocka_run_group_tests(tests, make_identities, remove_identities);
}
