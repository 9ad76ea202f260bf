/* The verbs on keys: one table, one function each. Its one hard problem is that a request is input
 * even though its sender may do everything: an unknown member or a wrong type is refused, never
 * skipped, so that a limit that was misspelt does not make a key without one. */
#include "cli/key_verbs.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "identity/key_text.h"

enum {
    /* One key is at most 35 KB: 64 models of 256 bytes, each of which JSON may double. */
    PAGE_BYTES = 24 * 1024,
    EXPIRES_DAYS_MAX = 36500,
    MODELS_MAX = 64,
};

static void wipe_and_free(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void json_wipe_on_free(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

json_t *verb_refusal(const char *code, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return json_pack("{s:b, s:s, s:s}", "ok", 0, "error", code, "message", sentence);
}

static json_t *refusal_of(enum err err, const char *what)
{
    if (err == ERR_STORE)
        return verb_refusal("store",
                            "%s: the store could not be read or written; nothing was "
                            "changed. Is the disk full or read-only?",
                            what);
    if (err == ERR_LIMIT)
        return verb_refusal("limit", "%s: there are as many keys as can be; revoke some", what);
    return verb_refusal(err_name(err), "%s: %s", what, err_name(err));
}

/* {"ok": true, NAME: value}. Takes `value` over in any case, which json_pack does not. */
static json_t *success(const char *name, json_t *value)
{
    json_t *object = json_object();
    int failed = json_object_set_new(object, "ok", json_true());
    failed |= json_object_set_new(object, name, value);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

/* A row as the object that people and scripts see. */

static json_t *time_value(uint64_t epoch_s)
{
    char text[32];
    struct buffer out = BUFFER_OVER(text, sizeof text);
    if (epoch_s == 0 || epoch_s > UINT32_MAX * UINT64_C(16))
        return json_null();
    clock_print_rfc3339(&out, epoch_s * SECOND_US);
    return json_stringn(out.bytes, out.len);
}

static json_t *permissions_value(permissions set)
{
    json_t *list = json_array();
    int failed = 0;
    for (const struct permission_row *row = permission_table(); row->name; row++)
        if (set & row->permission)
            failed |= json_array_append_new(list, json_string(row->name));
    if (!failed)
        return list;
    json_decref(list); /* fewer than there are would be a lie */
    return NULL;
}

static json_t *models_value(struct slice models_json)
{
    if (models_json.len == 0)
        return json_array();
    return json_loadb(models_json.ptr, models_json.len, JSON_REJECT_DUPLICATES, NULL);
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
    json_t *object = json_object();
    int failed = json_object_set_new(object, "id", json_stringn(key->id.ptr, key->id.len));
    if (plain.len)
        failed |= json_object_set_new(object, "key", json_stringn(plain.ptr, plain.len));
    const struct {
        const char *name;
        json_t *value;
    } members[] = {
        {"name",                               json_stringn(key->name.ptr, key->name.len)},
        {"owner",                                    json_stringn(key->owner.ptr,                                                        key->owner.len)},
        {"permissions",                     permissions_value(key->permissions)},
        {"models",models_value(key->models_json)               },
        {"created_at",                          time_value(key->created_epoch_s)                                    },
        {"expires_at",time_value(key->expires_epoch_s)},
        {"last_used_at",                          time_value(key->last_used_epoch_s)                                                                                   },
        {"revoked_at",time_value(key->revoked_epoch_s)},
        {"status",                            json_string(status_of(key))                                                                                                                                      },
    };
    for (size_t i = 0; i < COUNT_OF(members); i++)
        failed |= json_object_set_new(object, members[i].name, members[i].value);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

struct showing {
    json_t *value;
    struct slice plain;
};

static enum err show_row(void *context, const struct stored_key *key)
{
    struct showing *showing = context;
    showing->value = key_value(key, showing->plain);
    return showing->value ? OK : ERR_STORE;
}

/* `done` is what has happened to the key already, and stands whatever comes of reading it back;
 * NULL: nothing. */
static json_t *show(struct store *store, struct slice id, struct slice plain, const char *done)
{
    struct showing showing = {.plain = plain};
    enum err err = store_find_key(store, id, show_row, &showing);
    if (err != OK)
        json_decref(showing.value); /* the row came, and what was behind it failed */
    if (err == ERR_NOT_FOUND)
        return verb_refusal("not_found", "no key has the id \"%.64s\"", id.ptr);
    if (err != OK && done)
        return verb_refusal("store", "the key %.*s %s, but could not be read back from the store",
                            SLICE_ARG(id), done);
    if (err != OK)
        return refusal_of(err, "reading the key");
    return success("key", showing.value);
}

/* A change is in the audit log before it is made. */

static json_t *audit_refusal(const char *what)
{
    return verb_refusal("audit",
                        "%s: the audit log could not be written; nothing was changed. Is the disk "
                        "full or read-only?",
                        what);
}

/* `outcome` is OK for a change that is about to be made. ERR_IO, ERR_MEMORY: it is not in the log.
 */
static enum err record_change(const struct desk *desk, enum audit_event event, struct slice id,
                              struct slice reason, enum err outcome)
{
    char memory[64];
    struct buffer path = BUFFER_OVER(memory, sizeof memory);
    if (!desk->audit)
        return OK;
    buffer_printf(&path, "/api/v1/auth/api-keys/%.*s", SLICE_ARG(id));
    struct audit_record record = {
        .wall_us = clock_wall_us(),
        .now_us = clock_now_us(),
        .event = event,
        .actor = SLICE("local"),
        .method = SLICE("CLI"),
        .path = buffer_slice(&path),
        .status = outcome == OK              ? 0
                  : outcome == ERR_NOT_FOUND ? 404
                                             : 500,
        .reason = reason,
    };
    return audit_append(desk->audit, &record);
}

/* What was recorded did not come to be. */
static void record_failure(const struct desk *desk, enum audit_event event, struct slice id,
                           enum err why)
{
    enum err ignored = record_change(desk, event, id, slice_of(err_name(why)), why);
    (void)ignored; /* the answer to the caller says it too */
}

struct witness {
    const struct desk *desk;
    struct slice name;
    char id[KEY_ID_LEN + 1]; /* empty: nothing was recorded */
    bool failed;
};

static enum err record_create(void *context, struct slice id)
{
    struct witness *witness = context;
    enum err err = record_change(witness->desk, AUDIT_KEY_CREATE, id, witness->name, OK);
    witness->failed = err != OK;
    if (err == OK)
        memcpy(witness->id, id.ptr, KEY_ID_LEN);
    return err;
}

/* key_create */

/* A list of strings out of a JSON array, as slices into it. False: it is none, or too long. */
static bool read_words(const json_t *list, struct slice *words, size_t max, size_t *count)
{
    *count = 0;
    if (!list)
        return true;
    if (!json_is_array(list) || json_array_size(list) > max)
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
    return verb_refusal("usage", "unknown %s \"%.*s\": known are %.*s", kind,
                        (int)(word.len < 64 ? word.len : 64), word.ptr ? word.ptr : "",
                        SLICE_ARG(buffer_slice(&list)));
}

/* NULL when all are known; else the refusal. */
static json_t *read_permissions(const json_t *names, const json_t *scopes, permissions *set)
{
    struct slice words[64];
    size_t count;
    if (names && scopes)
        return verb_refusal("usage", "permissions and scopes exclude each other");
    if (!names && !scopes) {
        *set = READ_MODELS | RUN_INFERENCE | USE_STREAMING;
        return NULL;
    }
    if (!read_words(names ? names : scopes, words, COUNT_OF(words), &count))
        return verb_refusal("usage", "permissions and scopes are lists of names");
    *set = PERMISSIONS_NONE;
    for (size_t i = 0; i < count; i++)
        if ((names ? permission_parse : scope_parse)(words[i], set) != OK)
            return unknown_permission(names ? "permission" : "scope", words[i]);
    return NULL;
}

static json_t *create_key(const struct desk *desk, struct key_request *wanted, uint64_t now_epoch_s)
{
    const char *fault = key_request_fault(wanted, now_epoch_s);
    if (fault)
        return verb_refusal("usage", "%s", fault);
    AUTO(secret) plain = {0};
    struct api_key *key;
    struct witness witness = {.desk = desk, .name = wanted->name};
    wanted->before = record_create;
    wanted->context = &witness;
    enum err err =
        keyring_create_key(desk->keyring, desk->store, wanted, now_epoch_s, &plain, &key);
    if (witness.failed)
        return audit_refusal("making the key");
    if (err != OK) {
        if (witness.id[0])
            record_failure(desk, AUDIT_KEY_CREATE, slice_of(witness.id), err);
        return refusal_of(err, "making the key");
    }
    json_t *response = show(desk->store, slice_make(key->id, KEY_ID_LEN), secret_reveal(&plain),
                            "was made (revoke it: nobody was told its secret)");
    api_key_unref(key);
    return response;
}

static json_t *key_create(const struct desk *desk, const json_t *request)
{
    const char *verb, *name, *owner = "";
    json_t *names = NULL, *scopes = NULL, *models = NULL;
    json_int_t days = 0;
    json_error_t wrong;
    struct slice words[MODELS_MAX];
    struct key_request wanted = {.models = words};
    if (json_unpack_ex((json_t *)request, &wrong, JSON_STRICT,
                       "{s:s, s:s, s?s, s?o, s?o, s?o, s?I}", "verb", &verb, "name", &name, "owner",
                       &owner, "permissions", &names, "scopes", &scopes, "models", &models,
                       "expires_in_days", &days) != 0)
        return verb_refusal("usage", "key_create: %s", wrong.text);
    if (!read_words(models, words, MODELS_MAX, &wanted.model_count))
        return verb_refusal("usage", "models: at most 64 names");
    if (models && wanted.model_count == 0)
        return verb_refusal("usage", "models: name at least one, or leave them out for all");
    if (json_object_get(request, "expires_in_days") && (days < 1 || days > EXPIRES_DAYS_MAX))
        return verb_refusal("usage", "expires_in_days: must be 1 to %d", EXPIRES_DAYS_MAX);
    json_t *refusal = read_permissions(names, scopes, &wanted.permissions);
    if (refusal)
        return refusal;
    uint64_t now_epoch_s = clock_wall_us() / SECOND_US;
    wanted.name = slice_of(name);
    wanted.owner = slice_of(owner);
    wanted.expires_epoch_s = days ? now_epoch_s + (uint64_t)days * 86400 : 0;
    return create_key(desk, &wanted, now_epoch_s);
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
    json_t *keys;
    size_t bytes;
    uint64_t last;
};

static enum err list_row(void *context, const struct stored_key *key)
{
    struct page *page = context;
    if (page->bytes >= PAGE_BYTES)
        return ERR_LIMIT; /* the page is full, and there is at least one more */
    json_t *value = key_value(key, (struct slice){0});
    if (!value)
        return ERR_STORE;
    page->bytes += json_dumpb(value, NULL, 0, JSON_COMPACT) + 1;
    page->last = key->number;
    return json_array_append_new(page->keys, value) == 0 ? OK : ERR_MEMORY;
}

static json_t *key_list(const struct desk *desk, const json_t *request)
{
    const char *verb;
    json_int_t after = 0;
    json_error_t wrong;
    if (json_unpack_ex((json_t *)request, &wrong, JSON_STRICT, "{s:s, s?I}", "verb", &verb, "after",
                       &after) != 0)
        return verb_refusal("usage", "key_list: %s", wrong.text);
    if (after < 0)
        return verb_refusal("usage", "key_list: after must not be negative");
    if (after == 0)
        refresh_uses(desk->store, desk->keyring);
    struct page page = {.keys = json_array()};
    enum err err = store_each_key_after(desk->store, (uint64_t)after, list_row, &page);
    if (err != OK && err != ERR_LIMIT) {
        json_decref(page.keys);
        return refusal_of(err, "reading the keys");
    }
    json_t *response = success("keys", page.keys);
    if (json_object_set_new(response, "next",
                            err == ERR_LIMIT ? json_integer((json_int_t)page.last) : json_null())) {
        json_decref(response);
        return NULL;
    }
    return response;
}

/* key_show, key_revoke: {"id": ID} */

/* NULL: `*id` is a key's id (borrowed from the request); else the refusal. */
static json_t *read_id(const json_t *request, struct slice *id)
{
    const char *verb, *text;
    size_t len;
    json_error_t wrong;
    if (json_unpack_ex((json_t *)request, &wrong, JSON_STRICT, "{s:s, s:s%}", "verb", &verb, "id",
                       &text, &len) != 0)
        return verb_refusal("usage", "%s", wrong.text);
    *id = slice_make(text, len);
    if (api_key_shaped(*id))
        return verb_refusal("usage",
                            "that is a whole key; its id is the %d characters behind "
                            "\"sp_\"",
                            KEY_ID_LEN);
    if (!key_id_shaped(*id))
        return verb_refusal("not_found",
                            "no key has the id \"%.64s\": an id is %d letters and digits", text,
                            KEY_ID_LEN);
    return NULL;
}

static json_t *key_show(const struct desk *desk, const json_t *request)
{
    struct slice id;
    json_t *refusal = read_id(request, &id);
    if (refusal)
        return refusal;
    refresh_uses(desk->store, desk->keyring);
    return show(desk->store, id, (struct slice){0}, NULL);
}

static json_t *key_revoke(const struct desk *desk, const json_t *request)
{
    struct slice id;
    json_t *refusal = read_id(request, &id);
    if (refusal)
        return refusal;
    if (record_change(desk, AUDIT_KEY_REVOKE, id, SLICE(""), OK) != OK)
        return audit_refusal("revoking the key");
    enum err err = keyring_revoke_key(desk->keyring, desk->store, id, clock_wall_us() / SECOND_US);
    if (err != OK)
        record_failure(desk, AUDIT_KEY_REVOKE, id, err);
    if (err == ERR_NOT_FOUND)
        return verb_refusal("not_found",
                            "no live key has the id \"%.64s\": see `sallyport key list`", id.ptr);
    return err == OK ? show(desk->store, id, (struct slice){0}, "was revoked")
                     : refusal_of(err, "revoking the key");
}

static json_t *ping(const struct desk *desk, const json_t *request)
{
    (void)desk, (void)request;
    return json_pack("{s:b, s:i, s:s}", "ok", 1, "pid", (int)getpid(), "version",
                     SALLYPORT_VERSION);
}

static const struct {
    const char *name;
    json_t *(*run)(const struct desk *desk, const json_t *request);
} verbs[] = {
    {"key_create", key_create},
    {"key_list",   key_list  },
    {"key_show",   key_show  },
    {"key_revoke", key_revoke},
    {"ping",       ping      },
};

json_t *verb_run(const struct desk *desk, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "verb"));
    for (size_t i = 0; name && i < COUNT_OF(verbs); i++)
        if (strcmp(name, verbs[i].name) == 0)
            return verbs[i].run(desk, request);
    return verb_refusal("usage", "unknown verb; is this sallyport as new as the command?");
}
