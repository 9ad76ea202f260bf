/* For the tests of the HTTP/2 codec: an owner that writes down what it is told, and a peer that
 * makes its frames by hand, so that it can make wrong ones. */
#ifndef TEST_HTTP2_PEER_H
#define TEST_HTTP2_PEER_H

#include <nghttp2/nghttp2.h>

#include "proto/http2.h"

/* --- the owner of a connection ------------------------------------------------------------------
 */

enum { STREAMS_KEPT = 512 };

struct served {
    struct owner *owner;
    uint32_t id;
    size_t body_bytes;   /* of the request */
    size_t answer_bytes; /* still to be read; SIZE_MAX: wait */
};

struct owner {
    struct http2 *h;
    struct buffer log; /* one line for each event */
    struct served served[STREAMS_KEPT];
    unsigned requests, refused, malformed, answered, closed, broken;
    bool answer_at_once; /* 200 without a body, from within on_request */
    bool refuse;         /* on_request returns NULL */
    bool keep_bodies;    /* http2_consume is not called */
    bool lets_by;        /* what comes after the answer; else the stream is reset then */
    size_t answer_bytes; /* of the bodies of answers */
    enum http_fault fault;
};

static struct request_head scratch_head;
static const struct http_limits peer_limits = {.line_bytes = 8192, .head_bytes = 65536};

static inline void answer(struct owner *owner, uint32_t id, unsigned status, bool ends)
{
    char room[512];
    struct http2_answer fields;
    http2_answer_begin(&fields, status, room, sizeof room);
    http2_answer_field(&fields, SLICE("Content-Type"), SLICE("text/plain"));
    http2_answer_field(&fields, SLICE("X-Request-Id"), SLICE("0123"));
    http2_answer_field(&fields, SLICE("Connection"), SLICE("close"));
    http2_send_head(owner->h, id, &fields, ends);
}

static inline void *owner_request(void *context, uint32_t id, const struct request_head *head,
                                  struct slice head_bytes)
{
    struct owner *owner = context;
    owner->requests++;
    if (owner->refuse)
        return NULL;
    invariant(head->line.ptr >= head_bytes.ptr &&
              head->line.ptr + head->line.len <= head_bytes.ptr + head_bytes.len);
    buffer_printf(&owner->log, "%u %.*s%s%s\n", (unsigned)id, SLICE_ARG(head->line),
                  request_has_body(head) ? " +body" : "", head->streamed ? " streamed" : "");
    struct served *served = &owner->served[id / 2 % STREAMS_KEPT];
    *served = (struct served){.owner = owner, .id = id, .answer_bytes = owner->answer_bytes};
    if (owner->answer_at_once)
        answer(owner, id, 200, owner->answer_bytes == 0);
    return served;
}

static inline void *owner_bad_request(void *context, uint32_t id, enum http_fault fault,
                                      struct slice head_bytes)
{
    struct owner *owner = context;
    (void)head_bytes;
    owner->refused++;
    owner->fault = fault;
    buffer_printf(&owner->log, "%u refused %s\n", (unsigned)id, http_fault_name(fault));
    struct served *served = &owner->served[id / 2 % STREAMS_KEPT];
    *served = (struct served){.owner = owner, .id = id};
    answer(owner, id, 400, true);
    return served;
}

static inline void owner_malformed(void *context, uint32_t id, void *user, enum http_fault fault)
{
    struct owner *owner = context;
    owner->malformed++;
    owner->fault = fault;
    buffer_printf(&owner->log, "%u malformed %s%s\n", (unsigned)id, http_fault_name(fault),
                  user ? " under way" : "");
}

static inline void owner_body(void *context, void *user, struct slice piece)
{
    struct owner *owner = context;
    struct served *served = user;
    served->body_bytes += piece.len;
    if (!owner->keep_bodies)
        http2_consume(owner->h, served->id, piece.len);
}

static inline void owner_end(void *context, void *user)
{
    struct owner *owner = context;
    struct served *served = user;
    buffer_printf(&owner->log, "%u end %zu\n", (unsigned)served->id, served->body_bytes);
}

static inline size_t owner_read(void *context, void *user, char *room, size_t size, bool *end)
{
    (void)context;
    struct served *served = user;
    if (served->answer_bytes == SIZE_MAX)
        return 0;
    size_t n = served->answer_bytes < size ? served->answer_bytes : size;
    memset(room, 'a', n);
    served->answer_bytes -= n;
    *end = served->answer_bytes == 0;
    return n;
}

static inline void owner_answered(void *context, void *user)
{
    struct owner *owner = context;
    const struct served *served = user;
    owner->answered++;
    if (!owner->lets_by)
        http2_reset(owner->h, served->id, HTTP2_RESET_NO_ERROR);
}

static inline void owner_closed(void *context, void *user, bool complete)
{
    struct owner *owner = context;
    struct served *served = user;
    invariant(served->owner == owner); /* once */
    served->owner = NULL;
    owner->closed++;
    owner->broken += !complete;
    buffer_printf(&owner->log, "%u closed%s\n", (unsigned)served->id, complete ? "" : " broken");
}

