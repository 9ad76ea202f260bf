/* Accounts: loading, making, changing, deleting. Its one hard problem is that a change must hold
 * for the tokens that are out already: it ends the account's sessions, in the store and then in the
 * table, before it is answered. */
#include "identity/accounts.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/hash.h"
#include "identity/accounts_table.h"

/* --- the structs --------------------------------------------------------------------------------
 */

void account_ref(struct account *account)
{
    /* Relaxed: whoever adds a reference holds one, so nothing can be freed meanwhile. */
    atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
}

void account_unref(struct account *account)
{
    if (!account || atomic_fetch_sub_explicit(&account->references, 1, memory_order_acq_rel) != 1)
        return;
    explicit_bzero(account->password, sizeof account->password);
    free(account);
}

bool account_stands(const struct account *account, unsigned passwords_set)
{
    return !atomic_load_explicit(&account->closed, memory_order_acquire) &&
           atomic_load_explicit(&account->passwords_set, memory_order_acquire) == passwords_set;
}

static bool is_closed(const struct account *account)
{
    return atomic_load_explicit(&account->closed, memory_order_acquire);
}

static enum role role_of(const struct account *account)
{
    return atomic_load_explicit(&account->role, memory_order_relaxed);
}

/* It goes into tokens, into paths (where an escape is refused), in front of Basic's colon (RFC
 * 7617, section 2), and into logs, where no e-mail address may stand. */
const char *account_name_fault(struct slice name)
{
    bool good = name.len >= 1 && name.len <= ACCOUNT_NAME_MAX;
    for (size_t i = 0; good && i < name.len; i++)
        good = base62_valid(slice_make(name.ptr + i, 1)) ||
               (i && (name.ptr[i] == '.' || name.ptr[i] == '_' || name.ptr[i] == '-'));
    /* A path in which a part ends in a dot is refused as well. */
    good = good && name.ptr[name.len - 1] != '.';
    return good ? NULL
                : "must be 1 to 64 letters (a to z), digits, dots, hyphens and underscores, "
                  "begin with a letter or a digit, and not end in a dot";
}

/* By its name, which a new account has before its number: whoever has the same name later goes on
 * with its limit. In front is what no key and no address begins with, so that none of them shares
 * it. */
uint64_t account_identity(struct slice name)
{
    const uint64_t words[3] = {hash_bytes(SLICE("account")), hash_bytes(name), 1};
    return hash_bytes(slice_make((const char *)words, sizeof words));
}

static enum err make_account(const struct stored_user *stored, struct account **made)
{
    enum role role;
    if (account_name_fault(stored->name) || role_parse(stored->role, &role) != OK ||
        stored->password.len >= PASSWORD_STORED_SIZE)
        return ERR_STORE;
    struct account *account = calloc(1, sizeof *account);
    if (!account)
        return ERR_MEMORY;
    atomic_init(&account->references, 1);
    atomic_init(&account->role, role);
    atomic_init(&account->closed, stored->disabled);
    memcpy(account->name, stored->name.ptr, stored->name.len);
    memcpy(account->password, stored->password.ptr, stored->password.len);
    account->number = stored->number;
    account->created_epoch_s = stored->created_epoch_s;
    account->password_epoch_s = stored->password_epoch_s;
    account->last_login_epoch_s = stored->last_login_epoch_s;
    account->rate_hash = account_identity(stored->name);
    list_init(&account->sessions);
    *made = account;
    return OK;
}

struct stored_user account_row(const struct account *account)
{
    return (struct stored_user){
        .number = account->number,
        .name = slice_of(account->name),
        .password = slice_of(account->password),
        .role = slice_of(role_name(role_of(account))),
        .disabled = is_closed(account),
        .created_epoch_s = account->created_epoch_s,
        .password_epoch_s = account->password_epoch_s,
        .last_login_epoch_s = account->last_login_epoch_s,
    };
}

/* --- the table ----------------------------------------------------------------------------------
 */

static uint64_t session_hash(const void *entry)
{
    const struct session *session = entry;
    return hash_bytes(slice_make(session->id, SESSION_ID_LEN));
}

struct accounts *accounts_create(void (*grace)(void *context), void *context)
{
    struct accounts *accounts = calloc(1, sizeof *accounts);
    if (!accounts || live_table_init(&accounts->sessions, session_hash, grace, context) != OK) {
        free(accounts);
        return NULL;
    }
    pthread_mutex_init(&accounts->lock, NULL);
    map_init(&accounts->by_name, ACCOUNTS_MAX);
    return accounts;
}

void accounts_destroy(struct accounts *accounts)
{
    if (!accounts)
        return;
    size_t at = 0;
    for (struct session *session; (session = live_table_next(&accounts->sessions, &at));)
        session_unref(session);
    struct map_entry entry;
    for (at = 0; map_next(&accounts->by_name, &at, &entry);)
        account_unref(entry.value);
    map_finish(&accounts->by_name);
    live_table_finish(&accounts->sessions);
    pthread_mutex_destroy(&accounts->lock);
    free(accounts);
}

