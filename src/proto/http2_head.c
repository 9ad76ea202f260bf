/* See http2_head.h. Called by the codec for every field that HPACK gives back.
 *
 * The hard problem is that HTTP/2 can carry bytes which mean something else once they stand in an
 * HTTP/1 head (HOSTILE H2-08, H2-09). So nothing is spelled before it was checked that it holds no
 * byte which ends a word or a line there, and what was spelled is read again by the strict parser,
 * which must end exactly where the text does. */
#include "proto/http2_head.h"

#include "proto/octet.h"

/* A list of this many fields, or of this many times head_bytes, is an attack and no large head:
 * decoding on would be work for nothing. Below it a head over the limits is answered with 431. */
enum { FIELDS_READ_MAX = 1000, BYTES_READ_FACTOR = 16 };

static const struct slice pseudo_names[PSEUDO_COUNT] = {
    [PSEUDO_METHOD] = SLICE(":method"),
    [PSEUDO_SCHEME] = SLICE(":scheme"),
    [PSEUDO_PATH] = SLICE(":path"),
    [PSEUDO_AUTHORITY] = SLICE(":authority"),
};

void http2_head_begin(struct http2_head *h, const struct http_limits *limits, bool trailers)
{
    struct buffer text = h->text, pseudo = h->pseudo, cookie = h->cookie;
    *h = (struct http2_head){
        .limits = *limits, .text = text, .pseudo = pseudo, .cookie = cookie, .trailers = trailers};
    struct buffer *const buffers[] = {&h->text, &h->pseudo, &h->cookie};
    for (size_t i = 0; i < COUNT_OF(buffers); i++) {
        buffer_clear(buffers[i]);
        buffers[i]->max = limits->head_bytes;
    }
}

void http2_head_finish(struct http2_head *h)
{
    buffer_finish(&h->text);
    buffer_finish(&h->pseudo);
    buffer_finish(&h->cookie);
}

/* The first fault counts. */
static void refuse(struct http2_head *h, enum http_fault fault)
{
    if (!h->fault)
        h->fault = fault;
}

static void malformed(struct http2_head *h, enum http_fault fault)
{
    if (!h->fault)
        h->malformed = true;
    refuse(h, fault);
}

static struct slice value_of(const struct http2_head *h, enum http2_pseudo pseudo)
{
    return slice_make(h->pseudo.bytes + h->values[pseudo].at, h->values[pseudo].len);
}

/* --- what HTTP/2 asks of one field --------------------------------------------------------------
 */

static bool all_are(struct slice s, unsigned classes)
{
    for (size_t i = 0; i < s.len; i++)
        if (!octet_is(s.ptr[i], classes))
            return false;
    return true;
}

/* RFC 9113, 8.2.1: lower case. What else may not stand in a name, HTTP/1's rules say; but a byte
 * that ends a name there is refused here. */
static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
            return false;
    return name.len && all_are(name, OCTET_TOKEN);
}

/* RFC 9113, 8.2.1. Other control bytes and those beyond ASCII are left to HTTP/1's rules. */
static bool value_valid(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0')
            return false;
    return slice_trim(value).len == value.len;
}

/* RFC 9113, 8.2.2: framing is the protocol's, not a field's. */
static bool connection_specific(enum field_id id, struct slice value)
{
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    case FIELD_TE:
        return !slice_equal_nocase(value, SLICE("trailers"));
    default:
        return false;
    }
}

/* What each pseudo-field may hold. None may hold a byte that ends its word in a request line;
 * target_parse and authority_parse are stricter. */
static bool pseudo_valid(enum http2_pseudo pseudo, struct slice value)
{
    switch (pseudo) {
    case PSEUDO_METHOD:
        return value.len && all_are(value, OCTET_TOKEN);
    case PSEUDO_SCHEME:
        return slice_equal(value, SLICE("https")) || slice_equal(value, SLICE("http"));
    case PSEUDO_PATH: /* RFC 9113, 8.3.1: never an absolute form */
        return all_are(value, OCTET_VISIBLE) &&
               (slice_starts(value, SLICE("/")) || slice_equal(value, SLICE("*")));
    default:
        return all_are(value, OCTET_VISIBLE);
    }
}

