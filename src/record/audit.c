/* The audit log as the rest of the gateway sees it. Its one hard problem is that two kinds of
 * callers meet here: a change that must not be made before its record is on disk, and an event loop
 * that must not wait for a disk. The first takes the file's lock and writes; the second only ever
 * touches the queue, which has a lock of its own. Order of locks: file, then queue. */
#include "record/audit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "record/audit_file.h"
#include "record/audit_queue.h"

enum { COMPLAIN_EVERY_US = 60 * 1000 * 1000 };

struct audit {
    pthread_mutex_t lock; /* of the file and the chain; held while the disk works */
    struct audit_file file;
    struct audit_entry batch[AUDIT_WRITE_RECORDS];
    struct audit_queue queue;
    atomic_bool failing; /* the last write did not succeed */
    bool failure_said;   /* and nobody has heard yet that it ended */
    /* Monotonic; until then nothing more is said of it. */
    uint64_t write_quiet_us, checkpoint_quiet_us;
};

/* A disk that fails is tried every second, and complained of every minute. */
static bool may_complain(uint64_t *quiet_us, uint64_t now_us)
{
    if (now_us < *quiet_us)
        return false;
    *quiet_us = now_us + COMPLAIN_EVERY_US;
    return true;
}

/* Says that writing fails, and when it is over. Keeps errno. */
static enum err note_outcome(struct audit *audit, enum err err, uint64_t now_us)
{
    int why = errno;
    atomic_store(&audit->failing, err != OK);
    if (err != OK && may_complain(&audit->write_quiet_us, now_us)) {
        log_error("audit log %s: %s; changes are refused until it can be written again",
                  audit->file.path, err == ERR_IO ? strerror(why) : err_name(err));
        audit->failure_said = true;
    } else if (err == OK && audit->failure_said) {
        log_warning("audit log %s: written again", audit->file.path);
        audit->failure_said = false;
    }
    errno = why;
    return err;
}

/* A checkpoint that cannot be saved does no harm to the records; it is tried again at the next
 * write or tick. */
static void checkpoint(struct audit *audit, uint64_t now_us)
{
    if (audit_file_checkpoint_due(&audit->file, now_us) &&
        audit_file_checkpoint(&audit->file, now_us) != OK &&
        may_complain(&audit->checkpoint_quiet_us, now_us))
        log_error("audit log %s: its checkpoint cannot be saved: %s", audit->file.path,
                  strerror(errno));
}

/* Under the lock. As many as go into one write, and so on. */
static enum err write_all(struct audit *audit, const struct audit_record *records, size_t count,
                          size_t *written)
{
    for (unsigned some; *written < count; *written += some) {
        for (some = 0; some < AUDIT_WRITE_RECORDS && *written + some < count; some++)
            audit_entry_set(&audit->batch[some], &records[*written + some]);
        TRY(note_outcome(audit, audit_file_write(&audit->file, audit->batch, some),
                         records->now_us));
    }
    return OK;
}

enum err audit_append_all(struct audit *audit, const struct audit_record *records, size_t count,
                          size_t *written)
{
    *written = 0;
    pthread_mutex_lock(&audit->lock);
    enum err err = write_all(audit, records, count, written);
    int why = errno;
    if (err == OK && count)
        checkpoint(audit, records->now_us);
    pthread_mutex_unlock(&audit->lock);
    errno = why;
    return err;
}

static enum err write_now(struct audit *audit, const struct audit_record *record)
{
    size_t written;
    return audit_append_all(audit, record, 1, &written);
}

static enum err write_start(struct audit *audit, uint64_t wall_us, uint64_t now_us,
                            size_t broken_bytes)
{
    char memory[AUDIT_WORD_MAX];
    struct buffer reason = BUFFER_OVER(memory, sizeof memory);
    if (broken_bytes)
        buffer_printf(&reason, "half a record of %zu bytes was moved to the file .broken",
                      broken_bytes);
    const struct audit_record record = {.wall_us = wall_us,
                                        .now_us = now_us,
                                        .event = AUDIT_START,
                                        .actor = SLICE("system"),
                                        .reason = buffer_slice(&reason)};
    TRY(write_now(audit, &record));
    return audit_file_checkpoint(&audit->file, now_us);
}

