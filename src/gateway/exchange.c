#include "gateway/exchange.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"
#include "base/random.h"
#include "gateway/gate.h"
#include "gateway/note_abuse.h"
#include "guard/proxies.h"

enum {
    ARENA_MAX = 512 * 1024,          /* heads of 64 KiB, copied a few times */
    BODY_GRACE_US = 5 * 1000 * 1000, /* before a body's rate counts */
    SCAN_ARENA_MAX = 8 * 1024 * 1024 /* the duplicate-key set of the largest body */
};

static void set_client(struct exchange *x, const struct address *client)
{
    x->client = *client;
    x->client_hash = address_hash(client);
    rate_prefetch(x->worker->shared->rates, x->client_hash);
}

static struct exchange *create(struct worker *worker, const struct front *front, void *front_owner,
                               const struct exchange_origin *origin)
{
    struct exchange *x = pool_take(&worker->exchanges);
    if (!x) {
        record_event(worker->ring, EVENT_NO_MEMORY);
        return NULL;
    }
    memset(x, 0, offsetof(struct exchange, limits.charges));
    x->worker = worker;
    x->use = worker_use_snapshot(worker);
    x->front = front;
    x->front_owner = front_owner;
    x->peer = origin->peer;
    x->secure = origin->secure;
    x->over_limit = origin->over_limit;
    x->began_us = worker->loop.now_us;
    x->began_wall_us = clock_wall_us();
    x->handler = "unmatched";
    arena_init(&x->arena, x->memory, sizeof x->memory, ARENA_MAX);
    uint64_t id[2];
    random_bytes(id, sizeof id);
    hex_print(id, sizeof id, x->request_id);
    atomic_fetch_add_explicit(&worker->shared->exchanges, 1, memory_order_relaxed);
    worker_count_exchange(worker, 1);
    return x;
}

/* Does `value` begin with `mark` ("sp_", or a name), when its percent-escapes are read? Whoever
 * finds it in a log reads them too. */
static bool begins_with(struct slice value, const char *mark)
{
    for (; *mark; mark++) {
        unsigned char byte = value.len ? (unsigned char)value.ptr[0] : 0;
        size_t size = 1;
        if (byte == '%' && value.len >= 3 &&
            hex_parse(slice_make(value.ptr + 1, 2), &byte, 1) == OK)
            size = 3;
        if (byte != (unsigned char)*mark)
            return false;
        value = slice_from(value, size);
    }
    return true;
}

bool query_holds_key(struct slice query, const struct secret *shared)
{
    while (query.len) {
        struct slice value = slice_cut(&query, '&'), name = slice_cut(&value, '=');
        bool long_enough = value.len >= 20;
        /* Ours, the form that OpenAI, Anthropic and LiteLLM keys share, and a token's. */
        if (begins_with(value, "sp_") ||
            (long_enough && (begins_with(value, "sk-") || begins_with(value, "eyJ"))))
            return true;
        if (!secret_empty(shared) && secret_equal(shared, value))
            return true;
        /* A password has no form of its own: its name gives it away. */
        if (value.len && (begins_with(name, "password") || begins_with(name, "client_secret")))
            return true;
    }
    return false;
}

/* [A-Za-z0-9._-]{1,128}: what may be echoed, logged and passed on (CONTRACT 5). */
static bool is_correlation_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!base62_valid(slice_make(&c, 1)) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return id.len >= 1 && id.len <= 128;
}

/* The request line as it may be written down. */
static struct slice line_for_record(const struct request_head *head, const struct secret *shared)
{
    if (!query_holds_key(head->query, shared))
        return head->line;
    return slice_to(head->line, (size_t)(head->query.ptr - head->line.ptr));
}

