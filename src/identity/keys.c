/* Making, changing, revoking and loading keys. Its one hard problem is the order of store and live
 * table: a key is shown to readers only once it is on disk, and nothing may fail between the two,
 * so its place in the table is taken before the commit; a revocation is on disk before the table
 * forgets the key. All of a change, from reading what the key is, is done with the keyring's lock:
 * of two at a time neither undoes the other. */
#include "identity/keys.h"

#include "identity/api_key.h"
#include "identity/digest.h"
#include "identity/key_text.h"
#include "identity/keyring.h"
#include "identity/password.h"

enum {
    /* Escaping makes at most two bytes of each: of a quote, of a backslash, six of U+2028's three.
     */
    LIST_JSON_MAX = KEY_MODELS_MAX * (2 * KEY_MODEL_BYTES_MAX + 3) + 2,
    USES_AT_ONCE = 512,
    /* A second key with the same 71-bit id is a broken random source, not bad luck. */
    CREATE_TRIES = 3,
};

/* --- requests -----------------------------------------------------------------------------------
 */

static const char *list_fault(const struct key_request *request)
{
    if (request->model_count > KEY_MODELS_MAX)
        return "models: at most 64 can be named";
    for (size_t i = 0; i < request->model_count; i++)
        if (!key_word_valid(request->models[i], KEY_MODEL_BYTES_MAX))
            return "models: each must be 1 to 256 bytes of UTF-8 without control characters";
    if (request->endpoint_count > KEY_ENDPOINTS_MAX)
        return "endpoints: at most 32 can be named";
    for (size_t i = 0; i < request->endpoint_count; i++)
        if (!key_endpoint_valid(request->endpoints[i]))
            return "endpoints: each must be a path, as /v1/models, or the beginning of one and a "
                   "*, as /v1/*, of at most 128 characters";
    if (request->ip_range_count > KEY_IP_RANGES_MAX)
        return "ip_ranges: at most 64 can be named";
    for (size_t i = 0; i < request->ip_range_count; i++)
        if (!key_ip_range_valid(request->ip_ranges[i]))
            return "ip_ranges: each must be an address, as 192.0.2.7, or a range, as 10.0.0.0/8 or "
                   "2001:db8::/32, with nothing behind its prefix";
    return NULL;
}

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
    const char *fault = list_fault(request);
    if (fault)
        return fault;
    struct rate rate;
    if (request->rate.len > KEY_RATE_BYTES_MAX || key_rate_parse(request->rate, 0, &rate) != OK)
        return "rate: must be a number of requests and a period, as 60/minute";
    if (request->burst && !request->rate.len)
        return "burst: goes with a rate of the key's own";
    if (request->burst > KEY_BURST_MAX)
        return "burst: must be at most 1000000";
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

/* --- making -------------------------------------------------------------------------------------
 */

static void print_list(struct buffer *out, const struct slice *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_byte(out, i ? ',' : '[');
        buffer_json_string(out, members[i]);
    }
    if (count)
        buffer_byte(out, ']');
}

/* A row in the making, with the lists that it points to. */
struct draft {
    struct stored_key row;
    struct buffer models, endpoints, ip_ranges;
};

static void draft_finish(struct draft *draft)
{
    explicit_bzero(draft->row.secret_sha256, sizeof draft->row.secret_sha256);
    buffer_finish(&draft->models);
    buffer_finish(&draft->endpoints);
    buffer_finish(&draft->ip_ranges);
}

/* Everything that a request says; the rest of the row is the caller's. Finish it in any case. */
static enum err draft_fill(struct draft *draft, const struct key_request *request)
{
    buffer_init(&draft->models, LIST_JSON_MAX);
    buffer_init(&draft->endpoints, LIST_JSON_MAX);
    buffer_init(&draft->ip_ranges, LIST_JSON_MAX);
    print_list(&draft->models, request->models, request->model_count);
    print_list(&draft->endpoints, request->endpoints, request->endpoint_count);
    print_list(&draft->ip_ranges, request->ip_ranges, request->ip_range_count);
    TRY(draft->models.failed);
    TRY(draft->endpoints.failed);
    TRY(draft->ip_ranges.failed);
    struct stored_key *row = &draft->row;
    row->name = request->name;
    row->owner = request->owner;
    row->permissions = request->permissions;
    row->models_json = buffer_slice(&draft->models);
    row->endpoints_json = buffer_slice(&draft->endpoints);
    row->ip_ranges_json = buffer_slice(&draft->ip_ranges);
    row->rate = request->rate;
    row->burst = request->burst;
    row->disabled = request->disabled;
    row->expires_epoch_s = request->expires_epoch_s;
    return OK;
}

