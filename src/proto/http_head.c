/* Lines and fields of a message head; see http_head.h. Runs for every request and every answer, so
 * values are passed over 16 bytes at a time. */
#include "proto/http_head.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LENGTH_DIGITS_MAX = 20 };

void head_reader_init(struct head_reader *r, struct slice bytes, const struct http_limits *limits)
{
    size_t len = bytes.len < limits->head_bytes ? bytes.len : limits->head_bytes;
    *r = (struct head_reader){
        .begin = bytes.ptr,
        .at = bytes.ptr,
        .end = len ? bytes.ptr + len : bytes.ptr,
        .line_bytes = limits->line_bytes,
        .cut_short = bytes.len >= limits->head_bytes,
        .name_class = OCTET_NAME,
        .content_length = HTTP_NO_LENGTH,
    };
}

enum err head_fail(struct head_reader *r, enum http_fault fault)
{
    r->fault = fault;
    return ERR_SYNTAX;
}

const char *head_line_stop(const struct head_reader *r)
{
    size_t there = (size_t)(r->end - r->at);
    return r->at + (there < r->line_bytes ? there : r->line_bytes);
}

enum err head_line_cut(struct head_reader *r, const char *at, enum http_fault fault)
{
    return at == r->end ? ERR_AGAIN : head_fail(r, fault);
}

enum err head_bad_byte(struct head_reader *r, char byte, enum http_fault fault)
{
    return head_fail(r, byte == '\n' ? HTTP_BAD_LINE_END : fault);
}

enum err head_line_end(struct head_reader *r, const char *at)
{
    if (*at != '\r')
        return head_fail(r, HTTP_BAD_LINE_END);
    if (at + 1 == r->end)
        return ERR_AGAIN;
    if (at[1] != '\n')
        return head_fail(r, HTTP_BAD_LINE_END);
    r->at = at + 2;
    return OK;
}

static bool value_byte(char byte, bool obs_text)
{
    unsigned char code = (unsigned char)byte;
    return (code >= 0x20 && code < 0x7f) || code == '\t' || (obs_text && code >= 0x80);
}

const char *head_value_end(const char *at, const char *stop, bool obs_text)
{
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
    while (stop - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        unsigned bad =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, del)));
        if (!obs_text)
            bad |= (unsigned)_mm_movemask_epi8(bytes); /* the top bits */
        if (bad == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(bad);
        if (*at != '\t')
            return at;
        at++;
    }
#endif
    while (at < stop && value_byte(*at, obs_text))
        at++;
    return at;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* One field line (RFC 9112, 5), which does not begin with CR: no white space before the name or the
 * colon, no fold, no bare CR or LF. */
static enum err field_line(struct head_reader *r, struct field *field)
{
    const char *stop = head_line_stop(r), *at = r->at;
    while (at < stop && octet_is(*at, r->name_class))
        at++;
    if (at == stop)
        return head_line_cut(r, at, HTTP_LINE_TOO_LONG);
    if (*at != ':' || at == r->at)
        return head_bad_byte(r, *at, HTTP_BAD_FIELD);
    field->name = slice_make(r->at, (size_t)(at - r->at));

    const char *value = at + 1;
    at = head_value_end(value, stop, r->obs_text);
    if (at == r->end)
        return ERR_AGAIN;
    if (*at != '\r') {
        if (at == stop)
            return head_fail(r, HTTP_LINE_TOO_LONG);
        return head_bad_byte(r, *at, HTTP_BAD_FIELD);
    }
    TRY(head_line_end(r, at));
    while (value < at && is_blank(*value))
        value++;
    while (value < at && is_blank(at[-1]))
        at--;
    field->value = slice_make(value, (size_t)(at - value));
    return OK;
}

static enum err note_length(struct head_reader *r, struct slice value)
{
    if (value.len > LENGTH_DIGITS_MAX || !slice_number(value, INT64_MAX, &r->content_length))
        return head_fail(r, HTTP_BAD_LENGTH);
    return OK;
}