struct exchange *exchange_create(struct worker *worker, const struct front *front,
                                 void *front_owner, const struct exchange_origin *origin,
                                 const struct request_head *head, struct slice head_bytes)
{
    struct exchange *x = create(worker, front, front_owner, origin);
    if (!x)
        return NULL;
    const struct settings *settings = exchange_settings(x);
    struct address client = proxies_find_client(settings, head, &x->peer);
    set_client(x, &client);
    x->secure = proxies_find_secure(settings, head, &x->peer, origin->secure);
    struct slice bytes = arena_copy(&x->arena, head_bytes);
    /* Only as far as there are fields: the struct has room for a hundred. */
    size_t size =
        offsetof(struct request_head, fields) + head->field_count * sizeof head->fields[0];
    struct request_head *copy = bytes.ptr ? arena_alloc(&x->arena, size) : NULL;
    if (!copy) {
        record_event(worker->ring, EVENT_NO_MEMORY);
        exchange_end(x);
        return NULL;
    }
    memcpy(copy, head, size);
    request_head_rebase(copy, head_bytes.ptr, bytes.ptr);
    if (!is_correlation_id(copy->correlation_id))
        copy->correlation_id = slice_make(NULL, 0);
    x->head = copy;
    x->request_line = line_for_record(copy, &settings->security.api_key);
    x->head_only = head->method == METHOD_HEAD;
    return x;
}

/* Behind a body of a wrong length a head seems to begin anywhere, also in the middle of a
 * credential. Only what looks like a request line may be written down: letters, a space, and a
 * target. */
static bool begins_as_request(struct slice line)
{
    struct slice target = line, method = slice_cut(&target, ' ');
    for (size_t i = 0; i < method.len; i++)
        if ((method.ptr[i] | 0x20) < 'a' || (method.ptr[i] | 0x20) > 'z')
            return false;
    return method.len && (slice_starts(target, SLICE("/")) || slice_starts(target, SLICE("*")) ||
                          slice_starts_nocase(target, SLICE("http")));
}

struct exchange *exchange_create_faulty(struct worker *worker, const struct front *front,
                                        void *front_owner, const struct exchange_origin *origin,
                                        struct slice first_bytes)
{
    struct exchange *x = create(worker, front, front_owner, origin);
    if (!x)
        return NULL;
    set_client(x, &x->peer); /* whom it spoke for stood in the head */
    x->passed_on = proxies_passed_unread(first_bytes);
    /* The empty line that the head's reader passes over. */
    if (slice_starts(first_bytes, SLICE("\r\n")))
        first_bytes = slice_from(first_bytes, 2);
    x->head_only = slice_starts(first_bytes, SLICE("HEAD ")); /* RFC 9110, 9.3.2 */
    struct slice line = first_bytes;
    line = slice_cut(&line, '\n');
    if (slice_ends(line, SLICE("\r")))
        line.len--;
    if (!begins_as_request(line))
        line.len = 0;
    struct slice query = line;
    slice_cut(&query, '?');
    if (query.len) /* what could not be read might hold anything */
        line.len -= query.len;
    x->request_line = arena_copy(&x->arena, slice_to(line, line.len < 256 ? line.len : 256));
    return x;
}

/* --- refusing -----------------------------------------------------------------------------------
 */

enum verdict refuse(struct exchange *x, enum refusal refusal)
{
    x->refusal = refusal;
    return REFUSE;
}

enum verdict refuse_with(struct exchange *x, enum refusal refusal, const char *param,
                         const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    x->message = arena_copy(&x->arena, slice_of(text)).ptr; /* NULL: the row's own will do */
    x->param = param;
    return refuse(x, refusal);
}

static enum error_shape shape_of(const struct exchange *x)
{
    if (!x->head)
        return ERROR_COMMON;
    if (slice_starts_nocase(x->head->accept, SLICE("text/plain")))
        return ERROR_PLAIN;
    struct slice path = x->head->path;
    bool ollama = slice_starts(path, SLICE("/api/")) && !slice_starts(path, SLICE("/api/v1/"));
    return ollama ? ERROR_OLLAMA : ERROR_COMMON;
}

void exchange_send(struct exchange *x, struct answer *answer, struct slice body)
{
    answer->content_length = body.len;
    x->answer_state = ANSWER_BEGUN;
    x->status = answer->status;
    x->front->send_head(x, answer);
    if (x->front->send_body(x, body) != OK) {
        if (!x->refusal)
            refuse(x, REFUSE_OVERLOADED);
        exchange_refuse(x);
        return;
    }
    x->answer_state = ANSWER_COMPLETE;
    x->front->finish(x);
}

