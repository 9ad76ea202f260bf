/* Reads what is asked of a key and judges it. Its one hard problem is that nobody may give more
 * rights than they have: so it is the key as it will be that is measured by who asks, whatever part
 * of it the request named. */
#include "api/key_wishes.h"

#include <stdio.h>

#include "api/key_parts.h"
#include "identity/api_key.h"

enum {
    GRACE_S_MAX = 7 * 86400, /* two keys for one caller are for the time that a change takes */
};

/* --- reading ------------------------------------------------------------------------------------
 */

// clang-format off
#define PLACE(member) offsetof(struct key_wishes, member)

/* Of a change; what is made has those behind the first two. */
static const struct field change_fields[] = {
    {"id",              FIELD_TEXT,   true,  PLACE(id)},
    {"disabled",        FIELD_BOOL,   false, PLACE(disabled), PLACE(sets_disabled)},
    {"name",            FIELD_TEXT,   false, PLACE(name)},
    {"owner",           FIELD_TEXT,   false, PLACE(owner)},
    {"permissions",     FIELD_LIST,   false, PLACE(permissions)},
    {"scopes",          FIELD_LIST,   false, PLACE(scopes)},
    {"models",          FIELD_LIST,   false, PLACE(models),    .null_place = PLACE(no_models)},
    {"endpoints",       FIELD_LIST,   false, PLACE(endpoints), .null_place = PLACE(no_endpoints)},
    {"ip_ranges",       FIELD_LIST,   false, PLACE(ip_ranges), .null_place = PLACE(no_ip_ranges)},
    {"rate",            FIELD_TEXT,   false, PLACE(rate),      .null_place = PLACE(no_rate)},
    {"burst",           FIELD_NUMBER, false, PLACE(burst), PLACE(has_burst), .null_place = PLACE(no_burst)},
    {"expires_in_days", FIELD_NUMBER, false, PLACE(days), PLACE(has_days), .null_place = PLACE(no_end)},
    {0},
};

static const struct field rotate_fields[] = {
    {"id",              FIELD_TEXT,   true,  PLACE(id)},
    {"grace_seconds",   FIELD_NUMBER, false, PLACE(grace_s)},
    {"expires_in_days", FIELD_NUMBER, false, PLACE(days), PLACE(has_days), .null_place = PLACE(no_end)},
    {0},
};

static const struct {
    const struct field *fields;
    const char *of_file; /* what can be done about a key of the file instead */
} kinds[KEY_CHANGES] = {
    [KEY_MADE]    = {change_fields + 2, NULL},
    [KEY_CHANGED] = {change_fields, "change it there, and that counts a second later"},
    [KEY_ROTATED] = {rotate_fields, "put the hash of a new key there (`sallyport key create --yaml` prints one), and "
                                    "the old one opens nothing a second later"},
};
// clang-format on

/* NULL: the numbers are within their bounds. */
static json_t *check_numbers(const struct key_wishes *wishes)
{
    if (wishes->has_days && (wishes->days < 1 || wishes->days > KEY_DAYS_MAX))
        return verb_refusal("usage", "expires_in_days", "expires_in_days: must be 1 to %d",
                            KEY_DAYS_MAX);
    if (wishes->has_burst && (wishes->burst < 1 || wishes->burst > KEY_BURST_MAX))
        return verb_refusal("usage", "burst", "burst: must be 1 to %d", KEY_BURST_MAX);
    if (wishes->grace_s < 0 || wishes->grace_s > GRACE_S_MAX)
        return verb_refusal("usage", "grace_seconds", "grace_seconds: must be 0 to %d, a week",
                            GRACE_S_MAX);
    if (wishes->rate.ptr && wishes->rate.len == 0)
        return verb_refusal("usage", "rate", "rate: must be as 60/minute, or null for none");
    return NULL;
}

/* Null lifts a limit; a new key has none to lift, and what is null may have been meant to be one.
 */
static json_t *refuse_null(const json_t *request)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)request, name, value)
    {
        if (json_is_null(value))
            return verb_refusal("usage", name, "%.64s: must not be null; leave it out", name);
    }
    return NULL;
}

/* NULL: it says what a change of that kind has to be told. */
static json_t *check_complete(const json_t *request, enum key_change change,
                              const struct key_wishes *wishes)
{
    if (change == KEY_CHANGED && json_object_size(request) <= 2) /* the verb and the id */
        return verb_refusal("usage", NULL, "nothing is to be changed: name a field");
    if (change != KEY_MADE)
        return NULL;
    json_t *refusal = refuse_null(request);
    if (!refusal && !wishes->name.ptr)
        refusal = verb_refusal("usage", "name", "name: is required");
    return refusal;
}

json_t *key_wishes_read(const struct desk *desk, const struct caller *caller, const json_t *request,
                        enum key_change change, struct key_wishes *wishes)
{
    json_t *refusal = key_refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, kinds[change].fields, wishes);
    if (!refusal && wishes->id.ptr)
        refusal = file_key_refuse(desk, caller, wishes->id, kinds[change].of_file);
    if (!refusal && wishes->id.ptr)
        refusal = key_check_id(wishes->id);
    if (!refusal)
        refusal = check_numbers(wishes);
    if (!refusal)
        refusal = check_complete(request, change, wishes);
    wishes->only_disables = wishes->disabled && json_object_size(request) == 3;
    return refusal;
}

