/* Called by the verb and its tests. Its one hard problem is that it is all of the keys or none, in
 * the store and in the live table: so each has its place in the table before the one transaction,
 * behind which nothing can fail. */
#include "identity/key_import.h"

#include <stdlib.h>

#include "identity/api_key.h"
#include "identity/key_text.h"
#include "identity/keyring.h"

/* Keys in the making. */
struct batch {
    struct keyring *keyring;
    struct store *store;
    struct stored_key *rows;
    struct api_key **keys;
    size_t count, unnamed, reserved;
};

static enum err batch_init(struct batch *batch, size_t max)
{
    batch->rows = calloc(max ? max : 1, sizeof *batch->rows);
    batch->keys = calloc(max ? max : 1, sizeof(struct api_key *));
    return batch->rows && batch->keys ? OK : ERR_MEMORY;
}

/* What was published is none of the batch's any more. */
static void batch_finish(struct batch *batch)
{
    for (size_t i = 0; batch->keys && i < batch->count; i++) {
        if (i < batch->reserved)
            keyring_unreserve(batch->keyring, batch->keys[i]);
        api_key_unref(batch->keys[i]);
    }
    free(batch->rows);
    free(batch->keys);
}

/* --- one ----------------------------------------------------------------------------------------
 */

/* The id that its text has in it, or a new one; a new key's secret is not needed. */
static enum err choose_id(struct key_import *import)
{
    struct slice id = slice_of(import->entry->public_id);
    AUTO(secret) plain = {0};
    struct key_text parts;
    if (id.len == 0) {
        TRY(key_text_make(&plain));
        invariant(key_text_parse(secret_reveal(&plain), &parts) == OK);
        id = parts.id;
    }
    memcpy(import->id, id.ptr, KEY_ID_LEN);
    return OK;
}

static enum err fill_row(const struct key_import *import, uint64_t now_epoch_s,
                         struct stored_key *row)
{
    const struct file_key *entry = import->entry;
    *row = (struct stored_key){
        .id = slice_make(import->id, KEY_ID_LEN),
        .name = slice_of(entry->key_id),
        .owner = slice_of(entry->owner),
        .permissions = entry->permissions,
        .bcrypt = slice_of(entry->hash),
        .unnamed = !entry->public_id[0],
        .created_epoch_s = entry->created_epoch_s ? entry->created_epoch_s : now_epoch_s,
        .expires_epoch_s = entry->expires_epoch_s,
    };
    if (row->owner.len > KEY_NAME_BYTES_MAX)
        return ERR_RANGE;
    return keyring_import_digest(row->unnamed ? row->bcrypt : row->id, row->secret_sha256);
}

/* Finds out what becomes of the entry, and adds it to the batch when it is to be a key. */
static enum err prepare(struct batch *batch, struct key_import *import, uint64_t now_epoch_s)
{
    struct stored_key *row = &batch->rows[batch->count];
    bool taken = false;
    import->fate = KEY_OVER;
    if (import->entry->expires_epoch_s && import->entry->expires_epoch_s <= now_epoch_s)
        return OK;
    TRY(choose_id(import));
    TRY(fill_row(import, now_epoch_s, row));
    TRY(store_key_taken(batch->store, row->id, row->secret_sha256, &taken));
    import->fate = taken ? KEY_THERE : KEY_TAKEN;
    if (taken)
        return OK;
    TRY(api_key_make(batch->store, row, &batch->keys[batch->count]));
    batch->count++;
    batch->unnamed += row->unnamed;
    return OK;
}

/* --- all ----------------------------------------------------------------------------------------
 */

static enum err prepare_all(struct batch *batch, const struct keys_file *file, uint64_t now_epoch_s,
                            struct key_import *imports)
{
    uint64_t unnamed = 0;
    for (size_t i = 0; i < keys_file_count(file); i++) {
        imports[i] = (struct key_import){.entry = keys_file_at(file, i)};
        TRY(prepare(batch, &imports[i], now_epoch_s));
    }
    /* Those of the store: a command without a gateway has no table of them. */
    TRY(store_count_unnamed(batch->store, &unnamed));
    return unnamed + batch->unnamed > KEYS_UNNAMED_MAX ? ERR_LIMIT : OK;
}

static enum err reserve_all(struct batch *batch)
{
    TRY(keyring_make_room(batch->keyring, batch->count));
    for (; batch->reserved < batch->count; batch->reserved++)
        TRY(keyring_reserve(batch->keyring, batch->keys[batch->reserved]));
    return OK;
}

static void publish_all(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        keyring_publish(batch->keyring, batch->keys[i]);
    batch->count = batch->reserved = 0;
}

static enum err take_in(struct batch *batch, const struct keys_file *file, uint64_t now_epoch_s,
                        key_import_fn *before, void *context, struct key_import *imports)
{
    TRY(batch_init(batch, keys_file_count(file)));
    TRY(prepare_all(batch, file, now_epoch_s, imports));
    TRY(reserve_all(batch));
    TRY(before ? before(context) : OK);
    TRY(store_add_keys(batch->store, batch->rows, batch->count));
    publish_all(batch);
    return OK;
}

enum err keyring_import(struct keyring *keyring, struct store *store, const struct keys_file *file,
                        uint64_t now_epoch_s, key_import_fn *before, void *context,
                        struct key_import *imports)
{
    struct batch batch = {.keyring = keyring, .store = store};
    keyring_lock(keyring);
    enum err err = take_in(&batch, file, now_epoch_s, before, context, imports);
    batch_finish(&batch);
    keyring_unlock(keyring);
    return err;
}
