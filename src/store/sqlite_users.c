/* Accounts in the store; called by whoever is the writer. Its one hard problem is that a user takes
 * sessions and refresh tokens along when it goes: the tables say so themselves (ON DELETE CASCADE).
 * Keys are found by their owner's name, and are revoked in the same transaction. */
#include "store/sqlite.h"

static enum err add(struct store *store, const struct stored_user *user, uint64_t *number)
{
    sqlite3_stmt *s = store->database.statements[ADD_USER];
    bool bound = bind_text(s, 1, user->name) && bind_text(s, 2, user->password) &&
                 bind_text(s, 3, user->role) && bind_number(s, 4, user->disabled) &&
                 bind_number(s, 5, user->created_epoch_s) &&
                 bind_number(s, 6, user->password_epoch_s) &&
                 bind_number(s, 7, user->last_login_epoch_s);
    TRY(store_run(store, ADD_USER, bound, NULL));
    *number = (uint64_t)sqlite3_last_insert_rowid(store->database.db);
    return OK;
}

enum err store_add_user(struct store *store, const struct stored_user *user, uint64_t *number)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? add(store, user, number) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err save(struct store *store, const struct stored_user *user)
{
    sqlite3_stmt *s = store->database.statements[SAVE_USER];
    bool bound = bind_number(s, 1, user->number) && bind_text(s, 2, user->password) &&
                 bind_text(s, 3, user->role) && bind_number(s, 4, user->disabled) &&
                 bind_number(s, 5, user->password_epoch_s) &&
                 bind_number(s, 6, user->last_login_epoch_s);
    int changed = 0;
    TRY(store_run(store, SAVE_USER, bound, &changed));
    return changed ? OK : ERR_NOT_FOUND;
}

enum err store_save_user(struct store *store, const struct stored_user *user)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? save(store, user) : taken;
    store_give_turn(store, taken);
    return err;
}

/* The keys first: they are found by the user's name. */
static enum err remove_user(struct store *store, uint64_t number, uint64_t now_epoch_s)
{
    sqlite3_stmt *keys = store->database.statements[REVOKE_KEYS_OF_USER];
    sqlite3_stmt *user = store->database.statements[DELETE_USER];
    int changed = 0;
    TRY(store_run(store, REVOKE_KEYS_OF_USER,
                  bind_number(keys, 1, number) && bind_number(keys, 2, store_mark(now_epoch_s)),
                  NULL));
    TRY(store_run(store, DELETE_USER, bind_number(user, 1, number), &changed));
    return changed ? OK : ERR_NOT_FOUND;
}

static enum err remove_whole(struct store *store, uint64_t number, uint64_t now_epoch_s)
{
    TRY(store_run(store, BEGIN, true, NULL));
    return store_end(store, remove_user(store, number, now_epoch_s));
}

enum err store_delete_user(struct store *store, uint64_t number, uint64_t now_epoch_s)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? remove_whole(store, number, now_epoch_s) : taken;
    store_give_turn(store, taken);
    return err;
}

/* With as little trust as a key's row. What the words mean is for identity/ to find out; an empty
 * one means nothing there and is damage here. */
static enum err read_user(sqlite3_stmt *s, struct stored_user *user)
{
    uint64_t disabled = 0;
    bool good = column_number(s, 0, INT64_MAX, &user->number) && user->number > 0 &&
                column_number(s, 4, 1, &disabled) &&
                column_number(s, 5, INT64_MAX, &user->created_epoch_s) &&
                column_number(s, 6, INT64_MAX, &user->password_epoch_s) &&
                column_number(s, 7, INT64_MAX, &user->last_login_epoch_s);
    user->disabled = disabled;
    user->name = column_text(s, 1);
    user->password = column_text(s, 2);
    user->role = column_text(s, 3);
    return good && user->name.len && user->password.len && user->role.len ? OK : ERR_STORE;
}

struct user_reader {
    store_user_fn *each;
    void *context;
};

static enum err hand_user_on(void *context, sqlite3_stmt *row)
{
    const struct user_reader *reader = context;
    struct stored_user user = {0};
    TRY(read_user(row, &user));
    return reader->each(reader->context, &user);
}

enum err store_each_user(struct store *store, store_user_fn *each, void *context)
{
    struct user_reader reader = {each, context};
    unsigned rows;
    enum err err = store_take_turn_to_read(store);
    if (err == OK)
        err = store_each_row(store, LIST_USERS, true, hand_user_on, &reader, &rows);
    pthread_mutex_unlock(&store->turn);
    return err;
}
