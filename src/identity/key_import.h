/* Taking the entries of a file of keys (keys_file.h) into the store. Of such a key there is nothing
 * but a slow hash of its whole text, so it goes on opening what it opened: it is verified as the
 * file's keys are (credentials.h), and is in all else a key of the store. Called as keys.h. */
#ifndef IDENTITY_KEY_IMPORT_H
#define IDENTITY_KEY_IMPORT_H

#include "identity/key.h"
#include "identity/keys_file.h"
#include "store/store.h"

enum key_fate {
    KEY_TAKEN,
    KEY_THERE, /* a key with its id or its hash is in the store, or was revoked there */
    KEY_OVER,  /* it has expired */
};

/* What became of an entry. */
struct key_import {
    const struct file_key *entry;
    enum key_fate fate;
    char id[KEY_ID_LEN + 1]; /* of the key that was made */
};

/* Called when `imports` tell which keys are to be made, before any is; an error ends it. */
typedef enum err key_import_fn(void *context);

/* All entries that are not there or over, or none of them; `imports` has room for as many as the
 * file has. A key has the name of its entry's key_id, and the id of its public_id, or a new one.
 * ERR_RANGE: an owner is longer than the store's may be; ERR_LIMIT: more than KEYS_UNNAMED_MAX keys
 * would have to be tried on a text that names none, or KEYRING_MAX are in; ERR_EXISTS: two entries
 * have the same hash; ERR_STORE, ERR_MEMORY; what `before` said. */
enum err keyring_import(struct keyring *keyring, struct store *store, const struct keys_file *file,
                        uint64_t now_epoch_s, key_import_fn *before, void *context,
                        struct key_import *imports) MUST_CHECK;

#endif
