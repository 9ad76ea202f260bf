/* The verbs on keys as far as they are about those of the file (security.api_keys_file): they are
 * listed and shown, and changed by whoever edits the file. The other verbs on keys ask here first.
 */
#include "api/verb_parts.h"
#include "base/clock.h"
#include "identity/keys_file.h"

enum { PAGE_BYTES = 24 * 1024 };

static struct keys_file *table_of(const struct desk *desk)
{
    return desk->file_keys ? desk->file_keys(desk->context) : NULL;
}

/* To others it looks like a key that does not exist. */
static bool may_see(const struct caller *caller, const struct file_key *key)
{
    return (caller->permissions & MANAGE_USERS) ||
           (caller->account && slice_equal(slice_of(key->owner), slice_of(caller->account->name)));
}

static json_t *key_value(const struct file_key *key)
{
    uint64_t now_epoch_s = clock_credential_s();
    bool over = key->expires_epoch_s && now_epoch_s >= key->expires_epoch_s;
    // clang-format off
    const struct member members[] = {
        {"id",           json_string(key->key_id)},
        {"name",         json_string(key->key_id)},
        {"owner",        json_string(key->owner)},
        {"permissions",  permissions_value(key->permissions)},
        {"models",       json_array()},
        {"created_at",   time_value(key->created_epoch_s)},
        {"expires_at",   time_value(key->expires_epoch_s)},
        {"last_used_at", json_null()},
        {"revoked_at",   json_null()},
        {"status",       json_string(over ? "expired" : "live")},
        {"source",       json_string("file")},
        {"public_id",    key->public_id[0] ? json_string(key->public_id) : json_null()},
    };
    // clang-format on
    return object_of(members, COUNT_OF(members));
}

/* --- one ----------------------------------------------------------------------------------------
 */

static enum err seen(void *context, const struct stored_key *key)
{
    (void)context;
    (void)key;
    return OK;
}

/* The entry of that key_id or public id; the store's key goes before. NULL: none. */
static const struct file_key *find(const struct desk *desk, const struct caller *caller,
                                   const struct keys_file *table, struct slice id)
{
    const struct file_key *key = table ? keys_file_find(table, id) : NULL;
    if (table && !key)
        key = keys_file_find_public(table, id);
    if (!key || !may_see(caller, key) || store_find_key(desk->store, id, seen, NULL) == OK)
        return NULL;
    return key;
}

json_t *file_key_show(const struct desk *desk, const struct caller *caller, struct slice id)
{
    struct keys_file *table = table_of(desk);
    const struct file_key *key = find(desk, caller, table, id);
    json_t *answer = key ? verb_success("key", key_value(key)) : NULL;
    keys_file_unref(table);
    return answer;
}

json_t *file_key_refuse(const struct desk *desk, const struct caller *caller, struct slice id,
                        const char *instead)
{
    struct keys_file *table = table_of(desk);
    const struct file_key *key = find(desk, caller, table, id);
    json_t *answer = NULL;
    if (key)
        answer = verb_refusal("conflict", "id", "the key \"%s\" stands in %s, line %u: %s",
                              key->key_id, keys_file_path(table), key->line, instead);
    keys_file_unref(table);
    return answer;
}

struct search {
    struct keys_file *table;
    const struct file_key *found;
};

static enum err search_hash(void *context, const struct stored_key *key)
{
    struct search *search = context;
    search->found = key->bcrypt.len ? keys_file_find_hash(search->table, key->bcrypt) : NULL;
    return OK;
}

json_t *file_key_remains(const struct desk *desk, struct slice id)
{
    struct search search = {.table = table_of(desk)};
    json_t *answer = NULL;
    if (search.table && store_find_key(desk->store, id, search_hash, &search) == OK && search.found)
        answer = verb_refusal("conflict", "id",
                              "%.*s was revoked, but the same key stands in %s, line %u, too: it "
                              "opens until it is taken out there",
                              SLICE_ARG(id), keys_file_path(search.table), search.found->line);
    keys_file_unref(search.table);
    return answer;
}

/* --- all ----------------------------------------------------------------------------------------
 */

/* False: no memory. `*next` is where the next page begins, the count at the end. */
static bool append_from(const struct keys_file *table, const struct caller *caller, json_t *keys,
                        size_t bytes, size_t *next)
{
    for (; *next < keys_file_count(table) && bytes < PAGE_BYTES; ++*next) {
        const struct file_key *key = keys_file_at(table, *next);
        if (!may_see(caller, key))
            continue;
        json_t *value = key_value(key);
        bytes += value ? json_dumpb(value, NULL, 0, JSON_COMPACT) + 1 : 0;
        if (json_array_append_new(keys, value) != 0)
            return false;
    }
    return true;
}

static json_t *append_page(const struct desk *desk, const struct caller *caller, json_t *keys,
                           size_t bytes, size_t next)
{
    struct keys_file *table = table_of(desk);
    bool good = !table || append_from(table, caller, keys, bytes, &next);
    bool more = table && next < keys_file_count(table);
    keys_file_unref(table);
    if (!good)
        return NULL;
    return more ? json_integer(FILE_KEYS_AFTER + (json_int_t)next) : json_null();
}

json_t *file_key_append(const struct desk *desk, const struct caller *caller, json_t *keys,
                        size_t bytes)
{
    return append_page(desk, caller, keys, bytes, 0);
}

json_t *file_key_list(const struct desk *desk, const struct caller *caller, uint64_t after)
{
    json_t *keys = json_array();
    json_t *next = append_page(desk, caller, keys, 0, (size_t)(after - FILE_KEYS_AFTER));
    return verb_page("keys", keys, next);
}
