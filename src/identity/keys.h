/* What can be done with keys: each verb changes the store first and the live table after, so that
 * what was answered survives a crash. Called by the control socket's thread, by commands that hold
 * the writer lock, by the native API's jobs; never by an event loop (they wait for the disk and for
 * `grace`). Any thread, one at a time gets its turn. */
#ifndef IDENTITY_KEYS_H
#define IDENTITY_KEYS_H

#include "base/secret.h"
#include "identity/key.h"
#include "store/store.h"

/* What a key is to be; all borrowed. */
struct key_request {
    struct slice name;  /* 1 to 64 bytes of UTF-8 without control characters */
    struct slice owner; /* the same, or empty */
    permissions permissions;
    const struct slice *models; /* at most 64 of at most 256 bytes; none: all models */
    size_t model_count;
    const struct slice *endpoints; /* at most 32 of at most 128 (api_key.h); none: all endpoints */
    size_t endpoint_count;
    const struct slice *ip_ranges; /* at most 64 addresses and CIDR ranges; none: from anywhere */
    size_t ip_range_count;
    struct slice rate; /* "60/minute", or empty: the rate of all keys */
    uint64_t burst;    /* 0: as many as the rate has */
    bool disabled;
    uint64_t expires_epoch_s; /* 0: never */
    /* Called before anything is made or changed, with the id of the key that is; an error leaves
     * everything as it is. NULL: nobody has to know. */
    enum err (*before)(void *context, struct slice id);
    void *context;
};

/* The field that is wrong and what it must be, or NULL: all is well. */
const char *key_request_fault(const struct key_request *request, uint64_t now_epoch_s);

/* Fills a new keyring with all live keys. ERR_STORE also for a row that cannot be one of ours. */
enum err keyring_load(struct keyring *keyring, struct store *store) MUST_CHECK;

/* Makes a key. `plain` is the only copy of its text there is; `*key` carries a reference.
 * ERR_RANGE: the request has a fault; ERR_LIMIT: there are too many keys; ERR_STORE: nothing was
 * made; ERR_MEMORY; what `before` said. */
enum err keyring_create_key(struct keyring *keyring, struct store *store,
                            const struct key_request *request, uint64_t now_epoch_s,
                            struct secret *plain, struct api_key **key) MUST_CHECK;

/* Receives a key as it is, and says what it is to be: `wanted` and all it points to must last until
 * the change is made. Must not call the store. An error ends it, and is what is returned. */
typedef enum err key_edit_fn(void *context, const struct stored_key *now,
                             struct key_request *wanted);

/* When it returns OK the change is on disk, and no reader gets through with what the key was
 * before: who waited meanwhile is refused (key.h), who comes now finds what it is. ERR_NOT_FOUND:
 * no such live key; ERR_RANGE: what is wanted has a fault; ERR_STORE: nothing changed; ERR_MEMORY;
 * what `edit` or `before` said. */
enum err keyring_change_key(struct keyring *keyring, struct store *store, struct slice id,
                            key_edit_fn *edit, void *context) MUST_CHECK;

/* Makes a key, as keyring_create_key, in the place of the live one of that id, which ends after
 * `grace_s` seconds; with 0 it is revoked when this returns. The new one is on disk and the end of
 * the old one too, or neither is. Errors of both. */
enum err keyring_rotate_key(struct keyring *keyring, struct store *store, struct slice id,
                            uint64_t grace_s, uint64_t now_epoch_s, key_edit_fn *edit,
                            void *context, struct secret *plain, struct api_key **key) MUST_CHECK;

/* Forgets the keys that were revoked or had expired before then; `*count` is how many. ERR_STORE.
 */
enum err keyring_prune(struct keyring *keyring, struct store *store, uint64_t before_epoch_s,
                       uint64_t *count) MUST_CHECK;

/* When it returns OK the revocation is on disk and no reader finds the key any more. ERR_NOT_FOUND:
 * no such live key; ERR_STORE: nothing changed. */
enum err keyring_revoke_key(struct keyring *keyring, struct store *store, struct slice id,
                            uint64_t now_epoch_s) MUST_CHECK;

/* Writes the times of last use that have changed since. For a timer, a listing and the end. */
enum err keyring_save_uses(struct keyring *keyring, struct store *store) MUST_CHECK;

#endif
