/* The verbs that make and change keys. Their one hard problem is that what is recorded, what is
 * stored and what was judged must be the same key: so it is described and measured (key_wishes.c)
 * as it will be, under the keyring's lock, where nothing comes between. */
#include <stdio.h>

#include "api/key_parts.h"
#include "api/key_wishes.h"
#include "base/clock.h"
#include "identity/api_key.h"

enum { REASON_BYTES = 512 };

/* --- the key as it will be ----------------------------------------------------------------------
 */

/* A key in the making. */
struct order {
    const struct desk *desk;
    const struct caller *caller;
    const struct key_wishes *wishes;
    uint64_t now_epoch_s;
    struct key_words models, endpoints, ip_ranges;
    char name[KEY_NAME_BYTES_MAX], owner[KEY_NAME_BYTES_MAX], rate[KEY_RATE_BYTES_MAX];
    struct slice old; /* the id of the key that is rotated; empty: none is */
    uint64_t old_end_epoch_s;
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

static json_t *read_lists(struct order *order)
{
    const struct key_wishes *wishes = order->wishes;
    json_t *refusal = key_words_wish(&order->models, wishes->models, "models");
    if (!refusal)
        refusal = key_words_wish(&order->endpoints, wishes->endpoints, "endpoints");
    if (!refusal)
        refusal = key_words_wish(&order->ip_ranges, wishes->ip_ranges, "ip_ranges");
    return refusal;
}

/* The row's list, unless there is to be another one or none. */
static enum err keep_list(struct key_words *words, struct slice stored, bool none)
{
    if (words->count || none)
        return OK;
    words->owned = key_list_value(stored);
    return words->owned && key_words_read(words, words->owned) ? OK : ERR_STORE;
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

/* --- the record ---------------------------------------------------------------------------------
 */

/* Called with the keyring's lock, before anything is made or changed. Whether the caller's own
 * credential still stands is asked there: the errand has waited. */
static enum err record(void *context, struct slice id)
{
    struct order *order = context;
    const struct desk *desk = order->desk;
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
    json_t *refusal = key_wishes_permissions(wishes, &wanted->permissions);
    return refusal ? refusal : key_wishes_check(wishes, caller, wanted, order->now_epoch_s);
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

json_t *verb_key_create(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct key_wishes wishes = {0};
    struct order order = {
        .desk = desk, .caller = caller, .wishes = &wishes, .now_epoch_s = clock_credential_s()};
    json_t *refusal = key_wishes_read(desk, caller, request, KEY_MADE, &wishes);
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
    order->refusal = key_wishes_permissions(order->wishes, &wanted->permissions);
    if (!order->refusal && !order->wishes->only_disables)
        order->refusal = key_wishes_check(order->wishes, order->caller, wanted, 0);
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
    struct order order = {
        .desk = desk, .caller = caller, .wishes = &wishes, .now_epoch_s = clock_credential_s()};
    json_t *refusal = key_wishes_read(desk, caller, request, KEY_CHANGED, &wishes);
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
    order->old_end_epoch_s = order->now_epoch_s + (uint64_t)wishes->grace_s;
    if (row->expires_epoch_s && row->expires_epoch_s < order->old_end_epoch_s)
        order->old_end_epoch_s = row->expires_epoch_s;
    snprintf(order->reason, sizeof order->reason, "rotated from %.*s", SLICE_ARG(order->old));
    if (!wishes->has_days && !wishes->no_end && row->expires_epoch_s &&
        row->expires_epoch_s <= order->now_epoch_s)
        order->refusal = verb_refusal("conflict", "expires_in_days",
                                      "the key has expired: say with expires_in_days for how long "
                                      "the new one is to be good");
    else
        order->refusal = key_wishes_check(order->wishes, order->caller, wanted, 0);
    return order->refusal ? ERR_DENIED : OK;
}

/* When the old key ends, beside the new one. */
static json_t *tell_end(const struct order *order, json_t *response)
{
    json_t *key = json_object_get(response, "key");
    if (key &&
        (json_object_set_new(key, "replaces", text_value(order->old)) != 0 ||
         json_object_set_new(key, "replaced_ends_at", time_value(order->old_end_epoch_s)) != 0)) {
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
    struct order order = {
        .desk = desk, .caller = caller, .wishes = &wishes, .now_epoch_s = clock_credential_s()};
    json_t *refusal = key_wishes_read(desk, caller, request, KEY_ROTATED, &wishes);
    order.old = wishes.id;
    json_t *response = refusal ? refusal : rotate_key(&order);
    order_finish(&order);
    return response;
}