/* --- lists --------------------------------------------------------------------------------------
 */

bool key_words_read(struct key_words *words, const json_t *list)
{
    words->count = 0;
    if (json_array_size(list) > KEY_LIST_MAX)
        return false;
    for (; words->count < json_array_size(list); words->count++) {
        const json_t *word = json_array_get(list, words->count);
        if (!json_is_string(word))
            return false;
        words->items[words->count] = slice_make(json_string_value(word), json_string_length(word));
    }
    return true;
}

json_t *key_words_wish(struct key_words *words, const json_t *list, const char *name)
{
    if (!list)
        return NULL;
    if (!key_words_read(words, list))
        return verb_refusal("usage", name, "%s: at most %d words", name, KEY_LIST_MAX);
    if (words->count)
        return NULL;
    return verb_refusal("usage", name, "%s: name at least one, or leave it out", name);
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

json_t *key_wishes_permissions(const struct key_wishes *wishes, permissions *set)
{
    const json_t *names = wishes->permissions, *scopes = wishes->scopes;
    struct key_words words = {0};
    if (names && scopes)
        return verb_refusal("usage", "scopes", "permissions and scopes exclude each other");
    if (!names && !scopes)
        return NULL;
    if (!key_words_read(&words, names ? names : scopes))
        return verb_refusal("usage", names ? "permissions" : "scopes",
                            "permissions and scopes are lists of names");
    *set = PERMISSIONS_NONE;
    for (size_t i = 0; i < words.count; i++)
        if ((names ? permission_parse : scope_parse)(words.items[i], set) != OK)
            return unknown_permission(names ? "permission" : "scope", words.items[i]);
    return NULL;
}

/* --- no more than who asks ----------------------------------------------------------------------
 */

static bool endpoint_covers(struct slice wide, struct slice narrow)
{
    if (!slice_ends(wide, SLICE("*")))
        return slice_equal(wide, narrow);
    return slice_starts(narrow, slice_to(wide, wide.len - 1));
}

static bool has_endpoint(const struct api_key *key, struct slice endpoint)
{
    for (char **wide = key->endpoints; *wide; wide++)
        if (endpoint_covers(slice_of(*wide), endpoint))
            return true;
    return false;
}

static bool has_range(const struct api_key *key, struct slice range)
{
    struct cidr narrow;
    if (cidr_parse(range, &narrow) != OK)
        return false;
    for (size_t i = 0; i < key->ip_range_count; i++)
        if (narrow.bits >= key->ip_ranges[i].bits &&
            cidr_contains(&key->ip_ranges[i], &narrow.network))
            return true;
    return false;
}

static json_t *too_wide(const char *name)
{
    return verb_refusal("denied", name,
                        "%s: a key cannot reach further than the key that asks for it", name);
}

/* Whoever asks with a key that is held to lists gives no key that is not. */
static json_t *bound_by_key(const struct api_key *key, const struct key_request *wanted)
{
    bool all = !key->models || wanted->model_count;
    for (size_t i = 0; i < wanted->model_count; i++)
        all = all && api_key_may_use_model(key, wanted->models[i]);
    if (!all)
        return too_wide("models");
    all = !key->endpoints || wanted->endpoint_count;
    for (size_t i = 0; key->endpoints && i < wanted->endpoint_count; i++)
        all = all && has_endpoint(key, wanted->endpoints[i]);
    if (!all)
        return too_wide("endpoints");
    all = !key->ip_ranges || wanted->ip_range_count;
    for (size_t i = 0; key->ip_ranges && i < wanted->ip_range_count; i++)
        all = all && has_range(key, wanted->ip_ranges[i]);
    return all ? NULL : too_wide("ip_ranges");
}

/* A key's rights never exceed those of who made or changed it, and somebody's own keys are their
 * own. A rate of its own may be higher than everybody's: that is for who manages users to give. */
static json_t *bound_by_caller(const struct key_wishes *wishes, const struct caller *caller,
                               const struct key_request *wanted)
{
    bool manages = key_caller_manages(caller);
    if (!manages && !slice_equal(wanted->owner, slice_of(caller->account->name)))
        return verb_refusal("denied", "owner",
                            "owner: keys for others need the permission manage_users");
    if (!manages && (wishes->rate.ptr || wishes->has_burst || wishes->no_rate || wishes->no_burst))
        return verb_refusal("denied", wishes->rate.ptr || wishes->no_rate ? "rate" : "burst",
                            "rate, burst: these need the permission manage_users");
    if (wanted->permissions & ~caller->permissions)
        return verb_refusal("denied", "permissions",
                            "permissions: a key cannot have more rights than who makes or changes "
                            "it");
    return caller->key ? bound_by_key(caller->key, wanted) : NULL;
}

json_t *key_wishes_check(const struct key_wishes *wishes, const struct caller *caller,
                         const struct key_request *wanted, uint64_t now_epoch_s)
{
    json_t *refusal = bound_by_caller(wishes, caller, wanted);
    if (refusal)
        return refusal;
    const char *fault = key_request_fault(wanted, now_epoch_s);
    if (!fault)
        return NULL;
    char param[32];
    struct slice rest = slice_of(fault), name = slice_cut(&rest, ':');
    snprintf(param, sizeof param, "%.*s", SLICE_ARG(name));
    return verb_refusal("usage", strcmp(param, "expires") == 0 ? "expires_in_days" : param, "%s",
                        fault);
}