void exchange_refuse(struct exchange *x)
{
    if (x->answer_state != ANSWER_NOT_BEGUN) {
        x->answer_state = ANSWER_BROKEN;
        x->front->break_off(x);
        return;
    }
    const struct refusal_row *row = refusal_get(x->refusal);
    enum error_shape shape = shape_of(x);
    struct error_facts facts = {
        .refusal = x->refusal,
        .shape = shape,
        .message = x->message,
        .param = x->param,
        .request_id = slice_make(x->request_id, 32),
    };
    char memory[4096];
    struct buffer body = BUFFER_OVER(memory, sizeof memory);
    refusal_print_body(&body, &facts);
    bool wait = row->status == 429 || row->status == 503;
    struct answer answer = {
        .status = row->status,
        .content_type = slice_of(refusal_content_type(shape)),
        .retry_after_s = wait && !x->retry_after_s ? 1 : x->retry_after_s,
        .allow_methods = row->status == 405 ? x->path_methods : 0,
        .authenticate = row->status == 401,
    };
    exchange_send(x, &answer, buffer_slice(&body));
}

bool exchange_is_of_foreign_page(const struct exchange *x)
{
    return x->head && slice_equal_nocase(x->head->sec_fetch_site, SLICE("cross-site"));
}

void exchange_refuse_fault(struct exchange *x, enum http_fault fault)
{
    /* The gate, which charges others, was never reached. It is refused in any case. */
    const struct limit_request request = limit_request_of(x);
    limits_charge_address(&request, &x->limits);
    refuse_with(x, refusal_of_http_fault(fault), NULL, "The request could not be read: %s.",
                http_fault_name(fault));
    exchange_refuse(x);
}

void exchange_answer(struct exchange *x, unsigned status, const char *content_type,
                     struct slice body)
{
    struct answer answer = {.status = status, .content_type = slice_of(content_type)};
    exchange_send(x, &answer, body);
}

/* --- the body -----------------------------------------------------------------------------------
 */

static void release_scan(struct exchange *x)
{
    if (!x->scan)
        return;
    arena_finish(&x->scan->arena);
    pool_give(&x->worker->scans, x->scan);
    x->scan = NULL;
}

static enum err begin_scan(struct exchange *x)
{
    struct body_scan *scan = pool_take(&x->worker->scans);
    if (!scan) {
        refuse(x, REFUSE_OVERLOADED);
        return ERR_MEMORY;
    }
    arena_init(&scan->arena, scan->memory, sizeof scan->memory, SCAN_ARENA_MAX);
    x->scan = scan;
    if (x->endpoint) {
        const struct dialect *dialect = x->endpoint->dialect;
        call_init(&x->call, x->endpoint->call, dialect, &x->arena);
        scan->reader = (struct call_reader){&x->call, dialect, &x->arena};
        scan->json = json_create(&scan->arena, call_listen, &scan->reader);
    } else {
        scan->json = json_create(&scan->arena, NULL, NULL);
    }
    if (!scan->json) {
        refuse(x, REFUSE_OVERLOADED);
        return ERR_MEMORY;
    }
    return OK;
}

enum err exchange_begin_body(struct exchange *x)
{
    if (!x->body_is_form)
        TRY(begin_scan(x));
    x->has_body = true;
    if (x->head->chunked)
        chunked_init(&x->chunked);
    else
        x->body_left = x->head->content_length; /* HTTP_NO_LENGTH: until exchange_end_body */
    return OK;
}

uint64_t exchange_body_max(const struct exchange *x)
{
    uint64_t max = exchange_settings(x)->server.max_body_bytes;
    return x->native && max > NATIVE_BODY_MAX ? NATIVE_BODY_MAX : max;
}

static enum err bad_json(struct exchange *x)
{
    const struct json *json = x->scan->json;
    refuse_with(x, json_fault(json) == JSON_MEMORY ? REFUSE_OVERLOADED : REFUSE_BAD_JSON, NULL,
                "The request body is not acceptable JSON: %s (byte %llu).",
                json_fault_sentence(json_fault(json)), (unsigned long long)json_offset(json));
    return ERR_SYNTAX;
}

