/* The audit log: who did what to accounts, keys, rules and the gate itself, as JSON lines of which
 * each holds the keyed hash (HMAC-SHA-256, RFC 2104) of the one before. A changed, missing or moved
 * line shows (audit_verify.h), also to somebody who may write to the file but does not have the
 * chain's key; lines cut off at the end show against a signed checkpoint.
 *
 * Beside the store lie `audit.key` (32 random bytes, mode 0600) and `audit.checkpoint`. The process
 * that holds the writer lock is the only one that writes here. */
#ifndef RECORD_AUDIT_H
#define RECORD_AUDIT_H

#include <sys/types.h>

#include "base/fault.h"
#include "base/log.h"
#include "proto/address.h"

enum audit_event {
    AUDIT_NONE, /* not an event: what a row of a table that names none has */
    AUDIT_LOGIN,
    AUDIT_LOGIN_FAILED,
    AUDIT_LOGOUT,
    AUDIT_REFRESH,
    AUDIT_REFRESH_REUSE,
    AUDIT_KEY_CREATE,
    AUDIT_KEY_REVOKE,
    AUDIT_KEY_UPDATE,
    AUDIT_USER_CREATE,
    AUDIT_USER_UPDATE,
    AUDIT_USER_DELETE,
    AUDIT_DENIED,
    AUDIT_RATE_LIMITED,
    AUDIT_FLAG,
    AUDIT_BAN,
    AUDIT_UNBAN,
    AUDIT_CONFIG_CHANGE,
    AUDIT_MODEL_ADD,
    AUDIT_MODEL_DELETE,
    AUDIT_START,
    AUDIT_STOP,
    AUDIT_EVENT_COUNT
};

struct audit_event_row {
    const char *name;
    enum log_level level;
    bool coalesced; /* a flood of the same becomes one record with a count */
    bool strict;    /* administrative: on disk before the change is made, or no change */
};
/* Not of AUDIT_NONE. */
const struct audit_event_row *audit_event_get(enum audit_event event);
/* ERR_NOT_FOUND. */
enum err audit_event_find(struct slice name, enum audit_event *event) MUST_CHECK;

/* One thing that happened. Slices need to live during the call only, may hold any bytes, and are
 * cut: actor, reason and request id at 128 bytes, path at 256 and at its query, method at 16. What
 * is shaped like a key or a token is replaced in each of them. */
struct audit_record {
    uint64_t wall_us; /* when it happened, for people */
    uint64_t now_us;  /* the same moment on the monotonic clock, for coalescing */
    enum audit_event event;
    struct slice actor; /* a user's name, a key's public id, "system", or empty */
    struct address ip;  /* ADDRESS_NONE: shown as "" */
    struct slice method, path;
    unsigned status; /* 0: null */
    struct slice reason, request_id;
};

/* The system calls that can fail for want of a disk; a test passes its own. */
struct audit_disk {
    ssize_t (*write)(int fd, const void *bytes, size_t size);
    int (*sync)(int fd);
};

struct audit_options {
    const char *path;              /* the log; a regular file, never "-" */
    const char *directory;         /* the data folder, which exists */
    uint64_t checkpoint_records;   /* a checkpoint at least after so many; 0: 1000 */
    uint64_t checkpoint_us;        /* and after so long, when there was any; 0: a minute */
    const struct audit_disk *disk; /* NULL: the system's; outlives the log */
};

struct audit;

/* Continues the chain, or begins it, and writes a `start` record and a checkpoint. What was written
 * since the last checkpoint is verified first; a log that was tampered with, or that ends before
 * its checkpoint, is not continued. Half a line, which a crash left, is moved to PATH.broken and
 * the `start` record says so. An error leaves a sentence in `faults`: ERR_STORE when the chain
 * cannot be continued, ERR_CONFIG for a path that is none, ERR_IO, ERR_MEMORY. Blocks on the disk.
 */
enum err audit_open(const struct audit_options *options, uint64_t wall_us, uint64_t now_us,
                    struct audit **audit, struct faults *faults) MUST_CHECK;
/* Writes what waits, a `stop` record and a checkpoint; frees. No other call may be under way. NULL
 * is fine. */
void audit_close(struct audit *audit, uint64_t wall_us, uint64_t now_us);

/* A strict event: OK once the record is on disk. ERR_IO, ERR_MEMORY: it is not in the log, and the
 * caller does not make the change. Blocks on the disk: not for event loops. Any other event is
 * queued as by audit_note; ERR_BUSY when there was no room, which is counted. Any thread. */
enum err audit_append(struct audit *audit, const struct audit_record *record) MUST_CHECK;
/* Several of them, strict whatever their rows say, of which many share one wait for the disk.
 * `*written` is how many are in the log, also after an error. */
enum err audit_append_all(struct audit *audit, const struct audit_record *records, size_t count,
                          size_t *written) MUST_CHECK;
/* Queues it, whatever its row says: for what has happened already. Never waits for the disk. What
 * finds no room is counted, and becomes a record of its event with reason "queue_full". Any thread,
 * event loops too. */
void audit_note(struct audit *audit, const struct audit_record *record);
/* Writes what waits and is due, and the checkpoint when that is; about once a second, on a thread
 * that may wait for the disk. ERR_IO: nothing is lost yet, the next call tries again; what fails is
 * logged here, at most once a minute. */
enum err audit_tick(struct audit *audit, uint64_t now_us) MUST_CHECK;
/* After the file was renamed: opens a new one under its name, in which the chain goes on. ERR_IO:
 * the old one stays in use. Blocks on the disk. Any thread. */
enum err audit_reopen(struct audit *audit) MUST_CHECK;

/* Notes that found no room, ever; any thread. */
uint64_t audit_dropped(struct audit *audit);
/* Whether the last write failed; any thread. */
bool audit_failing(struct audit *audit);

#endif
