/* An exchange that a model server answers: the request's head is written anew (nothing of the
 * client's passes that was not meant to), its body goes as it was checked, and the answer is handed
 * on piece by piece as it comes. */
#include "base/log.h"
#include "gateway/gate.h"

/* --- the request --------------------------------------------------------------------------------
 */

static void client_fields(struct buffer *out, const struct request_head *head)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        const struct field_row *row = field->row;
        /* Type and length are written below, from what was checked. */
        if (row && ((row->rules & FIELD_NOT_UPSTREAM) || row->id == FIELD_CONTENT_LENGTH ||
                    row->id == FIELD_CONTENT_TYPE || row->id == FIELD_CONTENT_ENCODING))
            continue;
        if (!http_hop_by_hop(head->fields, head->field_count, field))
            http_print_field(out, field->name, field->value);
    }
}

static void own_fields(struct buffer *out, struct exchange *x)
{
    const struct upstream *upstream = x->upstream;
    const struct secret *key = &upstream->settings->api_key;
    if (x->has_body) {
        http_print_field(out, SLICE("Content-Type"), SLICE("application/json"));
        buffer_append(out, SLICE("Content-Length: "));
        buffer_number(out, x->body.len);
        buffer_append(out, SLICE("\r\n"));
    }
    if (x->head->origin.len)
        http_print_field(out, SLICE("Origin"), slice_of(upstream->origin));
    if (!secret_empty(key) && upstream->kind == KIND_ANTHROPIC) {
        http_print_field(out, SLICE("x-api-key"), secret_reveal(key));
    } else if (!secret_empty(key)) {
        buffer_append(out, SLICE("Authorization: Bearer "));
        buffer_append(out, secret_reveal(key));
        buffer_append(out, SLICE("\r\n"));
    }
    http_print_field(out, SLICE("Accept-Encoding"), SLICE("identity"));
    http_print_field(out, SLICE("X-Request-Id"), slice_make(x->request_id, 32));
    if (x->head->correlation_id.len)
        http_print_field(out, SLICE("X-Correlation-ID"), x->head->correlation_id);
    http_print_field(out, SLICE("Via"), SLICE("1.1 sallyport"));
}

/* ERR_LIMIT, ERR_MEMORY. The head lives in the exchange's arena. */
static enum err build_head(struct exchange *x)
{
    struct buffer out = BUFFER_OVER(x->worker->builder, BUILDER_BYTES);
    const struct request_head *head = x->head;
    buffer_text(&out, http_method_name(head->method));
    buffer_byte(&out, ' ');
    buffer_append(&out, x->upstream->settings->url.base);
    buffer_append(&out, head->path);
    if (x->endpoint->takes_query && head->query.len) {
        buffer_byte(&out, '?');
        buffer_append(&out, head->query);
    }
    buffer_append(&out, SLICE(" HTTP/1.1\r\n"));
    http_print_field(&out, SLICE("Host"), slice_of(x->upstream->authority));
    client_fields(&out, head);
    own_fields(&out, x);
    buffer_append(&out, SLICE("\r\n"));
    x->request.head = arena_copy(&x->arena, buffer_slice(&out));
    explicit_bzero(x->worker->builder, out.len); /* it may have held the upstream's key */
    if (out.failed)
        return out.failed;
    return x->request.head.ptr ? OK : ERR_MEMORY;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static struct exchange *exchange_of(struct upstream_request *request)
{
    return CONTAINER_OF(request, struct exchange, request);
}

/* The model server works on it no longer, however long the client takes to read. */
static void upstream_done(struct exchange *x)
{
    if (x->request_running)
        x->upstream_us = x->worker->loop.now_us - x->upstream_began_us;
    x->request_running = false;
    upstream_leave(x->upstream);
    x->slot_taken = false;
}

static void fail(struct exchange *x, enum refusal refusal)
{
    upstream_request_cancel(&x->request);
    upstream_done(x);
    refuse(x, refusal);
    exchange_refuse(x);
}

/* Its own credential and its own mishaps are not the caller's fault: CONTRACT 10. */
static enum refusal judge_status(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
    case 500:
        return REFUSE_UPSTREAM_REJECTED;
    case 304:
    case 503:
    case 504:
        return REFUSE_NONE;
    }
    /* Redirects are never followed, and never shown: they tell what is behind the gate. */
    return (status >= 200 && status < 300) || (status >= 400 && status < 500)
               ? REFUSE_NONE
               : REFUSE_UPSTREAM_BROKEN;
}

static enum event_framing framing_of(struct slice type)
{
    struct slice media = slice_trim(slice_cut(&type, ';'));
    if (slice_equal_nocase(media, SLICE("text/event-stream")))
        return FRAMING_SSE;
    return slice_equal_nocase(media, SLICE("application/x-ndjson")) ? FRAMING_NDJSON : FRAMING_NONE;
}

static uint64_t retry_after(const struct response_head *head)
{
    uint64_t seconds;
    if (slice_number(head->retry_after, UINT64_MAX, &seconds))
        return seconds > 86400 ? 86400 : seconds ? seconds : 1;
    return head->status == 429 || head->status == 503 ? 1 : 0;
}

