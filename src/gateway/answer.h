/* An answer's head, before a protocol puts it into bytes. */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "base/slice.h"
#include "proto/http.h"

struct exchange;

struct answer {
    unsigned status;
    struct slice content_type;            /* empty: none */
    uint64_t content_length;              /* HTTP_NO_LENGTH: not known beforehand */
    const struct response_head *upstream; /* fields to pass on, or NULL */
    uint64_t retry_after_s;               /* 0: none */
    unsigned allow_methods;               /* bits for Allow; 0: none */
    bool authenticate;                    /* WWW-Authenticate */
    bool event_stream;                    /* tells an outer nginx not to buffer */
    bool preflight;                       /* says what web pages may send */
    struct slice location;                /* of a redirect; empty: none */
};

/* Calls `each` for every field of the answer but the framing ones (Content-Length,
 * Transfer-Encoding, Connection), in order: what the contract promises on every answer, then the
 * upstream's own. Names are as HTTP/1 spells them. Values never hold a control byte. */
void answer_each_field(struct exchange *x, const struct answer *answer,
                       void (*each)(void *context, struct slice name, struct slice value),
                       void *context);

/* "OK", "Not Found"; "" for a status without a name. */
const char *status_reason(unsigned status);

#endif
