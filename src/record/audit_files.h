/* The files of a log that was rotated: PATH, and beside it PATH.1, PATH-20251103 and the like. */
#ifndef RECORD_AUDIT_FILES_H
#define RECORD_AUDIT_FILES_H

#include "base/err.h"
#include "base/slice.h"

enum { AUDIT_FILES_MAX = 1024 };

struct audit_files {
    char **paths; /* oldest first, PATH itself last when it has no record; owned */
    unsigned count;
};
/* Finds them by name and sorts them by the number of their first record; files that hold no record
 * of ours are left out, but never PATH. ERR_IO with errno; ERR_LIMIT: too many; ERR_MEMORY. */
enum err audit_files_find(struct audit_files *files, const char *path) MUST_CHECK;
void audit_files_finish(struct audit_files *files);

#endif
