/* Called by the verbs on accounts. Its one hard problem is a key that is made for the account while
 * that is being disabled or deleted. So all of it is done with the keyring's lock, which whoever
 * makes or changes a key has too: they come before, and their key is found here, or after, and find
 * in the store that the owner is disabled (keys.c), or that the account they act for is closed (the
 * verbs). The keyring's lock is always taken before that of the accounts.
 *
 * In the store a disabled account has disabled keys without another word (store.h), and a deleted
 * one takes them along in its own transaction: a crash comes between nothing. */
#include "identity/account_keys.h"

#include "identity/keyring.h"

enum err account_keys_change(struct accounts *accounts, struct keyring *keyring,
                             struct store *store, struct slice name,
                             const struct account_change *change, uint64_t now_epoch_s)
{
    keyring_lock(keyring);
    enum err err = accounts_change(accounts, store, name, change, now_epoch_s);
    if (err == OK && change->sets_disabled)
        keyring_suspend(keyring, name, change->disabled);
    keyring_unlock(keyring);
    return err;
}

static bool is_owned_by(const struct api_key *key, const void *name)
{
    return slice_equal(slice_of(key->owner), *(const struct slice *)name);
}

enum err account_keys_delete(struct accounts *accounts, struct keyring *keyring,
                             struct store *store, struct slice name, uint64_t now_epoch_s)
{
    keyring_lock(keyring);
    enum err err = accounts_delete(accounts, store, name, now_epoch_s);
    if (err == OK)
        keyring_remove_each(keyring, is_owned_by, &name);
    keyring_unlock(keyring);
    return err;
}
