/* An account and the keys that have its name as owner: one does not go, or is not shut, without the
 * other, and none of them may do more than the account. Threads and waiting as of accounts.h and
 * keys.h. */
#ifndef IDENTITY_ACCOUNT_KEYS_H
#define IDENTITY_ACCOUNT_KEYS_H

#include "identity/accounts.h"
#include "identity/key.h"

/* accounts_add; when it returns OK, keys that had this name as owner before are the account's. */
enum err account_keys_add(struct accounts *accounts, struct keyring *keyring, struct store *store,
                          struct slice name, const char *stored, enum role role,
                          uint64_t now_epoch_s) MUST_CHECK;
/* accounts_change; when it returns OK, the keys of an account that is disabled open nothing, and
 * those of any other what its role may do, as far as they were given it. */
enum err account_keys_change(struct accounts *accounts, struct keyring *keyring,
                             struct store *store, struct slice name,
                             const struct account_change *change, uint64_t now_epoch_s) MUST_CHECK;
/* accounts_delete; when it returns OK, the account's keys are revoked. */
enum err account_keys_delete(struct accounts *accounts, struct keyring *keyring,
                             struct store *store, struct slice name,
                             uint64_t now_epoch_s) MUST_CHECK;

#endif
