/* An api_key's memory: built once from a row of the store, immutable, freed by its last reference.
 * Called by keyring.c and keys.c. Its one hard problem: a list that cannot be read must never turn
 * into "no list", which means all of them. */
#include "identity/api_key.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "identity/account.h"
#include "identity/digest.h"
#include "identity/json_read.h"
#include "identity/key_text.h"
#include "identity/password.h"
#include "identity/role.h"
#include "proto/target.h"

bool key_word_valid(struct slice word, size_t max)
{
    if (word.len == 0 || word.len > max || !utf8_valid(word))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];
        unsigned char next = i + 1 < word.len ? (unsigned char)word.ptr[i + 1] : 0;
        /* U+0080 to U+009F are control characters too; terminals obey some of them. */
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0))
            return false;
    }
    return true;
}

bool key_endpoint_valid(struct slice endpoint)
{
    if (endpoint.len == 0 || endpoint.len > KEY_ENDPOINT_BYTES_MAX || endpoint.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < endpoint.len; i++) {
        char c = endpoint.ptr[i];
        bool last = i + 1 == endpoint.len;
        if (c <= ' ' || c > '~' || strchr("\"\\?#", c) || (c == '*' && !last))
            return false;
    }
    return true;
}

bool key_ip_range_valid(struct slice range)
{
    struct cidr cidr;
    return range.len <= KEY_IP_RANGE_BYTES_MAX && cidr_parse(range, &cidr) == OK;
}

enum err key_rate_parse(struct slice text, uint64_t burst, struct rate *rate)
{
    *rate = (struct rate){0};
    if (text.len == 0)
        return burst ? ERR_RANGE : OK;
    if (rate_parse(text, rate) != OK || rate->requests == 0 || burst > KEY_BURST_MAX)
        return ERR_RANGE;
    if (burst)
        rate->burst = burst;
    return OK;
}

/* --- lists --------------------------------------------------------------------------------------
 */

static bool model_valid(struct slice model)
{
    return key_word_valid(model, KEY_MODEL_BYTES_MAX);
}

static struct slice member_at(const json_t *list, size_t i)
{
    const json_t *member = json_array_get(list, i);
    return slice_make(json_string_value(member), json_string_length(member));
}

