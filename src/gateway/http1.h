/* HTTP/1 on a client's connection: reads heads and bodies, carries one exchange after the other,
 * writes their answers. http1.c is the reading side, http1_front.c the writing side. */
#ifndef GATEWAY_HTTP1_H
#define GATEWAY_HTTP1_H

#include "base/buffer.h"
#include "record/refusal.h"

struct connection;
struct exchange;
struct front;

enum http1_state {
    HTTP1_HEAD,      /* between exchanges, or in the middle of a head */
    HTTP1_BODY,      /* reading the exchange's body */
    HTTP1_ANSWERING, /* the exchange is being decided or answered */
};

struct http1 {
    struct exchange *exchange;
    struct buffer in;     /* bytes read and not used yet */
    struct slice pending; /* the same, while they still lie in the worker's scratch */
    size_t looked_at;     /* bytes of an incomplete head at the last attempt to read it */
    enum http1_state state;
    unsigned turn_requests; /* heads read in this turn */
    bool had_head;          /* this is not the connection's first request */
    bool head_incomplete;   /* all of `in` was looked at */
    bool answer_chunked, answer_ended, keep_alive;
    bool answer_to_end; /* only the end of the connection ends the answer */
};

/* The first protocol of a plain connection, and the one after a TLS handshake that agreed on it. */
void http1_begin(struct connection *c);
/* Answers a connection that is not wanted at all. */
void http1_refuse(struct connection *c, enum refusal refusal);

extern const struct protocol protocol_http1;
extern const struct front front_http1;

/* Between http1.c and http1_front.c. */
/* Drops the next `n` bytes of the client's; false, and nothing dropped, when they are not all here.
 */
bool http1_skip(struct connection *c, uint64_t n);
/* Everything of the answer so far is with the kernel. */
void http1_written(struct connection *c);
/* Has the client sent more than what was read so far needed? */
bool http1_has_unread(const struct connection *c);

#endif
