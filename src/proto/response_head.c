/* Reads the head of an upstream's answer. Called by the upstream side of an exchange. An upstream
 * is not trusted (HOSTILE 2.17): framing that is not clear is a fault, never a guess, and a
 * connection whose next byte could be disputed is not kept. Values may hold obs-text, names '_',
 * since real servers send both. */
#include "proto/http_head.h"

enum { IDLE_SECONDS_MAX = 86400 };

static void clear(struct response_head *head)
{
    static const struct slice none;
    head->status = head->minor_version = 0;
    head->reason = none;
    head->field_count = 0;
    head->content_length = HTTP_NO_LENGTH;
    head->chunked = head->keep_alive = head->no_body = false;
    head->idle_seconds = 0;
    head->content_type = head->content_encoding = head->retry_after = none;
}

/* "HTTP/d.d ddd" at `*at`, checked as far as it has arrived. */
static enum err read_status(struct head_reader *r, const char *stop, const char **at,
                            struct response_head *head)
{
    static const char form[] = "HTTP/0.0 000"; /* 0: any digit */
    const char *from = *at;
    for (size_t i = 0; i < sizeof(form) - 1; i++, ++*at) {
        if (*at == stop)
            return head_line_cut(r, *at, HTTP_LINE_TOO_LONG);
        char byte = **at;
        if (form[i] == '0' ? byte < '0' || byte > '9' : byte != form[i])
            return head_bad_byte(r, byte, HTTP_BAD_STATUS_LINE);
    }
    if (from[5] != '1' || from[7] > '1')
        return head_fail(r, HTTP_BAD_VERSION);
    if (from[9] < '1' || from[9] > '5')
        return head_fail(r, HTTP_BAD_STATUS_LINE);
    head->minor_version = (unsigned)(from[7] - '0');
    for (size_t i = 9; i < 12; i++)
        head->status = head->status * 10 + (unsigned)(from[i] - '0');
    return OK;
}

/* RFC 9112, 4. The reason, and the space before it, may be missing. */
static enum err read_status_line(struct head_reader *r, struct response_head *head)
{
    const char *stop = head_line_stop(r), *at = r->at;
    TRY(read_status(r, stop, &at, head));
    if (at < stop && *at == ' ') {
        const char *reason = at + 1;
        at = head_value_end(reason, stop, true);
        head->reason = slice_make(reason, (size_t)(at - reason));
    }
    if (at == r->end)
        return ERR_AGAIN;
    if (*at != '\r')
        return at == stop ? head_fail(r, HTTP_LINE_TOO_LONG)
                          : head_bad_byte(r, *at, HTTP_BAD_STATUS_LINE);
    return head_line_end(r, at);
}

/* Keep-Alive: "timeout=5, max=100". Only advice: what cannot be read is not said. */
static unsigned idle_seconds(struct slice value)
{
    while (value.len) {
        struct slice item = slice_trim(slice_cut(&value, ','));
        struct slice name = slice_trim(slice_cut(&item, '='));
        uint64_t seconds;
        if (slice_equal_nocase(name, SLICE("timeout")))
            return slice_number(slice_trim(item), IDLE_SECONDS_MAX, &seconds) ? (unsigned)seconds
                                                                              : 0;
    }
    return 0;
}

static enum err read_fields(struct head_reader *r, struct response_head *head)
{
    for (;;) {
        struct field *field;
        enum err err = head_next_field(r, head->fields, &head->field_count, &field);
        if (err != OK)
            return err == ERR_CLOSED ? OK : err;
        if (!field->row)
            continue;
        switch (field->row->id) {
        case FIELD_CONTENT_TYPE:
            head->content_type = field->value;
            break;
        case FIELD_CONTENT_ENCODING:
            head->content_encoding = field->value;
            break;
        case FIELD_RETRY_AFTER:
            head->retry_after = field->value;
            break;
        case FIELD_KEEP_ALIVE:
            head->idle_seconds = idle_seconds(field->value);
            break;
        default:
            break;
        }
    }
}

static void settle_body(const struct head_reader *r, enum http_method method,
                        struct response_head *head)
{
    bool never = head->status < 200 || head->status == 204; /* for any method */
    bool framed = r->chunked || r->content_length != HTTP_NO_LENGTH;
    head->no_body = never || head->status == 304 || method == METHOD_HEAD;
    head->content_length = r->content_length;
    head->chunked = r->chunked;
    head->keep_alive = head_keep_alive(r, head->minor_version);
    /* A body may follow that RFC 9112, 6.3 says is not there, or one that only the end of the
     * connection ends. */
    if (never ? r->chunked || (framed && r->content_length > 0) : !framed && !head->no_body)
        head->keep_alive = false;
}

static enum err read_head(struct head_reader *r, enum http_method method,
                          struct response_head *head)
{
    TRY(read_status_line(r, head));
    TRY(read_fields(r, head));
    TRY(head_check_framing(r, head->minor_version));
    settle_body(r, method, head);
    return OK;
}

enum err response_head_parse(struct slice bytes, const struct http_limits *limits,
                             enum http_method method, struct response_head *head, size_t *used,
                             enum http_fault *fault)
{
    struct head_reader r;
    head_reader_init(&r, bytes, limits);
    r.obs_text = true;
    r.name_class = OCTET_TOKEN;
    clear(head);
    return head_result(&r, read_head(&r, method, head), used, fault);
}