static void on_head(struct upstream_request *request, const struct response_head *head)
{
    struct exchange *x = exchange_of(request);
    enum refusal refusal = judge_status(head->status);
    bool encoded = head->content_encoding.len &&
                   !slice_equal_nocase(head->content_encoding, SLICE("identity"));
    if (!refusal && encoded)
        refusal = REFUSE_UPSTREAM_BROKEN; /* we asked for identity, and must be able to read it */
    if (refusal) {
        log_warning("upstream %s answered %u%s to request %s", x->upstream->settings->name,
                    head->status, encoded ? " with a Content-Encoding" : "", x->request_id);
        fail(x, refusal);
        return;
    }
    if (request->sent) /* a stream may last for hours: it needs no copy of its question */
        body_release(&x->body, &x->worker->request_blocks);
    enum event_framing framing = framing_of(head->content_type);
    x->streaming = framing != FRAMING_NONE;
    if (x->streaming)
        events_init(&x->events, framing, 1024, NULL, NULL);
    struct answer answer = {
        .status = head->status,
        .content_type = head->content_type,
        .content_length = head->no_body && head->status != 304 && request->method != METHOD_HEAD
                              ? 0
                              : head->content_length,
        .upstream = head,
        .retry_after_s = retry_after(head),
        .event_stream = x->streaming,
    };
    x->length_given = answer.content_length != HTTP_NO_LENGTH;
    x->answer_state = ANSWER_BEGUN;
    x->status = head->status;
    x->front->send_head(x, &answer);
}

static void pause_if_blocked(struct exchange *x)
{
    if (x->front_owner && x->front->blocked(x))
        upstream_request_pause(&x->request);
}

static void on_body(struct upstream_request *request, struct slice piece)
{
    struct exchange *x = exchange_of(request);
    if (x->streaming)
        events_feed(&x->events, piece);
    if (x->front->send_body(x, piece) != OK) {
        fail(x, REFUSE_OVERLOADED);
        return;
    }
    pause_if_blocked(x);
}

static void on_turn_end(struct upstream_request *request)
{
    struct exchange *x = exchange_of(request);
    x->front->flush(x);
    pause_if_blocked(x);
}

static void on_end(struct upstream_request *request)
{
    struct exchange *x = exchange_of(request);
    upstream_done(x);
    x->answer_state = ANSWER_COMPLETE;
    x->front->finish(x);
}

static enum refusal refusal_of(enum err why)
{
    switch (why) {
    case ERR_TIMEOUT:
        return REFUSE_UPSTREAM_TIMEOUT;
    case ERR_TLS:
        return REFUSE_UPSTREAM_TLS;
    case ERR_IO:
    case ERR_NOT_FOUND:
        return REFUSE_UPSTREAM_REFUSED;
    case ERR_MEMORY:
    case ERR_BUSY:
        return REFUSE_OVERLOADED;
    default:
        return REFUSE_UPSTREAM_BROKEN;
    }
}

/* A stream that breaks off says so in its own language, where the framing still allows it. */
static void tell_stream(struct exchange *x)
{
    char memory[1024];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    if (!x->events.at_boundary)
        buffer_text(&text, x->events.framing == FRAMING_SSE ? "\n\n" : "\n");
    x->endpoint->dialect->print_stream_error(&text, SLICE("The model server broke off."),
                                             slice_make(x->request_id, 32));
    if (!text.failed)
        (void)x->front->send_body(x, buffer_slice(&text)); /* it breaks off in any case */
}

static void on_fail(struct upstream_request *request, enum err why)
{
    struct exchange *x = exchange_of(request);
    atomic_fetch_add_explicit(&x->upstream->failures, 1, memory_order_relaxed);
    log_warning("upstream %s failed request %s: %s", x->upstream->settings->name, x->request_id,
                err_name(why));
    enum refusal refusal = refusal_of(why);
    bool unreached = refusal == REFUSE_UPSTREAM_REFUSED || refusal == REFUSE_UPSTREAM_TLS;
    if (unreached && request->begun)
        refusal = REFUSE_UPSTREAM_BROKEN;
    if (x->answer_state == ANSWER_BEGUN && x->streaming && !x->length_given)
        tell_stream(x);
    fail(x, refusal);
}

static const struct upstream_listener listener = {
    .head = on_head,
    .body = on_body,
    .turn_end = on_turn_end,
    .end = on_end,
    .fail = on_fail,
};

enum verdict forward(struct exchange *x)
{
    x->request.listener = &listener;
    x->request.upstream = x->upstream;
    x->request.worker = x->worker;
    x->request.method = x->head->method;
    x->request.body = x->has_body ? &x->body : NULL;
    if (build_head(x) != OK)
        return refuse(x, REFUSE_OVERLOADED);
    x->request_running = true;
    x->upstream_began_us = x->worker->loop.now_us;
    upstream_request_start(&x->request);
    return WAIT;
}
