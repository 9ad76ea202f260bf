/* The lists of models, in the dialect that was asked for, filtered to what the caller may use. What
 * the configuration lists is known; an upstream that lists nothing is asked. The hard problem:
 * several upstreams answer in their own time, and the client may go meanwhile (native_cancel). */
#include <jansson.h>
#include <stdlib.h>

#include "api/routes.h"
#include "base/log.h"

enum { LIST_BYTES_MAX = 4 * 1024 * 1024 };

struct listing;

/* One upstream's part. */
struct part {
    struct upstream_request request;
    struct listing *listing;
    struct buffer body;
    unsigned status; /* 0: no answer */
    bool asked;
};

struct listing {
    struct exchange *x;
    struct part *parts; /* one per upstream of the snapshot */
    unsigned waiting;
};

/* The two shapes of a list. */
static const struct list_shape {
    const struct dialect *dialect;
    const char *question; /* what the upstream is asked */
    const char *members;  /* the array's name */
    const char *id;       /* the member that names the model */
} shapes[] = {
    {&dialect_openai, "/v1/models", "data",   "id"  },
    {&dialect_ollama, "/api/tags",  "models", "name"},
};

static const struct list_shape *shape_of(const struct exchange *x)
{
    return x->endpoint->dialect == &dialect_ollama ? &shapes[1] : &shapes[0];
}

static bool may_use(const struct exchange *x, const char *model)
{
    return !x->principal.key || api_key_may_use_model(x->principal.key, slice_of(model));
}

static bool listed_already(json_t *list, const struct list_shape *shape, const char *id)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        const char *other = json_string_value(json_object_get(entry, shape->id));
        if (other && !strcmp(other, id))
            return true;
    }
    return false;
}

/* Takes over `entry`. */
static void add(const struct exchange *x, json_t *list, const struct list_shape *shape,
                json_t *entry)
{
    const char *id = json_string_value(json_object_get(entry, shape->id));
    if (id && may_use(x, id) && !listed_already(list, shape, id))
        json_array_append(list, entry);
    json_decref(entry);
}

static json_t *configured_entry(const struct list_shape *shape, const struct upstream *upstream,
                                const char *model)
{
    if (shape->dialect == &dialect_openai)
        return json_pack("{s:s, s:s, s:i, s:s}", "id", model, "object", "model", "created", 0,
                         "owned_by", upstream->settings->name);
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:{s:s, s:s, s:s}}", "name", model, "model", model,
                     "modified_at", "1970-01-01T00:00:00Z", "size", 0, "digest", "", "details",
                     "format", "", "family", "", "parameter_size", "");
}

static void add_answer(const struct exchange *x, json_t *list, const struct list_shape *shape,
                       const struct part *part)
{
    json_t *answer = json_loadb(part->body.len ? part->body.bytes : "", part->body.len,
                                JSON_REJECT_DUPLICATES, NULL);
    json_t *entries = json_object_get(answer, shape->members), *entry;
    size_t i;
    json_array_foreach(entries, i, entry)
    {
        if (json_is_object(entry))
            add(x, list, shape, json_incref(entry));
    }
    json_decref(answer);
}

static json_t *collect(const struct listing *listing, const struct list_shape *shape)
{
    const struct exchange *x = listing->x;
    const struct snapshot *snapshot = x->use->snapshot;
    json_t *list = json_array();
    for (unsigned i = 0; i < snapshot->upstream_count; i++) {
        const struct upstream *upstream = snapshot->upstreams[i];
        const struct part *part = &listing->parts[i];
        const struct text_list *models = &upstream->settings->models;
        if (!(upstream->kind & x->endpoint->kinds))
            continue;
        for (unsigned m = 0; m < models->count; m++)
            add(x, list, shape, configured_entry(shape, upstream, models->items[m]));
        if (part->asked && part->status == 200)
            add_answer(x, list, shape, part);
    }
    return list;
}

static void answer_json(struct exchange *x, json_t *document)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!text) {
        refuse(x, REFUSE_OVERLOADED);
        exchange_refuse(x);
        return;
    }
    exchange_answer(x, 200, "application/json", slice_of(text));
    free(text);
}

/* GET /v1/models/{id}: one of the list, or the 404 that says nothing about what others have. */
static void answer_one(struct exchange *x, json_t *list, const struct list_shape *shape)
{
    size_t i;
    json_t *entry, *found = NULL;
    json_array_foreach(list, i, entry)
    {
        if (slice_equal(slice_of(json_string_value(json_object_get(entry, shape->id))),
                        x->path_rest))
            found = json_incref(entry);
    }
    json_decref(list);
    if (found) {
        answer_json(x, found);
        return;
    }
    refuse(x, REFUSE_MODEL);
    exchange_refuse(x);
}

/* Nobody who was asked answered, and nothing is configured: an empty list would be a lie. */
static bool all_failed(const struct listing *listing)
{
    const struct snapshot *snapshot = listing->x->use->snapshot;
    unsigned asked = 0, failed = 0, known = 0;
    for (unsigned i = 0; i < snapshot->upstream_count; i++) {
        asked += listing->parts[i].asked;
        failed += listing->parts[i].asked && listing->parts[i].status != 200;
        known += snapshot->upstreams[i]->settings->models.count;
    }
    return asked && asked == failed && !known;
}

