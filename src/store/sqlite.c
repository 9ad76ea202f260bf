/* The store on SQLite: all SQL, what every reading and writing is made of, and the keys are here;
 * accounts are in sqlite_users.c and sqlite_sessions.c; opening, making, checking and migrating are
 * in sqlite_open.c, and what is done when the disk fails is in sqlite_renew.c. Whoever is the
 * writer calls it (identity/keys.c, cli/). Its one hard problem is to never say "done" for what is
 * not on disk: a write is one transaction under synchronous=FULL, and anything but SQLITE_DONE at
 * its end is an error. */
#include "store/sqlite.h"

#include <stdlib.h>

#define KEY_COLUMNS                                                                                \
    "number, id, secret_sha256, name, owner, permissions, models_json, created_epoch_s,"           \
    " expires_epoch_s, revoked_epoch_s, last_used_epoch_s"
#define SESSION_COLUMNS "id, user_number, created_epoch_s, expires_epoch_s, revoked_epoch_s"

/* All SQL there is, but for the migrations. */
static const char *const statement_sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD_KEY] = "INSERT INTO api_keys (id, secret_sha256, name, owner, permissions, models_json,"
                " created_epoch_s, expires_epoch_s, revoked_epoch_s, last_used_epoch_s)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [REVOKE_KEY] = "UPDATE api_keys SET revoked_epoch_s = ?2 WHERE id = ?1 AND revoked_epoch_s = 0",
    [TOUCH_KEY] = "UPDATE api_keys SET last_used_epoch_s = ?2"
                  " WHERE id = ?1 AND last_used_epoch_s < ?2",
    [LIST_KEYS] = "SELECT " KEY_COLUMNS " FROM api_keys WHERE number > ?1 ORDER BY number",
    [FIND_KEY] = "SELECT " KEY_COLUMNS " FROM api_keys WHERE id = ?1",
    [ADD_USER] = "INSERT INTO users (name, password, role, disabled, created_epoch_s,"
                 " password_epoch_s, last_login_epoch_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SAVE_USER] = "UPDATE users SET password = ?2, role = ?3, disabled = ?4,"
                  " password_epoch_s = ?5, last_login_epoch_s = ?6 WHERE number = ?1",
    [DELETE_USER] = "DELETE FROM users WHERE number = ?1",
    [LIST_USERS] = "SELECT number, name, password, role, disabled, created_epoch_s,"
                   " password_epoch_s, last_login_epoch_s FROM users ORDER BY number",
    [ADD_SESSION] = "INSERT INTO sessions (" SESSION_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5)",
    [MOVE_SESSION] = "UPDATE sessions SET expires_epoch_s = ?2"
                     " WHERE id = ?1 AND revoked_epoch_s = 0",
    [REVOKE_SESSION] = "UPDATE sessions SET revoked_epoch_s = ?2"
                       " WHERE id = ?1 AND revoked_epoch_s = 0",
    [REVOKE_USER_SESSIONS] = "UPDATE sessions SET revoked_epoch_s = ?3"
                             " WHERE user_number = ?1 AND id <> ?2 AND revoked_epoch_s = 0",
    [LIST_SESSIONS] = "SELECT " SESSION_COLUMNS " FROM sessions"
                      " WHERE revoked_epoch_s = 0 AND expires_epoch_s > ?1"
                      " ORDER BY created_epoch_s, id",
    [PRUNE_SESSIONS] = "DELETE FROM sessions WHERE expires_epoch_s < ?1"
                       " OR (revoked_epoch_s <> 0 AND revoked_epoch_s < ?1)",
    [ADD_REFRESH] = "INSERT INTO refresh_tokens (sha256, session_id, used_epoch_s)"
                    " VALUES (?1, ?2, 0)",
    [USE_REFRESH] = "UPDATE refresh_tokens SET used_epoch_s = ?2"
                    " WHERE sha256 = ?1 AND used_epoch_s = 0",
    [FIND_REFRESH] = "SELECT " SESSION_COLUMNS ", used_epoch_s FROM refresh_tokens"
                     " JOIN sessions ON id = session_id WHERE sha256 = ?1",
};

bool database_prepare(struct database *database)
{
    for (unsigned i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(database->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &database->statements[i], NULL) != SQLITE_OK)
            return false;
    return true;
}

