/* What request and response heads share: lines, fields, and the fields that frame a message. Only
 * request_head.c and response_head.c include this.
 *
 * A head is read strictly from left to right and every fault is decided by the bytes up to one
 * place: so a wrong head fails as soon as that place arrived, and fails the same however it was
 * split. */
#ifndef PROTO_HTTP_HEAD_H
#define PROTO_HTTP_HEAD_H

#include "proto/http.h"
#include "proto/octet.h"

struct head_reader {
    const char *begin, *at, *end;
    size_t line_bytes;   /* limit of one line without its CRLF */
    bool cut_short;      /* `end` is the limit of the head, and more bytes are there */
    bool obs_text;       /* 0x80 to 0xff may stand in values: real servers send it */
    unsigned name_class; /* enum octet_class of field names */
    enum http_fault fault;

    uint64_t seen; /* bit n: a unique field with id n was there */
    uint64_t content_length;
    bool chunked;
    bool close, keep_alive; /* tokens of Connection */
    size_t connection_bytes;
};

/* The lists of all Connection fields together. A field is looked for in all of them when it is
 * forwarded, so their length times the number of fields is work an attacker can order. */
enum { CONNECTION_BYTES_MAX = 1024 };

void head_reader_init(struct head_reader *r, struct slice bytes, const struct http_limits *limits);

/* Sets the fault; ERR_SYNTAX. */
enum err head_fail(struct head_reader *r, enum http_fault fault) MUST_CHECK;
/* The end of what the line that began at `r->at` may hold now: its limit, or the end of the bytes.
 */
const char *head_line_stop(const struct head_reader *r);
/* `at` has reached head_line_stop: ERR_AGAIN at the end of the bytes, else the line is too long. */
enum err head_line_cut(struct head_reader *r, const char *at, enum http_fault fault) MUST_CHECK;
/* A byte that may not stand where it does: a bare LF is told apart. */
enum err head_bad_byte(struct head_reader *r, char byte, enum http_fault fault) MUST_CHECK;
/* Passes over the CRLF at `at`; `r->at` is then the next line. */
enum err head_line_end(struct head_reader *r, const char *at) MUST_CHECK;
/* The first byte from `at` on that may not stand in a value (HTAB may), or `stop`. */
const char *head_value_end(const char *at, const char *stop, bool obs_text);

/* Reads the next line into `*field` (the one at `*count`, which it counts), checks that a unique
 * field is there once, and notes what frames the message. ERR_CLOSED: it was the empty line, the
 * head ends. */
enum err head_next_field(struct head_reader *r, struct field *fields, unsigned *count,
                         struct field **field) MUST_CHECK;
/* What the framing fields say together, at the end of the head. */
enum err head_check_framing(struct head_reader *r, unsigned minor_version) MUST_CHECK;
bool head_keep_alive(const struct head_reader *r, unsigned minor_version);

/* The result of a parse: turns ERR_AGAIN into a fault when the head's limit is reached. */
enum err head_result(struct head_reader *r, enum err err, size_t *used,
                     enum http_fault *fault) MUST_CHECK;

#endif
