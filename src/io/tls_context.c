/* See tls_context.h; called when a configuration is made ready. The hard problem: OpenSSL takes an
 * allocation that failed for an algorithm that it does not have, goes without, and says that all is
 * well; a context may lack the one that the other side needs until the next start. What it has
 * stands in its first message, so there are two of them, which have to be equally long. */
#include "io/tls_context.h"

/* The bytes of a ClientHello. 0: none could be made. */
static size_t hello_bytes(SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    size_t size = 0;
    if (ssl && in && out) {
        SSL_set_bio(ssl, in, out); /* which owns them from here on */
        SSL_set_connect_state(ssl);
        if (SSL_do_handshake(ssl) < 0 && SSL_want_read(ssl))
            size = BIO_pending(out);
    } else {
        BIO_free(in);
        BIO_free(out);
    }
    SSL_free(ssl);
    return size;
}

SSL_CTX *tls_context_create(void)
{
    SSL_CTX *made = SSL_CTX_new(TLS_method()), *again = SSL_CTX_new(TLS_method());
    size_t size = made && again ? hello_bytes(made) : 0;
    if (size == 0 || size != hello_bytes(again)) {
        SSL_CTX_free(made);
        made = NULL;
    }
    SSL_CTX_free(again);
    return made;
}
