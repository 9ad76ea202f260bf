/* What can be done with keys: each verb changes the store first and the live table after, so that
 * what was answered survives a crash. Called by the control socket's thread, by commands that hold
 * the writer lock, later by the native API's workers; never by an event loop (they wait for the
 * disk and for `grace`). Any thread, one at a time gets its turn. */
#ifndef IDENTITY_KEYS_H
#define IDENTITY_KEYS_H

#include "base/secret.h"
#include "identity/key.h"
#include "store/store.h"

/* What a new key is to be; all borrowed. */
struct key_request {
    struct slice name;  /* 1 to 64 bytes of UTF-8 without control characters */
    struct slice owner; /* the same, or empty */
    permissions permissions;
    const struct slice *models; /* at most 64 of at most 256 bytes; none: all models */
    size_t model_count;
    uint64_t expires_epoch_s; /* 0: never */
    /* Called before anything is made; an error makes nothing. NULL: nobody has to know. */
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

/* When it returns OK the revocation is on disk and no reader finds the key any more. ERR_NOT_FOUND:
 * no such live key; ERR_STORE: nothing changed. */
enum err keyring_revoke_key(struct keyring *keyring, struct store *store, struct slice id,
                            uint64_t now_epoch_s) MUST_CHECK;

/* Writes the times of last use that have changed since. For a timer, a listing and the end. */
enum err keyring_save_uses(struct keyring *keyring, struct store *store) MUST_CHECK;

#endif
