/* Reads a request head in one pass. Called by the connection whenever bytes arrived and no request
 * is under way. The hard problem is request smuggling: nothing is mended or guessed, a head that
 * two readers could understand differently is refused (RFC 9112, 11.2; HOSTILE 2.1). */
#include "proto/http_head.h"
#include "proto/target.h"

enum { METHOD_BYTES_MAX = 32 };

/* Where the fields the gate looks at are put; 0 for those that are not. */
#define KEPT(member) offsetof(struct request_head, member)
static const size_t kept_at[FIELD_COUNT] = {
    [FIELD_ACCEPT] = KEPT(accept),
    [FIELD_API_KEY] = KEPT(api_key),
    [FIELD_AUTHORIZATION] = KEPT(authorization),
    [FIELD_CONTENT_ENCODING] = KEPT(content_encoding),
    [FIELD_CONTENT_TYPE] = KEPT(content_type),
    [FIELD_ORIGIN] = KEPT(origin),
    [FIELD_TRACEPARENT] = KEPT(traceparent),
    [FIELD_SEC_FETCH_SITE] = KEPT(sec_fetch_site),
    [FIELD_X_API_KEY] = KEPT(x_api_key),
    [FIELD_X_CORRELATION_ID] = KEPT(correlation_id),
};

static struct slice *kept_slice(struct request_head *head, size_t offset)
{
    return (struct slice *)(void *)((char *)head + offset);
}

/* Everything but the fields themselves: those are many and only the first `field_count` are read.
 */
static void clear(struct request_head *head)
{
    static const struct slice none;
    head->method = METHOD_GET;
    head->major_version = 1;
    head->minor_version = 0;
    head->line = head->target = head->path = head->query = head->host = none;
    head->field_count = 0;
    head->content_length = HTTP_NO_LENGTH;
    head->chunked = head->streamed = head->keep_alive = head->expect_continue = false;
    head->authorization = head->x_api_key = head->api_key = none;
    head->content_type = head->content_encoding = head->accept = none;
    head->correlation_id = head->traceparent = head->origin = none;
    head->sec_fetch_site = none;
}

static enum err read_method(struct head_reader *r, const char *stop, const char **at,
                            struct request_head *head)
{
    const char *from = *at;
    while (*at < stop && octet_is(**at, OCTET_TOKEN))
        ++*at;
    struct slice word = slice_make(from, (size_t)(*at - from));
    if (word.len > METHOD_BYTES_MAX)
        return head_fail(r, HTTP_BAD_REQUEST_LINE);
    if (*at == stop)
        return head_line_cut(r, *at, HTTP_TARGET_TOO_LONG);
    if (**at != ' ' || word.len == 0)
        return head_bad_byte(r, **at, HTTP_BAD_REQUEST_LINE);
    ++*at;
    for (enum http_method method = 0; method < METHOD_COUNT; method++) {
        if (slice_equal(word, slice_of(http_method_name(method)))) {
            head->method = method;
            return OK;
        }
    }
    return head_fail(r, HTTP_BAD_METHOD);
}

/* `*authority` is that of an absolute-form target, to be compared with Host. */
static enum err read_target(struct head_reader *r, const char *stop, const char **at,
                            struct request_head *head, struct slice *authority)
{
    const char *from = *at;
    while (*at < stop && octet_is(**at, OCTET_VISIBLE))
        ++*at;
    if (*at == stop)
        return head_line_cut(r, *at, HTTP_TARGET_TOO_LONG);
    head->target = slice_make(from, (size_t)(*at - from));
    if (**at != ' ') /* "GET /" alone is HTTP/0.9 */
        return head_bad_byte(
            r, **at, **at == '\r' || **at == '\t' ? HTTP_BAD_REQUEST_LINE : HTTP_BAD_TARGET);
    if (head->target.len == 0)
        return head_fail(r, HTTP_BAD_REQUEST_LINE);
    ++*at;
    struct target target;
    if (target_parse(head->target, &target) != OK ||
        (target.asterisk && head->method != METHOD_OPTIONS))
        return head_fail(r, HTTP_BAD_TARGET);
    head->path = target.path;
    head->query = target.query;
    *authority = target.authority;
    return OK;
}

/* "HTTP/d.d" and the end of the line. */
static enum err read_version(struct head_reader *r, const char *stop, const char *at,
                             struct request_head *head)
{
    static const char form[] = "HTTP/0.0"; /* 0: any digit */
    const char *from = at;
    for (size_t i = 0; i < sizeof(form) - 1; i++, at++) {
        if (at == stop)
            return head_line_cut(r, at, HTTP_TARGET_TOO_LONG);
        if (form[i] == '0' ? *at < '0' || *at > '9' : *at != form[i])
            return head_bad_byte(r, *at, HTTP_BAD_REQUEST_LINE);
    }
    if (at == r->end)
        return ERR_AGAIN;
    if (*at != '\r')
        return at == stop ? head_fail(r, HTTP_TARGET_TOO_LONG)
                          : head_bad_byte(r, *at, HTTP_BAD_REQUEST_LINE);
    head->line = slice_make(r->at, (size_t)(at - r->at));
    TRY(head_line_end(r, at));
    if (from[5] != '1' || from[7] > '1')
        return head_fail(r, HTTP_BAD_VERSION);
    head->minor_version = (unsigned)(from[7] - '0');
    return OK;
}

