/* The live table of keys: open addressing by the first bytes of the secret's SHA-256, which nobody
 * can steer. Event loops call keyring_find for every request; the one writer is keys.c.
 *
 * Its one hard problem is that readers take no lock. A slot is an atomic pointer that goes from
 * empty to a key to the tombstone and perhaps to another key, never back to empty, so that a probe
 * in progress never stops short. What a writer unlinks, key or whole array, is freed after `grace`:
 * when every loop has passed a turn, no reader holds a pointer it did not count in `references`. */
#include "identity/keyring.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/secret.h"
#include "identity/digest.h"
#include "identity/key_text.h"

enum { SLOTS_MIN = 64 };

struct slots {
    size_t mask; /* their number, a power of two, less one */
    _Atomic(struct api_key *) slots[];
};

struct keyring {
    _Atomic(struct slots *) current;
    void (*grace)(void *context);
    void *context;
    pthread_mutex_t writer;
    struct map by_id;   /* the writer's; the keys' ids are inside the keys */
    size_t used;        /* slots that are not empty, tombstones included */
    atomic_size_t live; /* published keys, for whoever wants to know how many */
};

static struct api_key tombstone;

static struct slots *slots_create(size_t count)
{
    struct slots *slots = calloc(1, sizeof *slots + count * sizeof slots->slots[0]);
    if (slots)
        slots->mask = count - 1;
    return slots;
}

static size_t first_slot(const struct slots *slots, const uint8_t digest[SHA256_BYTES])
{
    uint64_t start;
    memcpy(&start, digest, sizeof start);
    return (size_t)start & slots->mask;
}

struct keyring *keyring_create(void (*grace)(void *context), void *context)
{
    struct keyring *keyring = calloc(1, sizeof *keyring);
    struct slots *slots = slots_create(SLOTS_MIN);
    if (!keyring || !slots) {
        free(keyring);
        free(slots);
        return NULL;
    }
    atomic_init(&keyring->current, slots);
    keyring->grace = grace;
    keyring->context = context;
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
    free(atomic_load(&keyring->current));
    pthread_mutex_destroy(&keyring->writer);
    free(keyring);
}

/* Whose digest is it? Constant time in the digest; the number of probes tells nothing about a
 * secret, only where its hash falls. */
static struct api_key *look_up(struct keyring *keyring, const uint8_t digest[SHA256_BYTES])
{
    struct slots *slots = atomic_load_explicit(&keyring->current, memory_order_acquire);
    for (size_t at = first_slot(slots, digest);; at = (at + 1) & slots->mask) {
        struct api_key *key = atomic_load_explicit(&slots->slots[at], memory_order_acquire);
        if (!key)
            return NULL;
        if (key != &tombstone && digest_equal(key->secret_sha256, digest, SHA256_BYTES))
            return key;
    }
}

static enum err judge(struct api_key *key, struct slice id, uint64_t now_epoch_s,
                      const char **reason)
{
    /* The id is what logs and revocation go by, so it must be the one of this very secret. */
    if (!key || !slice_equal(id, slice_make(key->id, KEY_ID_LEN)))
        *reason = "unknown";
    else if (atomic_load_explicit(&key->revoked, memory_order_acquire))
        *reason = "revoked";
    else if (key->expires_epoch_s && now_epoch_s >= key->expires_epoch_s)
        *reason = "expired";
    else
        return OK;
    return ERR_DENIED;
}

static void note_use(struct api_key *key, uint64_t now_epoch_s)
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
    note_use(key, now_epoch_s);
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

static void wait_for_readers(struct keyring *keyring)
{
    if (keyring->grace)
        keyring->grace(keyring->context);
}

/* The slot of `key`, or with NULL the first one on the digest's way that is free to take. */
static _Atomic(struct api_key *) *slot_of(struct slots *slots, const uint8_t digest[SHA256_BYTES],
                                          const struct api_key *key)
{
    for (size_t at = first_slot(slots, digest);; at = (at + 1) & slots->mask) {
        struct api_key *here = atomic_load_explicit(&slots->slots[at], memory_order_relaxed);
        if (key ? here == key : !here || here == &tombstone)
            return &slots->slots[at];
    }
}

static void put(struct slots *slots, struct api_key *key)
{
    /* Release: a reader that sees the pointer sees the key behind it. */
    atomic_store_explicit(slot_of(slots, key->secret_sha256, NULL), key, memory_order_release);
}

/* Room for one more key in an array that stays at least half empty. */
static enum err make_room(struct keyring *keyring)
{
    struct slots *old = atomic_load(&keyring->current);
    if ((keyring->used + 1) * 2 <= old->mask + 1)
        return OK;
    /* Four times the live keys: until it is half full again, as many have to come. */
    size_t count = SLOTS_MIN;
    while (count < (keyring->by_id.count + 1) * 4)
        count *= 2;
    struct slots *grown = slots_create(count);
    if (!grown)
        return ERR_MEMORY;
    size_t at = 0;
    for (struct api_key *key; (key = keyring_next(keyring, &at));)
        put(grown, key);
    keyring->used = keyring->by_id.count;
    atomic_store_explicit(&keyring->current, grown, memory_order_release);
    wait_for_readers(keyring);
    free(old);
    return OK;
}

enum err keyring_reserve(struct keyring *keyring, struct api_key *key)
{
    TRY(make_room(keyring));
    if (look_up(keyring, key->secret_sha256))
        return ERR_EXISTS;
    return map_add(&keyring->by_id, slice_make(key->id, KEY_ID_LEN), key);
}

void keyring_unreserve(struct keyring *keyring, struct api_key *key)
{
    map_remove(&keyring->by_id, slice_make(key->id, KEY_ID_LEN));
}

void keyring_publish(struct keyring *keyring, struct api_key *key)
{
    atomic_fetch_add_explicit(&keyring->live, 1, memory_order_relaxed);
    struct slots *slots = atomic_load(&keyring->current);
    keyring->used += atomic_load(slot_of(slots, key->secret_sha256, NULL)) == NULL;
    put(slots, key);
}

struct api_key *keyring_find_id(struct keyring *keyring, struct slice id)
{
    return map_find(&keyring->by_id, id);
}

void keyring_remove(struct keyring *keyring, struct api_key *key)
{
    /* In this order: exchanges that hold the key and recheck see it first, then nobody finds it. */
    atomic_store_explicit(&key->revoked, true, memory_order_release);
    map_remove(&keyring->by_id, slice_make(key->id, KEY_ID_LEN));
    struct slots *slots = atomic_load(&keyring->current);
    atomic_store_explicit(slot_of(slots, key->secret_sha256, key), &tombstone,
                          memory_order_release);
    atomic_fetch_sub_explicit(&keyring->live, 1, memory_order_relaxed);
    wait_for_readers(keyring);
    api_key_unref(key);
}

struct api_key *keyring_next(struct keyring *keyring, size_t *at)
{
    struct map_entry entry;
    return map_next(&keyring->by_id, at, &entry) ? entry.value : NULL;
}

size_t keyring_count(const struct keyring *keyring)
{
    return atomic_load_explicit(&keyring->live, memory_order_relaxed);
}
