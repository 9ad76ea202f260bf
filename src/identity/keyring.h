/* The writer's side of the live table; keys.c, key_import.c and account_keys.c only. Every function
 * here is called with the keyring's writer lock held, by a thread that takes no part in `grace` (it
 * would wait for itself).
 */
#ifndef IDENTITY_KEYRING_H
#define IDENTITY_KEYRING_H

#include "identity/key.h"

enum { KEYRING_MAX = 1000000 };

void keyring_lock(struct keyring *keyring);
void keyring_unlock(struct keyring *keyring);

/* What an imported key has in the place of its secret's SHA-256: that of a text with a colon, which
 * no secret has. `mark` is the id that stands in the key's text, or else its hash. ERR_MEMORY. */
enum err keyring_import_digest(struct slice mark, uint8_t digest[32]) MUST_CHECK;

/* Room in the table for as many keys, all of which may be reserved before one is published.
 * ERR_MEMORY. */
enum err keyring_make_room(struct keyring *keyring, size_t count) MUST_CHECK;
/* Takes the key in without showing it to readers, so that the keyring_publish that follows cannot
 * fail: between the two the store commits. ERR_EXISTS: its id or its secret is in. ERR_LIMIT:
 * KEYRING_MAX are, or of unnamed ones KEYS_UNNAMED_MAX. ERR_MEMORY. */
enum err keyring_reserve(struct keyring *keyring, struct api_key *key) MUST_CHECK;
/* Shows the reserved key to readers, and takes the caller's reference over. */
void keyring_publish(struct keyring *keyring, struct api_key *key);
/* Takes a reserved key out again; the reference stays the caller's. */
void keyring_unreserve(struct keyring *keyring, struct api_key *key);
/* NULL when there is none. */
struct api_key *keyring_find_id(struct keyring *keyring, struct slice id);
/* Marks the key as revoked, unlinks it, waits until no reader can still come upon it, and drops the
 * table's reference. */
void keyring_remove(struct keyring *keyring, struct api_key *key);
/* Shows readers `key` in the place of `old`, which has the same id and secret; takes the caller's
 * reference over and drops the table's of `old`. When it returns nobody gets through with `old`. */
void keyring_replace(struct keyring *keyring, struct api_key *old, struct api_key *key);
/* What the account of that name is now, for all keys that have it as owner. When it returns nobody
 * gets through with more. */
void keyring_follow(struct keyring *keyring, struct slice owner, bool suspended, permissions bound);
/* keyring_remove of every key that `is` what is wanted. */
void keyring_remove_each(struct keyring *keyring,
                         bool (*is)(const struct api_key *key, const void *wanted),
                         const void *wanted);
/* Walks all keys: start with *at = 0; NULL at the end. */
struct api_key *keyring_next(struct keyring *keyring, size_t *at);

#endif
