/* The supervisor's part of the deny-list: looks at the file four times a second, has bans written
 * and lines removed whose time is up, and has those shown out who were banned while they were here.
 */
#ifndef GATEWAY_DENYLIST_WATCH_H
#define GATEWAY_DENYLIST_WATCH_H

#include "io/jobs.h"

struct gateway;

struct denylist_watch {
    struct timer timer;
    struct job job;
    bool running;
    bool looking; /* the job is under way */
    bool hurried; /* the next look believes what it sees */
    unsigned generation;
};

/* Sets the timer going. */
void denylist_watch(struct gateway *gateway);
/* After a HUP. */
void denylist_watch_hurry(struct gateway *gateway);
/* After the workers: writes what they left. */
void denylist_watch_finish(struct gateway *gateway);

#endif
