/* The authorities that a certificate has to come from. */
#ifndef IO_TLS_AUTHORITIES_H
#define IO_TLS_AUTHORITIES_H

#include <openssl/ssl.h>

#include "base/err.h"

/* Has `context` trust those in `ca_file`, NULL: the system's. ERR_TLS: it cannot be read.
 * ERR_MEMORY. */
enum err tls_authorities_load(SSL_CTX *context, const char *ca_file) MUST_CHECK;

#endif
