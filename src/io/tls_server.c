/* See tls_server.h. What is allowed follows Mozilla's "intermediate" profile and RFC 9113, section
 * 9.2: nothing without forward secrecy, nothing without authenticated encryption, no renegotiation,
 * no compression, no early data (which can be replayed). */
#include "io/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/slice.h"
#include "io/tls_context.h"

struct tls_server {
    unsigned references; /* one thread at a time: no atomic */
    SSL_CTX *context;
    struct tls_identities *identities;
    bool http2;
};

static const char ciphers12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers13[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                "TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256:P-384";

/* Which of our protocols the client offers too, ours by preference; NULL: none. */
static const unsigned char *find_offer(struct slice ours, const unsigned char *offers, unsigned len)
{
    for (unsigned at = 0; at < len; at += 1u + offers[at])
        if (slice_equal(ours, slice_make((const char *)offers + at + 1, offers[at])))
            return offers + at;
    return NULL;
}

/* A client that offers only what we do not speak is told so (no_application_protocol, RFC 7301). */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
                           const unsigned char *offers, unsigned len, void *argument)
{
    const struct tls_server *server = argument;
    const unsigned char *found = NULL;
    (void)ssl;
    if (server->http2)
        found = find_offer(SLICE("h2"), offers, len);
    if (!found)
        found = find_offer(SLICE("http/1.1"), offers, len);
    if (!found)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen_len = *found;
    *chosen = found + 1;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_identity(SSL *ssl, int *alert, void *argument)
{
    const struct tls_server *server = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    return name && tls_identities_choose(server->identities, slice_of(name), ssl)
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

static enum err set_up(struct tls_server *server, const struct tls_terms *terms)
{
    SSL_CTX *context = server->context;
    int oldest = terms->only_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(context, oldest) != 1 ||
        SSL_CTX_set_max_proto_version(context, 0) != 1 ||
        SSL_CTX_set_cipher_list(context, ciphers12) != 1 ||
        SSL_CTX_set_ciphersuites(context, ciphers13) != 1 ||
        SSL_CTX_set1_groups_list(context, groups) != 1)
        return ERR_TLS;
    TRY(tls_identities_serve(terms->identities, context));
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, server);
    SSL_CTX_set_tlsext_servername_callback(context, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(context, server);
    tls_tickets_serve(terms->tickets, context);
    return OK;
}

enum err tls_server_create(const struct tls_terms *terms, struct tls_server **server)
{
    struct tls_server *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    tls_identities_ref(terms->identities);
    *made = (struct tls_server){
        .references = 1, .identities = terms->identities, .http2 = terms->http2};
    made->context = tls_context_create();
    enum err err = made->context ? set_up(made, terms) : ERR_MEMORY;
    if (err) {
        tls_server_unref(made);
        ERR_clear_error();
        return err;
    }
    *server = made;
    return OK;
}

static void tls_server_ref(struct tls_server *server)
{
    server->references++;
}

void tls_server_unref(struct tls_server *server)
{
    if (!server || --server->references)
        return;
    SSL_CTX_free(server->context);
    tls_identities_unref(server->identities);
    free(server);
}

enum err tls_server_accept(struct tls_server *server, int fd, struct tls_session **session)
{
    TRY(tls_session_create(server->context, fd, session));
    (*session)->server = server;
    tls_server_ref(server);
    SSL_set_accept_state((*session)->ssl);
    return OK;
}
