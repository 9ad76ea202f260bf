/* The verbs on keys. Somebody without manage_users sees and changes the keys that have their name
 * as owner, and nobody else's: those look like keys that do not exist. */
#include "api/verb_parts.h"
#include "base/clock.h"
#include "identity/key_text.h"

enum {
    EXPIRES_DAYS_MAX = 36500,
    MODELS_MAX = 64,
};

/* A row as the object that people and scripts see. */

static json_t *models_value(struct slice models_json)
{
    if (models_json.len == 0)
        return json_array();
    json_t *models;
    return json_read(models_json, &models, NULL) == OK ? models : NULL;
}

static const char *status_of(const struct stored_key *key)
{
    if (key->revoked_epoch_s)
        return "revoked";
    uint64_t now_epoch_s = clock_wall_us() / SECOND_US;
    return key->expires_epoch_s && now_epoch_s >= key->expires_epoch_s ? "expired" : "live";
}

/* `plain` is empty but for the answer to key_create. NULL: no memory, or a row that is not text. */
static json_t *key_value(const struct stored_key *key, struct slice plain)
{
    const struct member members[] = {
        {"id",           text_value(key->id)                },
        {"name",         text_value(key->name)              },
        {"owner",        text_value(key->owner)             },
        {"permissions",  permissions_value(key->permissions)},
        {"models",       models_value(key->models_json)     },
        {"created_at",   time_value(key->created_epoch_s)   },
        {"expires_at",   time_value(key->expires_epoch_s)   },
        {"last_used_at", time_value(key->last_used_epoch_s) },
        {"revoked_at",   time_value(key->revoked_epoch_s)   },
        {"status",       json_string(status_of(key))        },
    };
    json_t *object = object_of(members, COUNT_OF(members));
    if (object && plain.len && json_object_set_new(object, "key", text_value(plain)) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* --- whose keys ---------------------------------------------------------------------------------
 */

static bool manages_all(const struct caller *caller)
{
    return caller->permissions & MANAGE_USERS;
}

static bool is_own(const struct caller *caller, struct slice owner)
{
    return manages_all(caller) ||
           (caller->account && slice_equal(owner, slice_of(caller->account->name)));
}

/* NULL: may deal with keys at all. */
static json_t *refuse_stranger(const struct caller *caller)
{
    if (manages_all(caller) || caller->account)
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
    if (!is_own(showing->caller, key->owner))
        return ERR_NOT_FOUND;
    showing->value = key_value(key, showing->plain);
    return showing->value ? OK : ERR_STORE;
}

/* `done` is what has happened to the key already, and stands whatever comes of reading it back;
 * NULL: nothing. */
static json_t *show(struct store *store, const struct caller *caller, struct slice id,
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

/* A new key is in the audit log, by its id, before it is made. */
struct witness {
    const struct desk *desk;
    const struct caller *caller;
    struct slice name;
    char id[KEY_ID_LEN + 1]; /* empty: nothing was recorded */
    enum err recorded;
};

static enum err record_create(void *context, struct slice id)
{
    struct witness *witness = context;
    enum err err = verb_record(witness->desk, witness->caller, AUDIT_KEY_CREATE, id, witness->name);
    witness->recorded = err;
    if (err == OK)
        memcpy(witness->id, id.ptr, KEY_ID_LEN);
    return err;
}

/* key_create */

/* The strings of a list, as slices into it. False: not all are, or it is too long. */
static bool read_words(const json_t *list, struct slice *words, size_t max, size_t *count)
{
    *count = 0;
    if (json_array_size(list) > max)
        return false;
    for (; *count < json_array_size(list); ++*count) {
        const json_t *word = json_array_get(list, *count);
        if (!json_is_string(word))
            return false;
        words[*count] = slice_make(json_string_value(word), json_string_length(word));
    }
    return true;
}

static json_t *unknown_permission(const char *kind, struct slice word)
{
    char text[512];
    struct buffer list = BUFFER_OVER(text, sizeof text);
    for (const struct permission_row *row = permission_table(); row->name; row++)
        buffer_printf(&list, "%s%s", list.len ? ", " : "", row->name);
    if (strcmp(kind, "scope") == 0)
        buffer_text(&list, "; and *, chat:read, chat:write");
    return verb_refusal("usage", strcmp(kind, "scope") == 0 ? "scopes" : "permissions",
                        "unknown %s \"%.*s\": known are %.*s", kind,
                        (int)(word.len < 64 ? word.len : 64), word.ptr ? word.ptr : "",
                        SLICE_ARG(buffer_slice(&list)));
}

/* NULL when all are known; else the refusal. */
static json_t *read_permissions(const json_t *names, const json_t *scopes, permissions *set)
{
    struct slice words[64];
    size_t count;
    if (names && scopes)
        return verb_refusal("usage", "scopes", "permissions and scopes exclude each other");
    if (!names && !scopes) {
        *set = READ_MODELS | RUN_INFERENCE | USE_STREAMING;
        return NULL;
    }
    if (!read_words(names ? names : scopes, words, COUNT_OF(words), &count))
        return verb_refusal("usage", names ? "permissions" : "scopes",
                            "permissions and scopes are lists of names");
    *set = PERMISSIONS_NONE;
    for (size_t i = 0; i < count; i++)
        if ((names ? permission_parse : scope_parse)(words[i], set) != OK)
            return unknown_permission(names ? "permission" : "scope", words[i]);
    return NULL;
}

static json_t *create_key(const struct desk *desk, const struct caller *caller,
                          struct key_request *wanted, uint64_t now_epoch_s)
{
    const char *fault = key_request_fault(wanted, now_epoch_s);
    if (fault)
        return verb_refusal("usage", NULL, "%s", fault);
    AUTO(secret) plain = {0};
    struct api_key *key;
    struct witness witness = {.desk = desk, .caller = caller, .name = wanted->name};
    wanted->before = record_create;
    wanted->context = &witness;
    enum err err =
        keyring_create_key(desk->keyring, desk->store, wanted, now_epoch_s, &plain, &key);
    if (witness.recorded != OK)
        return verb_unrecorded(witness.recorded, "making the key");
    if (err != OK) {
        if (witness.id[0])
            verb_record_failure(desk, caller, AUDIT_KEY_CREATE, slice_of(witness.id), err);
        return verb_failure(err, "making the key");
    }
    json_t *response =
        show(desk->store, caller, slice_make(key->id, KEY_ID_LEN), secret_reveal(&plain),
             "was made (revoke it: nobody was told its secret)");
    api_key_unref(key);
    return response;
}

struct key_wishes {
    struct slice name, owner;
    const json_t *permissions, *scopes, *models;
    int64_t days;
    bool has_days;
};

static const struct field key_fields[] = {
    {"name",                      FIELD_TEXT, true, offsetof(struct key_wishes, name), 0},
    {"owner",                       FIELD_TEXT, false, offsetof(struct key_wishes, owner), 0},
    {"permissions",                      FIELD_LIST, false, offsetof(struct key_wishes, permissions), 0},
    {"scopes",                           FIELD_LIST, false, offsetof(struct key_wishes, scopes), 0},
    {"models",FIELD_LIST, false, offsetof(struct key_wishes, models), 0},
    {"expires_in_days", FIELD_NUMBER, false, offsetof(struct key_wishes, days),
     offsetof(struct key_wishes, has_days)},
    {0                         },
};

/* A key's rights never exceed its creator's, and somebody's own keys are their own. */
static json_t *bound_by_caller(const struct caller *caller, struct key_request *wanted,
                               bool asked_for)
{
    if (!manages_all(caller)) {
        struct slice own = slice_of(caller->account->name);
        if (wanted->owner.len && !slice_equal(wanted->owner, own))
            return verb_refusal("denied", "owner",
                                "owner: keys for others need the permission manage_users");
        wanted->owner = own;
    }
    if (!asked_for)
        wanted->permissions &= caller->permissions;
    if (wanted->permissions & ~caller->permissions)
        return verb_refusal("denied", "permissions",
                            "permissions: a key cannot have more rights than who makes it");
    return NULL;
}

json_t *verb_key_create(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct key_wishes wishes = {0};
    struct slice words[MODELS_MAX];
    struct key_request wanted = {.models = words};
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, key_fields, &wishes);
    if (refusal)
        return refusal;
    if (!read_words(wishes.models, words, MODELS_MAX, &wanted.model_count))
        return verb_refusal("usage", "models", "models: at most 64 names");
    if (wishes.models && wanted.model_count == 0)
        return verb_refusal("usage", "models",
                            "models: name at least one, or leave them out for all");
    if (wishes.has_days && (wishes.days < 1 || wishes.days > EXPIRES_DAYS_MAX))
        return verb_refusal("usage", "expires_in_days", "expires_in_days: must be 1 to %d",
                            EXPIRES_DAYS_MAX);
    wanted.name = wishes.name;
    wanted.owner = wishes.owner;
    refusal = read_permissions(wishes.permissions, wishes.scopes, &wanted.permissions);
    if (!refusal)
        refusal = bound_by_caller(caller, &wanted, wishes.permissions || wishes.scopes);
    if (refusal)
        return refusal;
    uint64_t now_epoch_s = clock_wall_us() / SECOND_US;
    wanted.expires_epoch_s = wishes.has_days ? now_epoch_s + (uint64_t)wishes.days * 86400 : 0;
    return create_key(desk, caller, &wanted, now_epoch_s);
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
    if (!is_own(page->caller, key->owner))
        return OK;
    json_t *value = key_value(key, (struct slice){0});
    if (!value)
        return ERR_STORE;
    page->bytes += json_dumpb(value, NULL, 0, JSON_COMPACT) + 1;
    return json_array_append_new(page->keys, value) == 0 ? OK : ERR_MEMORY;
}

json_t *verb_key_list(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    static const struct field fields[] = {
        {"after", FIELD_NUMBER, false, 0, 0},
        {0 }
    };
    int64_t after = 0;
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, fields, &after);
    if (refusal)
        return refusal;
    if (after < 0)
        return verb_refusal("usage", "after", "after: must not be negative");
    if (after == 0)
        refresh_uses(desk->store, desk->keyring);
    struct page page = {.caller = caller, .keys = json_array(), .last = (uint64_t)after};
    enum err err = store_each_key_after(desk->store, (uint64_t)after, list_row, &page);
    if (err != OK && err != ERR_LIMIT) {
        json_decref(page.keys);
        return verb_failure(err, "reading the keys");
    }
    return verb_page("keys", page.keys, err == ERR_LIMIT, page.last);
}

/* key_show, key_revoke: {"id": ID} */

/* NULL: `*id` is a key's id (borrowed from the request); else the refusal. */
static json_t *read_id(const struct caller *caller, const json_t *request, struct slice *id)
{
    static const struct field fields[] = {
        {"id",  FIELD_TEXT, true, 0, 0},
        {0}
    };
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, fields, id);
    if (refusal)
        return refusal;
    if (api_key_shaped(*id))
        return verb_refusal("usage", "id",
                            "that is a whole key; its id is the %d characters behind "
                            "\"sp_\"",
                            KEY_ID_LEN);
    if (!key_id_shaped(*id))
        return verb_refusal("not_found", "id",
                            "no key has the id \"%.64s\": an id is %d letters and digits", id->ptr,
                            KEY_ID_LEN);
    return NULL;
}

