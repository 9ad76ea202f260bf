/* A TLS session over a connected socket, the same towards upstreams (tls_client.h) and towards
 * clients (tls_server.h). stream.c reads and writes through it; it belongs to one loop's thread. */
#ifndef IO_TLS_SESSION_H
#define IO_TLS_SESSION_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/err.h"

struct ssl_st; /* OpenSSL's SSL and SSL_CTX: only files of this room look inside */
struct ssl_ctx_st;
struct tls_server;

enum tls_protocol { TLS_HTTP1, TLS_HTTP2 };

struct tls_session {
    struct ssl_st *ssl;
    struct tls_server *server; /* a reference; NULL: we are the client */
    char *host;                /* of the server that is asked: a name or an address, as a text */
    bool host_is_address;
    int fd;
    unsigned idle_records, all_records; /* other than data, since the last data and in all */
    unsigned char first_byte;           /* that the peer sent; 0: none yet */
    bool short_read;                    /* the socket gave less than was asked for */
    bool ended;                         /* the peer closed the connection beneath TLS */
    bool flooded;                       /* it sent too many records that carry nothing */
    bool broken; /* after a fatal error nothing more may be called, not even SSL_shutdown */
};

void tls_session_destroy(struct tls_session *session); /* NULL is fine */
/* Why the handshake failed, for the log: "certificate has expired"; "" when it is not known. */
const char *tls_session_reason(struct tls_session *session);
/* What both sides agreed on (ALPN), once the handshake is done. A client that offers nothing speaks
 * HTTP/1. */
enum tls_protocol tls_session_protocol(struct tls_session *session);

/* As in stream.h. When the handshake is done, the client's first bytes may have been read already,
 * so that no event announces them: read at once. ERR_SYNTAX from a server's handshake: the client
 * speaks plain HTTP. Nothing was sent to it, so it can be answered in clear; its bytes are lost. */
enum err tls_handshake(struct tls_session *session) MUST_CHECK;
enum err tls_read(struct tls_session *session, char *bytes, size_t size, size_t *n,
                  bool *drained) MUST_CHECK;
enum err tls_write(struct tls_session *session, const struct iovec *pieces, int count,
                   size_t *n) MUST_CHECK;
void tls_end(struct tls_session *session); /* sends close_notify, if that is possible at once */

/* How certificates are compared with a host name: no "w*.example.com", no common name. */
#define TLS_HOST_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* For tls_client.c and tls_server.c: a session over a socket that it does not own. ERR_MEMORY. */
enum err tls_session_create(struct ssl_ctx_st *context, int fd,
                            struct tls_session **session) MUST_CHECK;

#endif
