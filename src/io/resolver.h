/* Host names to addresses, off the loop. A name is asked for once at a time: whoever asks for one
 * that is being looked up, on whichever loop, gets that answer too, so that one slow name does not
 * fill the lane. */
#ifndef IO_RESOLVER_H
#define IO_RESOLVER_H

#include "io/jobs.h"
#include "io/socket.h"

enum { LOOKUP_ADDRESSES_MAX = 8 };

/* One lookup; owned by whoever asked, who keeps it until `done` was called. */
struct lookup {
    struct job job;
    struct list link;    /* among the names being looked up, or among those that wait for one */
    struct list waiting; /* for this one's answer */
    char host[256];
    unsigned port;
    struct endpoint_address found[LOOKUP_ADDRESSES_MAX];
    unsigned count;
    enum err err; /* OK, ERR_NOT_FOUND, or ERR_BUSY: the pool ended before its turn came */
    void (*done)(struct lookup *lookup);
};

/* Numeric addresses are answered at once: OK, and `done` is not called. ERR_AGAIN: `done` will be
 * called on `home`. ERR_BUSY, ERR_LIMIT (name too long). */
enum err lookup_start(struct lookup *lookup, struct jobs *jobs, struct loop *home,
                      struct slice host, unsigned port) MUST_CHECK;

#endif
