/* What can be done with accounts and sessions: each function changes the store first and the live
 * table after, so that what was answered survives a crash. They wait for the disk: called by jobs,
 * the control socket's thread and commands, never by an event loop. Any thread, one at a time gets
 * its turn; what is slow on purpose (password hashing) is done outside of it. */
#ifndef IDENTITY_ACCOUNTS_H
#define IDENTITY_ACCOUNTS_H

#include "base/secret.h"
#include "identity/account.h"

/* `grace` as for keyring_create. NULL: no memory. */
struct accounts *accounts_create(void (*grace)(void *context), void *context);
void accounts_destroy(struct accounts *accounts);
/* All accounts, and the sessions that stand at `now_epoch_s`. ERR_STORE also for a row that cannot
 * be one of ours; ERR_LIMIT, ERR_MEMORY. */
enum err accounts_load(struct accounts *accounts, struct store *store,
                       uint64_t now_epoch_s) MUST_CHECK;

bool accounts_empty(struct accounts *accounts);
bool accounts_have_admin(struct accounts *accounts);
/* What is wrong with a name ("must be ..."), or NULL. */
const char *account_name_fault(struct slice name);

/* `stored` is a password's stored form. ERR_EXISTS, ERR_LIMIT, ERR_RANGE (the name), ERR_STORE,
 * ERR_MEMORY. */
enum err accounts_add(struct accounts *accounts, struct store *store, struct slice name,
                      const char *stored, enum role role, uint64_t now_epoch_s) MUST_CHECK;

/* What is to be different; what is not set stays. */
struct account_change {
    const char *password; /* a stored form; NULL: stays */
    bool sets_role, sets_disabled;
    enum role role;
    bool disabled;
    struct slice spared; /* a session that a new password does not end */
    permissions beyond;  /* rights that no account may have that is changed on this request */
};
/* A new password, another role, and disabling end the account's sessions. ERR_NOT_FOUND;
 * ERR_DENIED: nobody would be left who may administer; ERR_RANGE: its role, as it is now, has a
 * right of `beyond`; ERR_STORE: nothing changed, but its sessions may have been ended. */
enum err accounts_change(struct accounts *accounts, struct store *store, struct slice name,
                         const struct account_change *change, uint64_t now_epoch_s) MUST_CHECK;
/* With its keys, in the store; those of the live table are account_keys.h's. Errors as of
 * accounts_change. */
enum err accounts_delete(struct accounts *accounts, struct store *store, struct slice name,
                         uint64_t now_epoch_s) MUST_CHECK;

/* An account as it is now; never its password. */
struct account_view {
    char name[ACCOUNT_NAME_MAX + 1];
    uint64_t number;
    enum role role;
    bool disabled;
    unsigned sessions;
    uint64_t created_epoch_s, password_epoch_s, last_login_epoch_s;
};
/* ERR_NOT_FOUND. */
enum err accounts_view(struct accounts *accounts, struct slice name,
                       struct account_view *view) MUST_CHECK;
/* `views` in the order of making, to be freed; NULL and *count 0 when there are none. ERR_MEMORY.
 */
enum err accounts_list(struct accounts *accounts, struct account_view **views,
                       size_t *count) MUST_CHECK;

/* --- sessions (sessions.c) --- */

/* Is this the account's password? Then its session, of which the caller gets a reference, and its
 * first refresh token. A stored form that is not ours is replaced on the way. As slow as a password
 * is, also for a name that nobody has. `lifetime_s` is for how long the refresh token is good.
 * ERR_DENIED: no, whatever was wrong; ERR_LIMIT: there are SESSIONS_MAX; ERR_STORE, ERR_MEMORY. */
enum err accounts_sign_in(struct accounts *accounts, struct store *store, struct slice name,
                          struct slice plain, uint64_t now_epoch_s, uint64_t lifetime_s,
                          struct secret *refresh, struct session **session) MUST_CHECK;
/* Is this the account's password? Without a session: for Basic. On OK the caller gets a reference
 * of the account, and the number that account_stands is asked with. As slow as a password is, also
 * for a name that nobody has. ERR_DENIED, ERR_MEMORY. */
enum err accounts_verify(struct accounts *accounts, struct slice name, struct slice plain,
                         struct account **account, unsigned *passwords_set) MUST_CHECK;
/* The next refresh token for a presented one. Whenever `*session` is set the caller has a reference
 * of it. ERR_EXISTS: it was used before, and the whole session has been ended; ERR_DENIED: it opens
 * nothing; ERR_STORE: nothing changed; ERR_MEMORY. */
enum err accounts_refresh(struct accounts *accounts, struct store *store, struct slice presented,
                          uint64_t now_epoch_s, uint64_t lifetime_s, struct secret *next,
                          struct session **session) MUST_CHECK;
/* Ends one session; when it returns OK no token of it opens anything. ERR_NOT_FOUND: it does not
 * stand; ERR_STORE: nothing changed. */
enum err accounts_end_session(struct accounts *accounts, struct store *store, struct slice id,
                              uint64_t now_epoch_s) MUST_CHECK;
/* Ends the session that a refresh token belongs to, if it is one of the account's. ERR_NOT_FOUND,
 * ERR_STORE, ERR_MEMORY. */
enum err accounts_end_session_of_refresh(struct accounts *accounts, struct store *store,
                                         const struct account *account, struct slice presented,
                                         uint64_t now_epoch_s) MUST_CHECK;

/* Forgets sessions that are over, in the table and, some days later, in the store: until then the
 * use of an old refresh token is still told from that of none. For a chore. ERR_STORE. */
enum err accounts_prune(struct accounts *accounts, struct store *store,
                        uint64_t now_epoch_s) MUST_CHECK;

struct session_view {
    char id[SESSION_ID_LEN + 1];
    uint64_t created_epoch_s, expires_epoch_s;
};
/* The account's live sessions, the oldest first. At most `max`; returns how many. */
size_t accounts_list_sessions(struct accounts *accounts, struct slice name,
                              struct session_view *views, size_t max);

#endif
