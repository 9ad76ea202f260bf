/* See tls_session.h. Two hard problems. A write that was cut short must be repeated with the same
 * bytes, while our callers hand in pieces that may lie elsewhere by then:
 * SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER allows that, as long as the bytes are the same; pieces are
 * gathered into one record's worth first. And events are edge-triggered, while OpenSSL reads ahead:
 * the BIO between OpenSSL and the socket remembers whether the socket was emptied, which together
 * with what OpenSSL still holds says whether the caller must go on reading. */
#include "io/tls_session.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/tls_server.h"

enum {
    RECORD_BYTES = 16384,
    /* Records that carry no data (KeyUpdate, a renegotiation we refuse, warnings, tickets) make us
     * work, and perhaps answer, for nothing. Real peers send a few after the handshake and then
     * one in gigabytes. OpenSSL itself counts empty records and warnings, but not all of these. */
    IDLE_RECORDS_MAX = 8, /* without data between them */
    ALL_RECORDS_MAX = 100,
};

/* --- between OpenSSL and the socket -------------------------------------------------------------
 */

static int bio_read(BIO *bio, char *bytes, size_t size, size_t *n)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->flooded)
        return -1;
    ssize_t got;
    do
        got = recv(session->fd, bytes, size, 0);
    while (got < 0 && errno == EINTR);
    session->short_read = got < (ssize_t)size;
    if (got > 0) {
        if (!session->first_byte)
            session->first_byte = (unsigned char)bytes[0];
        *n = (size_t)got;
        return 1;
    }
    session->ended = got == 0;
    if (got < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    return got < 0 ? -1 : 0;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *n)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t put;
    do
        put = send(session->fd, bytes, size, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put >= 0) {
        *n = (size_t)put;
        return 1;
    }
    if (errno == EAGAIN)
        BIO_set_retry_write(bio);
    return -1;
}

static long bio_control(BIO *bio, int what, long number, void *pointer)
{
    const struct tls_session *session = BIO_get_data(bio);
    (void)number, (void)pointer;
    if (what == BIO_CTRL_EOF)
        return session->ended;
    return what == BIO_CTRL_FLUSH; /* nothing is held back here */
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

/* Lives as long as the process: sessions of all threads use it. */
static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (!method)
        return;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
}

/* --- what arrives -------------------------------------------------------------------------------
 */

/* Called for every record's header, and in TLS 1.3 again for the type that was encrypted. */
static void on_record(int sent, int version, int what, const void *bytes, size_t len, SSL *ssl,
                      void *argument)
{
    struct tls_session *session = argument;
    (void)version;
    if (sent || len == 0 || (what != SSL3_RT_HEADER && what != SSL3_RT_INNER_CONTENT_TYPE) ||
        !SSL_is_init_finished(ssl))
        return;
    if (*(const unsigned char *)bytes != SSL3_RT_APPLICATION_DATA) {
        session->all_records++;
        session->flooded |=
            ++session->idle_records > IDLE_RECORDS_MAX || session->all_records > ALL_RECORDS_MAX;
    } else if (what == SSL3_RT_INNER_CONTENT_TYPE || SSL_version(ssl) < TLS1_3_VERSION) {
        session->idle_records = 0;
    }
}

enum err tls_session_create(SSL_CTX *context, int fd, struct tls_session **session)
{
    pthread_once(&method_once, make_method);
    struct tls_session *made = method ? calloc(1, sizeof *made) : NULL;
    BIO *bio = made ? BIO_new(method) : NULL;
    if (made)
        made->ssl = SSL_new(context);
    if (!bio || !made->ssl) {
        BIO_free(bio);
        tls_session_destroy(made);
        ERR_clear_error();
        return ERR_MEMORY;
    }
    made->fd = fd;
    BIO_set_data(bio, made);
    BIO_set_init(bio, 1);
    SSL_set_bio(made->ssl, bio, bio); /* takes it over */
    SSL_set_read_ahead(made->ssl, 1); /* header and record in one recv */
    SSL_set_mode(made->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS); /* see tls_write */
    SSL_set_msg_callback(made->ssl, on_record);
    SSL_set_msg_callback_arg(made->ssl, made);
    *session = made;
    return OK;
}

void tls_session_destroy(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    tls_server_unref(session->server);
    free(session->host);
    free(session);
}

const char *tls_session_reason(struct tls_session *session)
{
    long verified = SSL_get_verify_result(session->ssl);
    return verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified);
}

enum tls_protocol tls_session_protocol(struct tls_session *session)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(session->ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0 ? TLS_HTTP2 : TLS_HTTP1;
}

/* --- the stream's operations --------------------------------------------------------------------
 */

/* Turns OpenSSL's answer into ours; the thread's error queue is left empty. */
static enum err outcome(struct tls_session *session, int result)
{
    int why = SSL_get_error(session->ssl, result);
    ERR_clear_error();
    switch (why) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    case SSL_ERROR_SYSCALL:
        session->broken = true;
        return session->flooded ? ERR_TLS : ERR_IO;
    default:
        session->broken = true;
        return ERR_TLS;
    }
}

/* A record of TLS begins with a small number, a request's method with a capital letter. */
static bool plain_http(const struct tls_session *session)
{
    return session->server && session->first_byte >= 'A' && session->first_byte <= 'Z';
}

/* Is the certificate that was verified one for the host that is asked? OpenSSL has been told to see
 * to that, but when it has no memory for the name at the moment of verifying, it verifies without
 * (X509_STORE_CTX takes the session's parameters over and does not look whether it could). */
static bool is_for_host(const struct tls_session *session)
{
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (!certificate)
        return false;
    if (session->host_is_address)
        return X509_check_ip_asc(certificate, session->host, 0) == 1;
    return X509_check_host(certificate, session->host, 0, TLS_HOST_FLAGS, NULL) == 1;
}

enum err tls_handshake(struct tls_session *session)
{
    int result = SSL_do_handshake(session->ssl);
    if (result == 1 && session->host && !is_for_host(session)) {
        session->broken = true;
        ERR_clear_error();
        return ERR_TLS;
    }
    if (result == 1)
        return OK;
    enum err err = outcome(session, result);
    return err == ERR_TLS && plain_http(session) ? ERR_SYNTAX : err;
}

enum err tls_read(struct tls_session *session, char *bytes, size_t size, size_t *n, bool *drained)
{
    /* Only a read of this very call may say that the socket is empty: since an earlier one, an
     * event may have come and been taken in by the caller. */
    session->short_read = false;
    int result = SSL_read_ex(session->ssl, bytes, size, n);
    *drained = result != 1 || (session->short_read && !SSL_has_pending(session->ssl));
    return result == 1 ? OK : outcome(session, result);
}

enum err tls_write(struct tls_session *session, const struct iovec *pieces, int count, size_t *n)
{
    char record[RECORD_BYTES];
    size_t len = 0;
    for (int i = 0; i < count && len < sizeof record; i++) {
        size_t part =
            pieces[i].iov_len < sizeof record - len ? pieces[i].iov_len : sizeof record - len;
        memcpy(record + len, pieces[i].iov_base, part);
        len += part;
    }
    if (len == 0) {
        *n = 0;
        return OK;
    }
    int result = SSL_write_ex(session->ssl, record, len, n);
    return result == 1 ? OK : outcome(session, result);
}

void tls_end(struct tls_session *session)
{
    if (!session->broken && SSL_is_init_finished(session->ssl))
        SSL_shutdown(session->ssl);
    ERR_clear_error();
}
