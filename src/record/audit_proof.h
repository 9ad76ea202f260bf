/* The proof of a whole audit log, or of a part of it: key, checkpoint and files together. */
#ifndef RECORD_AUDIT_PROOF_H
#define RECORD_AUDIT_PROOF_H

#include "record/audit_files.h"
#include "record/audit_verify.h"

struct audit_proof {
    bool part; /* the files are a part of the log: nothing is asked for before or behind them */
    /* As in struct audit_verifier. */
    bool (*is_wanted)(void *context);
    void *context;

    struct audit_verdict verdict; /* filled, as is the number of the last good record */
    uint64_t last_seq;
};

/* Reads the files in their order, with the key and the checkpoint of the data folder. OK: there is
 * a verdict, good or bad. ERR_CLOSED: nobody waits for it any more. All other errors leave a
 * sentence. Blocks on the disk; any size of log in constant memory. */
enum err audit_prove(struct audit_proof *proof, const char *directory,
                     const struct audit_files *files, struct faults *faults) MUST_CHECK;

#endif
