/* The table of verbs, and what they share. Its one hard problem is that a request is input even
 * though its sender may do everything: an unknown member or a wrong type is refused, never skipped,
 * so that a limit that was misspelt does not make a key without one. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/verb_parts.h"
#include "base/clock.h"
#include "base/utf8.h"

enum { RECORDS_AT_ONCE = 24 };

const struct caller local_caller = {
    .local = true,
    .permissions = PERMISSIONS_ALL,
    .actor = {"local", 5},
    .method = {"CLI",   3},
};

static json_t *ping(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    (void)desk, (void)caller, (void)request;
    return json_pack("{s:b, s:i, s:s}", "ok", 1, "pid", (int)getpid(), "version",
                     SALLYPORT_VERSION);
}

static const struct {
    const char *name;
    verb_fn *run;
    bool requests_only; /* a command has no address, no token and no settings for it */
} verbs[] = {
    {"key_create",        verb_key_create,        false},
    {"key_list",          verb_key_list,          false},
    {"key_show",          verb_key_show,          false},
    {"key_revoke",        verb_key_revoke,        false},
    {"key_update",        verb_key_update,        false},
    {"key_rotate",        verb_key_rotate,        false},
    {"key_prune",         verb_key_prune,         false},
    {"key_import",        verb_key_import,        false},
    {"user_create",       verb_user_create,       false},
    {"user_list",         verb_user_list,         false},
    {"user_show",         verb_user_show,         false},
    {"user_update",       verb_user_update,       false},
    {"user_delete",       verb_user_delete,       false},
    {"login",             verb_login,             true },
    {"login_for_minutes", verb_login_for_minutes, true },
    {"refresh",           verb_refresh,           true },
    {"logout",            verb_logout,            true },
    {"me",                verb_me,                true },
    {"session_list",      verb_session_list,      true },
    {"session_end",       verb_session_end,       true },
    {"audit_list",        verb_audit_list,        true },
    {"audit_verify",      verb_audit_verify,      true },
    {"denylist_list",     verb_denylist_list,     false},
    {"denylist_add",      verb_denylist_add,      false},
    {"denylist_remove",   verb_denylist_remove,   false},
    {"ping",              ping,                   false},
};

static json_t *run_named(const struct desk *desk, const struct caller *caller,
                         const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "verb"));
    for (size_t i = 0; name && i < COUNT_OF(verbs); i++)
        if (strcmp(name, verbs[i].name) == 0 && !(verbs[i].requests_only && caller->local))
            return verbs[i].run(desk, caller, request);
    return verb_refusal("usage", NULL, "unknown verb; is this sallyport as new as the command?");
}

/* A name and a password, or a key of the file, which is asked as it is now. Names of an htpasswd
 * file change nothing here: they have no right to. */
static bool credential_holds(const struct desk *desk, const struct caller *caller,
                             uint64_t now_epoch_s)
{
    const struct credential *credential = caller->credential;
    struct keys_file *keys = NULL;
    if (credential->home == CREDENTIAL_OF_NAMES)
        return true;
    if (credential->home == CREDENTIAL_OF_KEYS && desk->file_keys)
        keys = desk->file_keys(desk->context);
    const struct credential_files files = {.keys = keys};
    bool holds = credential_stands(credential, &files, now_epoch_s) &&
                 !(caller->permissions & ~credential_permissions(credential, &files));
    keys_file_unref(keys);
    return holds;
}

/* Who asks may have been shut out, or have lost rights, since the gate let the request pass: it
 * waited in a lane, and for a password to be hashed. */
static bool caller_stands(const struct desk *desk, const struct caller *caller)
{
    uint64_t now_epoch_s = clock_credential_s();
    if (caller->credential && !credential_holds(desk, caller, now_epoch_s))
        return false;
    if (caller->key && (!api_key_stands(caller->key, now_epoch_s) ||
                        caller->permissions & ~api_key_permissions(caller->key)))
        return false;
    return !caller->signed_in || session_stands(caller->signed_in, now_epoch_s);
}

static json_t *refuse_fallen(void)
{
    return verb_refusal("unauthenticated", NULL, "The credential is not valid any more.");
}

json_t *verb_run(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    json_t *response =
        caller_stands(desk, caller) ? run_named(desk, caller, request) : refuse_fallen();
    return json_is_null(response) ? NULL : response;
}

/* --- requests -----------------------------------------------------------------------------------
 */

static json_t *wrong_type(const char *name, const char *expected)
{
    return verb_refusal("usage", name, "%s: must be %s", name, expected);
}

static bool read_number(const json_t *value, enum field_type type, int64_t *number)
{
    uint64_t digits;
    if (json_is_integer(value)) {
        *number = json_integer_value(value);
        return true;
    }
    if (type != FIELD_DIGITS || !json_is_string(value) ||
        !slice_number(slice_make(json_string_value(value), json_string_length(value)), INT64_MAX,
                      &digits))
        return false;
    *number = (int64_t)digits;
    return true;
}

