/* What makes a chain out of lines: the key, the keyed hash, and the signed checkpoint. */
#ifndef RECORD_AUDIT_CHAIN_H
#define RECORD_AUDIT_CHAIN_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/secret.h"

enum { AUDIT_KEY_BYTES = 32, AUDIT_HASH_LEN = 64 /* hexadecimal digits, lower case */ };

/* The end of a chain: the last record's number and hash. Before the first record the number is 0
 * and the hash is all zeros. */
struct audit_link {
    uint64_t seq;
    char hash[AUDIT_HASH_LEN];
};
void audit_link_init(struct audit_link *link);

/* The chain's key with a hashing context of its own: one thread at a time. */
struct audit_key {
    struct secret bytes;
    struct evp_mac_ctx_st *context;
};
/* From 32 bytes. ERR_MEMORY. */
enum err audit_key_init(struct audit_key *key, struct slice bytes) MUST_CHECK;
void audit_key_finish(struct audit_key *key);
/* HMAC-SHA-256 of `s`, printed. ERR_MEMORY when OpenSSL refuses. */
enum err audit_key_seal(const struct audit_key *key, struct slice s,
                        char hash[AUDIT_HASH_LEN]) MUST_CHECK;

/* Reads `audit.key` in the folder. ERR_NOT_FOUND says nothing; every other error leaves a sentence:
 * ERR_STORE when the file is not what we made (size, or others may read it), ERR_IO, ERR_MEMORY. */
enum err audit_key_load(struct audit_key *key, const char *directory,
                        struct faults *faults) MUST_CHECK;
/* Makes one, mode 0600, under a name of its own; ERR_IO, with errno; ERR_MEMORY. Once the first
 * checkpoint is on disk audit_key_publish gives it its name, never in the place of another; so a
 * crash between leaves a chain that has not begun. */
enum err audit_key_make(struct audit_key *key, const char *directory) MUST_CHECK;
enum err audit_key_publish(const char *directory) MUST_CHECK;
/* Whether there has been a chain here, when its key is missing. */
bool audit_chain_begun(const char *directory);

/* How far the log has come: what stands before must be there. */
struct audit_checkpoint {
    struct audit_link link;
    uint64_t offset_bytes; /* where that record ends in the file that is written to; 0: in an older
                              file, and this one begins with the next record */
    uint64_t wall_us;
};
/* Reads `audit.checkpoint`; errors as audit_key_load, ERR_STORE also for a wrong signature. */
enum err audit_checkpoint_load(struct audit_checkpoint *checkpoint, const struct audit_key *key,
                               const char *directory, struct faults *faults) MUST_CHECK;
/* Replaces it as a whole; on disk when this returns. `sync` is fsync. ERR_IO, with errno;
 * ERR_MEMORY. */
enum err audit_checkpoint_save(const struct audit_checkpoint *checkpoint,
                               const struct audit_key *key, const char *directory,
                               int (*sync)(int fd)) MUST_CHECK;

#endif
