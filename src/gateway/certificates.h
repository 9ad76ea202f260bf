/* The supervisor's part of TLS: reads the certificates at the start, looks once a second whether a
 * file of them changed, and mails every worker a TLS server of the new ones. What does not fit
 * together is said once and changes nothing, so that a pair that is half replaced is no outage. */
#ifndef GATEWAY_CERTIFICATES_H
#define GATEWAY_CERTIFICATES_H

#include "base/fault.h"
#include "gateway/worker.h"

struct gateway;

struct certificates {
    struct settings *settings;         /* that name the files; a reference. NULL: no TLS */
    struct tls_identities *identities; /* those in use */
    struct tls_tickets *tickets;
    uint64_t warn_epoch_s; /* when to speak of expiry next */
    struct timer timer;
    struct job job;
    bool looking; /* the job is under way; all below is its own until it is done */
    bool again;   /* read anew, even if no file changed, once it is done */

    bool forced, changed;
    enum err err;
    unsigned count; /* of workers */
    uint64_t stamp; /* of the files, when they were last read */
    struct tls_identities *found;
    struct tls_server *servers[WORKERS_MAX];
    struct faults faults;
};

/* Before the workers are made: reads the files when a listener needs them. ERR_CONFIG with
 * `faults`, ERR_TLS, ERR_MEMORY. */
enum err certificates_load(struct gateway *gateway, unsigned workers,
                           struct faults *faults) MUST_CHECK;
/* Before the workers are started. */
void certificates_hand_out(struct gateway *gateway);
/* Sets the timer going, when there is something to watch. */
void certificates_watch(struct gateway *gateway);
/* After a reload of the configuration: reads the files that it names, on another thread. */
void certificates_reload(struct gateway *gateway);
void certificates_finish(struct gateway *gateway);

/* What is wrong with the files that the settings name, as `serve` would find. */
void certificates_check(const struct settings *settings, struct faults *faults);

#endif
