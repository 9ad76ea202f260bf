/* Host names to addresses, off the loop. */
#ifndef IO_RESOLVER_H
#define IO_RESOLVER_H

#include "io/jobs.h"
#include "io/socket.h"

enum { LOOKUP_ADDRESSES_MAX = 8 };

/* One lookup; owned by whoever asked, who keeps it until `done` was called. */
struct lookup {
    struct job job;
    char host[256];
    unsigned port;
    struct endpoint_address found[LOOKUP_ADDRESSES_MAX];
    unsigned count;
    enum err err; /* OK, or ERR_NOT_FOUND */
    void (*done)(struct lookup *lookup);
};

/* Numeric addresses are answered at once: OK, and `done` is not called. ERR_AGAIN: `done` will be
 * called on `home`. ERR_BUSY, ERR_LIMIT (name too long). */
enum err lookup_start(struct lookup *lookup, struct jobs *jobs, struct loop *home,
                      struct slice host, unsigned port) MUST_CHECK;

#endif
