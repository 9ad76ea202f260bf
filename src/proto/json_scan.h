/* What the scanner's two files share: its state, and how it tells the listener and fails. Private
 * to json.c and json_string.c. */
#ifndef PROTO_JSON_SCAN_H
#define PROTO_JSON_SCAN_H

#include "proto/json.h"
#include "proto/json_keys.h"
#include "proto/json_number.h"
#include "proto/json_text.h"

struct json_literal;

enum json_state {
    EXPECT_VALUE,
    EXPECT_ELEMENT, /* after '[': a value or ']' */
    EXPECT_MEMBER,  /* after '{': a key or '}' */
    EXPECT_KEY,     /* after ',' in an object */
    EXPECT_COLON,
    AFTER_VALUE, /* ',' or the container's end */
    IN_STRING,
    IN_NUMBER,
    IN_LITERAL,
    AT_END, /* only white space may follow */
    STATE_COUNT
};

struct json {
    json_listener_fn *listener;
    void *context;
    const uint8_t *piece; /* the bytes being read, and their offset in the body */
    uint64_t piece_offset;
    enum json_state state;
    enum json_fault fault;
    unsigned depth;   /* open containers */
    uint64_t objects; /* bit d: the container at depth d is an object */
    uint64_t begin;   /* of the scalar being read */

    bool in_key;        /* the string is a key */
    bool moved;         /* its first part is in `text` or `key` */
    bool kept;          /* all of that part is */
    uint8_t escape_len; /* bytes of an escape sequence read so far; 0: in none */
    uint16_t escape;    /* code unit of a \u being read */
    uint16_t high;      /* high surrogate that waits for its low one; 0: none */
    struct text_sequence sequence;
    uint64_t characters;
    size_t text_len; /* in `text`: of a string or number that was cut or has escapes */
    struct key_text key;

    enum number_state number;
    const struct json_literal *literal;
    unsigned literal_len;

    struct slice path[JSON_PATH_KEPT];
    char path_bytes[JSON_PATH_KEPT][JSON_KEY_KEPT];
    char text[JSON_STRING_KEPT];
    struct key_set keys;
};

_Static_assert(JSON_DEPTH_MAX <= 64, "one bit of `objects` for each level");
_Static_assert((int)JSON_NUMBER_MAX <= (int)JSON_STRING_KEPT, "numbers are kept in `text`");

/* What a step returns is where to go on, or NULL after a fault. */
typedef const uint8_t *step_fn(struct json *json, const uint8_t *at, const uint8_t *end);

static inline uint64_t offset_of(const struct json *json, const uint8_t *at)
{
    return json->piece_offset + (uint64_t)(at - json->piece);
}

static inline const uint8_t *fail(struct json *json, const uint8_t *at, enum json_fault fault)
{
    json->fault = fault;
    json->piece_offset = offset_of(json, at);
    return NULL;
}

static inline void value_done(struct json *json)
{
    json->state = json->depth ? AFTER_VALUE : AT_END;
}

static inline void tell(struct json *json, enum json_event event, uint64_t begin, uint64_t end)
{
    struct json_value value = {
        .event = event, .depth = json->depth, .path = json->path, .begin = begin, .end = end};
    json->listener(json->context, &value);
}

static inline void tell_text(struct json *json, enum json_event event, struct slice text, bool kept,
                             uint64_t characters, uint64_t end)
{
    struct json_value value = {
        .event = event,
        .depth = json->depth,
        .path = json->path,
        .text = text,
        .kept = kept,
        .characters = characters,
        .begin = json->begin,
        .end = end,
    };
    json->listener(json->context, &value);
}

static inline struct slice between(const uint8_t *from, const uint8_t *to)
{
    return slice_make((const char *)from, (size_t)(to - from));
}

static inline void path_append(struct json *json, struct slice bytes)
{
    unsigned level = json->depth - 1;
    if (level >= JSON_PATH_KEPT)
        return;
    struct slice *name = &json->path[level];
    size_t room = JSON_KEY_KEPT - name->len;
    size_t n = bytes.len < room ? bytes.len : room;
    if (n)
        memcpy(json->path_bytes[level] + name->len, bytes.ptr, n);
    name->len += n;
}

static inline void path_clear(struct json *json)
{
    if (json->depth <= JSON_PATH_KEPT)
        json->path[json->depth - 1].len = 0;
}

/* `at` is behind the closing quote. A colon mostly follows at once. */
static inline const uint8_t *key_done(struct json *json, uint64_t hash, const uint8_t *at,
                                      const uint8_t *end)
{
    enum json_fault fault = keys_add(&json->keys, json->depth - 1, hash);
    if (fault)
        return fail(json, at - 1, fault);
    if (at < end && *at == ':') {
        json->state = EXPECT_VALUE;
        return at + 1;
    }
    json->state = EXPECT_COLON;
    return at;
}

/* Moves a part of a string or number out of the input, unescaped: it does not lie there in one
 * piece. Costs nothing once a string is too long to be kept. */
void string_move(struct json *json, struct slice part);
/* A string that is not plain text in one piece: plain from `from`, behind its opening quote, to
 * `at`. */
const uint8_t *string_begin(struct json *json, const uint8_t *from, const uint8_t *at,
                            const uint8_t *end, bool key);
/* Reads on in a string. */
step_fn string_read;

#endif
