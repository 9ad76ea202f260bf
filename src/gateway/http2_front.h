/* HTTP/2 on a client's connection: streams become exchanges, answers become frames. The protocol
 * itself is proto/http2.h's. */
#ifndef GATEWAY_HTTP2_FRONT_H
#define GATEWAY_HTTP2_FRONT_H

#include "base/slice.h"

struct connection;
struct worker;
struct protocol;
struct front;

/* What HTTP/2 needs of a connection, and of each stream. */
struct http2_connection;

/* After a TLS handshake that agreed on it, or after HTTP/1 found its preface in `bytes`, which were
 * read already. Closes the connection when there is no memory. */
void http2_begin(struct connection *c, struct slice bytes);

extern const struct protocol protocol_http2;
extern const struct front front_http2;

#endif