json_t *verb_key_show(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct slice id;
    json_t *refusal = read_id(caller, request, &id);
    if (refusal)
        return refusal;
    refresh_uses(desk->store, desk->keyring);
    return show(desk->store, caller, id, (struct slice){0}, NULL);
}

/* Does it exist for this caller? */
static enum err check_owner(void *context, const struct stored_key *key)
{
    return is_own(context, key->owner) ? OK : ERR_NOT_FOUND;
}

static json_t *no_live_key(struct slice id)
{
    return verb_refusal("not_found", "id",
                        "no live key has the id \"%.64s\": see `sallyport key list`", id.ptr);
}

json_t *verb_key_revoke(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct slice id;
    json_t *refusal = read_id(caller, request, &id);
    if (refusal)
        return refusal;
    if (!manages_all(caller)) {
        enum err err = store_find_key(desk->store, id, check_owner, (void *)caller);
        if (err != OK)
            return err == ERR_NOT_FOUND ? no_live_key(id) : verb_failure(err, "reading the key");
    }
    enum err err = verb_record(desk, caller, AUDIT_KEY_REVOKE, id, SLICE(""));
    if (err != OK)
        return verb_unrecorded(err, "revoking the key");
    err = keyring_revoke_key(desk->keyring, desk->store, id, clock_wall_us() / SECOND_US);
    if (err != OK)
        verb_record_failure(desk, caller, AUDIT_KEY_REVOKE, id, err);
    if (err == ERR_NOT_FOUND)
        return no_live_key(id);
    return err == OK ? show(desk->store, caller, id, (struct slice){0}, "was revoked")
                     : verb_failure(err, "revoking the key");
}
