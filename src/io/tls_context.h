/* OpenSSL's context, for either role, with all that OpenSSL has. */
#ifndef IO_TLS_CONTEXT_H
#define IO_TLS_CONTEXT_H

#include <openssl/ssl.h>

/* Becomes the caller's. NULL: no memory. OpenSSL's error queue is as it leaves it. */
SSL_CTX *tls_context_create(void);

#endif