static json_t *read_field(const json_t *value, const struct field *field, void *into)
{
    void *place = (char *)into + field->place;
    switch (field->type) {
    case FIELD_TEXT:
        if (!json_is_string(value))
            return wrong_type(field->name, "a string");
        *(struct slice *)place = slice_make(json_string_value(value), json_string_length(value));
        break;
    case FIELD_NUMBER:
    case FIELD_DIGITS:
        if (!read_number(value, field->type, place))
            return wrong_type(field->name, "a whole number");
        break;
    case FIELD_BOOL:
        if (!json_is_boolean(value))
            return wrong_type(field->name, "true or false");
        *(bool *)place = json_is_true(value);
        break;
    case FIELD_LIST:
        if (!json_is_array(value))
            return wrong_type(field->name, "a list");
        *(const json_t **)place = value;
        break;
    }
    if (field->given_place)
        *(bool *)((char *)into + field->given_place) = true;
    return NULL;
}

static bool is_known(const char *name, const struct field *fields)
{
    if (strcmp(name, "verb") == 0)
        return true;
    for (; fields->name; fields++)
        if (strcmp(name, fields->name) == 0)
            return true;
    return false;
}

json_t *fields_read(const json_t *request, const struct field *fields, void *into)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)request, name, value)
    {
        if (!is_known(name, fields))
            return verb_refusal("usage", name, "%.64s: there is no such member here", name);
    }
    for (; fields->name; fields++) {
        value = json_object_get(request, fields->name);
        if (!value || (fields->null_is_none && json_is_null(value))) {
            if (fields->required)
                return verb_refusal("usage", fields->name, "%s: is required", fields->name);
            continue;
        }
        if (fields->null_place && json_is_null(value)) {
            *(bool *)((char *)into + fields->null_place) = true;
            continue;
        }
        json_t *refusal = read_field(value, fields, into);
        if (refusal)
            return refusal;
    }
    return NULL;
}

json_t *read_only_id(const json_t *request, struct slice *id)
{
    static const struct field fields[] = {
        {"id",              FIELD_TEXT, .required = true},
        {0}
    };
    return fields_read(request, fields, id);
}

json_t *read_only_after(const json_t *request, uint64_t *after)
{
    static const struct field fields[] = {
        {"after", FIELD_DIGITS},
        {0      }
    };
    int64_t number = 0;
    json_t *refusal = fields_read(request, fields, &number);
    if (!refusal && number < 0)
        refusal = verb_refusal("usage", "after", "after: must not be negative");
    *after = (uint64_t)number;
    return refusal;
}

/* --- responses ----------------------------------------------------------------------------------
 */

/* A name that was cut to a length may end in half a character, which JSON has no form for. */
static void make_utf8(char *text)
{
    struct slice rest = slice_of(text);
    while (rest.len) {
        size_t len = utf8_sequence(rest);
        if (!len)
            text[(size_t)(rest.ptr - text)] = '?';
        rest = slice_from(rest, len ? len : 1);
    }
}

json_t *verb_refusal(const char *code, const char *param, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    make_utf8(sentence);
    json_t *refusal = json_pack("{s:b, s:s, s:s, s:s?}", "ok", 0, "error", code, "message",
                                sentence, "param", param);
    return refusal ? refusal : json_null();
}

json_t *verb_failure(enum err err, const char *what)
{
    if (err == ERR_STORE)
        return verb_refusal("store", NULL,
                            "%s: the store could not be read or written; nothing was "
                            "changed. Is the disk full or read-only?",
                            what);
    if (err == ERR_LIMIT)
        return verb_refusal("limit", NULL, "%s: there are as many as can be; remove some", what);
    return verb_refusal(err == ERR_MEMORY ? "memory" : err_name(err), NULL, "%s: %s", what,
                        err_name(err));
}

