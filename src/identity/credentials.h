/* Credentials that are slow to verify, remembered once they were found right: names and passwords.
 * What comes again costs one hash and one probe.
 *
 * What is remembered is a digest under a key of this process's own, never the password, and never
 * that its holder may do something: whether the account is open and has that password still, or
 * whether the htpasswd file still has that entry, is looked at for each request. */
#ifndef IDENTITY_CREDENTIALS_H
#define IDENTITY_CREDENTIALS_H

#include "identity/account.h"
#include "identity/basic.h"
#include "identity/digest.h"
#include "identity/htpasswd.h"

enum {
    CREDENTIALS_MAX = 4096
}; /* 1.5 MB; of more, those that were not used lately are forgotten */

_Static_assert((int)ACCOUNT_NAME_MAX == (int)HTPASSWD_NAME_BYTES_MAX, "one room for both names");

/* Immutable once it can be found, but for the mark of use. */
struct credential {
    atomic_uint references;
    atomic_bool used; /* since it was last looked for something to forget */
    uint8_t digest[SHA256_BYTES];
    char name[ACCOUNT_NAME_MAX + 1];
    uint64_t rate_hash;                /* its identity in the rate table */
    struct account *account;           /* a reference; NULL: of the htpasswd file */
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

/* What a presented name and password are found by. ERR_MEMORY. Any thread. */
enum err credentials_digest(const struct credentials *credentials, const struct basic *basic,
                            uint8_t digest[SHA256_BYTES]) MUST_CHECK;
/* With a reference, to be given back with credential_unref; NULL: it is not remembered, or does not
 * stand any more. Lock-free; any thread that takes part in `grace`. */
struct credential *credentials_find(struct credentials *credentials,
                                    const uint8_t digest[SHA256_BYTES],
                                    const struct htpasswd *file);
/* Is it still good? `file` is the htpasswd file as it is now; NULL: there is none. */
bool credential_stands(const struct credential *credential, const struct htpasswd *file);
/* What its holder may do now. */
permissions credential_permissions(const struct credential *credential);
void credential_ref(struct credential *credential);
void credential_unref(struct credential *credential);

/* Is this somebody's password: an account's, or, of a name that no account has, an entry's of the
 * file (may be NULL)? If so, it is remembered from here on, and `*found` carries a reference. As
 * slow as passwords are, and as slow for a name that nobody has. ERR_DENIED: no, whatever was
 * wrong; ERR_MEMORY: it was not found out. On a thread that takes no part in `grace`. */
enum err credentials_verify(struct credentials *credentials, struct accounts *accounts,
                            const struct htpasswd *file, const struct basic *basic,
                            struct credential **found) MUST_CHECK;

#endif