static enum err scan(struct exchange *x, struct slice content)
{
    if (x->body.len > exchange_body_max(x)) {
        refuse(x, REFUSE_BODY_TOO_LARGE);
        return ERR_LIMIT;
    }
    return !x->scan || json_feed(x->scan->json, content) == OK ? OK : bad_json(x);
}

static enum err keep(struct exchange *x, struct slice content)
{
    if (body_append(&x->body, &x->worker->request_blocks, content) != OK) {
        refuse(x, REFUSE_OVERLOADED);
        return ERR_LIMIT;
    }
    return scan(x, content);
}

static enum err complete(struct exchange *x)
{
    if (x->scan) {
        if (json_end(x->scan->json) != OK)
            return bad_json(x);
        if (x->endpoint)
            call_finish(&x->call);
        release_scan(x);
    }
    x->body_complete = true;
    return OK;
}

static enum err feed_chunks(struct exchange *x, struct slice bytes, size_t *used)
{
    size_t all = bytes.len;
    for (;;) {
        struct slice content;
        enum err err = chunked_next(&x->chunked, &bytes, &content);
        *used = all - bytes.len;
        if (err == ERR_AGAIN)
            return OK;
        if (err == ERR_CLOSED)
            return complete(x);
        if (err) {
            refuse_with(x, refusal_of_http_fault(x->chunked.fault), NULL,
                        "The chunked request body could not be read: %s.",
                        http_fault_name(x->chunked.fault));
            return ERR_SYNTAX;
        }
        TRY(keep(x, content));
    }
}

enum err exchange_feed_body(struct exchange *x, struct slice bytes, size_t *used)
{
    if (x->head->chunked)
        return feed_chunks(x, bytes, used);
    *used = bytes.len < x->body_left ? bytes.len : x->body_left;
    x->body_left -= *used;
    TRY(keep(x, slice_to(bytes, *used)));
    return x->body_left ? OK : complete(x);
}

enum err exchange_end_body(struct exchange *x)
{
    return x->body_complete ? OK : complete(x);
}

uint64_t exchange_body_deadline_us(const struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    uint64_t pause_us = x->worker->loop.now_us + settings->server.body_timeout_us;
    uint64_t rate = settings->server.min_body_rate_bytes;
    if (rate == 0)
        return pause_us;
    uint64_t grace_us = settings->server.body_timeout_us;
    if (grace_us > BODY_GRACE_US)
        grace_us = BODY_GRACE_US;
    uint64_t pace_us = x->body_began_us + grace_us + x->body.len * SECOND_US / rate;
    return pace_us < pause_us ? pace_us : pause_us;
}

enum err exchange_take_body(struct exchange *x, const struct body_rooms *rooms, size_t n)
{
    body_fill(&x->body, &x->worker->request_blocks, rooms, n);
    x->body_left -= n;
    for (int i = 0; n; i++) {
        size_t piece = n < rooms->pieces[i].iov_len ? n : rooms->pieces[i].iov_len;
        TRY(scan(x, slice_make(rooms->pieces[i].iov_base, piece)));
        n -= piece;
    }
    return x->body_left ? OK : complete(x);
}

/* --- the end ------------------------------------------------------------------------------------
 */

void exchange_unblocked(struct exchange *x)
{
    upstream_request_resume(&x->request);
}

void exchange_client_gone(struct exchange *x)
{
    x->front_owner = NULL;
    x->answer_state = ANSWER_BROKEN; /* had all of it been taken, it would have ended by itself */
    if (x->native_cancel)
        x->native_cancel(x);
    exchange_end(x);
}

struct slice exchange_user(const struct exchange *x)
{
    if (x->principal.key)
        return slice_of(x->principal.key->name);
    if (x->principal.session)
        return slice_of(x->principal.session->account->name);
    if (x->principal.credential)
        return slice_of(x->principal.credential->name);
    if (x->principal.shared)
        return SLICE("shared");
    return slice_of(x->principal.known ? "anonymous" : "");
}

