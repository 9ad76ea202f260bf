/* The verbs that show and end keys; those that make and change them are in key_change_verbs.c.
 * Somebody without manage_users sees and changes the keys that have their name as owner, and nobody
 * else's: those look like keys that do not exist. */
#include <stdio.h>

#include "api/key_parts.h"
#include "base/clock.h"
#include "identity/api_key.h"
#include "identity/key_text.h"

enum {
    PRUNE_DAYS = 30, /* an ended key is of use for some time: in a list, beside a log */
};

/* A row as the object that people and scripts see. */

json_t *key_list_value(struct slice stored)
{
    if (stored.len == 0)
        return json_array();
    json_t *list;
    return json_read(stored, &list, NULL) == OK ? list : NULL;
}

static json_t *rate_value(struct slice rate)
{
    return rate.len ? text_value(rate) : json_null();
}

static json_t *burst_value(uint64_t burst)
{
    return burst ? json_integer((json_int_t)burst) : json_null();
}

static const char *status_of(const struct stored_key *key)
{
    if (key->revoked_epoch_s)
        return "revoked";
    uint64_t now_epoch_s = clock_credential_s();
    if (key->expires_epoch_s && now_epoch_s >= key->expires_epoch_s)
        return "expired";
    if (key->disabled)
        return "disabled";
    return key->account.disabled ? "suspended" : "live"; /* its owner's account is disabled */
}

/* The permissions are those that count now; withheld are those that its owner's role lacks. `plain`
 * is empty but for the answer to key_create. NULL: no memory, or a row that is not text. */
