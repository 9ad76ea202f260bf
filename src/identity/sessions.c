/* Sessions: signing in, refreshing, ending. Its one hard problem is time: a password takes a tenth
 * of a second to verify, and the account may be disabled or get another password meanwhile. So what
 * was verified is looked at again, with the lock held, before the session is opened. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"
#include "base/random.h"
#include "identity/accounts_table.h"
#include "identity/refresh_token.h"

enum { KEPT_AFTER_END_S = 7 * 24 * 60 * 60 };

_Static_assert(SHA256_BYTES == (int)REFRESH_SHA256_BYTES, "the store keeps whole digests");

/* --- the struct ---------------------------------------------------------------------------------
 */

void session_ref(struct session *session)
{
    atomic_fetch_add_explicit(&session->references, 1, memory_order_relaxed);
}

void session_unref(struct session *session)
{
    if (!session || atomic_fetch_sub_explicit(&session->references, 1, memory_order_acq_rel) != 1)
        return;
    account_unref(session->account);
    free(session);
}

/* Then it has its end from a clock that was wrong. */
static bool is_of_clock_ahead(const struct session *session, uint64_t now_epoch_s)
{
    return clock_is_ahead(atomic_load_explicit(&session->renewed_epoch_s, memory_order_relaxed),
                          now_epoch_s);
}

bool session_stands(const struct session *session, uint64_t now_epoch_s)
{
    return !atomic_load_explicit(&session->revoked, memory_order_acquire) &&
           !atomic_load_explicit(&session->account->closed, memory_order_acquire) &&
           !is_of_clock_ahead(session, now_epoch_s) &&
           now_epoch_s < atomic_load_explicit(&session->expires_epoch_s, memory_order_relaxed);
}

/* --- the table ----------------------------------------------------------------------------------
 */

static bool has_id(const void *entry, const void *wanted)
{
    const struct session *session = entry;
    const struct slice *id = wanted;
    return slice_equal(*id, slice_make(session->id, SESSION_ID_LEN));
}

struct session *accounts_live_session(const struct accounts *accounts, struct slice id)
{
    return live_table_find(&accounts->sessions, hash_bytes(id), has_id, &id);
}

struct session *session_find(const struct accounts *accounts, struct slice id, uint64_t now_epoch_s)
{
    struct session *session = accounts_live_session(accounts, id);
    if (!session || !session_stands(session, now_epoch_s))
        return NULL;
    session_ref(session);
    return session;
}

enum err accounts_show_session(struct accounts *accounts, struct account *account,
                               const struct stored_session *stored)
{
    if (strlen(stored->id) != SESSION_ID_LEN)
        return ERR_STORE;
    if (live_table_count(&accounts->sessions) >= SESSIONS_MAX)
        return ERR_LIMIT;
    TRY(live_table_reserve(&accounts->sessions, 1));
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return ERR_MEMORY;
    atomic_init(&session->references, 1);
    atomic_init(&session->renewed_epoch_s, stored->renewed_epoch_s);
    atomic_init(&session->expires_epoch_s, stored->expires_epoch_s);
    memcpy(session->id, stored->id, sizeof session->id);
    session->created_epoch_s = stored->created_epoch_s;
    session->account = account;
    account_ref(account);
    list_init(&session->link);
    list_append(&account->sessions, &session->link);
    account->session_count++;
    live_table_put(&accounts->sessions, session);
    return OK;
}

/* Readers that found it before may still hold it: live_table_wait, then session_unref. */
static void unlink_session(struct accounts *accounts, struct session *session)
{
    /* In this order: exchanges that hold it and recheck see it first, then nobody finds it. */
    atomic_store_explicit(&session->revoked, true, memory_order_release);
    live_table_unlink(&accounts->sessions, session);
    list_remove(&session->link);
    session->account->session_count--;
}

/* Once for all of them. */
static void release_unlinked(struct accounts *accounts, struct list *unlinked)
{
    if (!list_empty(unlinked))
        live_table_wait(&accounts->sessions);
    for (struct list *link; (link = list_pop(unlinked));)
        session_unref(LIST_OF(link, struct session, link));
}

static void drop_session(struct accounts *accounts, struct session *session)
{
    unlink_session(accounts, session);
    live_table_wait(&accounts->sessions);
    session_unref(session);
}

/* In the store and in the table. Also when the store does not know it as live: the table must never
 * open more than the store. */
static enum err end_session(struct accounts *accounts, struct store *store, struct session *session,
                            uint64_t now_epoch_s)
{
    enum err err = store_revoke_session(store, slice_of(session->id), now_epoch_s);
    if (err != OK && err != ERR_NOT_FOUND)
        return err;
    drop_session(accounts, session);
    return OK;
}

void accounts_drop_sessions(struct accounts *accounts, struct account *account, struct slice spared)
{
    struct list gone;
    list_init(&gone);
    LIST_EACH(link, &account->sessions)
    {
        struct session *session = LIST_OF(link, struct session, link);
        if (slice_equal(spared, slice_make(session->id, SESSION_ID_LEN)))
            continue;
        unlink_session(accounts, session);
        list_append(&gone, &session->link);
    }
    release_unlinked(accounts, &gone);
}

