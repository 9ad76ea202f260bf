/* The live table of keys, by the first bytes of the secret's SHA-256, which nobody can steer. Event
 * loops call keyring_find for every request; the one writer is keys.c. */
#include "identity/keyring.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/secret.h"
#include "identity/digest.h"
#include "identity/key_text.h"
#include "identity/live_table.h"
#include "identity/password.h"

struct keyring {
    struct live_table live; /* published keys, by their digest */
    pthread_mutex_t writer;
    struct map by_id; /* the writer's, reserved keys included; the keys' ids are inside the keys */
    /* Of those the imported ones: how many have their id in their text, and all that have not. */
    atomic_size_t named_count, unnamed_count;
    struct api_key *unnamed[KEYS_UNNAMED_MAX];
};

static uint64_t digest_hash(const uint8_t digest[SHA256_BYTES])
{
    uint64_t hash;
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static uint64_t hash_of(const void *entry)
{
    const struct api_key *key = entry;
    return digest_hash(key->secret_sha256);
}

/* Constant time in the digest; the number of probes tells nothing about a secret, only where its
 * hash falls. */
static bool has_digest(const void *entry, const void *digest)
{
    const struct api_key *key = entry;
    return digest_equal(key->secret_sha256, digest, SHA256_BYTES);
}

static struct api_key *look_up(struct keyring *keyring, const uint8_t digest[SHA256_BYTES])
{
    return live_table_find(&keyring->live, digest_hash(digest), has_digest, digest);
}

struct keyring *keyring_create(void (*grace)(void *context), void *context)
{
    struct keyring *keyring = calloc(1, sizeof *keyring);
    if (!keyring || live_table_init(&keyring->live, hash_of, grace, context) != OK) {
        free(keyring);
        return NULL;
    }
    pthread_mutex_init(&keyring->writer, NULL);
    map_init(&keyring->by_id, KEYRING_MAX);
    return keyring;
}

void keyring_destroy(struct keyring *keyring)
{
    if (!keyring)
        return;
    size_t at = 0;
    for (struct api_key *key; (key = keyring_next(keyring, &at));)
        api_key_unref(key);
    map_finish(&keyring->by_id);
    live_table_finish(&keyring->live);
    pthread_mutex_destroy(&keyring->writer);
    free(keyring);
}

static enum err judge(struct api_key *key, struct slice id, uint64_t now_epoch_s,
                      const char **reason)
{
    /* The id is what logs and revocation go by, so it must be the one of this very secret. */
    if (!key || !slice_equal(id, slice_make(key->id, KEY_ID_LEN)))
        *reason = "unknown";
    else if (atomic_load_explicit(&key->revoked, memory_order_acquire))
        *reason = "revoked";
    else if (key->disabled || atomic_load_explicit(&key->suspended, memory_order_acquire))
        *reason = "disabled";
    else if (!api_key_stands(key, now_epoch_s))
        *reason = "expired";
    else
        return OK;
    return ERR_DENIED;
}

void api_key_note_use(struct api_key *key, uint64_t now_epoch_s)
{
    /* Written once a second at most, so that loops do not fight for the cache line. */
    if (atomic_load_explicit(&key->last_used_epoch_s, memory_order_relaxed) < now_epoch_s)
        atomic_store_explicit(&key->last_used_epoch_s, now_epoch_s, memory_order_relaxed);
}

enum err keyring_find(struct keyring *keyring, struct slice presented, uint64_t now_epoch_s,
                      struct api_key **found, const char **reason)
{
    const char *ignored;
    struct key_text parts;
    uint8_t digest[SHA256_BYTES];
    if (!reason)
        reason = &ignored;
    *found = NULL;
    *reason = "malformed";
    TRY(key_text_parse(presented, &parts) == OK ? OK : ERR_DENIED);
    *reason = "unknown";
    TRY(sha256_of(parts.secret, digest));
    struct api_key *key = look_up(keyring, digest);
    explicit_bzero(digest, sizeof digest);
    TRY(judge(key, parts.id, now_epoch_s, reason));
    api_key_ref(key);
    api_key_note_use(key, now_epoch_s);
    *reason = NULL;
    *found = key;
    return OK;
}

void keyring_lock(struct keyring *keyring)
{
    pthread_mutex_lock(&keyring->writer);
}

void keyring_unlock(struct keyring *keyring)
{
    pthread_mutex_unlock(&keyring->writer);
}

/* --- by id --------------------------------------------------------------------------------------
 */

static enum err add_id(struct keyring *keyring, struct api_key *key)
{
    size_t unnamed = atomic_load(&keyring->unnamed_count);
    if (key->unnamed && unnamed == KEYS_UNNAMED_MAX)
        return ERR_LIMIT;
    TRY(map_add(&keyring->by_id, slice_make(key->id, KEY_ID_LEN), key));
    if (key->unnamed) {
        keyring->unnamed[unnamed] = key;
        atomic_store(&keyring->unnamed_count, unnamed + 1);
    } else if (key->bcrypt[0]) {
        atomic_fetch_add(&keyring->named_count, 1);
    }
    return OK;
}

static void forget_unnamed(struct keyring *keyring, const struct api_key *key)
{
    size_t at = 0, last = atomic_load(&keyring->unnamed_count) - 1;
    while (keyring->unnamed[at] != key)
        at++;
    keyring->unnamed[at] = keyring->unnamed[last];
    atomic_store(&keyring->unnamed_count, last);
}

static void remove_id(struct keyring *keyring, struct api_key *key)
{
    map_remove(&keyring->by_id, slice_make(key->id, KEY_ID_LEN));
    if (key->unnamed)
        forget_unnamed(keyring, key);
    else if (key->bcrypt[0])
        atomic_fetch_sub(&keyring->named_count, 1);
}

enum err keyring_import_digest(struct slice mark, uint8_t digest[SHA256_BYTES])
{
    char memory[PASSWORD_STORED_SIZE + 16];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    buffer_text(&text, "imported:");
    buffer_append(&text, mark);
    TRY(text.failed);
    return sha256_of(buffer_slice(&text), digest);
}

bool keyring_has_imported(struct keyring *keyring, struct slice id)
{
    uint8_t digest[SHA256_BYTES];
    if (id.len == 0)
        return atomic_load_explicit(&keyring->unnamed_count, memory_order_relaxed) > 0;
    if (atomic_load_explicit(&keyring->named_count, memory_order_relaxed) == 0)
        return false;
    /* Without memory it is not found out here. */
    return keyring_import_digest(id, digest) != OK || look_up(keyring, digest);
}

size_t keyring_imported(struct keyring *keyring, struct slice id,
                        struct api_key *keys[KEYS_UNNAMED_MAX])
{
    size_t count = 0;
    keyring_lock(keyring);
    struct api_key *named = id.len ? keyring_find_id(keyring, id) : NULL;
    if (named && named->bcrypt[0] && !named->unnamed)
        keys[count++] = named;
    for (size_t i = 0; !id.len && i < atomic_load(&keyring->unnamed_count); i++)
        keys[count++] = keyring->unnamed[i];
    for (size_t i = 0; i < count; i++)
        api_key_ref(keys[i]);
    keyring_unlock(keyring);
    return count;
}

/* --- the writer's side --------------------------------------------------------------------------
 */

enum err keyring_make_room(struct keyring *keyring, size_t count)
{
    return live_table_reserve(&keyring->live, count);
}

enum err keyring_reserve(struct keyring *keyring, struct api_key *key)
{
    TRY(live_table_reserve(&keyring->live, 1));
    if (look_up(keyring, key->secret_sha256))
        return ERR_EXISTS;
    return add_id(keyring, key);
}

void keyring_unreserve(struct keyring *keyring, struct api_key *key)
{
    remove_id(keyring, key);
}

void keyring_publish(struct keyring *keyring, struct api_key *key)
{
    live_table_put(&keyring->live, key);
}

struct api_key *keyring_find_id(struct keyring *keyring, struct slice id)
{
    return map_find(&keyring->by_id, id);
}

void keyring_remove(struct keyring *keyring, struct api_key *key)
{
    /* In this order: exchanges that hold the key and recheck see it first, then nobody finds it. */
    atomic_store_explicit(&key->revoked, true, memory_order_release);
    remove_id(keyring, key);
    live_table_unlink(&keyring->live, key);
    live_table_wait(&keyring->live);
    api_key_unref(key);
}

void keyring_replace(struct keyring *keyring, struct api_key *old, struct api_key *key)
{
    remove_id(keyring, old);
    /* As many entries as there were before: no memory is needed. */
    invariant(add_id(keyring, key) == OK);
    live_table_replace(&keyring->live, old, key);
    /* Only when nobody comes upon it any more: a caller who did would be refused for no reason. */
    live_table_wait(&keyring->live);
    atomic_store_explicit(&old->revoked, true, memory_order_release);
    live_table_wait(&keyring->live);
    uint64_t used_epoch_s = atomic_load(&old->last_used_epoch_s);
    if (atomic_load(&key->last_used_epoch_s) < used_epoch_s)
        atomic_store(&key->last_used_epoch_s, used_epoch_s);
    api_key_unref(old);
}

void keyring_follow(struct keyring *keyring, struct slice owner, bool suspended, permissions bound)
{
    size_t at = 0;
    for (struct api_key *key; (key = keyring_next(keyring, &at));) {
        if (!slice_equal(slice_of(key->owner), owner))
            continue;
        atomic_store_explicit(&key->suspended, suspended, memory_order_release);
        atomic_store_explicit(&key->bound, bound, memory_order_release);
    }
    live_table_wait(&keyring->live);
}

/* At most as many of those keys as there is room for, unlinked. */
static size_t unlink_some(struct keyring *keyring, bool (*is)(const struct api_key *, const void *),
                          const void *wanted, struct api_key **keys, size_t room)
{
    size_t count = 0, at = 0;
    for (struct api_key *key; count < room && (key = keyring_next(keyring, &at));)
        if (is(key, wanted))
            keys[count++] = key;
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&keys[i]->revoked, true, memory_order_release);
        remove_id(keyring, keys[i]);
        live_table_unlink(&keyring->live, keys[i]);
    }
    return count;
}

void keyring_remove_each(struct keyring *keyring,
                         bool (*is)(const struct api_key *key, const void *wanted),
                         const void *wanted)
{
    struct api_key *keys[256];
    size_t count;
    do {
        count = unlink_some(keyring, is, wanted, keys, COUNT_OF(keys));
        if (count)
            live_table_wait(&keyring->live);
        for (size_t i = 0; i < count; i++)
            api_key_unref(keys[i]);
    } while (count == COUNT_OF(keys));
}

struct api_key *keyring_next(struct keyring *keyring, size_t *at)
{
    struct map_entry entry;
    return map_next(&keyring->by_id, at, &entry) ? entry.value : NULL;
}

size_t keyring_count(const struct keyring *keyring)
{
    return live_table_count(&keyring->live);
}
