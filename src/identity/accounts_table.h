/* What accounts.c and sessions.c share; nobody else includes it. */
#ifndef IDENTITY_ACCOUNTS_TABLE_H
#define IDENTITY_ACCOUNTS_TABLE_H

#include <pthread.h>

#include "base/map.h"
#include "identity/accounts.h"
#include "identity/live_table.h"

enum { ACCOUNT_NAME_GROUPS = 256 };

struct accounts {
    pthread_mutex_t lock;       /* the writer's: held while the store is written */
    struct map by_name;         /* every account, with the table's reference */
    struct live_table sessions; /* by id; with the table's reference each */
    /* How many were made, by the hash of their names: for those who remember that there was none.
     */
    atomic_uint added[ACCOUNT_NAME_GROUPS];
};

/* All with the lock held. */

/* NULL: there is none. */
struct account *accounts_find(const struct accounts *accounts, struct slice name);
/* Shows a session to readers. A reference of `account` is taken. ERR_LIMIT, ERR_MEMORY. */
enum err accounts_show_session(struct accounts *accounts, struct account *account,
                               const struct stored_session *stored) MUST_CHECK;
/* The live session of that id, without a reference; NULL: none. */
struct session *accounts_live_session(const struct accounts *accounts, struct slice id);
/* Ends the account's sessions for readers, all but `spared`, and waits for readers. */
void accounts_drop_sessions(struct accounts *accounts, struct account *account,
                            struct slice spared);
/* The account's row, as it is now, for the store. */
struct stored_user account_row(const struct account *account);

#endif
