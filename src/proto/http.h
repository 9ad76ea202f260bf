/* HTTP/1.1 message heads (RFC 9112), strict: what could be read two ways is refused.
 * Sans-I/O: bytes in, a struct of slices out; slices point into the bytes given. */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/slice.h"
#include "proto/field.h"

enum http_method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_COUNT
};
const char *http_method_name(enum http_method method);

/* Why a message was refused; the gateway maps each to one row of its refusal table. */
enum http_fault {
    HTTP_FINE = 0,
    HTTP_BAD_REQUEST_LINE, /* 400 */
    HTTP_BAD_STATUS_LINE,  /* of an upstream's answer */
    HTTP_BAD_METHOD,  /* 501: a well-formed token that is no method of ours; CONNECT, TRACE too */
    HTTP_BAD_VERSION, /* 505: well-formed, but neither 1.0 nor 1.1 */
    HTTP_BAD_TARGET,  /* 400 */
    HTTP_TARGET_TOO_LONG, /* 414 */
    HTTP_BAD_FIELD,       /* 400: name, colon, white space, control byte, fold */
    HTTP_BAD_LINE_END,    /* 400: bare CR or LF */
    HTTP_LINE_TOO_LONG,   /* 431 */
    HTTP_HEAD_TOO_LONG,   /* 431 */
    HTTP_TOO_MANY_FIELDS, /* 431 */
    HTTP_BAD_HOST,        /* 400: none, two, malformed, or not the target's authority */
    HTTP_BAD_LENGTH,      /* 400: Content-Length malformed or given twice */
    HTTP_BAD_CODING, /* 400: Transfer-Encoding malformed, twice, beside a length, or on HTTP/1.0 */
    HTTP_UNKNOWN_CODING,  /* 501: a valid coding we do not know */
    HTTP_DUPLICATE_FIELD, /* 400: a unique field twice; two credentials of one kind */
    HTTP_BAD_EXPECT,      /* 417 */
    HTTP_BAD_CHUNK,       /* 400: chunk size, extension, line end, trailer */
    HTTP_CHUNK_OVERHEAD,  /* 400: more framing than content */
    HTTP_UNEXPECTED_BODY, /* 400: a body on GET, HEAD */
    HTTP_FAULT_COUNT
};
const char *http_fault_name(enum http_fault fault); /* "bad_request_line": a reason for logs */

struct http_limits {
    size_t line_bytes; /* request line or one field line, without its CRLF */
    size_t head_bytes; /* the whole head, with the empty line */
};

#define HTTP_NO_LENGTH UINT64_MAX

struct request_head {
    enum http_method method;
    unsigned major_version;  /* 1 or 2 */
    unsigned minor_version;  /* 0 or 1; on HTTP/2 1, since the rules of HTTP/1.1 hold */
    struct slice line;       /* the request line as sent, for logs; "GET / HTTP/2.0" on HTTP/2 */
    struct slice target;     /* as sent */
    struct slice path;       /* canonical: see target.h; points into target */
    struct slice query;      /* without '?'; empty when there is none */
    struct slice host;       /* as sent, validated, port included; empty on HTTP/1.0 without one */
    uint64_t content_length; /* HTTP_NO_LENGTH when there is no such field */
    bool chunked;
    bool streamed;        /* a body whose end the protocol tells; HTTP/2 only */
    bool keep_alive;      /* what version and Connection ask for */
    bool expect_continue; /* HTTP/1.1 only; ignored on 1.0 */
    /* The unique fields the gate looks at; ptr is NULL when absent. */
    struct slice authorization, x_api_key, api_key, content_type, content_encoding, accept;
    struct slice correlation_id, traceparent, origin, sec_fetch_site;
    unsigned field_count;
    struct field fields[FIELDS_MAX]; /* last, so that a copy need only go as far as field_count */
};

/* Does a body follow the head? */
static inline bool request_has_body(const struct request_head *head)
{
    return head->chunked || head->streamed ||
           (head->content_length != HTTP_NO_LENGTH && head->content_length > 0);
}

/* Reads one HTTP/1 request head at the start of `bytes`. OK: `*used` is its length with the empty
 * line. ERR_AGAIN: not complete yet (never for bytes that are already wrong, or already over a
 * limit). ERR_SYNTAX: `*fault` says what. One empty line before the request line is skipped (RFC
 * 9112, 2.2). Call it again from the start with more bytes; cost is linear in `bytes.len`. */
enum err request_head_parse(struct slice bytes, const struct http_limits *limits,
                            struct request_head *head, size_t *used,
                            enum http_fault *fault) MUST_CHECK;

struct response_head {
    unsigned status; /* 100 to 599 */
    unsigned minor_version;
    struct slice reason;
    struct field fields[FIELDS_MAX];
    unsigned field_count;
    uint64_t content_length;
    bool chunked;
    bool keep_alive;
    bool no_body;          /* 1xx, 204, 304, or the answer to HEAD */
    unsigned idle_seconds; /* from Keep-Alive: timeout=n; 0 when not said */
    struct slice content_type, content_encoding, retry_after;
};

/* The same for an answer from upstream, to a request of method `method`. Upstream is not trusted:
 * everything that is not clearly framed is ERR_SYNTAX and becomes 502. A Transfer-Encoding other
 * than exactly "chunked" is refused. */
enum err response_head_parse(struct slice bytes, const struct http_limits *limits,
                             enum http_method method, struct response_head *head, size_t *used,
                             enum http_fault *fault) MUST_CHECK;

/* Moves all slices of a head by `to - from`, after its bytes were copied elsewhere. */
void request_head_rebase(struct request_head *head, const char *from, const char *to);

/* "Name: value" with its CRLF. */
void http_print_field(struct buffer *out, struct slice name, struct slice value);

/* Does the comma-separated list hold `token`, in any case? For Connection. */
bool http_list_has(struct slice list, struct slice token);
/* Does `field`, one of a head's `count` fields, end here: by its row, or because a Connection field
 * names it? What the gateway itself adds is added after this was asked (HOSTILE H1-26). The
 * Connection fields of a head are at most 1 KiB together, so that asking for each field is cheap.
 */
bool http_hop_by_hop(const struct field *fields, unsigned count, const struct field *field);

#endif
