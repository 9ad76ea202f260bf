/* Between upstream_connection.c, which owns a connection's life, and upstream_request.c, which owns
 * what travels on it. Nobody else includes this. */
#ifndef GATEWAY_UPSTREAM_WIRE_H
#define GATEWAY_UPSTREAM_WIRE_H

#include "gateway/upstream_request.h"

/* Puts the request on a kept or a new connection; calls its `fail` when that is not possible. */
void upstream_connection_get(struct upstream_request *request);
/* After an answer's end: keeps the connection for the next request, or closes it. */
void upstream_connection_put(struct upstream_connection *connection, bool reusable);

/* The connection is up: send its request. */
void upstream_wire_begin(struct upstream_connection *connection);
/* Something can be read or written, or it is this connection's turn again. */
void upstream_wire_turn(struct upstream_connection *connection);
/* Nothing waits to be read: what comes unasked would be taken for the next answer. (A TLS session
 * ticket is read on the way, and is nothing.) */
bool upstream_wire_quiet(struct upstream_connection *connection);
/* Closes the connection; its request is tried again where that is safe, or fails. */
void upstream_wire_fail(struct upstream_connection *connection, enum err why);

#endif
