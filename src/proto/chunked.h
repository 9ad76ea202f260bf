/* The chunked transfer coding (RFC 9112, section 7.1), decoded strictly and resumably. Extensions
 * are ignored but bounded; trailers are validated and dropped. */
#ifndef PROTO_CHUNKED_H
#define PROTO_CHUNKED_H

#include "base/err.h"
#include "base/slice.h"
#include "proto/http.h"

struct chunked {
    unsigned state;
    uint64_t left;          /* bytes of the current chunk still to come */
    unsigned digits;        /* of the size line */
    uint64_t content_bytes; /* decoded so far */
    uint64_t overhead_bytes;
    uint64_t extension_bytes;
    size_t trailer_bytes;
    unsigned trailer_lines;
    unsigned name_bytes; /* of the current trailer's name; the first of them are kept */
    char name[40];
    enum http_fault fault;
};

void chunked_init(struct chunked *chunked);

/* Decodes from the front of `*bytes`, which is moved past what was read. OK: `*content` is a piece
 * of the body (a slice into the input; call again for the next piece). ERR_AGAIN: more input is
 * needed, all of `*bytes` was read. ERR_CLOSED: the body is complete; `*bytes` is what follows it.
 * ERR_SYNTAX: `chunked->fault` says why; stays so. */
enum err chunked_next(struct chunked *chunked, struct slice *bytes,
                      struct slice *content) MUST_CHECK;

#endif