void database_close(struct database *database)
{
    for (unsigned i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(database->statements[i]);
    sqlite3_close(database->db);
    *database = (struct database){0};
}

enum err store_take_turn(struct store *store)
{
    pthread_mutex_lock(&store->turn);
    return store_mend(store);
}

void store_give_turn(struct store *store, enum err taken)
{
    enum err ignored = taken == OK ? store_mend(store) : OK;
    (void)ignored; /* the next change tries again */
    pthread_mutex_unlock(&store->turn);
}

enum err store_take_turn_to_read(struct store *store)
{
    pthread_mutex_lock(&store->turn);
    return sqlite3_get_autocommit(store->database.db) ? OK : ERR_STORE;
}

bool bind_text(sqlite3_stmt *s, int at, struct slice text)
{
    /* The caller's text outlives the step; a NULL pointer would become SQL's NULL. */
    return sqlite3_bind_text64(s, at, text.len ? text.ptr : "", text.len, SQLITE_STATIC,
                               SQLITE_UTF8) == SQLITE_OK;
}

bool bind_bytes(sqlite3_stmt *s, int at, const void *bytes, size_t size)
{
    return sqlite3_bind_blob64(s, at, bytes, size, SQLITE_STATIC) == SQLITE_OK;
}

bool bind_number(sqlite3_stmt *s, int at, uint64_t number)
{
    return number <= INT64_MAX && sqlite3_bind_int64(s, at, (int64_t)number) == SQLITE_OK;
}

static void clear(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

enum err store_run(struct store *store, enum statement which, bool bound, int *changed)
{
    sqlite3_stmt *s = store->database.statements[which];
    int result = bound ? sqlite3_step(s) : SQLITE_MISUSE;
    store_note(store, result);
    if (changed)
        *changed = sqlite3_changes(store->database.db);
    clear(s);
    if (result == SQLITE_DONE)
        return OK;
    return result == SQLITE_CONSTRAINT_UNIQUE || result == SQLITE_CONSTRAINT_PRIMARYKEY ? ERR_EXISTS
                                                                                        : ERR_STORE;
}

enum err store_end(struct store *store, enum err err)
{
    if (err == OK)
        err = store_run(store, COMMIT, true, NULL);
    if (!sqlite3_get_autocommit(store->database.db) && store_run(store, ROLLBACK, true, NULL) != OK)
        err = ERR_STORE;
    return err;
}

enum err store_each_row(struct store *store, enum statement which, bool bound, store_row_fn *each,
                        void *context, unsigned *rows)
{
    sqlite3_stmt *s = store->database.statements[which];
    enum err err = bound ? OK : ERR_STORE;
    *rows = 0;
    while (err == OK) {
        int result = sqlite3_step(s);
        store_note(store, result);
        if (result == SQLITE_DONE)
            break;
        err = result == SQLITE_ROW ? each(context, s) : ERR_STORE;
        ++*rows;
    }
    clear(s);
    return err;
}

struct slice column_text(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);
    return slice_make(text, text ? (size_t)sqlite3_column_bytes(row, at) : 0);
}

bool column_number(sqlite3_stmt *row, int at, uint64_t max, uint64_t *number)
{
    int64_t value = sqlite3_column_int64(row, at);
    *number = (uint64_t)value;
    return value >= 0 && *number <= max;
}

uint64_t store_mark(uint64_t now_epoch_s)
{
    return now_epoch_s ? now_epoch_s : 1;
}

static enum err add(struct store *store, const struct stored_key *key)
{
    sqlite3_stmt *s = store->database.statements[ADD_KEY];
    bool bound =
        bind_text(s, 1, key->id) &&
        bind_bytes(s, 2, key->secret_sha256, sizeof key->secret_sha256) &&
        bind_text(s, 3, key->name) && bind_text(s, 4, key->owner) &&
        bind_number(s, 5, key->permissions) && bind_text(s, 6, key->models_json) &&
        bind_number(s, 7, key->created_epoch_s) && bind_number(s, 8, key->expires_epoch_s) &&
        bind_number(s, 9, key->revoked_epoch_s) && bind_number(s, 10, key->last_used_epoch_s);
    return store_run(store, ADD_KEY, bound, NULL);
}

enum err store_add_key(struct store *store, const struct stored_key *key)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? add(store, key) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err revoke(struct store *store, struct slice id, uint64_t now_epoch_s)
{
    sqlite3_stmt *s = store->database.statements[REVOKE_KEY];
    int changed = 0;
    TRY(store_run(store, REVOKE_KEY, bind_text(s, 1, id) && bind_number(s, 2, now_epoch_s),
                  &changed));
    return changed ? OK : ERR_NOT_FOUND;
}

enum err store_revoke_key(struct store *store, struct slice id, uint64_t now_epoch_s)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? revoke(store, id, store_mark(now_epoch_s)) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err touch(struct store *store, struct slice id, uint64_t last_used_epoch_s)
{
    sqlite3_stmt *s = store->database.statements[TOUCH_KEY];
    return store_run(store, TOUCH_KEY, bind_text(s, 1, id) && bind_number(s, 2, last_used_epoch_s),
                     NULL);
}

enum err store_touch_key(struct store *store, struct slice id, uint64_t last_used_epoch_s)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? touch(store, id, last_used_epoch_s) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err touch_all(struct store *store, const struct key_use *uses, size_t count)
{
    enum err err = store_run(store, BEGIN, true, NULL);
    for (size_t i = 0; i < count && err == OK; i++)
        err = touch(store, slice_make(uses[i].id, sizeof uses[i].id), uses[i].last_used_epoch_s);
    return store_end(store, err);
}

enum err store_touch_keys(struct store *store, const struct key_use *uses, size_t count)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? touch_all(store, uses, count) : taken;
    store_give_turn(store, taken);
    return err;
}

