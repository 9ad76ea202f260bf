/* Finding records, the newest first. Nothing is proved here; that is what audit_proof.h is for. */
#ifndef RECORD_AUDIT_SEARCH_H
#define RECORD_AUDIT_SEARCH_H

#include "base/err.h"
#include "base/slice.h"

/* Which records; what is empty or 0 asks for nothing. */
struct audit_filter {
    uint64_t since_epoch_s, until_epoch_s; /* from the first second on, before the last one */
    struct slice event, actor, ip;
    uint64_t before_seq; /* records before this one */
};

struct audit_search {
    struct audit_filter filter;
    /* Gets each record that fits, as it stands in the file, without its newline. False: it was not
     * taken, and none is wanted any more. */
    bool (*take)(void *context, struct slice line);
    void *context;
    uint64_t read_bytes_max; /* after so many it ends for now; 0: it goes on to the first record */

    /* Filled: where to go on (before_seq of the next search), or 0 when there is no more; and how
     * many lines were no records of ours. */
    uint64_t next_seq, strangers;

    uint64_t seq, read_bytes; /* so far: the last record that was looked at */
    bool ended;
};

/* Looks through files that are named from the oldest to the newest. ERR_IO with errno, `*failed` is
 * the number of the file. Blocks on the disk. */
enum err audit_search(struct audit_search *search, char *const *paths, unsigned count,
                      unsigned *failed) MUST_CHECK;

#endif
