/* Keys in the store; called by whoever is the writer. Its one hard problem is that an empty list
 * means "all": whatever cannot be read must be an error, never an empty text. */
#include "store/sqlite.h"

/* What ADD_KEY and SAVE_KEY have in common, of which SAVE_KEY passes over the secret. */
static bool bind_key(sqlite3_stmt *s, const struct stored_key *key)
{
    return bind_text(s, 1, key->id) && bind_text(s, 3, key->name) && bind_text(s, 4, key->owner) &&
           bind_number(s, 5, key->permissions) && bind_text(s, 6, key->models_json) &&
           bind_number(s, 7, key->expires_epoch_s) && bind_text(s, 8, key->endpoints_json) &&
           bind_text(s, 9, key->ip_ranges_json) && bind_text(s, 10, key->rate) &&
           bind_number(s, 11, key->burst) && bind_number(s, 12, key->disabled);
}

static enum err add(struct store *store, const struct stored_key *key)
{
    sqlite3_stmt *s = store->database.statements[ADD_KEY];
    bool bound =
        bind_key(s, key) && bind_bytes(s, 2, key->secret_sha256, sizeof key->secret_sha256) &&
        bind_number(s, 13, key->created_epoch_s) && bind_number(s, 14, key->revoked_epoch_s) &&
        bind_number(s, 15, key->last_used_epoch_s) && bind_text(s, 16, key->bcrypt) &&
        bind_number(s, 17, key->unnamed);
    return store_run(store, ADD_KEY, bound, NULL);
}

enum err store_add_key(struct store *store, const struct stored_key *key)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? add(store, key) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err add_all(struct store *store, const struct stored_key *keys, size_t count)
{
    enum err err = store_run(store, BEGIN, true, NULL);
    for (size_t i = 0; i < count && err == OK; i++)
        err = add(store, &keys[i]);
    return store_end(store, err);
}

enum err store_add_keys(struct store *store, const struct stored_key *keys, size_t count)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? add_all(store, keys, count) : taken;
    store_give_turn(store, taken);
    return err;
}

static enum err save(struct store *store, const struct stored_key *key)
{
    int changed = 0;
    TRY(store_run(store, SAVE_KEY, bind_key(store->database.statements[SAVE_KEY], key), &changed));
    return changed ? OK : ERR_NOT_FOUND;
}

enum err store_save_key(struct store *store, const struct stored_key *key)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? save(store, key) : taken;
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

/* Ends the old key, at once or at a time; a key that ends earlier by itself stays as it is. */
static enum err end_key(struct store *store, struct slice id, uint64_t now_epoch_s,
                        uint64_t expires_epoch_s)
{
    if (expires_epoch_s <= now_epoch_s)
        return revoke(store, id, store_mark(now_epoch_s));
    sqlite3_stmt *s = store->database.statements[END_KEY];
    int changed = 0;
    TRY(store_run(store, END_KEY, bind_text(s, 1, id) && bind_number(s, 2, expires_epoch_s),
                  &changed));
    return changed ? OK : ERR_NOT_FOUND;
}

static enum err rotate(struct store *store, const struct stored_key *key, struct slice old,
                       uint64_t now_epoch_s, uint64_t expires_epoch_s)
{
    TRY(store_run(store, BEGIN, true, NULL));
    enum err err = end_key(store, old, now_epoch_s, expires_epoch_s);
    if (err == OK)
        err = add(store, key);
    return store_end(store, err);
}

enum err store_rotate_key(struct store *store, const struct stored_key *key, struct slice old,
                          uint64_t now_epoch_s, uint64_t expires_epoch_s)
{
    enum err taken = store_take_turn(store);
    enum err err = taken == OK ? rotate(store, key, old, now_epoch_s, expires_epoch_s) : taken;
    store_give_turn(store, taken);
    return err;
}