/* --- signing in ---------------------------------------------------------------------------------
 */

/* What was verified, and of whom. */
struct proof {
    struct account *account; /* a reference; NULL: nobody has the name */
    char stored[PASSWORD_STORED_SIZE];
    unsigned passwords_set;
};

static void proof_finish(struct proof *proof)
{
    account_unref(proof->account);
    explicit_bzero(proof->stored, sizeof proof->stored);
}

static void begin_proof(struct accounts *accounts, struct slice name, struct proof *proof)
{
    pthread_mutex_lock(&accounts->lock);
    struct account *account = accounts_find(accounts, name);
    if (account) {
        account_ref(account);
        proof->account = account;
        proof->passwords_set = atomic_load_explicit(&account->passwords_set, memory_order_acquire);
        memcpy(proof->stored, account->password, sizeof proof->stored);
    }
    pthread_mutex_unlock(&accounts->lock);
}

/* Somebody unknown costs what a wrong password costs. ERR_DENIED, ERR_MEMORY. */
static enum err prove(const struct proof *proof, struct slice plain)
{
    struct slice stored = slice_of(proof->stored);
    enum err err = proof->account ? password_verify(stored, plain, PASSWORD_OF_ACCOUNT)
                                  : password_verify_nobody(stored, plain);
    return err == OK || err == ERR_MEMORY ? err : ERR_DENIED;
}

/* Does what was proved still hold? With the lock held, when something is to be done upon it. */
static bool still_holds(const struct proof *proof)
{
    return account_stands(proof->account, proof->passwords_set);
}

enum err accounts_verify(struct accounts *accounts, struct slice name, struct slice plain,
                         struct account **account, unsigned *passwords_set)
{
    AUTO(proof) proof = {0};
    begin_proof(accounts, name, &proof);
    TRY(prove(&proof, plain));
    if (!still_holds(&proof))
        return ERR_DENIED;
    *account = proof.account;
    *passwords_set = proof.passwords_set;
    proof.account = NULL;
    return OK;
}

/* A form that was brought along becomes one of ours. That it could not be written changes nothing.
 */
static void note_login(struct store *store, struct account *account, const char *upgraded,
                       uint64_t now_epoch_s)
{
    struct stored_user row = account_row(account);
    row.last_login_epoch_s = now_epoch_s;
    if (upgraded[0])
        row.password = slice_of(upgraded);
    if (store_save_user(store, &row) != OK)
        return;
    account->last_login_epoch_s = now_epoch_s;
    if (upgraded[0])
        memcpy(account->password, upgraded, sizeof account->password);
}

static void make_session(const struct account *account, uint64_t now_epoch_s, uint64_t lifetime_s,
                         struct stored_session *made)
{
    uint8_t random[16];
    random_bytes(random, sizeof random);
    *made = (struct stored_session){
        .user_number = account->number,
        .created_epoch_s = now_epoch_s,
        .renewed_epoch_s = now_epoch_s,
        .expires_epoch_s = now_epoch_s + (lifetime_s < SESSION_S_MAX ? lifetime_s : SESSION_S_MAX),
    };
    base64url_print(random, sizeof random, made->id);
}

static enum err open_session(struct accounts *accounts, struct store *store,
                             struct account *account, uint64_t now_epoch_s, uint64_t lifetime_s,
                             struct secret *refresh, struct session **opened)
{
    uint8_t sha256[SHA256_BYTES];
    struct stored_session made;
    if (account->session_count >= SESSIONS_PER_ACCOUNT_MAX) {
        struct session *oldest = LIST_OF(account->sessions.next, struct session, link);
        TRY(end_session(accounts, store, oldest, now_epoch_s));
    }
    make_session(account, now_epoch_s, lifetime_s, &made);
    TRY(refresh_token_make(refresh, sha256));
    /* In the table before it is in the store: no token tells of it before both have it. */
    TRY(accounts_show_session(accounts, account, &made));
    struct session *session = accounts_live_session(accounts, slice_of(made.id));
    enum err err = store_add_session(store, &made, sha256);
    if (err != OK) {
        drop_session(accounts, session);
        secret_finish(refresh);
        return err == ERR_EXISTS ? ERR_STORE : err;
    }
    session_ref(session);
    *opened = session;
    return OK;
}

enum err accounts_sign_in(struct accounts *accounts, struct store *store, struct slice name,
                          struct slice plain, uint64_t now_epoch_s, uint64_t lifetime_s,
                          struct secret *refresh, struct session **session)
{
    AUTO(proof) proof = {0};
    char upgraded[PASSWORD_STORED_SIZE] = "";
    begin_proof(accounts, name, &proof);
    TRY(prove(&proof, plain));
    if (password_wants_upgrade(slice_of(proof.stored)) &&
        password_hash_again(plain, upgraded) != OK)
        upgraded[0] = '\0';
    pthread_mutex_lock(&accounts->lock);
    enum err err = still_holds(&proof) ? open_session(accounts, store, proof.account, now_epoch_s,
                                                      lifetime_s, refresh, session)
                                       : ERR_DENIED;
    if (err == OK)
        note_login(store, proof.account, upgraded, now_epoch_s);
    pthread_mutex_unlock(&accounts->lock);
    explicit_bzero(upgraded, sizeof upgraded);
    return err;
}

