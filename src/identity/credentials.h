/* Credentials that are slow to verify, remembered once they were found right: names and passwords,
 * and keys of which a file, or the store of an imported one, has a slow hash. What comes again
 * costs one hash and one probe.
 *
 * What is remembered is a digest under a key of this process's own, never the secret, and never
 * that its holder may do something: whether the account is open and has that password still, or
 * whether the file still has that entry, is looked at for each request. */
#ifndef IDENTITY_CREDENTIALS_H
#define IDENTITY_CREDENTIALS_H

#include "identity/account.h"
#include "identity/basic.h"
#include "identity/credential_files.h"
#include "identity/digest.h"
#include "identity/key.h"

enum { CREDENTIALS_MAX = 4096 }; /* 1.5 MB; of more, those not used lately are forgotten */

_Static_assert((int)ACCOUNT_NAME_MAX == (int)HTPASSWD_NAME_BYTES_MAX &&
                   (int)ACCOUNT_NAME_MAX == (int)KEYS_FILE_ID_BYTES_MAX,
               "one room for all names");

/* What somebody presents. */
struct claim {
    bool by_key;            /* a key of the file, or imported; else a name and a password */
    struct slice text;      /* all of it, BASIC_BYTES_MAX at most; the others are parts of it */
    struct slice name;      /* what tries are counted for: the name; of keys each for itself */
    struct slice secret;    /* the password; the key */
    struct slice public_id; /* of a key; empty: it has none */
};

enum credential_home {
    CREDENTIAL_OF_ACCOUNT,
    CREDENTIAL_OF_NAMES,
    CREDENTIAL_OF_KEYS,
    CREDENTIAL_OF_STORE
};

/* Immutable once it can be found, but for the mark of use. */
struct credential {
    atomic_uint references;
    atomic_bool used; /* since it was last looked for something to forget */
    uint8_t digest[SHA256_BYTES];
    enum credential_home home;
    char name[ACCOUNT_NAME_MAX + 1];   /* of the account, the file's entry, or the key */
    uint64_t rate_hash;                /* its identity in the rate table */
    uint64_t ban_hash;                 /* of a key: key_ban_identity; else 0 */
    _Atomic uint64_t last_client;      /* the address that it came from last, as a hash */
    struct account *account;           /* a reference; NULL: of no account */
    const struct accounts *accounts;   /* in which the name was not, of an htpasswd file's; and */
    unsigned accounts_added;           /* what accounts_added said before that was looked at */
    struct api_key *key;               /* the store's, with a reference; NULL: of none */
    unsigned passwords_set;            /* of the account, when it was verified */
    char stored[PASSWORD_STORED_SIZE]; /* what the file had, when it was verified */
    struct list link;
};

struct credentials;

/* `grace` as for keyring_create. NULL: no memory. */
struct credentials *credentials_create(void (*grace)(void *context), void *context);
void credentials_destroy(struct credentials *credentials);
/* How many are remembered; any thread. */
size_t credentials_count(const struct credentials *credentials);

/* The claim of a name and a password. */
struct claim claim_of_basic(const struct basic *basic);
/* The claim of a key. False: it can be none of the file's and no imported one, whatever it is:
 * nothing needs to be verified. Cheap. `files` may be NULL, here and below. */
bool claim_of_key(const struct credential_files *files, struct keyring *keyring, struct slice text,
                  struct claim *claim);

/* What a claim is found by. ERR_MEMORY. Any thread. */
enum err credentials_digest(const struct credentials *credentials, const struct claim *claim,
                            uint8_t digest[SHA256_BYTES]) MUST_CHECK;
/* With a reference, to be given back with credential_unref; NULL: it is not remembered, or does not
 * stand any more. `files` are those that are in use now. Lock-free; any thread that takes part in
 * `grace`. */
struct credential *credentials_find(struct credentials *credentials,
                                    const uint8_t digest[SHA256_BYTES],
                                    const struct credential_files *files, uint64_t now_epoch_s);
/* Is it still good? */
bool credential_stands(const struct credential *credential, const struct credential_files *files,
                       uint64_t now_epoch_s);
/* What its holder may do now. */
permissions credential_permissions(const struct credential *credential,
                                   const struct credential_files *files);
void credential_ref(struct credential *credential);
void credential_unref(struct credential *credential);

/* Is this somebody's: an account's password, or, of a name that no account has, an entry's of the
 * htpasswd file; or a key of the file of keys, or an imported one? If so, it is remembered from
 * here on, and `*found` carries a reference. As slow as passwords are, and as slow for a name that
 * nobody has; for a key without public id as slow as all entries without one. ERR_DENIED: no,
 * whatever was wrong; ERR_MEMORY: it was not found out. On a thread that takes no part in `grace`.
 */
enum err credentials_verify(struct credentials *credentials, struct accounts *accounts,
                            struct keyring *keyring, const struct credential_files *files,
                            const struct claim *claim, uint64_t now_epoch_s,
                            struct credential **found) MUST_CHECK;

#endif
