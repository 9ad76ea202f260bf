/* The verbs that make and change keys. Their one hard problem is that nobody may give more rights
 * than they have: not by making a key, not by changing one, not by being shown a new secret for one
 * that has more. So whatever was asked for, it is the key as it will be that is measured by who
 * asks, under the keyring's lock, where nothing comes between. */
#include <stdio.h>

#include "api/key_parts.h"
#include "base/clock.h"
#include "identity/api_key.h"

enum {
    LIST_MAX = 64,
    GRACE_S_MAX = 7 * 86400, /* two keys for one caller are for the time that a change takes */
    REASON_BYTES = 512,
};

/* --- wishes -------------------------------------------------------------------------------------
 */

/* What is asked for. `no_...`: null, the limit is lifted. */
struct key_wishes {
    struct slice id, name, owner, rate;
    const json_t *permissions, *scopes, *models, *endpoints, *ip_ranges;
    int64_t days, burst, grace_s;
    bool disabled, sets_disabled, has_days, has_burst;
    bool no_models, no_endpoints, no_ip_ranges, no_rate, no_burst, no_end;
};

// clang-format off
#define PLACE(member) offsetof(struct key_wishes, member)

/* Of key_update; key_create has those behind the first two. */
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
static const struct field *const create_fields = change_fields + 2;

static const struct field rotate_fields[] = {
    {"id",              FIELD_TEXT,   true,  PLACE(id)},
    {"grace_seconds",   FIELD_NUMBER, false, PLACE(grace_s)},
    {"expires_in_days", FIELD_NUMBER, false, PLACE(days), PLACE(has_days), .null_place = PLACE(no_end)},
    {0},
};
// clang-format on

static json_t *read_wishes(const struct caller *caller, const json_t *request,
                           const struct field *fields, struct key_wishes *wishes)
{
    json_t *refusal = key_refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, fields, wishes);
    if (!refusal && wishes->id.ptr)
        refusal = key_check_id(wishes->id);
    if (refusal)
        return refusal;
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

/* Permissions and scopes */

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

/* NULL when all are known, or none is named and `*set` stays; else the refusal. */
static json_t *read_permissions(const json_t *names, const json_t *scopes, permissions *set)
{
    struct slice words[64];
    size_t count;
    if (names && scopes)
        return verb_refusal("usage", "scopes", "permissions and scopes exclude each other");
    if (!names && !scopes)
        return NULL;
    if (!read_words(names ? names : scopes, words, COUNT_OF(words), &count))
        return verb_refusal("usage", names ? "permissions" : "scopes",
                            "permissions and scopes are lists of names");
    *set = PERMISSIONS_NONE;
    for (size_t i = 0; i < count; i++)
        if ((names ? permission_parse : scope_parse)(words[i], set) != OK)
            return unknown_permission(names ? "permission" : "scope", words[i]);
    return NULL;
}

/* --- the key as it will be ----------------------------------------------------------------------
 */

/* A list of a key's, with what its words point to. */
struct words {
    json_t *owned; /* NULL: they are the request's or the caller's */
    struct slice items[LIST_MAX];
    size_t count;
};

/* A key in the making. */
struct order {
    const struct desk *desk;
    const struct caller *caller;
    const struct key_wishes *wishes;
    bool only_disables; /* which gives nobody anything, however much the key could */
    uint64_t now_epoch_s;
    struct words models, endpoints, ip_ranges;
    char name[KEY_NAME_BYTES_MAX], owner[KEY_NAME_BYTES_MAX], rate[KEY_RATE_BYTES_MAX];
    struct slice old; /* the id of the key that is rotated; empty: none is */
    char
        made[KEY_ID_LEN + 1]; /* what was recorded as about to be made or changed; empty: nothing */
    char reason[REASON_BYTES]; /* what the record says of it */
    json_t *refusal;           /* why not */
};

static void order_finish(struct order *order)
{
    json_decref(order->models.owned);
    json_decref(order->endpoints.owned);
    json_decref(order->ip_ranges.owned);
}

/* NULL: `words` are those of the list, if there is one. */
static json_t *read_list(struct words *words, const json_t *list, const char *name)
{
    if (!list)
        return NULL;
    if (!read_words(list, words->items, LIST_MAX, &words->count))
        return verb_refusal("usage", name, "%s: at most %d words", name, LIST_MAX);
    if (words->count)
        return NULL;
    return verb_refusal("usage", name, "%s: name at least one, or leave it out", name);
}

static json_t *read_lists(struct order *order)
{
    const struct key_wishes *wishes = order->wishes;
    json_t *refusal = read_list(&order->models, wishes->models, "models");
    if (!refusal)
        refusal = read_list(&order->endpoints, wishes->endpoints, "endpoints");
    if (!refusal)
        refusal = read_list(&order->ip_ranges, wishes->ip_ranges, "ip_ranges");
    return refusal;
}

