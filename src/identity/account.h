/* An account and its sessions, as event loops see them. An account is somebody who signs in with a
 * name and a password; a session is one sign-in and all tokens that came of it.
 *
 * A token names its session. The session is looked up for every request, without a lock, and tells
 * whether it still stands and what its account may do now: what was changed meanwhile counts from
 * the next request on. */
#ifndef IDENTITY_ACCOUNT_H
#define IDENTITY_ACCOUNT_H

#include <stdatomic.h>

#include "base/list.h"
#include "identity/password.h"
#include "identity/role.h"
#include "store/store.h"

enum {
    ACCOUNT_NAME_MAX = 64,
    ACCOUNTS_MAX = 100000,
    SESSIONS_MAX = 100000,             /* live ones in all */
    SESSIONS_PER_ACCOUNT_MAX = 100,    /* the one signed in longest ago makes room */
    SESSION_S_MAX = 90 * 24 * 60 * 60, /* then somebody has to sign in anew, however often they
                                          refresh (OWASP ASVS 5.0, 7.3.2) */
};

struct account {
    atomic_uint references;
    _Atomic enum role role;
    atomic_bool closed;        /* disabled or deleted: opens nothing */
    atomic_uint passwords_set; /* how often, in this process: tells whether it was meanwhile;
                                  changed with the accounts' lock held */
    char name[ACCOUNT_NAME_MAX + 1];
    uint64_t number; /* the store's, which it has before anybody sees a session of it */
    uint64_t created_epoch_s;
    uint64_t rate_hash; /* account_identity of its name */

    /* From here on the accounts' lock is needed. */
    char password[PASSWORD_STORED_SIZE];
    uint64_t password_epoch_s, last_login_epoch_s;
    struct list sessions; /* live ones, the oldest first */
    unsigned session_count;
};

struct session {
    atomic_uint references;
    atomic_bool revoked;
    _Atomic uint64_t renewed_epoch_s; /* made, or last refreshed */
    _Atomic uint64_t expires_epoch_s;
    char id[SESSION_ID_LEN + 1];
    uint64_t created_epoch_s;
    struct account *account; /* a reference */
    struct list link;        /* in account->sessions */
};

struct accounts;

/* The session of that id, if it stands at `now_epoch_s` and its account does, with a reference, to
 * be given back with session_unref. NULL: none. Lock-free; any thread that takes part in `grace`.
 */
struct session *session_find(const struct accounts *accounts, struct slice id,
                             uint64_t now_epoch_s);
/* Does it still? For whoever waited. */
bool session_stands(const struct session *session, uint64_t now_epoch_s);
/* Is it open, and its password still the one that was verified when `passwords_set` was that?
 * Lock-free; any thread that holds a reference. */
bool account_stands(const struct account *account, unsigned passwords_set);
/* How many accounts were made whose name may be that one: while it says the same, none was.
 * Lock-free; any thread. */
unsigned accounts_added(const struct accounts *accounts, struct slice name);
void session_ref(struct session *session);
void session_unref(struct session *session);
void account_ref(struct account *account);
void account_unref(struct account *account);

/* What the limits know a user by: an account, and who owns a key. */
uint64_t account_identity(struct slice name);

#endif
