/* The YAML file of keys (founding document 004): for each key an id, a bcrypt hash, an owner,
 * scopes and an end.
 *
 *     keys:
 *       - key_id: "team-core"
 *         hash: "$2b$12$..."
 *         owner: "admin@example.com"
 *         scopes: ["chat:read"]
 *         created_at: "2025-01-01T00:00:00Z"
 *         expires_at: "2026-01-01T00:00:00Z"
 *         public_id: "AbCdEf123456"
 */
#ifndef IDENTITY_KEYS_FILE_H
#define IDENTITY_KEYS_FILE_H

#include "base/fault.h"
#include "base/slice.h"
#include "identity/permission.h"

enum {
    KEYS_FILE_BYTES_MAX = 1024 * 1024,
    KEYS_FILE_ENTRIES_MAX = 1000,
    KEYS_FILE_ID_BYTES_MAX = 64,
    KEYS_FILE_OWNER_BYTES_MAX = 254, /* of an e-mail address (RFC 5321) */
    KEYS_FILE_UNNAMED_MAX = 16, /* entries without public_id, all of which a presented key must be
                                   tried on */
};

/* Texts are the table's, and end with a NUL. */
struct file_key {
    const char *key_id, *hash, *owner; /* owner may be "" */
    const char *public_id; /* what stands behind "sp_" in the key; "": it is not known */
    permissions permissions;
    uint64_t created_epoch_s; /* 0: not said */
    uint64_t expires_epoch_s; /* 0: never */
    unsigned line;            /* where it begins */
};

/* Immutable and counted: whoever holds a reference may read it from any thread. */
struct keys_file;

/* How a warning of an entry ends, for who does not leave it out. */
#define KEYS_FILE_LEFT_OUT "; the entry is left out"

/* Reads a file's text; copies what it keeps. `file` is its name for the faults. An entry that is
 * wrong (a member unknown, missing, given twice or not of its form; an id that another entry has)
 * is left out and named by its line, never by its content, and every other one counts: those are
 * warnings. So that a key never opens more than its author meant, nothing in an entry is ignored.
 * An entry without scopes has chat:read. One reference, the caller's. ERR_SYNTAX, with an error
 * among the faults: the text is not YAML, or not of this shape as a whole; ERR_LIMIT: over
 * KEYS_FILE_BYTES_MAX; ERR_MEMORY. */
enum err keys_file_parse(struct slice text, const char *file, struct faults *faults,
                         struct keys_file **table) MUST_CHECK;
void keys_file_ref(struct keys_file *table);
/* Wipes and frees with the last reference; NULL does nothing. */
void keys_file_unref(struct keys_file *table);

/* The name it was given. */
const char *keys_file_path(const struct keys_file *table);
size_t keys_file_count(const struct keys_file *table);
/* How many have no public id. */
size_t keys_file_unnamed(const struct keys_file *table);
/* In the file's order; `i` is below the count. */
const struct file_key *keys_file_at(const struct keys_file *table, size_t i);
/* NULL: there is none. As long as the caller holds a reference. */
const struct file_key *keys_file_find(const struct keys_file *table, struct slice key_id);
const struct file_key *keys_file_find_hash(const struct keys_file *table, struct slice hash);
const struct file_key *keys_file_find_public(const struct keys_file *table, struct slice public_id);

#endif
