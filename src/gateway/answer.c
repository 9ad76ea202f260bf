#include "gateway/answer.h"

#include "base/clock.h"
#include "gateway/gate.h"
#include "guard/cors.h"

/* On every answer: CONTRACT 5. */
static const struct {
    struct slice name, value;
} always[] = {
    {SLICE("X-Content-Type-Options"),  SLICE("nosniff")                                   },
    {SLICE("X-Frame-Options"),         SLICE("DENY")                                      },
    {SLICE("Referrer-Policy"),         SLICE("no-referrer")                               },
    {SLICE("Content-Security-Policy"), SLICE("default-src 'none'; frame-ancestors 'none'")},
    {SLICE("Cache-Control"),           SLICE("no-store")                                  },
};

enum { LIST_FIELD_BYTES_MAX = 16 * 1024 };

#define EXPOSED                                                                                    \
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Request-Id"

/* A year, as hosts of one name only: what stands beside us under other names is not ours to move to
 * TLS, and no promise can be taken back before it runs out. */
#define TRANSPORT_SECURITY "max-age=31536000"

typedef void each_fn(void *context, struct slice name, struct slice value);

static void number(each_fn *each, void *context, struct slice name, uint64_t value)
{
    char digits[24];
    struct buffer text = BUFFER_OVER(digits, sizeof digits);
    buffer_number(&text, value);
    each(context, name, buffer_slice(&text));
}

static void rate_limit_fields(const struct exchange *x, each_fn *each, void *context)
{
    const struct limit_request request = limit_request_of(x);
    const struct rate_verdict shown = limits_shown(&request, &x->limits);
    if (shown.limit == 0)
        return;
    uint64_t full_at_s = (clock_wall_us() + shown.full_in_us + SECOND_US - 1) / SECOND_US;
    number(each, context, SLICE("X-RateLimit-Limit"), shown.limit);
    number(each, context, SLICE("X-RateLimit-Remaining"), shown.remaining);
    number(each, context, SLICE("X-RateLimit-Reset"), full_at_s);
}

static void allow_field(unsigned methods, each_fn *each, void *context)
{
    char memory[96];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    for (unsigned method = 0; method < METHOD_COUNT; method++) {
        if (!(methods & 1u << method))
            continue;
        buffer_text(&text, text.len ? ", " : "");
        buffer_text(&text, http_method_name((enum http_method)method));
    }
    each(context, SLICE("Allow"), buffer_slice(&text));
}

/* Two fields, not one list: some clients look for the start of a field only. */
static void challenge_fields(const struct settings *settings, each_fn *each, void *context)
{
    each(context, SLICE("WWW-Authenticate"), SLICE("Bearer"));
    if (settings->security.basic_enabled)
        each(context, SLICE("WWW-Authenticate"),
             SLICE("Basic realm=\"LLM API\", charset=\"UTF-8\""));
}

static void list_field(struct slice name, const struct text_list *list, each_fn *each,
                       void *context)
{
    AUTO(buffer) text = BUFFER_MAX(LIST_FIELD_BYTES_MAX);
    for (unsigned i = 0; i < list->count; i++)
        buffer_printf(&text, "%s%s", i ? ", " : "", list->items[i]);
    if (!text.failed)
        each(context, name, buffer_slice(&text));
}

/* For pages that are allowed, on every answer, refusals included: a page that cannot read why it
 * was refused cannot do better. A shared cache must not show one origin's answer to another, and so
 * Vary stands on the answers to strangers too. */
static void cors_fields(const struct exchange *x, const struct answer *answer, each_fn *each,
                        void *context)
{
    const struct settings *settings = exchange_settings(x);
    struct slice allowed = {0};
    each(context, SLICE("Vary"), SLICE("Origin"));
    if (x->head && x->refusal != REFUSE_PREFLIGHT)
        allowed = cors_allow_origin(settings, x->head->origin);
    if (allowed.len == 0)
        return;
    each(context, SLICE("Access-Control-Allow-Origin"), allowed);
    if (!answer->preflight) {
        each(context, SLICE("Access-Control-Expose-Headers"), SLICE(EXPOSED));
        return;
    }
    list_field(SLICE("Access-Control-Allow-Methods"), &settings->server.cors_methods, each,
               context);
    list_field(SLICE("Access-Control-Allow-Headers"), &settings->server.cors_headers, each,
               context);
    each(context, SLICE("Access-Control-Max-Age"), SLICE("600"));
}

/* What the upstream said, without what ends here and what only we say. */
static void upstream_fields(const struct response_head *head, each_fn *each, void *context)
{
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *field = &head->fields[i];
        const struct field_row *row = field->row;
        if (row && ((row->rules & FIELD_NOT_CLIENT) || row->id == FIELD_CONTENT_TYPE ||
                    row->id == FIELD_CONTENT_LENGTH || row->id == FIELD_RETRY_AFTER ||
                    row->id == FIELD_CONTENT_ENCODING))
            continue;
        if (!slice_equal_nocase(field->name, SLICE("Cache-Control")) &&
            !http_hop_by_hop(head->fields, head->field_count, field))
            each(context, field->name, field->value);
    }
}

void answer_each_field(struct exchange *x, const struct answer *answer, each_fn *each,
                       void *context)
{
    each(context, SLICE("Date"), worker_date(x->worker));
    if (answer->content_type.len)
        each(context, SLICE("Content-Type"), answer->content_type);
    each(context, SLICE("X-Request-Id"), slice_make(x->request_id, 32));
    if (x->head && x->head->correlation_id.len)
        each(context, SLICE("X-Correlation-ID"), x->head->correlation_id);
    rate_limit_fields(x, each, context);
    for (unsigned i = 0; i < COUNT_OF(always); i++)
        each(context, always[i].name, always[i].value);
    if (x->secure)
        each(context, SLICE("Strict-Transport-Security"), SLICE(TRANSPORT_SECURITY));
    if (cors_enabled(exchange_settings(x)))
        cors_fields(x, answer, each, context);
    if (answer->location.len)
        each(context, SLICE("Location"), answer->location);
    if (answer->retry_after_s)
        number(each, context, SLICE("Retry-After"), answer->retry_after_s);
    if (answer->allow_methods)
        allow_field(answer->allow_methods, each, context);
    if (answer->authenticate)
        challenge_fields(exchange_settings(x), each, context);
    if (answer->event_stream)
        each(context, SLICE("X-Accel-Buffering"), SLICE("no"));
    if (answer->upstream)
        upstream_fields(answer->upstream, each, context);
}

// clang-format off
static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"},
    {307, "Temporary Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
    {404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"},
    {411, "Length Required"}, {413, "Content Too Large"}, {414, "URI Too Long"},
    {415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {421, "Misdirected Request"},
    {422, "Unprocessable Content"}, {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
    {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"},
    {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
};
// clang-format on

const char *status_reason(unsigned status)
{
    for (unsigned i = 0; i < COUNT_OF(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}
