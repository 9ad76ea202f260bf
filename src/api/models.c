/* The lists of models, in the dialect that was asked for, filtered to what the caller may use. What
 * the configuration lists is known; an upstream that lists nothing is asked. The hard problem:
 * several upstreams answer in their own time, and the client may go meanwhile (native_cancel). */
#include "api/routes.h"
#include "base/clock.h"
#include "base/log.h"
#include "identity/json_read.h"

enum { LIST_BYTES_MAX = 4 * 1024 * 1024, ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

/* A list is no inference: one server that hangs must not hide what the others have. */
#define LIST_TIMEOUT_US (10 * SECOND_US)

struct listing;

/* One upstream's part. */
struct part {
    struct upstream_request request;
    struct listing *listing;
    struct buffer body;
    unsigned status; /* 0: no answer, or none that can be read */
    bool asked;
};

struct listing {
    struct exchange *x;
    struct part *parts; /* one per upstream of the snapshot */
    json_t *seen;       /* the ids listed so far, as members: a list may be long */
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

/* Takes over `entry`; NULL is one that found no memory. ERR_MEMORY. */
static enum err add(const struct listing *listing, json_t *list, const struct list_shape *shape,
                    json_t *entry)
{
    const char *id = json_string_value(json_object_get(entry, shape->id));
    int failed = entry ? 0 : -1;
    if (id && may_use(listing->x, id) && !json_object_get(listing->seen, id))
        failed =
            json_object_set_new(listing->seen, id, json_true()) | json_array_append(list, entry);
    json_decref(entry);
    return failed ? ERR_MEMORY : OK;
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

static enum err add_answer(const struct listing *listing, json_t *list,
                           const struct list_shape *shape, struct part *part)
{
    json_t *answer;
    enum err err = json_read(buffer_slice(&part->body), &answer, NULL);
    if (err == ERR_MEMORY)
        return err;
    err = OK;
    json_t *entries = json_object_get(answer, shape->members), *entry;
    size_t i;
    if (!json_is_object(answer)) { /* Ollama writes null for an empty list */
        log_warning("upstream %s listed its models as something that is no JSON object",
                    part->request.upstream->settings->name);
        part->status = 0;
    }
    json_array_foreach(entries, i, entry)
    {
        if (!err && json_is_object(entry))
            err = add(listing, list, shape, json_incref(entry));
    }
    json_decref(answer);
    return err;
}

/* ERR_MEMORY: a list with gaps would pass for a whole one. */
static enum err collect(struct listing *listing, const struct list_shape *shape, json_t *list)
{
    const struct exchange *x = listing->x;
    const struct snapshot *snapshot = x->use->snapshot;
    for (unsigned i = 0; i < snapshot->upstream_count; i++) {
        const struct upstream *upstream = snapshot->upstreams[i];
        struct part *part = &listing->parts[i];
        const struct text_list *models = &upstream->settings->models;
        if (!(upstream->kind & x->endpoint->kinds))
            continue;
        for (unsigned m = 0; m < models->count; m++)
            TRY(add(listing, list, shape, configured_entry(shape, upstream, models->items[m])));
        if (part->asked && part->status == 200)
            TRY(add_answer(listing, list, shape, part));
    }
    return list ? OK : ERR_MEMORY;
}

static void give_up(struct exchange *x, enum refusal refusal)
{
    refuse(x, refusal);
    exchange_refuse(x);
}

/* jansson loses the error of a member's name that could not be written; the buffer keeps it. */
static int print_piece(const char *bytes, size_t size, void *text)
{
    buffer_append(text, slice_make(bytes, size));
    return ((struct buffer *)text)->failed ? -1 : 0;
}

/* Takes over `document`; NULL: there was no memory for it. */
static void answer_json(struct exchange *x, json_t *document)
{
    AUTO(buffer) text = BUFFER_MAX(ANSWER_BYTES_MAX);
    bool printed = document && json_dump_callback(document, print_piece, &text, JSON_COMPACT) == 0;
    json_decref(document);
    if (!printed || text.failed)
        give_up(x, REFUSE_OVERLOADED);
    else
        exchange_answer(x, 200, "application/json", buffer_slice(&text));
}

/* {"models": list}, or OpenAI's form. Takes over `list` in any case, which json_pack does not. */
static json_t *wrap(const struct list_shape *shape, json_t *list)
{
    json_t *object = json_object();
    int failed = 0;
    if (shape->dialect == &dialect_openai)
        failed = json_object_set_new(object, "object", json_string("list"));
    failed |= json_object_set_new(object, shape->members, list);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
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
    give_up(x, REFUSE_MODEL);
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
    for (unsigned i = 0; i < listing->x->use->snapshot->upstream_count; i++) {
        struct part *part = &listing->parts[i];
        buffer_finish(&part->body);
        if (part->request.head.len) /* it held the upstream's key */
            explicit_bzero((void *)part->request.head.ptr, part->request.head.len);
    }
}

static void answer_listing(struct listing *listing)
{
    struct exchange *x = listing->x;
    const struct list_shape *shape = shape_of(x);
    x->native_cancel = NULL;
    json_t *list = json_array();
    listing->seen = json_object();
    enum err err = collect(listing, shape, list);
    json_decref(listing->seen);
    bool failed = all_failed(listing);
    free_parts(listing);
    if (err || failed) {
        json_decref(list);
        give_up(x, err ? REFUSE_OVERLOADED : REFUSE_UPSTREAM_BROKEN);
    } else if (x->path_rest.len) {
        answer_one(x, list, shape);
    } else {
        answer_json(x, wrap(shape, list));
    }
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
        log_warning("upstream %s listed its models at a length that found no room (%d bytes)",
                    request->upstream->settings->name, LIST_BYTES_MAX);
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
    struct part *part = part_of(request);
    if (part->status != 200)
        log_warning("upstream %s answered %u when asked for its models",
                    request->upstream->settings->name, part->status);
    part_done(part);
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
        .until_us = x->worker->loop.now_us + LIST_TIMEOUT_US,
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
        if (listing && parts)
            free_parts(listing);
        give_up(x, err ? REFUSE_OVERLOADED : REFUSE_NO_UPSTREAM);
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
