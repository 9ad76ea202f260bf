/* Reading an audit log and proving it: every line is by the chain's key, none is missing, moved,
 * copied or put in, and it goes at least as far as the signed checkpoint. No I/O in here but
 * audit_verify_files; any size of log in constant memory. */
#ifndef RECORD_AUDIT_VERIFY_H
#define RECORD_AUDIT_VERIFY_H

#include "record/audit_line.h"

enum audit_fault {
    AUDIT_WHOLE = 0,
    AUDIT_CHANGED,   /* this line is not as it was written */
    AUDIT_REMOVED,   /* the record that belongs here is missing */
    AUDIT_REORDERED, /* it comes later */
    AUDIT_INSERTED,  /* this line was put in: forged, or a copy of an earlier one */
    AUDIT_TRUNCATED, /* the log ends before its checkpoint */
    AUDIT_OTHER_KEY, /* this line and all behind it are not by this key */
    AUDIT_NOT_OURS,  /* this is no line of an audit log, or half of one */
    AUDIT_FAULT_COUNT
};
/* "was changed after it was written". */
const char *audit_fault_sentence(enum audit_fault fault);

struct audit_verdict {
    enum audit_fault fault;
    uint64_t records; /* good ones, up to the fault */
    unsigned file;    /* where the fault is: number of the file, from 0 */
    uint64_t line;    /* in that file, from 1; behind the last when the end is missing */
    uint64_t seq;     /* the record that should stand there */
};

struct audit_verifier {
    const struct audit_key *key;
    const struct audit_checkpoint *checkpoint;
    struct audit_link link; /* the last good record */
    struct audit_verdict verdict;
    bool part; /* the first record may have any number */
    /* Whether anybody still waits for the verdict; NULL: somebody does. Asked now and then. */
    bool (*is_wanted)(void *context);
    void *context;
    bool good_follows;  /* behind the fault */
    uint64_t followers; /* lines behind the fault */
    unsigned file;
    uint64_t line;
    size_t len; /* of a line that is not complete yet */
    bool overlong;
    char bytes[AUDIT_LINE_MAX];
};

/* Begins behind `link`; NULL: before the first record. `checkpoint` may be NULL: then nothing is
 * known about the end. Both pointers must outlive the verifier. */
void audit_verifier_init(struct audit_verifier *verifier, const struct audit_key *key,
                         const struct audit_link *link, const struct audit_checkpoint *checkpoint);
/* The files are part of a log: what comes before the first record is somewhere else. */
void audit_verifier_allow_part(struct audit_verifier *verifier);
/* Bytes, cut anywhere. ERR_MEMORY when OpenSSL refuses: there is no verdict then. */
enum err audit_verifier_feed(struct audit_verifier *verifier, struct slice bytes) MUST_CHECK;
/* What follows comes from the next file. */
void audit_verifier_next_file(struct audit_verifier *verifier);
/* The verdict over all that was fed. */
const struct audit_verdict *audit_verifier_end(struct audit_verifier *verifier);

/* Feeds files in this order. ERR_IO with errno, `*failed` is the number of the file; ERR_MEMORY;
 * ERR_CLOSED: nobody waits any more. */
enum err audit_verify_files(struct audit_verifier *verifier, char *const *paths, unsigned count,
                            unsigned *failed) MUST_CHECK;

#endif
