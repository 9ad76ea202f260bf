/* Called by `sallyport audit verify` and by the verb audit_verify, beside a gateway that goes on
 * writing: so key and checkpoint are read before the log, which may grow meanwhile but not shrink,
 * and a line that was only half there is looked at again. */
#include "record/audit_proof.h"

#include <errno.h>
#include <string.h>

static enum err load(const struct audit_proof *proof, const char *directory, struct audit_key *key,
                     struct audit_checkpoint *checkpoint, struct faults *faults)
{
    enum err err = audit_key_load(key, directory, faults);
    if (err == ERR_NOT_FOUND)
        faults_add(faults, directory, 0, NULL, "audit.key is missing: nothing can be proved");
    if (err != OK || proof->part)
        return err;
    err = audit_checkpoint_load(checkpoint, key, directory, faults);
    if (err == ERR_NOT_FOUND)
        faults_add(faults, directory, 0, NULL,
                   "audit.checkpoint is missing: nobody can tell whether the end of the log is; "
                   "--part proves the rest");
    return err;
}

static enum err prove_with(struct audit_proof *proof, const struct audit_key *key,
                           const struct audit_checkpoint *checkpoint,
                           const struct audit_files *files, struct faults *faults)
{
    struct audit_verifier verifier;
    unsigned failed = 0;
    audit_verifier_init(&verifier, key, NULL, checkpoint);
    verifier.is_wanted = proof->is_wanted;
    verifier.context = proof->context;
    if (proof->part)
        audit_verifier_allow_part(&verifier);
    enum err err = audit_verify_files(&verifier, files->paths, files->count, &failed);
    if (err == OK) {
        proof->verdict = *audit_verifier_end(&verifier);
        proof->last_seq = verifier.link.seq;
    } else if (err != ERR_CLOSED) {
        faults_add(faults, files->paths[failed], 0, NULL, "%s",
                   err == ERR_IO ? strerror(errno) : err_name(err));
    }
    return err;
}

enum err audit_prove(struct audit_proof *proof, const char *directory,
                     const struct audit_files *files, struct faults *faults)
{
    struct audit_key key = {0};
    struct audit_checkpoint checkpoint;
    enum err err = load(proof, directory, &key, &checkpoint, faults);
    if (err == OK)
        err = prove_with(proof, &key, proof->part ? NULL : &checkpoint, files, faults);
    bool half = err == OK && proof->verdict.fault == AUDIT_NOT_OURS &&
                proof->verdict.file + 1 == files->count;
    if (half)
        err = prove_with(proof, &key, proof->part ? NULL : &checkpoint, files, faults);
    audit_key_finish(&key);
    return err;
}
