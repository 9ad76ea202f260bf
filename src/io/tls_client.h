/* TLS towards upstreams (OpenSSL 3): certificates verified against the system's or a given
 * authority, the name checked, TLS 1.2 at least, never in clear instead. */
#ifndef IO_TLS_CLIENT_H
#define IO_TLS_CLIENT_H

#include "base/buffer.h"
#include "io/tls_session.h"

struct tls_client; /* how to verify one upstream; shared by threads, read-only */

/* `ca_file` NULL: the system's authorities. `reason` (may be NULL) gets a sentence on failure.
 * ERR_TLS, ERR_MEMORY. */
enum err tls_client_create(const char *ca_file, struct tls_client **client,
                           struct buffer *reason) MUST_CHECK;
void tls_client_destroy(struct tls_client *client);

/* A session over a connected socket, which it does not own. `host` is a name or a numeric address;
 * it is sent as SNI (names only) and checked. ERR_TLS, ERR_MEMORY. */
enum err tls_client_connect(struct tls_client *client, int fd, struct slice host,
                            struct tls_session **session) MUST_CHECK;

#endif