static enum err read_request_line(struct head_reader *r, struct request_head *head,
                                  struct slice *authority)
{
    if (r->at == r->end)
        return ERR_AGAIN;
    if (*r->at == '\r') /* RFC 9112, 2.2: one empty line, left over from a body, is passed over */
        TRY(head_line_end(r, r->at));
    const char *stop = head_line_stop(r), *at = r->at;
    TRY(read_method(r, stop, &at, head));
    TRY(read_target(r, stop, &at, head, authority));
    return read_version(r, stop, at, head);
}

static enum err read_host(struct head_reader *r, struct request_head *head, struct slice value)
{
    struct slice name;
    unsigned port;
    if (authority_parse(value, &name, &port) != OK)
        return head_fail(r, HTTP_BAD_HOST);
    head->host = value;
    return OK;
}

static enum err read_expect(struct head_reader *r, struct request_head *head, struct slice value)
{
    if (head->minor_version == 0) /* RFC 9110, 10.1.1: ignored */
        return OK;
    if (!slice_equal_nocase(value, SLICE("100-continue")))
        return head_fail(r, HTTP_BAD_EXPECT);
    head->expect_continue = true;
    return OK;
}

static enum err read_fields(struct head_reader *r, struct request_head *head)
{
    for (;;) {
        struct field *field;
        enum err err = head_next_field(r, head->fields, &head->field_count, &field);
        if (err != OK)
            return err == ERR_CLOSED ? OK : err;
        enum field_id id = field->row ? field->row->id : FIELD_OTHER;
        if (kept_at[id]) {
            struct slice *kept = kept_slice(head, kept_at[id]);
            if (!kept->ptr) /* Accept may stand twice: the first counts */
                *kept = field->value;
        } else if (id == FIELD_HOST) {
            TRY(read_host(r, head, field->value));
        } else if (id == FIELD_EXPECT) {
            TRY(read_expect(r, head, field->value));
        }
    }
}

/* What can be said only when all fields are known. */
static enum err check_whole(struct head_reader *r, struct request_head *head,
                            struct slice authority)
{
    bool no_host = head->host.len == 0;
    if (no_host && head->minor_version == 1)
        return head_fail(r, HTTP_BAD_HOST);
    /* RFC 9112, 3.2.2: the target's authority wins. Ours must be one and the same, since the next
     * server might look at the other. */
    if (authority.len && no_host)
        head->host = authority;
    else if (authority.len && !slice_equal_nocase(authority, head->host))
        return head_fail(r, HTTP_BAD_HOST);
    TRY(head_check_framing(r, head->minor_version));
    bool has_body = r->chunked || (r->content_length != HTTP_NO_LENGTH && r->content_length > 0);
    if (has_body && (head->method == METHOD_GET || head->method == METHOD_HEAD))
        return head_fail(r, HTTP_UNEXPECTED_BODY);
    head->content_length = r->content_length;
    head->chunked = r->chunked;
    head->keep_alive = head_keep_alive(r, head->minor_version);
    return OK;
}

static enum err read_head(struct head_reader *r, struct request_head *head)
{
    struct slice authority = {0};
    TRY(read_request_line(r, head, &authority));
    TRY(read_fields(r, head));
    return check_whole(r, head, authority);
}

enum err request_head_parse(struct slice bytes, const struct http_limits *limits,
                            struct request_head *head, size_t *used, enum http_fault *fault)
{
    struct head_reader r;
    head_reader_init(&r, bytes, limits);
    clear(head);
    return head_result(&r, read_head(&r, head), used, fault);
}

static void rebase(struct slice *slice, const char *from, const char *to)
{
    if (slice->ptr)
        slice->ptr = to + (slice->ptr - from);
}

void request_head_rebase(struct request_head *head, const char *from, const char *to)
{
    struct slice *const parts[] = {&head->line, &head->target, &head->path, &head->query,
                                   &head->host};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        rebase(parts[i], from, to);
    for (size_t i = 0; i < COUNT_OF(kept_at); i++)
        if (kept_at[i])
            rebase(kept_slice(head, kept_at[i]), from, to);
    for (unsigned i = 0; i < head->field_count; i++) {
        rebase(&head->fields[i].name, from, to);
        rebase(&head->fields[i].value, from, to);
    }
}
