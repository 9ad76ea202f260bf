/* The supervisor's part of the files that credentials are kept in: reads them at the start, looks
 * twice a second whether one changed, and mails every worker what they say. What cannot be read is
 * said once and changes nothing. */
#ifndef GATEWAY_CREDENTIAL_WATCH_H
#define GATEWAY_CREDENTIAL_WATCH_H

#include "base/fault.h"
#include "gateway/worker.h"

struct gateway;
struct htpasswd;
struct keys_file;

struct watched_file {
    uint64_t stamp; /* when it was last read; 0: no file is named, or it is to be read again */
    bool changed;
    enum err err;
};

struct credential_watch {
    struct settings *settings; /* that name the files, or none; a reference */
    pthread_mutex_t lock;
    struct credential_files *current; /* those in use; a reference. Changed with the lock held */
    struct timer timer;
    struct job job;
    bool looking; /* the job is under way; all below is its own until it is done */
    bool again;   /* read anew, even if nothing changed, once that is done */

    bool forced;
    struct watched_file names_file, keys_file;
    struct htpasswd *names; /* what is to be used next, with references */
    struct keys_file *keys;
    struct faults faults;
};

/* Once the workers are made and before they are started: reads the files that are named. What is
 * wrong with single entries is a warning. ERR_CONFIG with `faults`, ERR_MEMORY. */
enum err credential_files_load(struct gateway *gateway, struct faults *faults) MUST_CHECK;
/* Sets the timer going. */
void credential_files_watch(struct gateway *gateway);
/* After a reload of the configuration: reads the files that it names, on another thread. */
void credential_files_reload(struct gateway *gateway);
void credential_files_finish(struct gateway *gateway);

/* The keys of the file that the settings name, with a reference; NULL with OK: it names none.
 * Errors as of credential_files_load. */
enum err credential_files_read_keys(const struct settings *settings, struct keys_file **keys,
                                    struct faults *faults) MUST_CHECK;

/* What is wrong with the files that the settings name, as `serve` would find. */
void credential_files_check(const struct settings *settings, struct faults *faults);

#endif