/* --- refreshing and ending ----------------------------------------------------------------------
 */

static enum err refresh_session(struct accounts *accounts, struct store *store,
                                const uint8_t used[SHA256_BYTES], const uint8_t next[SHA256_BYTES],
                                uint64_t now_epoch_s, uint64_t lifetime_s, struct session **found)
{
    struct stored_session stored;
    TRY(store_find_refresh(store, used, &stored));
    struct session *session = accounts_live_session(accounts, slice_of(stored.id));
    if (session && is_of_clock_ahead(session, now_epoch_s))
        return ERR_DENIED;
    uint64_t expires = now_epoch_s + lifetime_s, end = stored.created_epoch_s + SESSION_S_MAX;
    enum err err = store_rotate_refresh(store, used, next, now_epoch_s,
                                        expires < end ? expires : end, &stored);
    if (err == ERR_EXISTS && session) {
        session_ref(session);
        drop_session(accounts, session);
        *found = session;
    }
    if (err != OK)
        return err;
    if (!session) /* the store knows it as live, and we do not: it opens nothing here */
        return ERR_DENIED;
    atomic_store_explicit(&session->renewed_epoch_s, now_epoch_s, memory_order_relaxed);
    atomic_store_explicit(&session->expires_epoch_s, stored.expires_epoch_s, memory_order_relaxed);
    session_ref(session);
    *found = session;
    return OK;
}

enum err accounts_refresh(struct accounts *accounts, struct store *store, struct slice presented,
                          uint64_t now_epoch_s, uint64_t lifetime_s, struct secret *next,
                          struct session **session)
{
    uint8_t used[SHA256_BYTES], fresh[SHA256_BYTES];
    *session = NULL;
    TRY(refresh_token_digest(presented, used));
    TRY(refresh_token_make(next, fresh));
    pthread_mutex_lock(&accounts->lock);
    enum err err = refresh_session(accounts, store, used, fresh, now_epoch_s, lifetime_s, session);
    pthread_mutex_unlock(&accounts->lock);
    if (err != OK)
        secret_finish(next);
    return err == ERR_NOT_FOUND ? ERR_DENIED : err;
}

enum err accounts_end_session(struct accounts *accounts, struct store *store, struct slice id,
                              uint64_t now_epoch_s)
{
    pthread_mutex_lock(&accounts->lock);
    struct session *session = accounts_live_session(accounts, id);
    enum err err = session ? end_session(accounts, store, session, now_epoch_s)
                           : store_revoke_session(store, id, now_epoch_s);
    pthread_mutex_unlock(&accounts->lock);
    return err;
}

enum err accounts_end_session_of_refresh(struct accounts *accounts, struct store *store,
                                         const struct account *account, struct slice presented,
                                         uint64_t now_epoch_s)
{
    uint8_t sha256[SHA256_BYTES];
    struct stored_session stored;
    enum err err = refresh_token_digest(presented, sha256);
    if (err == OK)
        err = store_find_refresh(store, sha256, &stored);
    if (err == OK && stored.user_number != account->number)
        err = ERR_DENIED;
    if (err == OK)
        err = accounts_end_session(accounts, store, slice_of(stored.id), now_epoch_s);
    return err == ERR_DENIED ? ERR_NOT_FOUND : err;
}

/* Takes those that are over out of the table, and waits for readers once. */
static void drop_ended(struct accounts *accounts, uint64_t now_epoch_s)
{
    struct list gone;
    list_init(&gone);
    size_t at = 0;
    for (struct session *session; (session = live_table_next(&accounts->sessions, &at));) {
        if (session_stands(session, now_epoch_s))
            continue;
        unlink_session(accounts, session);
        list_append(&gone, &session->link);
    }
    release_unlinked(accounts, &gone);
}

enum err accounts_prune(struct accounts *accounts, struct store *store, uint64_t now_epoch_s)
{
    pthread_mutex_lock(&accounts->lock);
    drop_ended(accounts, now_epoch_s);
    enum err err = now_epoch_s > KEPT_AFTER_END_S
                       ? store_prune_sessions(store, now_epoch_s - KEPT_AFTER_END_S)
                       : OK;
    pthread_mutex_unlock(&accounts->lock);
    return err;
}

size_t accounts_list_sessions(struct accounts *accounts, struct slice name,
                              struct session_view *views, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&accounts->lock);
    struct account *account = accounts_find(accounts, name);
    if (account) {
        LIST_EACH(link, &account->sessions)
        {
            const struct session *session = LIST_OF(link, struct session, link);
            if (count == max)
                break;
            views[count] = (struct session_view){
                .created_epoch_s = session->created_epoch_s,
                .expires_epoch_s =
                    atomic_load_explicit(&session->expires_epoch_s, memory_order_relaxed),
            };
            memcpy(views[count++].id, session->id, sizeof session->id);
        }
    }
    pthread_mutex_unlock(&accounts->lock);
    return count;
}