/* --- spelling -----------------------------------------------------------------------------------
 */

static void check_kept(struct http2_head *h, const struct buffer *buffer)
{
    if (buffer->failed == ERR_LIMIT)
        refuse(h, HTTP_HEAD_TOO_LONG);
}

/* One more line that counts. */
static bool count_line(struct http2_head *h)
{
    if (h->fields_kept++ < FIELDS_MAX)
        return true;
    refuse(h, HTTP_TOO_MANY_FIELDS);
    return false;
}

static void spell_field(struct http2_head *h, struct slice name, struct slice value)
{
    if (count_line(h)) {
        http_print_field(&h->text, name, value);
        check_kept(h, &h->text);
    }
}

/* RFC 9113, 8.3.1: all of them once, but for :authority; CONNECT has no scheme and no path. */
static bool pseudo_complete(const struct http2_head *h)
{
    bool connect =
        h->values[PSEUDO_METHOD].there && slice_equal(value_of(h, PSEUDO_METHOD), SLICE("CONNECT"));
    return h->values[PSEUDO_METHOD].there && h->values[PSEUDO_SCHEME].there == !connect &&
           h->values[PSEUDO_PATH].there == !connect;
}

/* The pseudo-fields are all there: the request line, and Host. */
static void spell_line(struct http2_head *h)
{
    if (!pseudo_complete(h)) {
        malformed(h, HTTP_BAD_REQUEST_LINE);
        return;
    }
    /* As on HTTP/1, where its target is an authority. */
    enum http2_pseudo target = h->values[PSEUDO_PATH].there ? PSEUDO_PATH : PSEUDO_AUTHORITY;
    buffer_append(&h->text, value_of(h, PSEUDO_METHOD));
    buffer_byte(&h->text, ' ');
    buffer_append(&h->text, value_of(h, target));
    buffer_byte(&h->text, ' ');
    h->version_at = h->text.len;
    buffer_append(&h->text, SLICE("HTTP/1.1\r\n"));
    check_kept(h, &h->text);
    if (h->values[PSEUDO_AUTHORITY].there)
        spell_field(h, SLICE("host"), value_of(h, PSEUDO_AUTHORITY));
}

static void ensure_line(struct http2_head *h)
{
    if (!h->fault && !h->version_at)
        spell_line(h);
}

/* --- fields -------------------------------------------------------------------------------------
 */

static void take_pseudo(struct http2_head *h, struct slice name, struct slice value)
{
    enum http2_pseudo pseudo = 0;
    while (pseudo < PSEUDO_COUNT && !slice_equal(name, pseudo_names[pseudo]))
        pseudo++;
    bool late = h->version_at != 0 || h->trailers;
    if (pseudo == PSEUDO_COUNT || late || h->values[pseudo].there || !pseudo_valid(pseudo, value)) {
        malformed(h, HTTP_BAD_REQUEST_LINE);
        return;
    }
    size_t at = h->pseudo.len;
    buffer_append(&h->pseudo, value);
    check_kept(h, &h->pseudo);
    if (h->pseudo.failed) /* http2_head_end says so */
        return;
    h->values[pseudo].at = at;
    h->values[pseudo].len = value.len;
    h->values[pseudo].there = true;
}

/* RFC 9113, 8.2.3: crumbs are joined before anything else looks at them. */
static void take_cookie(struct http2_head *h, struct slice value)
{
    if (h->cookie.len)
        buffer_append(&h->cookie, SLICE("; "));
    buffer_append(&h->cookie, value);
    check_kept(h, &h->cookie);
}

/* Host beside :authority must say the same, since the next server might look at the other (HOSTILE
 * H2-11); it is not spelled a second time. */