/* NULL: not a list of such members. An empty text is an empty list. */
static json_t *parse_list(struct slice text, size_t max, bool (*valid)(struct slice member))
{
    json_t *list = NULL;
    if (text.len == 0)
        list = json_array();
    else if (json_read(text, &list, NULL) != OK)
        return NULL;
    bool good = json_is_array(list) && json_array_size(list) <= max &&
                (text.len == 0 || json_array_size(list) > 0);
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = json_is_string(json_array_get(list, i)) && valid(member_at(list, i));
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

/* The lists of a row. */
struct lists {
    json_t *models, *endpoints, *ip_ranges;
};

static void lists_finish(struct lists *lists)
{
    json_decref(lists->models);
    json_decref(lists->endpoints);
    json_decref(lists->ip_ranges);
}

static enum err lists_parse(struct lists *lists, const struct stored_key *stored)
{
    *lists = (struct lists){
        parse_list(stored->models_json, KEY_MODELS_MAX, model_valid),
        parse_list(stored->endpoints_json, KEY_ENDPOINTS_MAX, key_endpoint_valid),
        parse_list(stored->ip_ranges_json, KEY_IP_RANGES_MAX, key_ip_range_valid),
    };
    if (lists->models && lists->endpoints && lists->ip_ranges)
        return OK;
    lists_finish(lists);
    return ERR_STORE;
}

/* --- the block ----------------------------------------------------------------------------------
 */

static size_t pointers_of(const json_t *list)
{
    size_t count = json_array_size(list);
    return count ? (count + 1) * sizeof(char *) : 0;
}

static size_t texts_of(const json_t *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        bytes += member_at(list, i).len + 1;
    return bytes;
}

static char *put_text(char **at, struct slice text)
{
    char *start = *at;
    if (text.len)
        memcpy(start, text.ptr, text.len);
    start[text.len] = '\0';
    *at += text.len + 1;
    return start;
}

/* `*place` is where its pointers go, `*at` where its texts do. NULL for an empty list. */
static char **put_list(char ***place, char **at, const json_t *list)
{
    char **start = *place;
    size_t count = json_array_size(list);
    if (count == 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        start[i] = put_text(at, member_at(list, i));
    start[count] = NULL;
    *place += count + 1;
    return start;
}

static void put_ranges(struct api_key *key, struct cidr *ranges, const json_t *list)
{
    key->ip_range_count = json_array_size(list);
    key->ip_ranges = key->ip_range_count ? ranges : NULL;
    for (size_t i = 0; i < key->ip_range_count; i++)
        invariant(cidr_parse(member_at(list, i), &ranges[i]) == OK);
}

/* Header, pointers, ranges, texts: in one block, whose size was bounded by the checks. */
static struct api_key *build(const struct stored_key *stored, const struct lists *lists)
{
    size_t pointers = pointers_of(lists->models) + pointers_of(lists->endpoints);
    size_t ranges = json_array_size(lists->ip_ranges) * sizeof(struct cidr);
    size_t texts = stored->name.len + 1 + stored->owner.len + 1 + stored->bcrypt.len + 1 +
                   texts_of(lists->models) + texts_of(lists->endpoints);
    struct api_key *key = calloc(1, sizeof *key + pointers + ranges + texts);
    if (!key)
        return NULL;
    char **place = (char **)(key + 1);
    char *behind = (char *)place + pointers, *at = behind + ranges;
    key->name = put_text(&at, stored->name);
    key->owner = put_text(&at, stored->owner);
    key->bcrypt = put_text(&at, stored->bcrypt);
    key->models = put_list(&place, &at, lists->models);
    key->endpoints = put_list(&place, &at, lists->endpoints);
    put_ranges(key, (struct cidr *)(void *)behind, lists->ip_ranges);
    return key;
}

/* Over the digest, not the id: a host name or an address in the same table is never 32 such bytes.
 * And over an own rate: what was used up under another one is no measure for it. */
static uint64_t rate_hash_of(const struct api_key *key)
{
    struct {
        uint8_t digest[SHA256_BYTES];
        uint64_t rate[3];
    } identity = {
        .rate = {key->rate.requests, key->rate.period_us, key->rate.burst}
    };
    memcpy(identity.digest, key->secret_sha256, SHA256_BYTES);
    uint64_t hash = hash_bytes(slice_make((const char *)&identity, sizeof identity));
    explicit_bzero(&identity, sizeof identity);
    return hash;
}

uint64_t key_ban_identity(struct slice id)
{
    const uint64_t words[3] = {hash_bytes(SLICE("banned key")), hash_bytes(id), 2};
    return hash_bytes(slice_make((const char *)words, sizeof words));
}

enum err api_key_bound(const struct stored_owner *account, permissions *bound)
{
    enum role role;
    *bound = PERMISSIONS_ALL;
    if (!account->role[0])
        return OK;
    *bound = PERMISSIONS_NONE;
    if (role_parse(slice_of(account->role), &role) != OK)
        return ERR_STORE;
    *bound = role_permissions(role);
    return OK;
}

static void fill(struct api_key *key, const struct stored_key *stored, permissions bound)
{
    atomic_init(&key->references, 1);
    atomic_init(&key->revoked, stored->revoked_epoch_s != 0);
    atomic_init(&key->suspended, stored->account.disabled);
    atomic_init(&key->bound, bound);
    atomic_init(&key->expires_epoch_s, stored->expires_epoch_s);
    atomic_init(&key->last_used_epoch_s, stored->last_used_epoch_s);
    key->saved_use_epoch_s = stored->last_used_epoch_s;
    memcpy(key->id, stored->id.ptr, KEY_ID_LEN);
    memcpy(key->secret_sha256, stored->secret_sha256, sizeof key->secret_sha256);
    key->granted = stored->permissions;
    key->disabled = stored->disabled;
    key->unnamed = stored->unnamed;
    key->created_epoch_s = stored->created_epoch_s;
    key->rate_hash = rate_hash_of(key);
    key->user_hash = stored->owner.len ? account_identity(stored->owner) : key->rate_hash;
    key->ban_hash = key_ban_identity(stored->id);
}

/* What is no bcrypt must not be tried on what strangers send; it might cost anything. */
static bool hash_valid(const struct stored_key *stored)
{
    if (stored->bcrypt.len == 0)
        return !stored->unnamed;
    return slice_starts(stored->bcrypt, SLICE("$2")) &&
           password_check_stored(stored->bcrypt, PASSWORD_OF_ACCOUNT) == OK;
}

enum err api_key_from_stored(const struct stored_key *stored, struct api_key **made)
{
    struct rate rate;
    struct lists lists;
    permissions bound;
    if (!key_id_shaped(stored->id) || !key_word_valid(stored->name, KEY_NAME_BYTES_MAX) ||
        (stored->owner.len && !key_word_valid(stored->owner, KEY_NAME_BYTES_MAX)) ||
        (stored->permissions & ~(uint32_t)PERMISSIONS_ALL) || !hash_valid(stored) ||
        key_rate_parse(stored->rate, stored->burst, &rate) != OK)
        return ERR_STORE;
    TRY(api_key_bound(&stored->account, &bound));
    TRY(lists_parse(&lists, stored));
    struct api_key *key = build(stored, &lists);
    lists_finish(&lists);
    if (!key)
        return ERR_MEMORY;
    key->rate = rate;
    fill(key, stored, bound);
    *made = key;
    return OK;
}

enum err api_key_make(struct store *store, struct stored_key *row, struct api_key **key)
{
    TRY(store_find_owner(store, row->owner, &row->account));
    return api_key_from_stored(row, key);
}

/* --- what it opens ------------------------------------------------------------------------------
 */

void api_key_ref(struct api_key *key)
{
    /* Relaxed: whoever adds a reference holds one, so nothing can be freed meanwhile. */
    atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
}

void api_key_unref(struct api_key *key)
{
    if (key && atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) == 1)
        free(key);
}

permissions api_key_permissions(const struct api_key *key)
{
    return key->granted & atomic_load_explicit(&key->bound, memory_order_acquire);
}

bool api_key_may_use_model(const struct api_key *key, struct slice model)
{
    if (!key->models)
        return true;
    for (char **name = key->models; *name; name++)
        if (slice_equal(slice_of(*name), model))
            return true;
    return false;
}

bool api_key_may_use_endpoint(const struct api_key *key, struct slice path)
{
    if (!key->endpoints)
        return true;
    for (char **pattern = key->endpoints; *pattern; pattern++)
        if (path_fits(path, slice_of(*pattern)))
            return true;
    return false;
}

bool api_key_may_come_from(const struct api_key *key, const struct address *client)
{
    return !key->ip_ranges || cidrs_contain(key->ip_ranges, key->ip_range_count, client);
}

bool api_key_stands(const struct api_key *key, uint64_t now_epoch_s)
{
    uint64_t expires_epoch_s = atomic_load_explicit(&key->expires_epoch_s, memory_order_relaxed);
    return !atomic_load_explicit(&key->revoked, memory_order_acquire) &&
           !atomic_load_explicit(&key->suspended, memory_order_acquire) && !key->disabled &&
           (!expires_epoch_s || now_epoch_s < expires_epoch_s);
}
