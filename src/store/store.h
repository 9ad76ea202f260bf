/* Durable state behind one interface: SQLite now, others as further implementations. A store has
 * one writer, the process that holds the writer lock; inside it any thread may call, one at a time
 * gets its turn. All statements are prepared when the store is opened; nothing builds SQL text at
 * run time. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "base/fault.h"
#include "base/slice.h"

struct store;

/* A row of `api_keys`, as stored. All text is borrowed during the call. */
struct stored_key {
    uint64_t number; /* its place in the order of making, from 1; given by the store */
    struct slice id; /* 12 characters */
    uint8_t secret_sha256[32];
    struct slice name, owner;
    uint32_t permissions;
    struct slice models_json; /* a JSON array of names, or empty: all */
    uint64_t created_epoch_s;
    uint64_t expires_epoch_s;   /* 0: never */
    uint64_t revoked_epoch_s;   /* 0: live */
    uint64_t last_used_epoch_s; /* 0: never */
};

/* Opens (makes, mode 0600) the database, runs the migrations that are missing, in one transaction
 * each. A database of a newer version, or a damaged one, is refused with a sentence in `faults`;
 * never is it taken for an empty one. ERR_STORE, ERR_MEMORY. */
enum err store_open(const char *path, struct store **store, struct faults *faults) MUST_CHECK;
void store_close(struct store *store);

/* Each is one transaction, on disk (synchronous=FULL) when it returns OK. ERR_EXISTS, ERR_STORE. */
enum err store_add_key(struct store *store, const struct stored_key *key) MUST_CHECK;
/* ERR_NOT_FOUND when there is no such live key. */
enum err store_revoke_key(struct store *store, struct slice id, uint64_t now_epoch_s) MUST_CHECK;
enum err store_touch_key(struct store *store, struct slice id,
                         uint64_t last_used_epoch_s) MUST_CHECK;
/* Several at once in one transaction, so that noting uses costs one wait for the disk, not
 * hundreds. Unknown ids are passed over. */
struct key_use {
    char id[12];
    uint64_t last_used_epoch_s;
};
enum err store_touch_keys(struct store *store, const struct key_use *uses, size_t count) MUST_CHECK;

/* Receives one key; must not call the store. */
typedef enum err store_key_fn(void *context, const struct stored_key *key);
/* Calls `each` for every key, revoked ones included, oldest first; stops at its first error. */
enum err store_each_key(struct store *store, store_key_fn *each, void *context) MUST_CHECK;
/* The same, beginning behind the key of that number: a long list is read page by page. */
enum err store_each_key_after(struct store *store, uint64_t number, store_key_fn *each,
                              void *context) MUST_CHECK;
/* Calls `each` for the one key, revoked or not. ERR_NOT_FOUND. */
enum err store_find_key(struct store *store, struct slice id, store_key_fn *each,
                        void *context) MUST_CHECK;

/* The writer lock: whoever holds it on the data folder is the only writer. */
struct writer_lock {
    int fd;
};
/* ERR_BUSY: somebody else holds it. Makes the folder (0700) when it is missing. ERR_IO, errno says
 * why: EPERM when the folder belongs to somebody else or others may write to it. */
enum err writer_lock_take(struct writer_lock *lock, const char *directory) MUST_CHECK;
void writer_lock_release(struct writer_lock *lock);

#endif