enum err store_prune_keys(struct store *store, uint64_t before_epoch_s, uint64_t *count)
{
    int changed = 0;
    enum err taken = store_take_turn(store);
    sqlite3_stmt *s = store->database.statements[PRUNE_KEYS];
    enum err err = taken;
    if (taken == OK)
        err = store_run(store, PRUNE_KEYS, bind_number(s, 1, before_epoch_s), &changed);
    store_give_turn(store, taken);
    *count = err == OK ? (uint64_t)changed : 0;
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

/* NULL is no user. A role that cannot be read must be an error, too: for nobody's keys no account
 * is asked. */
static enum err read_owner(sqlite3_stmt *s, int at, struct stored_owner *owner)
{
    uint64_t disabled;
    *owner = (struct stored_owner){0};
    if (sqlite3_column_type(s, at + 1) == SQLITE_NULL)
        return OK;
    struct slice role = column_text(s, at + 1);
    if (!role.ptr || role.len == 0 || role.len >= sizeof owner->role ||
        !column_number(s, at, 1, &disabled))
        return ERR_STORE;
    owner->disabled = disabled;
    memcpy(owner->role, role.ptr, role.len);
    return OK;
}

/* The file is read with as little trust as a request: somebody may have edited it by hand. */
static enum err read_key(sqlite3_stmt *s, struct stored_key *key)
{
    uint64_t permissions = 0, disabled = 0, unnamed = 0;
    bool good = column_number(s, 0, INT64_MAX, &key->number) &&
                column_number(s, 5, UINT32_MAX, &permissions) &&
                column_number(s, 7, INT64_MAX, &key->created_epoch_s) &&
                column_number(s, 8, INT64_MAX, &key->expires_epoch_s) &&
                column_number(s, 9, INT64_MAX, &key->revoked_epoch_s) &&
                column_number(s, 10, INT64_MAX, &key->last_used_epoch_s) &&
                column_number(s, 14, INT64_MAX, &key->burst) &&
                column_number(s, 15, 1, &disabled) && column_number(s, 19, 1, &unnamed);
    const void *digest = sqlite3_column_blob(s, 2);
    if (!good || !digest || sqlite3_column_bytes(s, 2) != sizeof key->secret_sha256)
        return ERR_STORE;
    memcpy(key->secret_sha256, digest, sizeof key->secret_sha256);
    TRY(read_owner(s, 16, &key->account));
    key->permissions = (uint32_t)permissions;
    key->id = column_text(s, 1);
    key->name = column_text(s, 3);
    key->owner = column_text(s, 4);
    key->models_json = column_text(s, 6);
    key->endpoints_json = column_text(s, 11);
    key->ip_ranges_json = column_text(s, 12);
    key->rate = column_text(s, 13);
    key->disabled = disabled;
    key->bcrypt = column_text(s, 18);
    key->unnamed = unnamed;
    /* A NULL text is an allocation that failed; an empty one would mean "all". */
    return key->id.ptr && key->name.ptr && key->owner.ptr && key->models_json.ptr &&
                   key->endpoints_json.ptr && key->ip_ranges_json.ptr && key->rate.ptr &&
                   key->bcrypt.ptr
               ? OK
               : ERR_STORE;
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

static enum err note_row(void *context, sqlite3_stmt *row)
{
    (void)context, (void)row;
    return OK;
}

enum err store_key_taken(struct store *store, struct slice id, const uint8_t secret_sha256[32],
                         bool *taken)
{
    unsigned rows = 0;
    enum err err = store_take_turn_to_read(store);
    sqlite3_stmt *s = store->database.statements[FIND_TAKEN];
    bool bound = bind_text(s, 1, id) && bind_bytes(s, 2, secret_sha256, 32);
    if (err == OK)
        err = store_each_row(store, FIND_TAKEN, bound, note_row, NULL, &rows);
    pthread_mutex_unlock(&store->turn);
    *taken = rows != 0;
    return err;
}

static enum err note_count(void *context, sqlite3_stmt *row)
{
    return column_number(row, 0, INT64_MAX, context) ? OK : ERR_STORE;
}

enum err store_count_unnamed(struct store *store, uint64_t *count)
{
    unsigned rows = 0;
    enum err err = store_take_turn_to_read(store);
    if (err == OK)
        err = store_each_row(store, COUNT_UNNAMED, true, note_count, count, &rows);
    pthread_mutex_unlock(&store->turn);
    return err;
}

static enum err note_owner(void *context, sqlite3_stmt *row)
{
    return read_owner(row, 0, context);
}

enum err store_find_owner(struct store *store, struct slice name, struct stored_owner *owner)
{
    unsigned rows = 0;
    *owner = (struct stored_owner){0};
    enum err err = store_take_turn_to_read(store);
    bool bound = bind_text(store->database.statements[FIND_OWNER], 1, name);
    if (err == OK)
        err = store_each_row(store, FIND_OWNER, bound, note_owner, owner, &rows);
    pthread_mutex_unlock(&store->turn);
    return err;
}
