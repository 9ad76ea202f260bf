/* The control socket: how a command reaches the gateway that is the writer. DIRECTORY/control.sock,
 * mode 0600; one JSON object on one line each way, of at most 1 MiB (api/verb.h has the
 * verbs). */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "base/err.h"

/* jansson's; its header is not included here, because its enumerators clash with proto/json.h. */
struct json_t;
struct desk;
struct control_server;

/* Starts the thread that serves the socket; a socket left there by a dead gateway is replaced, so
 * the caller holds the writer lock. What is on the desk stays the caller's and outlives the server.
 * NULL: errno says why. */
struct control_server *control_serve(const char *directory, const struct desk *desk);
/* Ends a conversation in progress, waits for the thread, removes the socket. NULL is fine. */
void control_stop(struct control_server *server);

/* Sends one request and waits for the response, which the caller owns: at most five seconds, and
 * one more for each 4 KiB of a long request. ERR_NOT_FOUND: nobody listens; ERR_TIMEOUT: somebody
 * does, but does not answer; ERR_DENIED: the socket is somebody else's, or ours is not let in;
 * ERR_CLOSED, ERR_SYNTAX: the answer is none; ERR_LIMIT: the request is too long; ERR_IO,
 * ERR_MEMORY. */
enum err control_call(const char *directory, const struct json_t *request,
                      struct json_t **response) MUST_CHECK;

#endif