/* The file is read with as little trust as a request: somebody may have edited it by hand. */
static enum err read_key(sqlite3_stmt *s, struct stored_key *key)
{
    uint64_t permissions = 0;
    bool good = column_number(s, 0, INT64_MAX, &key->number) &&
                column_number(s, 5, UINT32_MAX, &permissions) &&
                column_number(s, 7, INT64_MAX, &key->created_epoch_s) &&
                column_number(s, 8, INT64_MAX, &key->expires_epoch_s) &&
                column_number(s, 9, INT64_MAX, &key->revoked_epoch_s) &&
                column_number(s, 10, INT64_MAX, &key->last_used_epoch_s);
    const void *digest = sqlite3_column_blob(s, 2);
    if (!good || !digest || sqlite3_column_bytes(s, 2) != sizeof key->secret_sha256)
        return ERR_STORE;
    memcpy(key->secret_sha256, digest, sizeof key->secret_sha256);
    key->permissions = (uint32_t)permissions;
    key->id = column_text(s, 1);
    key->name = column_text(s, 3);
    key->owner = column_text(s, 4);
    key->models_json = column_text(s, 6);
    /* A NULL text is an allocation that failed; an empty one would mean "all models". */
    return key->id.ptr && key->name.ptr && key->owner.ptr && key->models_json.ptr ? OK : ERR_STORE;
}

struct key_reader {
    store_key_fn *each;
    void *context;
};

static enum err hand_key_on(void *context, sqlite3_stmt *row)
{
    const struct key_reader *reader = context;
    struct stored_key key = {0};
    TRY(read_key(row, &key));
    return reader->each(reader->context, &key);
}

enum err store_each_key_after(struct store *store, uint64_t number, store_key_fn *each,
                              void *context)
{
    struct key_reader reader = {each, context};
    unsigned rows = 0;
    enum err err = store_take_turn_to_read(store);
    bool bound = bind_number(store->database.statements[LIST_KEYS], 1, number);
    if (err == OK)
        err = store_each_row(store, LIST_KEYS, bound, hand_key_on, &reader, &rows);
    pthread_mutex_unlock(&store->turn);
    return err;
}

enum err store_each_key(struct store *store, store_key_fn *each, void *context)
{
    return store_each_key_after(store, 0, each, context);
}

enum err store_find_key(struct store *store, struct slice id, store_key_fn *each, void *context)
{
    struct key_reader reader = {each, context};
    unsigned rows = 0;
    enum err err = store_take_turn_to_read(store);
    bool bound = bind_text(store->database.statements[FIND_KEY], 1, id);
    if (err == OK)
        err = store_each_row(store, FIND_KEY, bound, hand_key_on, &reader, &rows);
    pthread_mutex_unlock(&store->turn);
    return err == OK && rows == 0 ? ERR_NOT_FOUND : err;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    database_close(&store->database);
    pthread_mutex_destroy(&store->turn);
    free(store->path);
    free(store);
}
