/* See tls_client.h. */
#include "io/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "io/tls_authorities.h"
#include "io/tls_context.h"
#include "proto/address.h"

enum { HOST_BYTES_MAX = 255 };

struct tls_client {
    SSL_CTX *context;
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
    made->context = tls_context_create();
    if (!made->context)
        return no_client(made, reason, "OpenSSL could not be set up");
    SSL_CTX_set_min_proto_version(made->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(made->context, SSL_VERIFY_PEER, NULL);
    if (tls_authorities_load(made->context, ca_file) != OK)
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

static bool name_session(struct tls_session *session, struct slice host)
{
    SSL *ssl = session->ssl;
    struct address numeric;
    if (host.len == 0 || host.len > HOST_BYTES_MAX ||
        !(session->host = strndup(host.ptr, host.len)))
        return false;
    session->host_is_address = address_parse(host, &numeric) == OK;
    if (session->host_is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), session->host) == 1;
    SSL_set_hostflags(ssl, TLS_HOST_FLAGS);
    return SSL_set1_host(ssl, session->host) == 1 &&
           SSL_set_tlsext_host_name(ssl, session->host) == 1;
}

enum err tls_client_connect(struct tls_client *client, int fd, struct slice host,
                            struct tls_session **session)
{
    struct tls_session *made;
    TRY(tls_session_create(client->context, fd, &made));
    if (!name_session(made, host)) {
        tls_session_destroy(made);
        ERR_clear_error();
        return ERR_TLS;
    }
    SSL_set_connect_state(made->ssl);
    *session = made;
    return OK;
}
