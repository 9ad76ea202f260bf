/* The store on SQLite: opening, making, checking and migrating are in sqlite_open.c, reading and
 * writing are here. Whoever is the writer calls it (identity/keyring.c, cli/). Its one hard problem
 * is to never say "done" for what is not on disk: a write is one transaction under
 * synchronous=FULL, and anything but SQLITE_DONE at its end is an error. */
#include "store/sqlite.h"

#include <stdlib.h>

#define KEY_COLUMNS                                                                                \
    "number, id, secret_sha256, name, owner, permissions, models_json, created_epoch_s,"           \
    " expires_epoch_s, revoked_epoch_s, last_used_epoch_s"

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
};

bool store_prepare_all(struct store *store)
{
    for (unsigned i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK)
            return false;
    return true;
}

static bool bind_text(sqlite3_stmt *s, int at, struct slice text)
{
    /* The caller's text outlives the step; a NULL pointer would become SQL's NULL. */
    return sqlite3_bind_text64(s, at, text.len ? text.ptr : "", text.len, SQLITE_STATIC,
                               SQLITE_UTF8) == SQLITE_OK;
}

static bool bind_number(sqlite3_stmt *s, int at, uint64_t number)
{
    return number <= INT64_MAX && sqlite3_bind_int64(s, at, (int64_t)number) == SQLITE_OK;
}

static void clear(sqlite3_stmt *s)
{
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
}

/* Runs a statement that answers no rows; `*changed` (may be NULL) is how many it changed. */
static enum err run(struct store *store, enum statement which, bool bound, int *changed)
{
    sqlite3_stmt *s = store->statements[which];
    int result = bound ? sqlite3_step(s) : SQLITE_ERROR;
    int extended = bound ? sqlite3_extended_errcode(store->db) : SQLITE_ERROR;
    if (changed)
        *changed = sqlite3_changes(store->db);
    clear(s);
    if (result == SQLITE_DONE)
        return OK;
    return extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY
               ? ERR_EXISTS
               : ERR_STORE;
}

enum err store_add_key(struct store *store, const struct stored_key *key)
{
    pthread_mutex_lock(&store->turn);
    sqlite3_stmt *s = store->statements[ADD_KEY];
    bool bound =
        bind_text(s, 1, key->id) &&
        sqlite3_bind_blob(s, 2, key->secret_sha256, sizeof key->secret_sha256, SQLITE_STATIC) ==
            SQLITE_OK &&
        bind_text(s, 3, key->name) && bind_text(s, 4, key->owner) &&
        bind_number(s, 5, key->permissions) && bind_text(s, 6, key->models_json) &&
        bind_number(s, 7, key->created_epoch_s) && bind_number(s, 8, key->expires_epoch_s) &&
        bind_number(s, 9, key->revoked_epoch_s) && bind_number(s, 10, key->last_used_epoch_s);
    enum err err = run(store, ADD_KEY, bound, NULL);
    pthread_mutex_unlock(&store->turn);
    return err;
}

enum err store_revoke_key(struct store *store, struct slice id, uint64_t now_epoch_s)
{
    /* Zero is the mark of a live key; a broken clock must not leave one behind. */
    if (now_epoch_s == 0)
        now_epoch_s = 1;
    pthread_mutex_lock(&store->turn);
    sqlite3_stmt *s = store->statements[REVOKE_KEY];
    int changed = 0;
    enum err err =
        run(store, REVOKE_KEY, bind_text(s, 1, id) && bind_number(s, 2, now_epoch_s), &changed);
    pthread_mutex_unlock(&store->turn);
    return err == OK && changed == 0 ? ERR_NOT_FOUND : err;
}

static enum err touch(struct store *store, struct slice id, uint64_t last_used_epoch_s)
{
    sqlite3_stmt *s = store->statements[TOUCH_KEY];
    return run(store, TOUCH_KEY, bind_text(s, 1, id) && bind_number(s, 2, last_used_epoch_s), NULL);
}

enum err store_touch_key(struct store *store, struct slice id, uint64_t last_used_epoch_s)
{
    pthread_mutex_lock(&store->turn);
    enum err err = touch(store, id, last_used_epoch_s);
    pthread_mutex_unlock(&store->turn);
    return err;
}

enum err store_touch_keys(struct store *store, const struct key_use *uses, size_t count)
{
    pthread_mutex_lock(&store->turn);
    enum err err = run(store, BEGIN, true, NULL);
    for (size_t i = 0; i < count && err == OK; i++)
        err = touch(store, slice_make(uses[i].id, sizeof uses[i].id), uses[i].last_used_epoch_s);
    if (err == OK)
        err = run(store, COMMIT, true, NULL);
    if (!sqlite3_get_autocommit(store->db) && run(store, ROLLBACK, true, NULL) != OK)
        err = ERR_STORE;
    pthread_mutex_unlock(&store->turn);
    return err;
}

static struct slice column_text(sqlite3_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    return slice_make(text, text ? (size_t)sqlite3_column_bytes(s, at) : 0);
}

static bool column_number(sqlite3_stmt *s, int at, uint64_t max, uint64_t *number)
{
    int64_t value = sqlite3_column_int64(s, at);
    *number = (uint64_t)value;
    return value >= 0 && *number <= max;
}

/* The file is read with as little trust as a request: somebody may have edited it by hand. */
static enum err read_row(sqlite3_stmt *s, struct stored_key *key)
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

static enum err each_row(struct store *store, enum statement which, bool bound, store_key_fn *each,
                         void *context, unsigned *rows)
{
    sqlite3_stmt *s = store->statements[which];
    enum err err = bound ? OK : ERR_STORE;
    *rows = 0;
    while (err == OK) {
        int result = sqlite3_step(s);
        if (result == SQLITE_DONE)
            break;
        struct stored_key key = {0};
        err = result == SQLITE_ROW ? read_row(s, &key) : ERR_STORE;
        if (err == OK)
            err = each(context, &key);
        ++*rows;
    }
    clear(s);
    return err;
}

enum err store_each_key_after(struct store *store, uint64_t number, store_key_fn *each,
                              void *context)
{
    pthread_mutex_lock(&store->turn);
    unsigned rows;
    bool bound = bind_number(store->statements[LIST_KEYS], 1, number);
    enum err err = each_row(store, LIST_KEYS, bound, each, context, &rows);
    pthread_mutex_unlock(&store->turn);
    return err;
}

enum err store_each_key(struct store *store, store_key_fn *each, void *context)
{
    return store_each_key_after(store, 0, each, context);
}

enum err store_find_key(struct store *store, struct slice id, store_key_fn *each, void *context)
{
    pthread_mutex_lock(&store->turn);
    unsigned rows;
    bool bound = bind_text(store->statements[FIND_KEY], 1, id);
    enum err err = each_row(store, FIND_KEY, bound, each, context, &rows);
    pthread_mutex_unlock(&store->turn);
    return err == OK && rows == 0 ? ERR_NOT_FOUND : err;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (unsigned i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    pthread_mutex_destroy(&store->turn);
    free(store);
}