/* The row's list, unless there is to be another one or none. */
static enum err keep_list(struct words *words, struct slice stored, bool none)
{
    if (words->count || none)
        return OK;
    words->owned = key_list_value(stored);
    return words->owned && read_words(words->owned, words->items, LIST_MAX, &words->count)
               ? OK
               : ERR_STORE;
}

static enum err keep_lists(struct order *order, const struct stored_key *row)
{
    const struct key_wishes *wishes = order->wishes;
    TRY(keep_list(&order->models, row->models_json, wishes->no_models));
    TRY(keep_list(&order->endpoints, row->endpoints_json, wishes->no_endpoints));
    return keep_list(&order->ip_ranges, row->ip_ranges_json, wishes->no_ip_ranges);
}

/* A copy of the row's text, which does not last. The room is as large as such a text can be. */
static struct slice keep_text(char *room, size_t size, struct slice text)
{
    size_t len = text.len < size ? text.len : size;
    if (len)
        memcpy(room, text.ptr, len);
    return slice_make(room, len);
}

static void point_to_lists(const struct order *order, struct key_request *wanted)
{
    wanted->models = order->models.items;
    wanted->model_count = order->models.count;
    wanted->endpoints = order->endpoints.items;
    wanted->endpoint_count = order->endpoints.count;
    wanted->ip_ranges = order->ip_ranges.items;
    wanted->ip_range_count = order->ip_ranges.count;
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
static json_t *bound_by_caller(const struct order *order, const struct key_request *wanted)
{
    const struct caller *caller = order->caller;
    const struct key_wishes *wishes = order->wishes;
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

/* NULL: it may be. */
static json_t *check_wanted(const struct order *order, const struct key_request *wanted,
                            uint64_t now_epoch_s)
{
    json_t *refusal = bound_by_caller(order, wanted);
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

/* --- the record ---------------------------------------------------------------------------------
 */

/* Was the caller's own credential taken away since the request came? The errand has waited. */
static bool caller_stands(const struct order *order)
{
    const struct caller *caller = order->caller;
    if (caller->key && !api_key_stands(caller->key, clock_wall_us() / SECOND_US))
        return false;
    return !caller->account ||
           !atomic_load_explicit(&caller->account->closed, memory_order_acquire);
}

/* Called with the keyring's lock, before anything is made or changed. */
static enum err record(void *context, struct slice id)
{
    struct order *order = context;
    const struct desk *desk = order->desk;
    if (!caller_stands(order)) {
        order->refusal = verb_refusal("unauthenticated", NULL,
                                      "The credential that asked for this is not valid any more.");
        return ERR_DENIED;
    }
    bool creates = order->old.len || !order->wishes->id.len;
    enum err err = verb_record(desk, order->caller, creates ? AUDIT_KEY_CREATE : AUDIT_KEY_UPDATE,
                               id, slice_of(order->reason));
    if (err == OK && order->old.len) {
        char reason[64];
        snprintf(reason, sizeof reason, "rotated to %.*s grace_seconds %d", SLICE_ARG(id),
                 (int)order->wishes->grace_s);
        err = verb_record(desk, order->caller, AUDIT_KEY_UPDATE, order->old, slice_of(reason));
    }
    if (err != OK)
        order->refusal = verb_unrecorded(err, "making or changing the key");
    else
        memcpy(order->made, id.ptr, KEY_ID_LEN);
    return err == OK ? OK : ERR_DENIED;
}

/* What came of it; `err` is not OK. */
static json_t *refuse(struct order *order, enum err err, const char *what)
{
    bool creates = order->old.len || !order->wishes->id.len;
    if (order->made[0])
        verb_record_failure(order->desk, order->caller,
                            creates ? AUDIT_KEY_CREATE : AUDIT_KEY_UPDATE, slice_of(order->made),
                            err);
    if (order->refusal)
        return order->refusal;
    return err == ERR_NOT_FOUND ? key_none_live(order->wishes->id) : verb_failure(err, what);
}

/* The fields that are set, and the values of those that are short: what an auditor looks for. */
static void describe(struct order *order, const struct key_request *wanted)
{
    const struct key_wishes *wishes = order->wishes;
    struct buffer out = BUFFER_OVER(order->reason, sizeof order->reason - 1);
    if (wishes->sets_disabled)
        buffer_text(&out, wishes->disabled ? "disabled " : "enabled ");
    if (wishes->owner.ptr)
        buffer_printf(&out, "owner \"%.*s\" ", SLICE_ARG(wanted->owner));
    if (wishes->name.ptr)
        buffer_printf(&out, "name \"%.*s\" ", SLICE_ARG(wanted->name));
    if (wishes->rate.ptr || wishes->no_rate)
        buffer_printf(&out, "rate %.*s ", SLICE_ARG(wanted->rate));
    if (wishes->has_burst || wishes->no_burst)
        buffer_printf(&out, "burst %llu ", (unsigned long long)wanted->burst);
    if (wishes->has_days)
        buffer_printf(&out, "expires_in_days %d ", (int)wishes->days);
    if (wishes->no_end)
        buffer_text(&out, "never expires ");
    if (wishes->models || wishes->no_models)
        buffer_printf(&out, "models %zu ", wanted->model_count);
    if (wishes->endpoints || wishes->no_endpoints)
        buffer_printf(&out, "endpoints %zu ", wanted->endpoint_count);
    if (wishes->ip_ranges || wishes->no_ip_ranges)
        buffer_printf(&out, "ip_ranges %zu ", wanted->ip_range_count);
    if (wishes->permissions || wishes->scopes) {
        buffer_text(&out, "permissions ");
        permissions_print_json(&out, wanted->permissions);
        buffer_byte(&out, ' ');
    }
    order->reason[out.len ? out.len - 1 : 0] = '\0';
}

static uint64_t end_of(const struct order *order, uint64_t otherwise_epoch_s)
{
    const struct key_wishes *wishes = order->wishes;
    if (wishes->has_days)
        return order->now_epoch_s + (uint64_t)wishes->days * 86400;
    return wishes->no_end ? 0 : otherwise_epoch_s;
}

/* --- key_create ---------------------------------------------------------------------------------
 */

static json_t *fill_new(const struct order *order, struct key_request *wanted)
{
    const struct key_wishes *wishes = order->wishes;
    const struct caller *caller = order->caller;
    wanted->name = wishes->name;
    wanted->owner = wishes->owner;
    if (!wishes->owner.len && !key_caller_manages(caller))
        wanted->owner = slice_of(caller->account->name);
    wanted->rate = wishes->rate;
    wanted->burst = (uint64_t)wishes->burst;
    wanted->expires_epoch_s = end_of(order, 0);
    /* What nobody asked for is no more than who asks has. */
    wanted->permissions = (READ_MODELS | RUN_INFERENCE | USE_STREAMING) & caller->permissions;
    point_to_lists(order, wanted);
    json_t *refusal = read_permissions(wishes->permissions, wishes->scopes, &wanted->permissions);
    return refusal ? refusal : check_wanted(order, wanted, order->now_epoch_s);
}

static json_t *create_key(struct order *order)
{
    const struct desk *desk = order->desk;
    struct key_request wanted = {.before = record, .context = order};
    AUTO(secret) plain = {0};
    struct api_key *key;
    json_t *refusal = read_lists(order);
    if (!refusal)
        refusal = fill_new(order, &wanted);
    if (refusal)
        return refusal;
    snprintf(order->reason, sizeof order->reason, "%.*s", SLICE_ARG(wanted.name));
    enum err err =
        keyring_create_key(desk->keyring, desk->store, &wanted, order->now_epoch_s, &plain, &key);
    if (err != OK)
        return refuse(order, err, "making the key");
    json_t *response =
        key_show(desk->store, order->caller, slice_make(key->id, KEY_ID_LEN), secret_reveal(&plain),
                 "was made (revoke it: nobody was told its secret)");
    api_key_unref(key);
    return response;
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

json_t *verb_key_create(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct key_wishes wishes = {0};
    struct order order = {.desk = desk,
                          .caller = caller,
                          .wishes = &wishes,
                          .now_epoch_s = clock_wall_us() / SECOND_US};
    json_t *refusal = read_wishes(caller, request, create_fields, &wishes);
    if (!refusal)
        refusal = refuse_null(request);
    if (!refusal && !wishes.name.ptr)
        refusal = verb_refusal("usage", "name", "name: is required");
    json_t *response = refusal ? refusal : create_key(&order);
    order_finish(&order);
    return response;
}

/* --- key_update ---------------------------------------------------------------------------------
 */

/* The key as it is. */
static enum err keep(struct order *order, const struct stored_key *row, struct key_request *wanted)
{
    TRY(keep_lists(order, row));
    point_to_lists(order, wanted);
    wanted->name = keep_text(order->name, sizeof order->name, row->name);
    wanted->owner = keep_text(order->owner, sizeof order->owner, row->owner);
    wanted->rate = keep_text(order->rate, sizeof order->rate, row->rate);
    wanted->burst = row->burst;
    wanted->permissions = row->permissions;
    wanted->disabled = row->disabled;
    wanted->expires_epoch_s = end_of(order, row->expires_epoch_s);
    wanted->before = record;
    wanted->context = order;
    return OK;
}

/* A burst goes with the rate that it was given for. */
static void apply(const struct key_wishes *wishes, struct key_request *wanted)
{
    if (wishes->name.ptr)
        wanted->name = wishes->name;
    if (wishes->owner.ptr)
        wanted->owner = wishes->owner;
    if (wishes->rate.ptr || wishes->no_rate) {
        wanted->rate = wishes->rate;
        wanted->burst = 0;
    }
    if (wishes->has_burst || wishes->no_burst)
        wanted->burst = (uint64_t)wishes->burst;
    if (wishes->sets_disabled)
        wanted->disabled = wishes->disabled;
}

static enum err edit(void *context, const struct stored_key *row, struct key_request *wanted)
{
    struct order *order = context;
    if (!key_is_own(order->caller, row->owner))
        return ERR_NOT_FOUND;
    TRY(keep(order, row, wanted));
    apply(order->wishes, wanted);
    order->refusal =
        read_permissions(order->wishes->permissions, order->wishes->scopes, &wanted->permissions);
    if (!order->refusal && !order->only_disables)
        order->refusal = check_wanted(order, wanted, 0);
    describe(order, wanted);
    return order->refusal ? ERR_DENIED : OK;
}

static json_t *update_key(struct order *order)
{
    const struct desk *desk = order->desk;
    struct slice id = order->wishes->id;
    json_t *refusal = read_lists(order);
    if (refusal)
        return refusal;
    enum err err = keyring_change_key(desk->keyring, desk->store, id, edit, order);
    return err == OK ? key_show(desk->store, order->caller, id, (struct slice){0}, "was changed")
                     : refuse(order, err, "changing the key");
}

json_t *verb_key_update(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct key_wishes wishes = {0};
    struct order order = {.desk = desk,
                          .caller = caller,
                          .wishes = &wishes,
                          .now_epoch_s = clock_wall_us() / SECOND_US};
    json_t *refusal = read_wishes(caller, request, change_fields, &wishes);
    if (!refusal && json_object_size(request) <= 2) /* the verb and the id */
        refusal = verb_refusal("usage", NULL, "nothing is to be changed: name a field");
    order.only_disables = wishes.disabled && json_object_size(request) == 3;
    json_t *response = refusal ? refusal : update_key(&order);
    order_finish(&order);
    return response;
}

/* --- key_rotate ---------------------------------------------------------------------------------
 */

static enum err edit_rotated(void *context, const struct stored_key *row,
                             struct key_request *wanted)
{
    struct order *order = context;
    const struct key_wishes *wishes = order->wishes;
    if (!key_is_own(order->caller, row->owner))
        return ERR_NOT_FOUND;
    TRY(keep(order, row, wanted));
    snprintf(order->reason, sizeof order->reason, "rotated from %.*s", SLICE_ARG(order->old));
    if (!wishes->has_days && !wishes->no_end && row->expires_epoch_s &&
        row->expires_epoch_s <= order->now_epoch_s)
        order->refusal = verb_refusal("conflict", "expires_in_days",
                                      "the key has expired: say with expires_in_days for how long "
                                      "the new one is to be good");
    else
        order->refusal = check_wanted(order, wanted, 0);
    return order->refusal ? ERR_DENIED : OK;
}

/* When the old key ends, beside the new one. */
static json_t *tell_end(const struct order *order, json_t *response)
{
    json_t *key = json_object_get(response, "key");
    uint64_t end_epoch_s = order->now_epoch_s + (uint64_t)order->wishes->grace_s;
    if (key && (json_object_set_new(key, "replaces", text_value(order->old)) != 0 ||
                json_object_set_new(key, "replaced_ends_at", time_value(end_epoch_s)) != 0)) {
        json_decref(response);
        return NULL;
    }
    return response;
}

static json_t *rotate_key(struct order *order)
{
    const struct desk *desk = order->desk;
    const struct key_wishes *wishes = order->wishes;
    AUTO(secret) plain = {0};
    struct api_key *key;
    enum err err =
        keyring_rotate_key(desk->keyring, desk->store, wishes->id, (uint64_t)wishes->grace_s,
                           order->now_epoch_s, edit_rotated, order, &plain, &key);
    if (err != OK)
        return refuse(order, err, "rotating the key");
    json_t *response =
        key_show(desk->store, order->caller, slice_make(key->id, KEY_ID_LEN), secret_reveal(&plain),
                 "was made (revoke it: nobody was told its secret)");
    api_key_unref(key);
    return tell_end(order, response);
}

json_t *verb_key_rotate(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct key_wishes wishes = {0};
    struct order order = {.desk = desk,
                          .caller = caller,
                          .wishes = &wishes,
                          .now_epoch_s = clock_wall_us() / SECOND_US};
    json_t *refusal = read_wishes(caller, request, rotate_fields, &wishes);
    order.old = wishes.id;
    json_t *response = refusal ? refusal : rotate_key(&order);
    order_finish(&order);
    return response;
}
