/* The head of an HTTP/2 request (RFC 9113, 8.2 and 8.3), put together field by field. What HTTP/2
 * adds to the rules is checked here; then the fields are spelled as an HTTP/1.1 head and read by
 * request_head_parse, so that every other rule is written once and holds on both protocols. Without
 * input, output or nghttp2. */
#ifndef PROTO_HTTP2_HEAD_H
#define PROTO_HTTP2_HEAD_H

#include "proto/http.h"

enum http2_pseudo { PSEUDO_METHOD, PSEUDO_SCHEME, PSEUDO_PATH, PSEUDO_AUTHORITY, PSEUDO_COUNT };

struct http2_head {
    struct http_limits limits;
    struct buffer text;   /* the HTTP/1.1 head so far; at most limits.head_bytes */
    struct buffer pseudo; /* the pseudo-fields' values, one behind the other; the same bound */
    struct buffer cookie; /* the crumbs of Cookie, joined; the same bound */
    struct {
        size_t at, len; /* in `pseudo` */
        bool there;
    } values[PSEUDO_COUNT];
    size_t version_at;     /* in `text`: where the request line's version stands */
    unsigned fields_read;  /* all of them, also those that were not kept */
    unsigned fields_kept;  /* without pseudo-fields and crumbs */
    size_t bytes_read;     /* of names and values, also those that were not kept */
    bool trailers;         /* behind the body: checked and dropped */
    bool host_seen;        /* beside :authority */
    bool malformed;        /* in the sense of RFC 9113, 8.1.1 */
    enum http_fault fault; /* the first; after it nothing more is kept */
};

/* What became of a head. */
enum http2_outcome {
    HTTP2_HEAD_READ,
    HTTP2_HEAD_REFUSED, /* well formed, but HTTP or our limits refuse it: answered with a status */
    HTTP2_HEAD_MALFORMED, /* the stream is reset with PROTOCOL_ERROR, never answered */
    HTTP2_HEAD_NO_MEMORY,
};

/* A zeroed struct owns nothing. Begins a new head in it and keeps the memory of the last one. */
void http2_head_begin(struct http2_head *h, const struct http_limits *limits, bool trailers);
void http2_head_finish(struct http2_head *h);

/* The next field, in the order of the wire; the slices are copied. False: so many that whoever
 * sends them wants to harm (HOSTILE H2-06), the connection should end. */
bool http2_head_field(struct http2_head *h, struct slice name, struct slice value) MUST_CHECK;

/* The end of the field list. `ends_stream`: no body follows. Sets `*bytes` to the head's text, with
 * "HTTP/2.0" for its version (when refused: what there is of it, maybe nothing), valid until the
 * next begin or finish; `*head` points into it. `*fault` unless it is read. Of trailers only the
 * outcome is set. */
enum http2_outcome http2_head_end(struct http2_head *h, bool ends_stream, struct request_head *head,
                                  struct slice *bytes, enum http_fault *fault) MUST_CHECK;

#endif