static void destroy(struct audit *audit)
{
    audit_file_finish(&audit->file);
    audit_queue_finish(&audit->queue);
    pthread_mutex_destroy(&audit->lock);
    free(audit);
}

enum err audit_open(const struct audit_options *options, uint64_t wall_us, uint64_t now_us,
                    struct audit **made, struct faults *faults)
{
    size_t broken_bytes = 0;
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit) {
        faults_add(faults, options->path, 0, "log.audit", "out of memory");
        return ERR_MEMORY;
    }
    pthread_mutex_init(&audit->lock, NULL);
    audit->file.fd = -1;
    enum err err = audit_queue_init(&audit->queue);
    if (err != OK)
        faults_add(faults, options->path, 0, "log.audit", "out of memory");
    else
        err = audit_file_open(&audit->file, options, &broken_bytes, faults);
    if (err == OK) {
        err = write_start(audit, wall_us, now_us, broken_bytes);
        if (err != OK)
            faults_add(faults, options->path, 0, "log.audit", "cannot be written: %s",
                       err == ERR_IO ? strerror(errno) : err_name(err));
    }
    if (err == OK)
        *made = audit;
    else
        destroy(audit);
    return err;
}

enum err audit_append(struct audit *audit, const struct audit_record *record)
{
    if (audit_event_get(record->event)->strict)
        return write_now(audit, record);
    return audit_queue_add(&audit->queue, record);
}

void audit_note(struct audit *audit, const struct audit_record *record)
{
    enum err counted = audit_queue_add(&audit->queue, record);
    (void)counted;
}

/* Under the lock. Takes out what was written, and only that. */
static enum err write_queue(struct audit *audit, uint64_t now_us)
{
    unsigned count;
    while ((count = audit_queue_peek(&audit->queue, audit->batch, AUDIT_WRITE_RECORDS))) {
        TRY(note_outcome(audit, audit_file_write(&audit->file, audit->batch, count), now_us));
        audit_queue_remove(&audit->queue, count);
    }
    return OK;
}

enum err audit_tick(struct audit *audit, uint64_t now_us)
{
    audit_queue_ripen(&audit->queue, now_us, clock_wall_us());
    pthread_mutex_lock(&audit->lock);
    enum err err = write_queue(audit, now_us);
    if (err == OK)
        checkpoint(audit, now_us);
    pthread_mutex_unlock(&audit->lock);
    return err;
}

enum err audit_reopen(struct audit *audit)
{
    pthread_mutex_lock(&audit->lock);
    enum err err = audit_file_reopen(&audit->file);
    int why = errno;
    if (err != OK)
        log_error("audit log %s: not reopened: %s; the old one stays in use", audit->file.path,
                  err == ERR_IO ? strerror(why) : err_name(err));
    pthread_mutex_unlock(&audit->lock);
    errno = why;
    return err;
}

void audit_close(struct audit *audit, uint64_t wall_us, uint64_t now_us)
{
    if (!audit)
        return;
    const struct audit_record record = {
        .wall_us = wall_us, .now_us = now_us, .event = AUDIT_STOP, .actor = SLICE("system")};
    enum err err = OK;
    /* Twice: the window may hold more than the queue has room for at once. */
    for (int i = 0; i < 2 && err == OK; i++) {
        audit_queue_ripen(&audit->queue, UINT64_MAX, wall_us);
        err = write_queue(audit, now_us);
    }
    if (err == OK)
        err = write_now(audit, &record);
    if (err == OK)
        err = audit_file_checkpoint(&audit->file, now_us);
    if (err != OK)
        log_error("audit log %s: its end could not be written: %s", audit->file.path,
                  err == ERR_IO ? strerror(errno) : err_name(err));
    destroy(audit);
}

uint64_t audit_dropped(struct audit *audit)
{
    return audit_queue_dropped(&audit->queue);
}

bool audit_failing(struct audit *audit)
{
    return atomic_load(&audit->failing);
}
