/* An api_key's memory: built once from a row of the store, immutable, freed by its last reference.
 * Called by keyring.c and keys.c. Its one hard problem: a list of models that cannot be read must
 * never turn into "no list", which means all of them. */
#include "identity/api_key.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/utf8.h"
#include "identity/digest.h"
#include "identity/json_read.h"
#include "identity/key_text.h"

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

/* NULL: not a list of model names. An empty text is an empty list. */
static json_t *parse_models(struct slice text)
{
    json_t *list = NULL;
    if (text.len == 0)
        list = json_array();
    else if (json_read(text, &list, NULL) != OK)
        return NULL;
    bool good = json_is_array(list) && json_array_size(list) <= KEY_MODELS_MAX &&
                (text.len == 0 || json_array_size(list) > 0);
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        json_t *name = json_array_get(list, i);
        good = json_is_string(name) &&
               key_word_valid(slice_make(json_string_value(name), json_string_length(name)),
                              KEY_MODEL_BYTES_MAX);
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
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

static struct slice model_at(const json_t *models, size_t i)
{
    const json_t *name = json_array_get(models, i);
    return slice_make(json_string_value(name), json_string_length(name));
}

/* Header, pointers to the models, texts: in one block, whose size was bounded by the checks. */
static struct api_key *build(const struct stored_key *stored, const json_t *models)
{
    size_t count = json_array_size(models);
    size_t pointers = count ? (count + 1) * sizeof(char *) : 0;
    size_t texts = stored->name.len + 1 + stored->owner.len + 1;
    for (size_t i = 0; i < count; i++)
        texts += model_at(models, i).len + 1;
    struct api_key *key = calloc(1, sizeof *key + pointers + texts);
    if (!key)
        return NULL;
    char **list = (char **)(key + 1);
    char *at = (char *)list + pointers;
    key->name = put_text(&at, stored->name);
    key->owner = put_text(&at, stored->owner);
    key->models = count ? list : NULL;
    for (size_t i = 0; i < count; i++)
        list[i] = put_text(&at, model_at(models, i));
    return key;
}

enum err api_key_from_stored(const struct stored_key *stored, struct api_key **made)
{
    if (!key_id_shaped(stored->id) || !key_word_valid(stored->name, KEY_NAME_BYTES_MAX) ||
        (stored->owner.len && !key_word_valid(stored->owner, KEY_NAME_BYTES_MAX)) ||
        (stored->permissions & ~(uint32_t)PERMISSIONS_ALL))
        return ERR_STORE;
    json_t *models = parse_models(stored->models_json);
    if (!models)
        return ERR_STORE;
    struct api_key *key = build(stored, models);
    json_decref(models);
    if (!key)
        return ERR_MEMORY;
    atomic_init(&key->references, 1);
    atomic_init(&key->revoked, stored->revoked_epoch_s != 0);
    atomic_init(&key->last_used_epoch_s, stored->last_used_epoch_s);
    key->saved_use_epoch_s = stored->last_used_epoch_s;
    memcpy(key->id, stored->id.ptr, KEY_ID_LEN);
    memcpy(key->secret_sha256, stored->secret_sha256, sizeof key->secret_sha256);
    key->permissions = stored->permissions;
    key->created_epoch_s = stored->created_epoch_s;
    key->expires_epoch_s = stored->expires_epoch_s;
    /* Over the digest, not the id: a host name or an address in the same table is never 32 such
     * bytes. */
    key->rate_hash = hash_bytes(slice_make((const char *)key->secret_sha256, SHA256_BYTES));
    *made = key;
    return OK;
}

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

bool api_key_may_use_model(const struct api_key *key, struct slice model)
{
    if (!key->models)
        return true;
    for (char **name = key->models; *name; name++)
        if (slice_equal(slice_of(*name), model))
            return true;
    return false;
}
