/* The store on SQLite: all SQL and what every reading and writing is made of; the keys are in
 * sqlite_keys.c, accounts in sqlite_users.c and sqlite_sessions.c; opening, making, checking and
 * migrating are in sqlite_open.c, and what is done when the disk fails is in sqlite_renew.c.
 * Whoever is the writer calls it (identity/keys.c, cli/). Its one hard problem is to never say
 * "done" for what is not on disk: a write is one transaction under synchronous=FULL, and anything
 * but SQLITE_DONE at its end is an error. */
#include "store/sqlite.h"

#include <stdlib.h>

/* What sqlite_keys.c binds and reads, in this order. */
#define KEY_COLUMNS                                                                                \
    "number, id, secret_sha256, name, owner, permissions, models_json, created_epoch_s,"           \
    " expires_epoch_s, revoked_epoch_s, last_used_epoch_s, endpoints_json, ip_ranges_json, rate,"  \
    " burst, disabled,"                                                                            \
    " (SELECT users.disabled FROM users WHERE users.name = api_keys.owner),"                       \
    " (SELECT users.role FROM users WHERE users.name = api_keys.owner), bcrypt, unnamed"
#define SESSION_COLUMNS "id, user_number, created_epoch_s, expires_epoch_s, revoked_epoch_s"

/* All SQL there is, but for the migrations. */
static const char *const statement_sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [ADD_KEY] = "INSERT INTO api_keys (id, secret_sha256, name, owner, permissions, models_json,"
                " expires_epoch_s, endpoints_json, ip_ranges_json, rate, burst, disabled,"
                " created_epoch_s, revoked_epoch_s, last_used_epoch_s, bcrypt, unnamed) VALUES"
                " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    [SAVE_KEY] = "UPDATE api_keys SET name = ?3, owner = ?4, permissions = ?5, models_json = ?6,"
                 " expires_epoch_s = ?7, endpoints_json = ?8, ip_ranges_json = ?9, rate = ?10,"
                 " burst = ?11, disabled = ?12 WHERE id = ?1 AND revoked_epoch_s = 0",
    [END_KEY] = "UPDATE api_keys SET expires_epoch_s = CASE WHEN expires_epoch_s = 0 THEN ?2"
                " ELSE min(expires_epoch_s, ?2) END WHERE id = ?1 AND revoked_epoch_s = 0",
    [REVOKE_KEYS_OF_USER] = "UPDATE api_keys SET revoked_epoch_s = ?2 WHERE revoked_epoch_s = 0"
                            " AND owner = (SELECT name FROM users WHERE number = ?1)",
    [PRUNE_KEYS] = "DELETE FROM api_keys"
                   " WHERE (revoked_epoch_s <> 0 AND revoked_epoch_s < ?1)"
                   " OR (expires_epoch_s <> 0 AND expires_epoch_s < ?1)",
    [REVOKE_KEY] = "UPDATE api_keys SET revoked_epoch_s = ?2 WHERE id = ?1 AND revoked_epoch_s = 0",
    [TOUCH_KEY] = "UPDATE api_keys SET last_used_epoch_s = ?2"
                  " WHERE id = ?1 AND last_used_epoch_s < ?2",
    [LIST_KEYS] = "SELECT " KEY_COLUMNS " FROM api_keys WHERE number > ?1 ORDER BY number",
    [FIND_KEY] = "SELECT " KEY_COLUMNS " FROM api_keys WHERE id = ?1",
    [FIND_TAKEN] = "SELECT 1 FROM api_keys WHERE id = ?1 OR secret_sha256 = ?2",
    [COUNT_UNNAMED] = "SELECT count(*) FROM api_keys WHERE unnamed = 1 AND revoked_epoch_s = 0",
    [FIND_OWNER] = "SELECT disabled, role FROM users WHERE name = ?1",
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
    [LIST_SESSIONS] = "SELECT " SESSION_COLUMNS ", (SELECT coalesce(max(used_epoch_s), 0)"
                      " FROM refresh_tokens WHERE session_id = sessions.id) FROM sessions"
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

void store_close(struct store *store)
{
    if (!store)
        return;
    database_close(&store->database);
    pthread_mutex_destroy(&store->turn);
    free(store->path);
    free(store);
}