/* The store's key, or the file's. */
static struct slice key_id_of(const struct exchange *x)
{
    const struct credential *credential = x->principal.credential;
    if (credential && credential->home == CREDENTIAL_OF_KEYS)
        return slice_of(credential->name);
    return slice_of(x->principal.key ? x->principal.key->id : NULL);
}

struct slice exchange_actor(const struct exchange *x)
{
    struct slice id = key_id_of(x);
    return id.len ? id : exchange_user(x);
}

/* Who was turned away, for who it is, what it may or how much it asked, is in the audit log too. */
static void note_refusal(const struct exchange *x, const struct exchange_record *record)
{
    const struct refusal_row *row = refusal_get(x->refusal);
    struct audit *audit = shared_audit(x->worker->shared);
    if (row->audit == AUDIT_NONE || !audit)
        return;
    const struct audit_record refused = {.wall_us = record->wall_us,
                                         .now_us = x->worker->loop.now_us,
                                         .event = row->audit,
                                         .actor = exchange_actor(x),
                                         .ip = record->client,
                                         .method = record->method,
                                         .path = record->path,
                                         .status = record->status,
                                         .reason = slice_of(row->reason),
                                         .request_id = record->request_id};
    audit_note(audit, &refused);
}

static void record(struct exchange *x)
{
    uint64_t duration_us = clock_now_us() - x->began_us;
    bool broken = x->answer_state == ANSWER_BROKEN;
    if (x->request_running)
        x->upstream_us = x->worker->loop.now_us - x->upstream_began_us;
    struct exchange_record record = {
        .wall_us = x->began_wall_us,
        .duration_us = duration_us,
        .overhead_us = duration_us > x->upstream_us ? duration_us - x->upstream_us : 0,
        .upstream_us = x->upstream_us,
        .client = x->client,
        .request_line = x->request_line,
        .method = x->head ? slice_of(http_method_name(x->head->method)) : slice_make(NULL, 0),
        .path = x->head ? x->head->path : slice_make(NULL, 0),
        .request_id = slice_make(x->request_id, 32),
        .correlation_id = x->head ? x->head->correlation_id : slice_make(NULL, 0),
        .key_id = key_id_of(x),
        .user = exchange_user(x),
        .model = x->call.model,
        .upstream = slice_of(x->upstream ? x->upstream->settings->name : ""),
        .handler = x->handler,
        .status = x->status,
        .body_bytes_sent = x->body_bytes_sent,
        .tokens_in = UINT64_MAX,
        .tokens_out = UINT64_MAX,
        .streamed = x->streaming,
        .incomplete = broken,
        .decision = x->refusal ? refusal_get(x->refusal)->reason
                    : x->cut   ? "banned"
                    : broken   ? "client_gone"
                               : "pass",
    };
    record_exchange(x->worker->ring, &record);
    if (x->refusal)
        note_refusal(x, &record);
}

static void release(struct grave *grave)
{
    struct exchange *x = CONTAINER_OF(grave, struct exchange, grave);
    arena_finish(&x->arena);
    pool_give(&x->worker->exchanges, x);
}

void exchange_end(struct exchange *x)
{
    struct worker *worker = x->worker;
    upstream_request_cancel(&x->request);
    if (x->request.head.len) /* it held the upstream's key */
        explicit_bzero((void *)x->request.head.ptr, x->request.head.len);
    if (x->request_line.ptr || x->head)
        record(x);
    note_refused(x);
    if (x->slot_taken)
        upstream_leave(x->upstream);
    if (x->in_flight_counted)
        caps_give(worker->shared->caps, CAP_REQUESTS, x->client_hash);
    if (x->parallel_counted)
        caps_give(worker->shared->caps, CAP_REQUESTS, x->principal.rate_hash);
    api_key_unref(x->principal.key);
    session_unref(x->principal.session);
    credential_unref(x->principal.credential);
    release_scan(x);
    body_release(&x->body, &worker->request_blocks);
    events_finish(&x->events);
    x->front_owner = NULL;
    atomic_fetch_sub_explicit(&worker->shared->exchanges, 1, memory_order_relaxed);
    worker_count_exchange(worker, -1);
    worker_leave_snapshot(worker, x->use);
    x->use = NULL;
    worker_bury(worker, &x->grave, release);
}
