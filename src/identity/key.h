/* An API key and the live table of all of them.
 *
 * A key is "sp_" + 12-character public id + "_" + 43-character secret + 6-character checksum, all
 * base62. The store and the table hold the SHA-256 of the secret. The table is looked up by every
 * event loop without a lock; the one writer replaces entries and waits until every loop has passed
 * one turn before a revoke answers (HOUSE 3), through the `grace` function that cli/ wires in. */
#ifndef IDENTITY_KEY_H
#define IDENTITY_KEY_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/slice.h"
#include "config/rate.h"
#include "identity/permission.h"
#include "proto/address.h"

enum { KEYS_UNNAMED_MAX = 16 }; /* imported, and each tried on a text that names none */
enum { KEY_ID_LEN = 12, KEY_SECRET_LEN = 43, KEY_CHECKSUM_LEN = 6, KEY_LEN = 3 + 12 + 1 + 43 + 6 };

/* Immutable once published, but for what is atomic and for the time of use that was saved. A change
 * makes a new one, which takes the place of the old; the old one is then as good as revoked, for an
 * exchange that carries it was checked against rights that may be gone. One block of memory with
 * all its texts. */
struct api_key {
    atomic_uint references;    /* the table's, and one for each exchange that carries it */
    atomic_bool revoked;       /* set before the entry is unlinked; opens nothing from then on */
    atomic_bool suspended;     /* the account of its owner is disabled: opens nothing meanwhile */
    _Atomic permissions bound; /* what that account may do now; without one all */
    _Atomic uint64_t expires_epoch_s;   /* 0: never; a rotation moves it nearer */
    _Atomic uint64_t last_used_epoch_s; /* keyring_find sets it */
    uint64_t saved_use_epoch_s;         /* what the store has of it; the writer's own */
    char id[KEY_ID_LEN + 1];
    uint8_t secret_sha256[32];
    char *name, *owner;  /* owner may be "" */
    char *bcrypt;        /* of the whole text of an imported key; "": it is one of ours */
    bool unnamed;        /* and that text does not have the id in it */
    permissions granted; /* what it was given; api_key_permissions says what counts */
    char **models;       /* NULL: all; else a NULL-terminated list of exact names */
    char **endpoints; /* NULL: all; else the same of paths, a '*' at the end stands for the rest */
    const struct cidr *ip_ranges; /* NULL: from anywhere */
    size_t ip_range_count;
    struct rate rate; /* without requests: it has none of its own */
    bool disabled;    /* opens nothing until it is enabled, which makes a new one */
    uint64_t created_epoch_s;
    uint64_t rate_hash; /* in the rate table: the key's identity under its own rate */
    uint64_t user_hash; /* the same of its owner, whose keys count together; else of the key */
    uint64_t ban_hash;  /* key_ban_identity of its id */
    _Atomic uint64_t last_client; /* the address that it came from last, as a hash */
};

/* What the deny-list knows a key by: its public id, or the key_id of a file's. */
uint64_t key_ban_identity(struct slice id);

struct keyring;

/* `grace` returns when every reader that could have seen an unlinked entry is done; NULL: no
 * readers. */
struct keyring *keyring_create(void (*grace)(void *context), void *context);
void keyring_destroy(struct keyring *keyring);
/* How many keys are in; any thread. */
size_t keyring_count(const struct keyring *keyring);

/* Looks a presented credential up: shape, checksum, one SHA-256, one probe, one constant-time
 * comparison. On OK `*key` carries a reference, to be given back with api_key_unref. ERR_MEMORY:
 * it could not be judged. Everything else is ERR_DENIED, whatever was wrong; `*reason` (may be
 * NULL) is for the log: "malformed", "unknown", "revoked", "disabled", "expired". Lock-free; any
 * thread that takes part in `grace`. */
enum err keyring_find(struct keyring *keyring, struct slice presented, uint64_t now_epoch_s,
                      struct api_key **key, const char **reason) MUST_CHECK;
void api_key_unref(struct api_key *key);

/* Imported keys (key_import.h) are found by the id that stands in their text, or, with an empty
 * one, are all of those whose text names none. Is there one? Lock-free, cheap; any thread that
 * takes part in `grace`. */
bool keyring_has_imported(struct keyring *keyring, struct slice id);
/* Puts them into `keys`, with references; returns how many. Waits for who changes keys: not for
 * event loops. */
size_t keyring_imported(struct keyring *keyring, struct slice id,
                        struct api_key *keys[KEYS_UNNAMED_MAX]);
/* Notes that it was used. */
void api_key_note_use(struct api_key *key, uint64_t now_epoch_s);

/* One more reference, for somebody who has one already. */
void api_key_ref(struct api_key *key);

/* Is it shaped like one of our keys: prefix, length, alphabet, checksum? To refuse keys in URLs. */
bool api_key_shaped(struct slice text);
/* Does it open anything now? Asked again by whoever waited since keyring_find. */
bool api_key_stands(const struct api_key *key, uint64_t now_epoch_s);
/* What it may do now: what it was given, as far as its owner's account has that too. Asked again by
 * whoever waited, as the above. */
permissions api_key_permissions(const struct api_key *key);
bool api_key_may_use_model(const struct api_key *key, struct slice model);
/* `path` as the request's head has it, without the query. */
bool api_key_may_use_endpoint(const struct api_key *key, struct slice path);
/* May it be presented from there? A socket of the file system is in no range. */
bool api_key_may_come_from(const struct api_key *key, const struct address *client);

#endif