static json_t *key_value(const struct stored_key *key, struct slice plain)
{
    permissions bound;
    if (api_key_bound(&key->account, &bound) != OK)
        return NULL;
    const struct member members[] = {
        {"id",                   text_value(key->id)                         },
        {"name",                 text_value(key->name)                       },
        {"owner",                text_value(key->owner)                      },
        {"permissions",          permissions_value(key->permissions & bound) },
        {"withheld_permissions", permissions_value(key->permissions & ~bound)},
        {"models",               key_list_value(key->models_json)            },
        {"endpoints",            key_list_value(key->endpoints_json)         },
        {"ip_ranges",            key_list_value(key->ip_ranges_json)         },
        {"rate",                 rate_value(key->rate)                       },
        {"burst",                burst_value(key->burst)                     },
        {"disabled",             json_boolean(key->disabled)                 },
        {"created_at",           time_value(key->created_epoch_s)            },
        {"expires_at",           time_value(key->expires_epoch_s)            },
        {"last_used_at",         time_value(key->last_used_epoch_s)          },
        {"revoked_at",           time_value(key->revoked_epoch_s)            },
        {"status",               json_string(status_of(key))                 },
    };
    json_t *object = object_of(members, COUNT_OF(members));
    int failed = 0;
    if (object && plain.len)
        failed |= json_object_set_new(object, "key", text_value(plain));
    if (object && key->bcrypt.len)
        failed |= json_object_set_new(object, "source", json_string("imported"));
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

/* --- whose keys ---------------------------------------------------------------------------------
 */

bool key_caller_manages(const struct caller *caller)
{
    return caller->permissions & MANAGE_USERS;
}

bool key_is_own(const struct caller *caller, struct slice owner)
{
    return key_caller_manages(caller) ||
           (caller->account && slice_equal(owner, slice_of(caller->account->name)));
}

json_t *key_refuse_stranger(const struct caller *caller)
{
    if (key_caller_manages(caller) || caller->account)
        return NULL;
    return verb_refusal("denied", NULL,
                        "keys can be managed with the permission manage_users, or, one's own, by "
                        "somebody who has signed in");
}

struct showing {
    const struct caller *caller;
    json_t *value;
    struct slice plain;
};

static enum err show_row(void *context, const struct stored_key *key)
{
    struct showing *showing = context;
    if (!key_is_own(showing->caller, key->owner))
        return ERR_NOT_FOUND;
    showing->value = key_value(key, showing->plain);
    return showing->value ? OK : ERR_STORE;
}

json_t *key_show(struct store *store, const struct caller *caller, struct slice id,
                 struct slice plain, const char *done)
{
    struct showing showing = {.caller = caller, .plain = plain};
    enum err err = store_find_key(store, id, show_row, &showing);
    if (err != OK)
        json_decref(showing.value); /* the row came, and what was behind it failed */
    if (err == ERR_NOT_FOUND)
        return verb_refusal("not_found", "id", "no key has the id \"%.64s\"", id.ptr);
    if (err != OK && done)
        return verb_refusal("store", NULL,
                            "the key %.*s %s, but could not be read back from the store",
                            SLICE_ARG(id), done);
    if (err != OK)
        return verb_failure(err, "reading the key");
    return verb_success("key", showing.value);
}

/* So that "last used" is of now. What is shown is worth having even when this cannot be written. */
static void refresh_uses(struct store *store, struct keyring *keyring)
{
    enum err ignored = keyring_save_uses(keyring, store);
    (void)ignored;
}

/* key_list: {"after": number} asks for the page behind that key; "next" is the number to go on
 * with. */

struct page {
    const struct caller *caller;
    json_t *keys;
    size_t bytes;
    uint64_t last;
};

static enum err list_row(void *context, const struct stored_key *key)
{
    struct page *page = context;
    if (page->bytes >= VERB_PAGE_BYTES)
        return ERR_LIMIT; /* the page is full, and there is at least one more */
    page->last = key->number;
    if (!key_is_own(page->caller, key->owner))
        return OK;
    json_t *value = key_value(key, (struct slice){0});
    if (!value)
        return ERR_STORE;
    page->bytes += json_dumpb(value, NULL, 0, JSON_COMPACT) + 1;
    return json_array_append_new(page->keys, value) == 0 ? OK : ERR_MEMORY;
}

json_t *verb_key_list(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    uint64_t after;
    json_t *refusal = key_refuse_stranger(caller);
    if (!refusal)
        refusal = read_only_after(request, &after);
    if (refusal)
        return refusal;
    if (after >= FILE_KEYS_AFTER)
        return file_key_list(desk, caller, after);
    if (after == 0)
        refresh_uses(desk->store, desk->keyring);
    struct page page = {.caller = caller, .keys = json_array(), .last = after};
    enum err err = store_each_key_after(desk->store, after, list_row, &page);
    if (err != OK && err != ERR_LIMIT) {
        json_decref(page.keys);
        return verb_failure(err, "reading the keys");
    }
    json_t *next = err == ERR_LIMIT ? json_integer((json_int_t)page.last)
                                    : file_key_append(desk, caller, page.keys, page.bytes);
    return verb_page("keys", page.keys, next);
}

/* key_show, key_revoke: {"id": ID} */

json_t *key_check_id(struct slice id)
{
    if (api_key_shaped(id))
        return verb_refusal("usage", "id",
                            "that is a whole key; its id is the %d characters behind \"sp_\"",
                            KEY_ID_LEN);
    if (!key_id_shaped(id))
        return verb_refusal("not_found", "id",
                            "no key has the id \"%.64s\": an id is %d letters and digits", id.ptr,
                            KEY_ID_LEN);
    return NULL;
}

/* NULL: `*id` is that of a key of the store (borrowed from the request). Else what is answered: a
 * refusal, or what `of_file` says about a key of the file. */
static json_t *read_id(const struct desk *desk, const struct caller *caller, const json_t *request,
                       json_t *(*of_file)(const struct desk *desk, const struct caller *caller,
                                          struct slice id),
                       struct slice *id)
{
    json_t *answer = key_refuse_stranger(caller);
    if (!answer)
        answer = read_only_id(request, id);
    if (!answer)
        answer = of_file(desk, caller, *id);
    return answer ? answer : key_check_id(*id);
}

json_t *verb_key_show(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct slice id;
    json_t *answer = read_id(desk, caller, request, file_key_show, &id);
    if (answer)
        return answer;
    refresh_uses(desk->store, desk->keyring);
    return key_show(desk->store, caller, id, (struct slice){0}, NULL);
}

/* Does it exist for this caller? */
static enum err check_owner(void *context, const struct stored_key *key)
{
    return key_is_own(context, key->owner) ? OK : ERR_NOT_FOUND;
}

json_t *key_none_live(struct slice id)
{
    return verb_refusal("not_found", "id",
                        "no live key has the id \"%.64s\": see `sallyport key list`", id.ptr);
}

static json_t *refuse_of_file(const struct desk *desk, const struct caller *caller, struct slice id)
{
    return file_key_refuse(desk, caller, id,
                           "take it out there, and it opens nothing a second later");
}

json_t *verb_key_revoke(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct slice id;
    json_t *refusal = read_id(desk, caller, request, refuse_of_file, &id);
    if (refusal)
        return refusal;
    if (!key_caller_manages(caller)) {
        enum err err = store_find_key(desk->store, id, check_owner, (void *)caller);
        if (err != OK)
            return err == ERR_NOT_FOUND ? key_none_live(id) : verb_failure(err, "reading the key");
    }
    enum err err = verb_record(desk, caller, AUDIT_KEY_REVOKE, id, SLICE(""));
    if (err != OK)
        return verb_unrecorded(err, "revoking the key");
    err = keyring_revoke_key(desk->keyring, desk->store, id, clock_credential_s());
    if (err != OK)
        verb_record_failure(desk, caller, AUDIT_KEY_REVOKE, id, err);
    if (err == ERR_NOT_FOUND)
        return key_none_live(id);
    if (err != OK)
        return verb_failure(err, "revoking the key");
    refusal = file_key_remains(desk, id);
    return refusal ? refusal : key_show(desk->store, caller, id, (struct slice){0}, "was revoked");
}

/* key_prune */

json_t *verb_key_prune(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    // clang-format off
    static const struct field fields[] = {
        {"older_than_days", FIELD_NUMBER},
        {0},
    };
    // clang-format on
    int64_t days = PRUNE_DAYS;
    if (!key_caller_manages(caller))
        return verb_refusal("denied", NULL, "this needs the permission manage_users");
    json_t *refusal = fields_read(request, fields, &days);
    if (refusal)
        return refusal;
    if (days < 0 || days > KEY_DAYS_MAX)
        return verb_refusal("usage", "older_than_days", "older_than_days: must be 0 to %d",
                            KEY_DAYS_MAX);
    char reason[64];
    uint64_t count = 0, before_epoch_s = clock_credential_s() - (uint64_t)days * 86400;
    snprintf(reason, sizeof reason, "pruned older_than_days %d", (int)days);
    enum err recorded = verb_record(desk, caller, AUDIT_KEY_UPDATE, SLICE(""), slice_of(reason));
    if (recorded != OK)
        return verb_unrecorded(recorded, "pruning the keys");
    enum err err = keyring_prune(desk->keyring, desk->store, before_epoch_s, &count);
    if (err != OK) {
        verb_record_failure(desk, caller, AUDIT_KEY_UPDATE, SLICE(""), err);
        return verb_failure(err, "pruning the keys");
    }
    const struct member members[] = {
        {"removed",         json_integer((json_int_t)count)},
        {"older_than_days", json_integer(days)             },
    };
    return verb_success("pruned", object_of(members, COUNT_OF(members)));
}