static void free_parts(struct listing *listing)
{
    for (unsigned i = 0; i < listing->x->use->snapshot->upstream_count; i++)
        buffer_finish(&listing->parts[i].body);
}

static void answer_listing(struct listing *listing)
{
    struct exchange *x = listing->x;
    const struct list_shape *shape = shape_of(x);
    x->native_cancel = NULL;
    if (all_failed(listing)) {
        free_parts(listing);
        refuse(x, REFUSE_UPSTREAM_BROKEN);
        exchange_refuse(x);
        return;
    }
    json_t *list = collect(listing, shape);
    free_parts(listing);
    if (x->path_rest.len)
        answer_one(x, list, shape);
    else if (shape->dialect == &dialect_openai)
        answer_json(x, json_pack("{s:s, s:o}", "object", "list", "data", list));
    else
        answer_json(x, json_pack("{s:o}", "models", list));
}

/* --- asking -------------------------------------------------------------------------------------
 */

static void part_done(struct part *part)
{
    if (--part->listing->waiting == 0)
        answer_listing(part->listing);
}

static struct part *part_of(struct upstream_request *request)
{
    return CONTAINER_OF(request, struct part, request);
}

static void on_head(struct upstream_request *request, const struct response_head *head)
{
    part_of(request)->status = head->status;
}

static void on_body(struct upstream_request *request, struct slice piece)
{
    struct part *part = part_of(request);
    buffer_append(&part->body, piece);
    if (part->body.failed) {
        part->status = 0;
        upstream_request_cancel(request);
        part_done(part);
    }
}

static void on_turn_end(struct upstream_request *request)
{
    (void)request;
}

static void on_end(struct upstream_request *request)
{
    part_done(part_of(request));
}

static void on_fail(struct upstream_request *request, enum err why)
{
    struct part *part = part_of(request);
    log_warning("upstream %s did not list its models: %s", request->upstream->settings->name,
                err_name(why));
    part->status = 0;
    part_done(part);
}

static const struct upstream_listener listener = {on_head, on_body, on_turn_end, on_end, on_fail};

static void cancel(struct exchange *x)
{
    struct listing *listing = x->native_state;
    for (unsigned i = 0; i < x->use->snapshot->upstream_count; i++)
        upstream_request_cancel(&listing->parts[i].request);
    free_parts(listing);
}

static enum err build_question(struct exchange *x, struct upstream *upstream, struct slice *head)
{
    struct buffer out = BUFFER_OVER(x->worker->builder, BUILDER_BYTES);
    struct slice key = secret_reveal(&upstream->settings->api_key);
    buffer_printf(&out, "GET %.*s%s HTTP/1.1\r\nHost: %s\r\n",
                  SLICE_ARG(upstream->settings->url.base), shape_of(x)->question,
                  upstream->authority);
    if (key.len) {
        buffer_text(&out, upstream->kind == KIND_ANTHROPIC
                              ? "anthropic-version: 2023-06-01\r\nx-api-key: "
                              : "Authorization: Bearer ");
        buffer_append(&out, key);
        buffer_text(&out, "\r\n");
    }
    buffer_printf(&out,
                  "Accept-Encoding: identity\r\nX-Request-Id: %s\r\nVia: 1.1 sallyport\r\n\r\n",
                  x->request_id);
    *head = arena_copy(&x->arena, buffer_slice(&out));
    explicit_bzero(x->worker->builder, out.len);
    return out.failed ? out.failed : head->ptr ? OK : ERR_MEMORY;
}

static enum err ask(struct listing *listing, struct part *part, struct upstream *upstream)
{
    struct exchange *x = listing->x;
    part->asked = true;
    part->request = (struct upstream_request){
        .listener = &listener,
        .upstream = upstream,
        .worker = x->worker,
        .method = METHOD_GET,
    };
    listing->waiting++;
    return build_question(x, upstream, &part->request.head);
}

void answer_model_list(struct exchange *x)
{
    const struct snapshot *snapshot = x->use->snapshot;
    struct listing *listing = ARENA_NEW(&x->arena, struct listing);
    struct part *parts = arena_alloc(&x->arena, (snapshot->upstream_count + 1) * sizeof *parts);
    enum err err = listing && parts ? OK : ERR_MEMORY;
    if (!err)
        *listing = (struct listing){.x = x, .parts = parts, .waiting = 1};
    for (unsigned i = 0; !err && i < snapshot->upstream_count; i++) {
        struct upstream *upstream = snapshot->upstreams[i];
        parts[i].listing = listing;
        buffer_init(&parts[i].body, LIST_BYTES_MAX);
        if ((upstream->kind & x->endpoint->kinds) && upstream->settings->models.count == 0)
            err = ask(listing, &parts[i], upstream);
    }
    if (err || snapshot->upstream_count == 0) {
        refuse(x, err ? REFUSE_OVERLOADED : REFUSE_NO_UPSTREAM);
        exchange_refuse(x);
        return;
    }
    x->native_state = listing;
    x->native_cancel = cancel;
    /* `waiting` holds one for ourselves, so that a part that fails at once does not answer early.
     */
    for (unsigned i = 0; i < snapshot->upstream_count; i++)
        if (parts[i].asked)
            upstream_request_start(&parts[i].request);
    if (--listing->waiting == 0)
        answer_listing(listing);
}
