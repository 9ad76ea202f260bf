/* Listening sockets that a service manager opened and hands over, so that they stay open while one
 * process ends and the next begins (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, descriptors from 3
 * on). Taken once, at the start, before there are threads. */
#ifndef IO_INHERITED_H
#define IO_INHERITED_H

#include "io/socket.h"

enum { INHERITED_MAX = 64 };

struct inherited {
    int fds[INHERITED_MAX]; /* -1: found, and taken by its listener */
    unsigned count;
};

/* Takes what is meant for this process, and removes the variables, so that no child takes it too.
 * What is no listening stream socket is closed. */
void inherited_take(struct inherited *inherited);
/* The one that is bound to `endpoint`, now the caller's; -1: none. */
int inherited_find(struct inherited *inherited, const struct endpoint_address *endpoint);
/* Calls `each` for, and closes, those that nobody asked for. */
void inherited_close_rest(struct inherited *inherited,
                          void (*each)(void *context, const struct endpoint_address *endpoint),
                          void *context);

#endif