static size_t group_of(struct slice name)
{
    return hash_bytes(name) % ACCOUNT_NAME_GROUPS;
}

unsigned accounts_added(const struct accounts *accounts, struct slice name)
{
    return atomic_load_explicit(&accounts->added[group_of(name)], memory_order_acquire);
}

struct account *accounts_find(const struct accounts *accounts, struct slice name)
{
    return map_find(&accounts->by_name, name);
}

/* What loading goes through: the accounts in the order of their numbers, to find sessions' by. */
struct loading {
    struct accounts *accounts;
    struct account **list;
    size_t count, room;
};

static enum err load_user(void *context, const struct stored_user *stored)
{
    struct loading *loading = context;
    if (loading->count == loading->room) {
        size_t room = loading->room ? 2 * loading->room : 64;
        struct account **grown = reallocarray(loading->list, room, sizeof *grown);
        if (!grown)
            return ERR_MEMORY;
        loading->list = grown;
        loading->room = room;
    }
    struct account *account;
    TRY(make_account(stored, &account));
    enum err err = map_add(&loading->accounts->by_name, slice_of(account->name), account);
    if (err != OK)
        account_unref(account);
    else
        loading->list[loading->count++] = account;
    return err;
}

static int compare_number(const void *wanted, const void *member)
{
    uint64_t number = *(const uint64_t *)wanted;
    uint64_t here = (*(struct account *const *)member)->number;
    return number < here ? -1 : number > here;
}

static enum err load_session(void *context, const struct stored_session *stored)
{
    struct loading *loading = context;
    struct account **found = loading->count
                                 ? bsearch(&stored->user_number, loading->list, loading->count,
                                           sizeof *loading->list, compare_number)
                                 : NULL;
    if (!found)
        return ERR_STORE;
    return is_closed(*found) ? OK : accounts_show_session(loading->accounts, *found, stored);
}

enum err accounts_load(struct accounts *accounts, struct store *store, uint64_t now_epoch_s)
{
    struct loading loading = {.accounts = accounts};
    pthread_mutex_lock(&accounts->lock);
    enum err err = store_each_user(store, load_user, &loading);
    if (err == OK)
        err = store_each_session(store, now_epoch_s, load_session, &loading);
    pthread_mutex_unlock(&accounts->lock);
    free(loading.list);
    return err;
}

bool accounts_empty(struct accounts *accounts)
{
    pthread_mutex_lock(&accounts->lock);
    bool empty = accounts->by_name.count == 0;
    pthread_mutex_unlock(&accounts->lock);
    return empty;
}

/* --- who may administer -------------------------------------------------------------------------
 */

/* An admin who can sign in, other than `but`? */
static bool have_admin(const struct accounts *accounts, const struct account *but)
{
    struct map_entry entry;
    for (size_t at = 0; map_next(&accounts->by_name, &at, &entry);) {
        const struct account *account = entry.value;
        if (account != but && role_of(account) == ROLE_ADMIN && !is_closed(account))
            return true;
    }
    return false;
}

bool accounts_have_admin(struct accounts *accounts)
{
    pthread_mutex_lock(&accounts->lock);
    bool have = have_admin(accounts, NULL);
    pthread_mutex_unlock(&accounts->lock);
    return have;
}

/* Would nobody be left who may administer, once `account` may not? */
static bool is_last_admin(const struct accounts *accounts, const struct account *account)
{
    return role_of(account) == ROLE_ADMIN && !is_closed(account) && !have_admin(accounts, account);
}

/* --- changes ------------------------------------------------------------------------------------
 */

static enum err add(struct accounts *accounts, struct store *store, struct stored_user *row)
{
    struct account *account;
    TRY(make_account(row, &account));
    /* Its place first: between the store's word and ours nothing may fail. */
    enum err err = map_add(&accounts->by_name, slice_of(account->name), account);
    if (err == OK) {
        err = store_add_user(store, row, &account->number);
        if (err != OK)
            map_remove(&accounts->by_name, row->name);
        else
            atomic_fetch_add_explicit(&accounts->added[group_of(row->name)], 1,
                                      memory_order_release);
    }
    if (err != OK)
        account_unref(account);
    return err;
}

enum err accounts_add(struct accounts *accounts, struct store *store, struct slice name,
                      const char *stored, enum role role, uint64_t now_epoch_s)
{
    if (account_name_fault(name))
        return ERR_RANGE;
    struct stored_user row = {
        .name = name,
        .password = slice_of(stored),
        .role = slice_of(role_name(role)),
        .created_epoch_s = now_epoch_s,
        .password_epoch_s = now_epoch_s,
    };
    pthread_mutex_lock(&accounts->lock);
    enum err err = add(accounts, store, &row);
    pthread_mutex_unlock(&accounts->lock);
    return err;
}