static const struct http2_events owner_events = {
    .on_request = owner_request,
    .on_bad_request = owner_bad_request,
    .on_malformed = owner_malformed,
    .on_body = owner_body,
    .on_request_end = owner_end,
    .read_body = owner_read,
    .on_answered = owner_answered,
    .on_closed = owner_closed,
};

static inline void owner_init(struct owner *owner)
{
    *owner = (struct owner){.log = BUFFER_MAX(1024 * 1024)};
    owner->h = http2_create(&peer_limits, &scratch_head, &owner_events, owner, 0);
}

static inline void owner_finish(struct owner *owner)
{
    http2_destroy(owner->h);
    buffer_finish(&owner->log);
}

/* --- frames by hand -----------------------------------------------------------------------------
 */

#define PREFACE SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

static inline void put_frame(struct buffer *out, unsigned type, unsigned flags, uint32_t id,
                             struct slice payload)
{
    const unsigned char head[9] = {(unsigned char)(payload.len >> 16),
                                   (unsigned char)(payload.len >> 8),
                                   (unsigned char)payload.len,
                                   (unsigned char)type,
                                   (unsigned char)flags,
                                   (unsigned char)(id >> 24),
                                   (unsigned char)(id >> 16),
                                   (unsigned char)(id >> 8),
                                   (unsigned char)id};
    buffer_append(out, slice_make((const char *)head, sizeof head));
    buffer_append(out, payload);
}

/* A literal field that is not indexed (RFC 7541, 6.2.2), each part shorter than 127 bytes. */
static inline void put_field(struct buffer *out, struct slice name, struct slice value)
{
    buffer_byte(out, 0);
    buffer_byte(out, (char)name.len);
    buffer_append(out, name);
    buffer_byte(out, (char)value.len);
    buffer_append(out, value);
}

static inline void put_number(struct buffer *out, uint32_t number)
{
    const unsigned char bytes[4] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                                    (unsigned char)(number >> 8), (unsigned char)number};
    buffer_append(out, slice_make((const char *)bytes, sizeof bytes));
}

enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8 };

static inline void put_request(struct buffer *out, uint32_t id, const char *method, unsigned flags)
{
    char room[256];
    struct buffer block = BUFFER_OVER(room, sizeof room);
    put_field(&block, SLICE(":method"), slice_of(method));
    put_field(&block, SLICE(":scheme"), SLICE("https"));
    put_field(&block, SLICE(":path"), SLICE("/v1/chat"));
    put_field(&block, SLICE(":authority"), SLICE("a"));
    put_frame(out, NGHTTP2_HEADERS, flags, id, buffer_slice(&block));
}

static inline void put_reset(struct buffer *out, uint32_t id)
{
    char room[4];
    struct buffer code = BUFFER_OVER(room, sizeof room);
    put_number(&code, NGHTTP2_CANCEL);
    put_frame(out, NGHTTP2_RST_STREAM, 0, id, buffer_slice(&code));
}

static inline void put_hello(struct buffer *out)
{
    buffer_append(out, PREFACE);
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
}

/* What the gateway said, as far as the tests ask. */
struct said {
    unsigned resets, refused, acks, heads, bodies, goaways;
    uint32_t last_reset_code, goaway_code, goaway_last_id;
    size_t bytes;
};

static inline uint32_t number_at(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void hear_frame(struct said *said, const char *frame)
{
    uint32_t code;
    switch (frame[3]) {
    case NGHTTP2_DATA:
        said->bodies++;
        break;
    case NGHTTP2_HEADERS:
        said->heads++;
        break;
    case NGHTTP2_RST_STREAM:
        code = number_at(frame + 9);
        said->resets++;
        said->refused += code == NGHTTP2_REFUSED_STREAM;
        said->last_reset_code = code;
        break;
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING:
        said->acks += frame[4] & 1;
        break;
    case NGHTTP2_GOAWAY:
        said->goaways++;
        said->goaway_last_id = number_at(frame + 9);
        said->goaway_code = number_at(frame + 13);
        break;
    default:
        break;
    }
}

/* Takes all output there is; whole frames. */
static inline void hear(struct owner *owner, struct said *said)
{
    struct buffer bytes = BUFFER_MAX(64 * 1024 * 1024);
    size_t n;
    char *room;
    do {
        room = buffer_reserve(&bytes, 5000); /* cuts frames */
        invariant(room);
        n = http2_output(owner->h, room, 5000);
        buffer_grow(&bytes, n);
    } while (n);
    said->bytes += bytes.len;
    for (size_t at = 0; at + 9 <= bytes.len;) {
        const unsigned char *head = (const unsigned char *)bytes.bytes + at;
        hear_frame(said, bytes.bytes + at);
        at += 9 + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
        invariant(at <= bytes.len);
    }
    buffer_finish(&bytes);
}

#endif