static enum err tell(const struct key_request *request, struct slice id)
{
    return request->before ? request->before(request->context, id) : OK;
}

/* How the new key gets into the store. */
struct adding {
    const struct key_request *request;
    struct slice old; /* the key in whose place it comes; empty: none's */
    uint64_t now_epoch_s, old_expires_epoch_s;
};

static enum err commit(struct store *store, const struct adding *adding,
                       const struct stored_key *row)
{
    TRY(tell(adding->request, row->id));
    return adding->old.len ? store_rotate_key(store, row, adding->old, adding->now_epoch_s,
                                              adding->old_expires_epoch_s)
                           : store_add_key(store, row);
}

/* Store and table, in the order that the head of this file explains. */
static enum err add_key(struct keyring *keyring, struct store *store, const struct adding *adding,
                        struct stored_key *row, struct api_key **made)
{
    struct api_key *key;
    /* With the lock: from here until the key is shown no account is made or changed. */
    TRY(api_key_make(store, row, &key));
    enum err err = keyring_reserve(keyring, key);
    if (err == OK) {
        err = commit(store, adding, row);
        if (err == OK) {
            api_key_ref(key);
            keyring_publish(keyring, key);
            *made = key;
        } else {
            keyring_unreserve(keyring, key);
        }
    }
    if (err != OK)
        api_key_unref(key);
    return err;
}

static enum err try_create(struct keyring *keyring, struct store *store,
                           const struct adding *adding, struct stored_key *row,
                           struct secret *plain, struct api_key **key)
{
    struct key_text parts;
    TRY(key_text_make(plain));
    invariant(key_text_parse(secret_reveal(plain), &parts) == OK);
    row->id = parts.id;
    TRY(sha256_of(parts.secret, row->secret_sha256));
    return add_key(keyring, store, adding, row, key);
}

/* With the lock. */
static enum err create(struct keyring *keyring, struct store *store, const struct adding *adding,
                       struct secret *plain, struct api_key **key)
{
    struct draft draft = {.row.created_epoch_s = adding->now_epoch_s};
    enum err err = draft_fill(&draft, adding->request);
    if (err == OK)
        err = ERR_EXISTS;
    for (int i = 0; i < CREATE_TRIES && err == ERR_EXISTS; i++)
        err = try_create(keyring, store, adding, &draft.row, plain, key);
    draft_finish(&draft);
    if (err != OK)
        secret_finish(plain);
    return err == ERR_EXISTS ? ERR_STORE : err;
}

enum err keyring_create_key(struct keyring *keyring, struct store *store,
                            const struct key_request *request, uint64_t now_epoch_s,
                            struct secret *plain, struct api_key **key)
{
    const struct adding adding = {.request = request, .now_epoch_s = now_epoch_s};
    *key = NULL;
    if (key_request_fault(request, now_epoch_s))
        return ERR_RANGE;
    keyring_lock(keyring);
    enum err err = create(keyring, store, &adding, plain, key);
    keyring_unlock(keyring);
    return err;
}

/* --- changing -----------------------------------------------------------------------------------
 */

struct editing {
    key_edit_fn *edit;
    void *context;
    struct key_request wanted;
    struct stored_key kept; /* of which no text is left but the hash */
    char bcrypt[PASSWORD_STORED_SIZE];
};

static enum err edit_row(void *context, const struct stored_key *row)
{
    struct editing *editing = context;
    if (row->revoked_epoch_s)
        return ERR_NOT_FOUND;
    memcpy(editing->kept.secret_sha256, row->secret_sha256, sizeof row->secret_sha256);
    editing->kept.created_epoch_s = row->created_epoch_s;
    editing->kept.last_used_epoch_s = row->last_used_epoch_s;
    if (row->bcrypt.len >= sizeof editing->bcrypt)
        return ERR_STORE;
    memcpy(editing->bcrypt, row->bcrypt.ptr, row->bcrypt.len);
    editing->kept.bcrypt = slice_make(editing->bcrypt, row->bcrypt.len);
    editing->kept.unnamed = row->unnamed;
    return editing->edit(editing->context, row, &editing->wanted);
}