static enum err note_coding(struct head_reader *r, struct slice value)
{
    if (slice_equal_nocase(value, SLICE("chunked"))) {
        r->chunked = true;
        return OK;
    }
    for (size_t i = 0; i < value.len; i++)
        if (!octet_is(value.ptr[i], OCTET_TOKEN))
            return head_fail(r, HTTP_BAD_CODING);
    return head_fail(r, value.len ? HTTP_UNKNOWN_CODING : HTTP_BAD_CODING);
}

static enum err note_connection(struct head_reader *r, struct slice value)
{
    r->connection_bytes += value.len;
    if (r->connection_bytes > CONNECTION_BYTES_MAX)
        return head_fail(r, HTTP_BAD_FIELD);
    while (value.len) {
        struct slice token = slice_trim(slice_cut(&value, ','));
        if (slice_equal_nocase(token, SLICE("close")))
            r->close = true;
        else if (slice_equal_nocase(token, SLICE("keep-alive")))
            r->keep_alive = true;
    }
    return OK;
}

static enum http_fault twice(enum field_id id)
{
    switch (id) {
    case FIELD_HOST:
        return HTTP_BAD_HOST;
    case FIELD_CONTENT_LENGTH:
        return HTTP_BAD_LENGTH;
    case FIELD_TRANSFER_ENCODING:
        return HTTP_BAD_CODING;
    default:
        return HTTP_DUPLICATE_FIELD;
    }
}

static enum err note_field(struct head_reader *r, const struct field *field)
{
    const struct field_row *row = field->row;
    if (row->rules & FIELD_UNIQUE) {
        uint64_t bit = UINT64_C(1) << row->id;
        if (r->seen & bit)
            return head_fail(r, twice(row->id));
        r->seen |= bit;
    }
    switch (row->id) {
    case FIELD_CONTENT_LENGTH:
        return note_length(r, field->value);
    case FIELD_TRANSFER_ENCODING:
        return note_coding(r, field->value);
    case FIELD_CONNECTION:
        return note_connection(r, field->value);
    default:
        return OK;
    }
}

/* Two hyphens in a row, or one at either end: no field is called so, but some readers fold what is
 * between words, and then Transfer--Encoding frames a message. */
static bool hyphens_stray(struct slice name)
{
    bool after_hyphen = true;
    for (size_t i = 0; i < name.len; i++) {
        bool hyphen = name.ptr[i] == '-';
        if (hyphen && after_hyphen)
            return true;
        after_hyphen = hyphen;
    }
    return after_hyphen;
}

/* A field without a row of just its name; rows have their hyphens where they belong. */
static enum err check_name(struct head_reader *r, const struct field *field)
{
    bool strict = r->name_class == OCTET_NAME;
    return strict && hyphens_stray(field->name) ? head_fail(r, HTTP_BAD_FIELD) : OK;
}

enum err head_next_field(struct head_reader *r, struct field *fields, unsigned *count,
                         struct field **field)
{
    if (r->at == r->end)
        return ERR_AGAIN;
    if (*r->at == '\r') {
        TRY(head_line_end(r, r->at));
        return ERR_CLOSED;
    }
    if (*count == FIELDS_MAX)
        return head_bad_byte(r, *r->at, HTTP_TOO_MANY_FIELDS);
    *field = &fields[*count];
    TRY(field_line(r, *field));
    const struct field_row *row = field_find((*field)->name);
    (*field)->row = row;
    ++*count;
    if (!row || row->id == FIELD_DROPPED) /* every family is dropped */
        TRY(check_name(r, *field));
    return row ? note_field(r, *field) : OK;
}

enum err head_check_framing(struct head_reader *r, unsigned minor_version)
{
    /* RFC 9112, 6.1: a coding on 1.0 or beside a length is how requests are smuggled. */
    if (r->chunked && (minor_version == 0 || r->content_length != HTTP_NO_LENGTH))
        return head_fail(r, HTTP_BAD_CODING);
    return OK;
}

bool head_keep_alive(const struct head_reader *r, unsigned minor_version)
{
    return !r->close && (minor_version == 1 || r->keep_alive);
}

enum err head_result(struct head_reader *r, enum err err, size_t *used, enum http_fault *fault)
{
    if (err == ERR_AGAIN && r->cut_short)
        err = head_fail(r, HTTP_HEAD_TOO_LONG);
    *fault = r->fault;
    *used = err == OK ? (size_t)(r->at - r->begin) : 0;
    return err;
}
