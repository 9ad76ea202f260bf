/* TLS towards clients: how one worker's thread shakes hands. Each thread has a server of its own,
 * so that handshakes share no locks but that of the ticket keys. */
#ifndef IO_TLS_SERVER_H
#define IO_TLS_SERVER_H

#include "io/tls_identities.h"
#include "io/tls_session.h"
#include "io/tls_tickets.h"

struct tls_server;

struct tls_terms {
    struct tls_identities *identities; /* a reference is taken */
    struct tls_tickets *tickets;       /* outlives the server and its sessions */
    bool only_tls13;                   /* else TLS 1.2 too */
    bool http2;                        /* offer it */
};

/* ERR_TLS, ERR_MEMORY. On any thread; afterwards it belongs to one at a time. */
enum err tls_server_create(const struct tls_terms *terms, struct tls_server **server) MUST_CHECK;
/* Sessions hold references of their own, so that they go on after a change of certificates. NULL
 * is fine. */
void tls_server_unref(struct tls_server *server);

/* A session over an accepted socket, which it does not own; tls_handshake comes next. ERR_MEMORY.
 */
enum err tls_server_accept(struct tls_server *server, int fd,
                           struct tls_session **session) MUST_CHECK;

#endif
