/* Listening sockets: one loop accepts and hands each connection to the worker with the fewest. */
#ifndef GATEWAY_LISTENER_H
#define GATEWAY_LISTENER_H

#include "gateway/worker.h"
#include "io/inherited.h"
#include "io/socket.h"

struct listener;

/* Takes the inherited socket for this address, or binds and listens; accepts nothing yet. `tls`:
 * whoever comes here is met with TLS. ERR_IO with errno, ERR_SYNTAX, ERR_LIMIT, ERR_MEMORY. */
enum err listener_open(const char *text, bool tls, struct inherited *inherited,
                       struct listener **listener) MUST_CHECK;
/* Where it really listens: "127.0.0.1:8080". */
void listener_print(const struct listener *listener, struct buffer *out);
/* Starts to accept, on the first worker's loop; before that loop runs, or on its thread. */
enum err listener_start(struct listener *listener, struct worker *const *workers,
                        unsigned count) MUST_CHECK;
/* Accepts nothing more. On the first worker's thread, or after it ended. */
void listener_stop(struct listener *listener);
void listener_close(struct listener *listener); /* NULL is fine */

#endif
