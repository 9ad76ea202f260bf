/* The file that is written to, at the end of its chain. One thread at a time. */
#ifndef RECORD_AUDIT_FILE_H
#define RECORD_AUDIT_FILE_H

#include "record/audit_line.h"

struct audit_file {
    char *path, *directory; /* owned */
    int fd;
    const struct audit_disk *disk;
    struct audit_key key;
    struct audit_link link; /* the last record that is on disk */
    uint64_t end_bytes;     /* where it ends; 0: in an older file */
    bool torn;              /* what stands behind end_bytes could not be taken back yet */
    uint64_t checkpoint_records, checkpoint_us;
    uint64_t saved_seq, saved_us; /* of the last checkpoint; monotonic */
    struct buffer lines;          /* kept from write to write */
};

enum { AUDIT_WRITE_BYTES = 64 * 1024, AUDIT_WRITE_RECORDS = AUDIT_WRITE_BYTES / AUDIT_LINE_MAX };

/* Opens the file and finds the end of its chain, or begins one (audit_open.c). `*broken_bytes` is
 * the length of the half line that was moved away, 0: none. Errors as audit_open, each with a
 * sentence; the file is to be finished in any case. */
enum err audit_file_open(struct audit_file *file, const struct audit_options *options,
                         size_t *broken_bytes, struct faults *faults) MUST_CHECK;
void audit_file_finish(struct audit_file *file);

/* Appends at most AUDIT_WRITE_RECORDS records with one write and brings them to disk, or leaves the
 * file as it was: ERR_IO with errno, ERR_MEMORY. */
enum err audit_file_write(struct audit_file *file, const struct audit_entry *entries,
                          unsigned count) MUST_CHECK;
/* Signs how far the log has come. ERR_IO with errno, ERR_MEMORY. */
enum err audit_file_checkpoint(struct audit_file *file, uint64_t now_us) MUST_CHECK;
bool audit_file_checkpoint_due(const struct audit_file *file, uint64_t now_us);
/* A new file under the old name, when that file was renamed. ERR_IO: the old one stays. */
enum err audit_file_reopen(struct audit_file *file) MUST_CHECK;

/* Opens for appending, makes folders (0750) and file (0640) as needed, sees to it that the name is
 * on disk. -1 with errno; EINVAL when it is not a regular file. */
int audit_file_open_path(const char *path);

#endif