static void take_host(struct http2_head *h, struct slice name, struct slice value)
{
    if (!h->values[PSEUDO_AUTHORITY].there) {
        spell_field(h, name, value);
        return;
    }
    if (h->host_seen || !slice_equal_nocase(value, value_of(h, PSEUDO_AUTHORITY)))
        refuse(h, HTTP_BAD_HOST);
    h->host_seen = true;
}

static void take_field(struct http2_head *h, struct slice name, struct slice value)
{
    const struct field_row *row = field_find(name);
    enum field_id id = row ? row->id : FIELD_OTHER;
    if (!name_valid(name) || !value_valid(value) || connection_specific(id, value)) {
        malformed(h, HTTP_BAD_FIELD);
    } else if (h->trailers) {
        (void)count_line(h);
    } else {
        ensure_line(h);
        if (h->fault)
            return;
        if (id == FIELD_COOKIE)
            take_cookie(h, value);
        else if (id == FIELD_HOST)
            take_host(h, name, value);
        else
            spell_field(h, name, value);
    }
}

bool http2_head_field(struct http2_head *h, struct slice name, struct slice value)
{
    h->fields_read++;
    h->bytes_read += name.len + value.len;
    if (h->fields_read > FIELDS_READ_MAX ||
        h->bytes_read > BYTES_READ_FACTOR * h->limits.head_bytes)
        return false;
    if (h->fault)
        return true;
    if (name.len && name.ptr[0] == ':')
        take_pseudo(h, name, value);
    else
        take_field(h, name, value);
    return true;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static bool out_of_memory(const struct http2_head *h)
{
    return h->text.failed == ERR_MEMORY || h->pseudo.failed == ERR_MEMORY ||
           h->cookie.failed == ERR_MEMORY;
}

/* What can be said of a body before it comes. */
static void check_body(struct http2_head *h, bool ends_stream, struct request_head *head)
{
    bool has_length = head->content_length != HTTP_NO_LENGTH;
    if (ends_stream && has_length && head->content_length > 0)
        malformed(h, HTTP_BAD_LENGTH);
    head->streamed = !ends_stream && !has_length;
    if (head->streamed && (head->method == METHOD_GET || head->method == METHOD_HEAD))
        refuse(h, HTTP_UNEXPECTED_BODY); /* as HTTP/1's parser does for a body it can see */
}

static void parse(struct http2_head *h, bool ends_stream, struct request_head *head)
{
    size_t used;
    enum http_fault fault;
    enum err err = request_head_parse(buffer_slice(&h->text), &h->limits, head, &used, &fault);
    if (err == OK && used == h->text.len)
        check_body(h, ends_stream, head);
    else if (err == ERR_SYNTAX && fault != HTTP_BAD_LENGTH)
        refuse(h, fault);
    else /* RFC 9113, 8.1.1; or the text was not one head, which its making forbids */
        malformed(h, err == ERR_SYNTAX ? fault : HTTP_BAD_FIELD);
}

enum http2_outcome http2_head_end(struct http2_head *h, bool ends_stream, struct request_head *head,
                                  struct slice *bytes, enum http_fault *fault)
{
    if (h->trailers) {
        if (!ends_stream) /* RFC 9113, 8.1 */
            malformed(h, HTTP_BAD_FIELD);
    } else {
        ensure_line(h);
        if (!h->fault && h->cookie.len)
            spell_field(h, SLICE("cookie"), buffer_slice(&h->cookie));
        buffer_append(&h->text, SLICE("\r\n"));
        check_kept(h, &h->text);
        if (!h->fault && !out_of_memory(h))
            parse(h, ends_stream, head);
    }
    if (h->version_at && h->text.len >= h->version_at + 8)
        memcpy(h->text.bytes + h->version_at, "HTTP/2.0", 8);
    head->major_version = 2;
    *bytes = buffer_slice(&h->text);
    *fault = h->fault;
    if (out_of_memory(h))
        return HTTP2_HEAD_NO_MEMORY;
    if (!h->fault)
        return HTTP2_HEAD_READ;
    return h->malformed ? HTTP2_HEAD_MALFORMED : HTTP2_HEAD_REFUSED;
}