static void take_over(struct account *account, const struct account_change *change,
                      const struct stored_user *row)
{
    if (change->password) {
        memset(account->password, 0, sizeof account->password);
        memcpy(account->password, row->password.ptr, row->password.len);
        account->password_epoch_s = row->password_epoch_s;
        /* Last: who sees the new number finds the new password. */
        atomic_fetch_add_explicit(&account->passwords_set, 1, memory_order_release);
    }
    if (change->sets_role)
        atomic_store_explicit(&account->role, change->role, memory_order_relaxed);
    if (change->sets_disabled)
        atomic_store_explicit(&account->closed, change->disabled, memory_order_release);
}

static enum err change_account(struct accounts *accounts, struct store *store,
                               struct account *account, const struct account_change *change,
                               uint64_t now_epoch_s)
{
    bool moves = change->sets_role && change->role != role_of(account);
    bool disables = change->sets_disabled && change->disabled && !is_closed(account);
    /* Whoever asks was judged before a password was hashed; the role may be another since. */
    if (role_permissions(role_of(account)) & change->beyond)
        return ERR_RANGE;
    if (((moves && change->role != ROLE_ADMIN) || disables) && is_last_admin(accounts, account))
        return ERR_DENIED;
    struct stored_user row = account_row(account);
    if (change->password) {
        row.password = slice_of(change->password);
        row.password_epoch_s = now_epoch_s;
    }
    if (change->sets_role)
        row.role = slice_of(role_name(change->role));
    if (change->sets_disabled)
        row.disabled = change->disabled;
    bool ends = change->password || moves || disables;
    struct slice spared = moves || disables ? slice_make(NULL, 0) : change->spared;
    /* Sessions first: when only one of the two can be written, somebody signs in once more. */
    if (ends)
        TRY(store_revoke_user_sessions(store, account->number, spared, now_epoch_s));
    enum err err = store_save_user(store, &row);
    if (err == OK)
        take_over(account, change, &row);
    if (ends)
        accounts_drop_sessions(accounts, account, spared);
    return err;
}

enum err accounts_change(struct accounts *accounts, struct store *store, struct slice name,
                         const struct account_change *change, uint64_t now_epoch_s)
{
    invariant(!change->password || strlen(change->password) < PASSWORD_STORED_SIZE);
    pthread_mutex_lock(&accounts->lock);
    struct account *account = accounts_find(accounts, name);
    enum err err =
        account ? change_account(accounts, store, account, change, now_epoch_s) : ERR_NOT_FOUND;
    pthread_mutex_unlock(&accounts->lock);
    return err;
}

static enum err delete_account(struct accounts *accounts, struct store *store,
                               struct account *account, uint64_t now_epoch_s)
{
    if (is_last_admin(accounts, account))
        return ERR_DENIED;
    TRY(store_delete_user(store, account->number, now_epoch_s));
    atomic_store_explicit(&account->closed, true, memory_order_release);
    map_remove(&accounts->by_name, slice_of(account->name));
    accounts_drop_sessions(accounts, account, slice_make(NULL, 0));
    account_unref(account);
    return OK;
}

enum err accounts_delete(struct accounts *accounts, struct store *store, struct slice name,
                         uint64_t now_epoch_s)
{
    pthread_mutex_lock(&accounts->lock);
    struct account *account = accounts_find(accounts, name);
    enum err err = account ? delete_account(accounts, store, account, now_epoch_s) : ERR_NOT_FOUND;
    pthread_mutex_unlock(&accounts->lock);
    return err;
}

/* --- showing ------------------------------------------------------------------------------------
 */

static struct account_view view_of(const struct account *account)
{
    struct account_view view = {
        .number = account->number,
        .role = role_of(account),
        .disabled = is_closed(account),
        .sessions = account->session_count,
        .created_epoch_s = account->created_epoch_s,
        .password_epoch_s = account->password_epoch_s,
        .last_login_epoch_s = account->last_login_epoch_s,
    };
    memcpy(view.name, account->name, sizeof view.name);
    return view;
}

enum err accounts_view(struct accounts *accounts, struct slice name, struct account_view *view)
{
    pthread_mutex_lock(&accounts->lock);
    const struct account *account = accounts_find(accounts, name);
    if (account)
        *view = view_of(account);
    pthread_mutex_unlock(&accounts->lock);
    return account ? OK : ERR_NOT_FOUND;
}

static int by_number(const void *a, const void *b)
{
    const struct account_view *one = a, *other = b;
    return one->number < other->number ? -1 : one->number > other->number;
}

enum err accounts_list(struct accounts *accounts, struct account_view **views, size_t *count)
{
    pthread_mutex_lock(&accounts->lock);
    *count = 0;
    *views = calloc(accounts->by_name.count + 1, sizeof **views);
    struct map_entry entry;
    for (size_t at = 0; *views && map_next(&accounts->by_name, &at, &entry);)
        (*views)[(*count)++] = view_of(entry.value);
    pthread_mutex_unlock(&accounts->lock);
    if (!*views)
        return ERR_MEMORY;
    qsort(*views, *count, sizeof **views, by_number);
    return OK;
}
