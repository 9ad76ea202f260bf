/* Called by the verbs on accounts. Its one hard problem is a key that is made for the account while
 * that is being made, changed or deleted. So all of it is done with the keyring's lock, which
 * whoever makes or changes a key has too: they come before, and their key is found here, or after,
 * and find in the store what the owner is (keys.c), or that the account they act for is closed (the
 * verbs). The keyring's lock is always taken before that of the accounts.
 *
 * In the store nothing is written down of an account beside its keys: their rows are read together
 * with it (store.h). A deleted one takes them along in its own transaction: a crash comes between
 * nothing. */
#include "identity/account_keys.h"

#include "identity/keyring.h"

/* What the account is now holds for its keys. It is there: nobody else deletes one meanwhile. */
static void follow(struct accounts *accounts, struct keyring *keyring, struct slice name)
{
    struct account_view view;
    invariant(accounts_view(accounts, name, &view) == OK);
    keyring_follow(keyring, name, view.disabled, role_permissions(view.role));
}

enum err account_keys_add(struct accounts *accounts, struct keyring *keyring, struct store *store,
                          struct slice name, const char *stored, enum role role,
                          uint64_t now_epoch_s)
{
    keyring_lock(keyring);
    enum err err = accounts_add(accounts, store, name, stored, role, now_epoch_s);
    if (err == OK)
        follow(accounts, keyring, name);
    keyring_unlock(keyring);
    return err;
}

enum err account_keys_change(struct accounts *accounts, struct keyring *keyring,
                             struct store *store, struct slice name,
                             const struct account_change *change, uint64_t now_epoch_s)
{
    keyring_lock(keyring);
    enum err err = accounts_change(accounts, store, name, change, now_epoch_s);
    if (err == OK && (change->sets_disabled || change->sets_role))
        follow(accounts, keyring, name);
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
