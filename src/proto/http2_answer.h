/* The field list of an answer on HTTP/2, put together in memory of the caller's: names in lower
 * case, and for each field whether HPACK may keep it in its table. */
#ifndef PROTO_HTTP2_ANSWER_H
#define PROTO_HTTP2_ANSWER_H

#include "proto/http.h"

/* An upstream's fields and ours, of which there are less than thirty. */
enum { HTTP2_ANSWER_FIELDS_MAX = FIELDS_MAX + 30 };

struct http2_answer {
    struct buffer bytes; /* over the caller's memory: names and values, one behind the other */
    unsigned count;
    bool too_many;
    struct http2_answer_field {
        size_t name_at, name_len, value_at, value_len; /* in `bytes` */
        bool may_index;
    } fields[HTTP2_ANSWER_FIELDS_MAX];
};

/* Begins with :status. `room` stays the caller's and is used until http2_send_head. */
void http2_answer_begin(struct http2_answer *answer, unsigned status, char *room, size_t size);
/* Adds a field; its name in any case, its value without control bytes; both are copied. Fields that
 * HTTP/2 forbids (Connection and its kin) are left out. `answer` is a struct http2_answer *: the
 * signature is that of answer_each_field's callback. */
void http2_answer_field(void *answer, struct slice name, struct slice value);
/* Did all of it fit? */
bool http2_answer_whole(const struct http2_answer *answer);

#endif