/* What the live key of that id is to be. With the lock. */
static enum err edit_key(struct store *store, struct slice id, struct editing *editing)
{
    if (!key_id_shaped(id))
        return ERR_NOT_FOUND;
    TRY(store_find_key(store, id, edit_row, editing));
    /* An end that has come already is nothing new. */
    return key_request_fault(&editing->wanted, 0) ? ERR_RANGE : OK;
}

static enum err show_change(struct keyring *keyring, struct store *store,
                            const struct key_request *wanted, struct stored_key *row)
{
    struct api_key *key;
    TRY(api_key_make(store, row, &key));
    struct api_key *old = keyring_find_id(keyring, row->id);
    enum err err = old ? OK : keyring_reserve(keyring, key);
    if (err == OK) {
        err = tell(wanted, row->id);
        if (err == OK)
            err = store_save_key(store, row);
        if (err != OK && !old)
            keyring_unreserve(keyring, key);
    }
    if (err != OK) {
        api_key_unref(key);
        return err;
    }
    if (old)
        keyring_replace(keyring, old, key);
    else
        keyring_publish(keyring, key);
    return OK;
}

static enum err change(struct keyring *keyring, struct store *store, struct slice id,
                       struct editing *editing)
{
    TRY(edit_key(store, id, editing));
    struct draft draft = {.row = editing->kept};
    draft.row.id = id;
    enum err err = draft_fill(&draft, &editing->wanted);
    if (err == OK)
        err = show_change(keyring, store, &editing->wanted, &draft.row);
    draft_finish(&draft);
    return err;
}

enum err keyring_change_key(struct keyring *keyring, struct store *store, struct slice id,
                            key_edit_fn *edit, void *context)
{
    struct editing editing = {.edit = edit, .context = context};
    keyring_lock(keyring);
    enum err err = change(keyring, store, id, &editing);
    keyring_unlock(keyring);
    explicit_bzero(editing.kept.secret_sha256, sizeof editing.kept.secret_sha256);
    return err;
}

/* Its end is on disk. */
static void end_old(struct keyring *keyring, struct slice id, uint64_t expires_epoch_s,
                    uint64_t now_epoch_s)
{
    struct api_key *old = keyring_find_id(keyring, id);
    if (!old)
        return;
    uint64_t own_epoch_s = atomic_load(&old->expires_epoch_s);
    if (expires_epoch_s <= now_epoch_s)
        keyring_remove(keyring, old);
    else if (!own_epoch_s || own_epoch_s > expires_epoch_s)
        atomic_store(&old->expires_epoch_s, expires_epoch_s);
}

enum err keyring_rotate_key(struct keyring *keyring, struct store *store, struct slice id,
                            uint64_t grace_s, uint64_t now_epoch_s, key_edit_fn *edit,
                            void *context, struct secret *plain, struct api_key **key)
{
    struct editing editing = {.edit = edit, .context = context};
    const struct adding adding = {
        .request = &editing.wanted,
        .old = id,
        .now_epoch_s = now_epoch_s,
        .old_expires_epoch_s = now_epoch_s + grace_s,
    };
    *key = NULL;
    keyring_lock(keyring);
    enum err err = edit_key(store, id, &editing);
    if (err == OK)
        err = create(keyring, store, &adding, plain, key);
    if (err == OK)
        end_old(keyring, id, adding.old_expires_epoch_s, now_epoch_s);
    keyring_unlock(keyring);
    explicit_bzero(editing.kept.secret_sha256, sizeof editing.kept.secret_sha256);
    return err;
}

/* --- ending -------------------------------------------------------------------------------------
 */

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

static bool ended_before(const struct api_key *key, const void *before_epoch_s)
{
    uint64_t expires_epoch_s = atomic_load(&key->expires_epoch_s);
    return expires_epoch_s && expires_epoch_s < *(const uint64_t *)before_epoch_s;
}

enum err keyring_prune(struct keyring *keyring, struct store *store, uint64_t before_epoch_s,
                       uint64_t *count)
{
    keyring_lock(keyring);
    enum err err = store_prune_keys(store, before_epoch_s, count);
    if (err == OK)
        keyring_remove_each(keyring, ended_before, &before_epoch_s);
    keyring_unlock(keyring);
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
