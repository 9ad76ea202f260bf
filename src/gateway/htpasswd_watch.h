/* The supervisor's part of the htpasswd file: reads it at the start, looks twice a second whether
 * it changed, and mails every worker the new table. What cannot be read is said once and changes
 * nothing. */
#ifndef GATEWAY_HTPASSWD_WATCH_H
#define GATEWAY_HTPASSWD_WATCH_H

#include "base/fault.h"
#include "gateway/worker.h"

struct gateway;

struct htpasswd_watch {
    struct settings *settings; /* that name the file, or none; a reference */
    struct timer timer;
    struct job job;
    bool looking; /* the job is under way; all below is its own until it is done */
    bool again;   /* read anew, even if it did not change, once that is done */

    bool forced, changed;
    enum err err;
    uint64_t stamp;         /* of the file, when it was last read */
    struct htpasswd *found; /* NULL: no file is named */
    struct faults faults;
};

/* Once the workers are made and before they are started: reads the file, if one is named. What is
 * wrong with single lines is a warning. ERR_CONFIG with `faults`, ERR_MEMORY. */
enum err htpasswd_load(struct gateway *gateway, struct faults *faults) MUST_CHECK;
/* Sets the timer going. */
void htpasswd_watch(struct gateway *gateway);
/* After a reload of the configuration: reads the file that it names, on another thread. */
void htpasswd_reload(struct gateway *gateway);
void htpasswd_watch_finish(struct gateway *gateway);

/* What is wrong with the file that the settings name, as `serve` would find. */
void htpasswd_check(const struct settings *settings, struct faults *faults);

#endif
