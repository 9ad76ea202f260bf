/* Making, revoking and loading keys. Its one hard problem is the order of store and live table: a
 * key is shown to readers only once it is on disk, and nothing may fail between the two, so its
 * place in the table is taken before the commit; a revocation is on disk before the table forgets
 * the key. */
#include "identity/keys.h"

#include "identity/api_key.h"
#include "identity/digest.h"
#include "identity/key_text.h"
#include "identity/keyring.h"

enum {
    /* Escaping makes at most two bytes of each: of a quote, of a backslash, six of U+2028's three.
     */
    MODELS_JSON_MAX = KEY_MODELS_MAX * (2 * KEY_MODEL_BYTES_MAX + 3) + 2,
    USES_AT_ONCE = 512,
    /* A second key with the same 71-bit id is a broken random source, not bad luck. */
    CREATE_TRIES = 3,
};

const char *key_request_fault(const struct key_request *request, uint64_t now_epoch_s)
{
    if (!key_word_valid(request->name, KEY_NAME_BYTES_MAX))
        return "name: must be 1 to 64 bytes of UTF-8 without control characters";
    if (request->owner.len && !key_word_valid(request->owner, KEY_NAME_BYTES_MAX))
        return "owner: must be at most 64 bytes of UTF-8 without control characters";
    if (request->permissions == PERMISSIONS_NONE)
        return "permissions: a key needs at least one";
    if (request->permissions & ~(permissions)PERMISSIONS_ALL)
        return "permissions: unknown ones are asked for";
    if (request->model_count > KEY_MODELS_MAX)
        return "models: at most 64 can be named";
    for (size_t i = 0; i < request->model_count; i++)
        if (!key_word_valid(request->models[i], KEY_MODEL_BYTES_MAX))
            return "models: each must be 1 to 256 bytes of UTF-8 without control characters";
    if (request->expires_epoch_s && request->expires_epoch_s <= now_epoch_s)
        return "expires: must be in the future";
    return NULL;
}

static enum err load_one(void *context, const struct stored_key *stored)
{
    struct keyring *keyring = context;
    struct api_key *key;
    if (stored->revoked_epoch_s)
        return OK;
    TRY(api_key_from_stored(stored, &key));
    enum err err = keyring_reserve(keyring, key);
    if (err == OK)
        keyring_publish(keyring, key);
    else
        api_key_unref(key);
    return err;
}

enum err keyring_load(struct keyring *keyring, struct store *store)
{
    keyring_lock(keyring);
    enum err err = store_each_key(store, load_one, keyring);
    keyring_unlock(keyring);
    return err;
}

static void print_models(struct buffer *out, const struct key_request *request)
{
    for (size_t i = 0; i < request->model_count; i++) {
        buffer_byte(out, i ? ',' : '[');
        buffer_json_string(out, request->models[i]);
    }
    if (request->model_count)
        buffer_byte(out, ']');
}

/* Store and table, in the order that the head of this file explains. */
static enum err add_key(struct keyring *keyring, struct store *store,
                        const struct key_request *request, const struct stored_key *stored,
                        struct api_key **made)
{
    struct api_key *key;
    TRY(api_key_from_stored(stored, &key));
    keyring_lock(keyring);
    enum err err = keyring_reserve(keyring, key);
    if (err == OK) {
        err = request->before ? request->before(request->context, stored->id) : OK;
        if (err == OK)
            err = store_add_key(store, stored);
        if (err == OK) {
            api_key_ref(key);
            keyring_publish(keyring, key);
            *made = key;
        } else {
            keyring_unreserve(keyring, key);
        }
    }
    keyring_unlock(keyring);
    if (err != OK)
        api_key_unref(key);
    return err;
}

static enum err try_create(struct keyring *keyring, struct store *store,
                           const struct key_request *request, struct stored_key *stored,
                           struct secret *plain, struct api_key **key)
{
    struct key_text parts;
    TRY(key_text_make(plain));
    invariant(key_text_parse(secret_reveal(plain), &parts) == OK);
    stored->id = parts.id;
    TRY(sha256_of(parts.secret, stored->secret_sha256));
    return add_key(keyring, store, request, stored, key);
}

enum err keyring_create_key(struct keyring *keyring, struct store *store,
                            const struct key_request *request, uint64_t now_epoch_s,
                            struct secret *plain, struct api_key **key)
{
    *key = NULL;
    if (key_request_fault(request, now_epoch_s))
        return ERR_RANGE;
    AUTO(buffer) models = BUFFER_MAX(MODELS_JSON_MAX);
    print_models(&models, request);
    TRY(models.failed);
    struct stored_key stored = {
        .name = request->name,
        .owner = request->owner,
        .permissions = request->permissions,
        .models_json = buffer_slice(&models),
        .created_epoch_s = now_epoch_s,
        .expires_epoch_s = request->expires_epoch_s,
    };
    enum err err = ERR_EXISTS;
    for (int i = 0; i < CREATE_TRIES && err == ERR_EXISTS; i++)
        err = try_create(keyring, store, request, &stored, plain, key);
    explicit_bzero(stored.secret_sha256, sizeof stored.secret_sha256);
    if (err != OK)
        secret_finish(plain);
    return err == ERR_EXISTS ? ERR_STORE : err;
}

/* When a revoked key was used last is worth knowing; that it could not be written changes nothing.
 * Drops the reference. */
static void save_last_use(struct store *store, struct api_key *key)
{
    uint64_t used = atomic_load(&key->last_used_epoch_s);
    enum err ignored = OK;
    if (used > key->saved_use_epoch_s)
        ignored = store_touch_key(store, slice_make(key->id, KEY_ID_LEN), used);
    (void)ignored;
    api_key_unref(key);
}

enum err keyring_revoke_key(struct keyring *keyring, struct store *store, struct slice id,
                            uint64_t now_epoch_s)
{
    if (!key_id_shaped(id))
        return ERR_NOT_FOUND;
    keyring_lock(keyring);
    enum err err = store_revoke_key(store, id, now_epoch_s);
    struct api_key *key = keyring_find_id(keyring, id);
    /* Also when the store did not know it as live: the table must never open more than the store.
     */
    if (key && (err == OK || err == ERR_NOT_FOUND)) {
        api_key_ref(key);
        keyring_remove(keyring, key);
    }
    keyring_unlock(keyring);
    if (key && (err == OK || err == ERR_NOT_FOUND))
        save_last_use(store, key);
    return err;
}

enum err keyring_save_uses(struct keyring *keyring, struct store *store)
{
    struct key_use uses[USES_AT_ONCE];
    struct api_key *keys[USES_AT_ONCE];
    enum err err = OK;
    size_t at = 0;
    bool more = true;
    keyring_lock(keyring);
    while (more && err == OK) {
        size_t count = 0;
        while (count < USES_AT_ONCE && more) {
            struct api_key *key = keyring_next(keyring, &at);
            more = key != NULL;
            uint64_t used = key ? atomic_load(&key->last_used_epoch_s) : 0;
            if (!key || used <= key->saved_use_epoch_s)
                continue;
            memcpy(uses[count].id, key->id, KEY_ID_LEN);
            uses[count].last_used_epoch_s = used;
            keys[count++] = key;
        }
        if (count)
            err = store_touch_keys(store, uses, count);
        for (size_t i = 0; i < count && err == OK; i++)
            keys[i]->saved_use_epoch_s = uses[i].last_used_epoch_s;
    }
    keyring_unlock(keyring);
    return err;
}
