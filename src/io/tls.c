/* See tls.h. The hard problem: a write that was cut short must be repeated with the same bytes,
 * while our callers hand in pieces that may lie elsewhere by then.
 * SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER allows that, as long as the bytes are the same; pieces are
 * gathered into one record's worth first. */
#include "io/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "proto/address.h"

enum { RECORD_BYTES = 16384 };

struct tls_client {
    SSL_CTX *context;
};

struct tls_session {
    SSL *ssl;
    bool broken; /* after a fatal error nothing more may be called, not even SSL_shutdown */
};

static enum err no_client(struct tls_client *client, struct buffer *reason, const char *sentence)
{
    if (reason)
        buffer_text(reason, sentence);
    tls_client_destroy(client);
    ERR_clear_error();
    return ERR_TLS;
}

enum err tls_client_create(const char *ca_file, struct tls_client **client, struct buffer *reason)
{
    struct tls_client *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->context = SSL_CTX_new(TLS_client_method());
    if (!made->context)
        return no_client(made, reason, "OpenSSL could not be set up");
    SSL_CTX_set_min_proto_version(made->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(made->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(made->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    int loaded = ca_file ? SSL_CTX_load_verify_file(made->context, ca_file)
                         : SSL_CTX_set_default_verify_paths(made->context);
    if (loaded != 1)
        return no_client(made, reason, "the file of certificate authorities cannot be read");
    static const unsigned char http11[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(made->context, http11, sizeof http11 - 1);
    *client = made;
    return OK;
}

void tls_client_destroy(struct tls_client *client)
{
    if (!client)
        return;
    SSL_CTX_free(client->context);
    free(client);
}

static bool name_session(SSL *ssl, struct slice host)
{
    char name[256];
    struct address numeric;
    if (host.len == 0 || host.len >= sizeof name)
        return false;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    if (address_parse(host, &numeric) == OK)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

enum err tls_session_create(struct tls_client *client, int fd, struct slice host,
                            struct tls_session **session)
{
    struct tls_session *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->ssl = SSL_new(client->context);
    if (!made->ssl || SSL_set_fd(made->ssl, fd) != 1 || !name_session(made->ssl, host)) {
        tls_session_destroy(made);
        ERR_clear_error();
        return ERR_TLS;
    }
    SSL_set_connect_state(made->ssl);
    *session = made;
    return OK;
}

void tls_session_destroy(struct tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

const char *tls_session_reason(struct tls_session *session)
{
    long verified = SSL_get_verify_result(session->ssl);
    return verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified);
}

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
        return ERR_IO;
    default:
        session->broken = true;
        return ERR_TLS;
    }
}

enum err tls_handshake(struct tls_session *session)
{
    int result = SSL_do_handshake(session->ssl);
    return result == 1 ? OK : outcome(session, result);
}

enum err tls_read(struct tls_session *session, char *bytes, size_t size, size_t *n, bool *drained)
{
    int result = SSL_read_ex(session->ssl, bytes, size, n);
    *drained = result != 1; /* a short record says nothing about the next one */
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