json_t *verb_success(const char *name, json_t *value)
{
    json_t *object = json_object();
    int failed = json_object_set_new(object, "ok", json_true());
    failed |= json_object_set_new(object, name, value);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

json_t *verb_page(const char *name, json_t *list, json_t *next)
{
    json_t *response = verb_success(name, list);
    if (json_object_set_new(response, "next", next) == 0)
        return response;
    json_decref(response);
    return NULL;
}

json_t *verb_done(void)
{
    return json_pack("{s:b}", "ok", 1);
}

json_t *time_value(uint64_t epoch_s)
{
    char text[32];
    struct buffer out = BUFFER_OVER(text, sizeof text);
    if (epoch_s == 0 || epoch_s > UINT32_MAX * UINT64_C(16))
        return json_null();
    clock_print_rfc3339(&out, epoch_s * SECOND_US);
    return json_stringn(out.bytes, out.len);
}

json_t *text_value(struct slice text)
{
    return json_stringn(text.len ? text.ptr : "", text.len);
}

json_t *permissions_value(permissions set)
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

json_t *object_of(const struct member *members, size_t count)
{
    json_t *object = json_object();
    int failed = 0;
    for (size_t i = 0; i < count; i++)
        failed |= json_object_set_new(object, members[i].name, members[i].value);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

/* --- the record ---------------------------------------------------------------------------------
 */

static struct audit_record record_of(const struct caller *caller, enum audit_event event)
{
    return (struct audit_record){
        .wall_us = clock_wall_us(),
        .now_us = clock_now_us(),
        .event = event,
        .actor = caller->actor,
        .ip = caller->ip,
        .method = caller->method,
        .path = caller->path,
        .request_id = caller->request_id,
    };
}

/* Where a command's change would stand in the API, so that a search finds both. */
static void print_subject(struct buffer *out, enum audit_event event, struct slice subject)
{
    static const char *const places[AUDIT_EVENT_COUNT] = {
        [AUDIT_KEY_CREATE] = "auth/api-keys", [AUDIT_KEY_REVOKE] = "auth/api-keys",
        [AUDIT_KEY_UPDATE] = "auth/api-keys", [AUDIT_BAN] = "denylist",
        [AUDIT_UNBAN] = "denylist",
    };
    buffer_printf(out, "/api/v1/%s/%.*s", places[event] ? places[event] : "users",
                  SLICE_ARG(subject));
}

/* At most RECORDS_AT_ONCE. */
static enum err record_some(const struct desk *desk, const struct caller *caller,
                            enum audit_event event, const struct verb_subject *subjects,
                            size_t count, enum err outcome, size_t *recorded)
{
    char memory[RECORDS_AT_ONCE][128];
    struct audit_record records[RECORDS_AT_ONCE];
    for (size_t i = 0; i < count; i++) {
        struct buffer path = BUFFER_OVER(memory[i], sizeof memory[i]);
        print_subject(&path, event, subjects[i].id);
        records[i] = record_of(caller, event);
        records[i].path = buffer_slice(&path);
        records[i].reason = outcome == OK ? subjects[i].reason : slice_of(err_name(outcome));
        records[i].status = outcome == OK ? 0 : outcome == ERR_NOT_FOUND ? 404 : 500;
    }
    size_t written;
    enum err err = audit_append_all(desk->audit, records, count, &written);
    *recorded += written;
    return err;
}

static enum err record_changes(const struct desk *desk, const struct caller *caller,
                               enum audit_event event, const struct verb_subject *subjects,
                               size_t count, enum err outcome, size_t *recorded)
{
    *recorded = desk->audit ? 0 : count;
    while (*recorded < count) {
        size_t left = count - *recorded;
        TRY(record_some(desk, caller, event, subjects + *recorded,
                        left < RECORDS_AT_ONCE ? left : RECORDS_AT_ONCE, outcome, recorded));
    }
    return OK;
}

enum err verb_record_all(const struct desk *desk, const struct caller *caller,
                         enum audit_event event, const struct verb_subject *subjects, size_t count,
                         size_t *recorded)
{
    *recorded = 0;
    if (!caller_stands(desk, caller))
        return ERR_DENIED;
    return record_changes(desk, caller, event, subjects, count, OK, recorded);
}

enum err verb_record(const struct desk *desk, const struct caller *caller, enum audit_event event,
                     struct slice subject, struct slice reason)
{
    const struct verb_subject one = {subject, reason};
    size_t recorded;
    return verb_record_all(desk, caller, event, &one, 1, &recorded);
}

void verb_record_failures(const struct desk *desk, const struct caller *caller,
                          enum audit_event event, const struct verb_subject *subjects, size_t count,
                          enum err why)
{
    size_t recorded;
    enum err ignored = record_changes(desk, caller, event, subjects, count, why, &recorded);
    (void)ignored; /* the answer to the caller says it too */
}

void verb_record_failure(const struct desk *desk, const struct caller *caller,
                         enum audit_event event, struct slice subject, enum err why)
{
    const struct verb_subject one = {.id = subject};
    verb_record_failures(desk, caller, event, &one, 1, why);
}

void verb_note(const struct desk *desk, const struct caller *caller, enum audit_event event,
               struct slice actor, unsigned status, struct slice reason)
{
    if (!desk->audit)
        return;
    struct audit_record record = record_of(caller, event);
    record.actor = actor;
    record.status = status;
    record.reason = reason;
    audit_note(desk->audit, &record);
}

json_t *verb_unrecorded(enum err err, const char *what)
{
    if (err == ERR_DENIED)
        return refuse_fallen();
    return verb_refusal("audit", NULL,
                        "%s: the audit log could not be written; nothing was changed. Is the disk "
                        "full or read-only?",
                        what);
}
