/* The JSON scanner's structure: what may stand where, keys and paths, strings, and where each value
 * begins and ends. Called by the exchange for every body. The hard problem: a body is cut into
 * pieces at any byte, and must be read exactly as if it had come whole. So every state that can be
 * left in mid-token is in `struct json`, each step function reads on from there, and none of them
 * calls itself. */
#include "proto/json_scan.h"

static const struct json_literal {
    const char *word;
    unsigned len;
    enum json_event event;
} literals[] = {
    {"true",  4, JSON_SAW_TRUE },
    {"false", 5, JSON_SAW_FALSE},
    {"null",  4, JSON_SAW_NULL }
};

static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    return *at > ' ' ? at : text_skip_space(at, end);
}

static inline bool in_object(const struct json *json)
{
    return json->depth && (json->objects >> (json->depth - 1) & 1);
}

/* Containers. */

static const uint8_t *open_container(struct json *json, const uint8_t *at, bool object)
{
    if (json->depth == JSON_DEPTH_MAX)
        return fail(json, at, JSON_TOO_DEEP);
    uint64_t offset = offset_of(json, at), bit = UINT64_C(1) << json->depth;
    tell(json, object ? JSON_SAW_OBJECT_BEGIN : JSON_SAW_ARRAY_BEGIN, offset, offset + 1);
    if (json->depth < JSON_PATH_KEPT)
        json->path[json->depth].len = 0;
    if (object)
        keys_open(&json->keys, json->depth);
    json->objects = object ? json->objects | bit : json->objects & ~bit;
    json->depth++;
    json->state = object ? EXPECT_MEMBER : EXPECT_ELEMENT;
    return at + 1;
}

static const uint8_t *close_container(struct json *json, const uint8_t *at)
{
    bool object = in_object(json);
    uint64_t offset = offset_of(json, at);
    json->depth--;
    if (object)
        keys_close(&json->keys, json->depth);
    value_done(json);
    tell(json, object ? JSON_SAW_OBJECT_END : JSON_SAW_ARRAY_END, offset, offset + 1);
    return at + 1;
}

/* Keys and plain strings. */

/* `at` is behind the opening quote. */
static inline const uint8_t *read_key(struct json *json, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *stop = text_plain(at, end);
    if (stop == end || *stop != '"' || stop - at > JSON_KEY_KEPT)
        return string_begin(json, at, stop, end, true);
    struct slice key = between(at, stop);
    path_clear(json);
    path_append(json, key);
    return key_done(json, key_hash(key), stop + 1, end);
}

/* `at` is the opening quote. */
static inline const uint8_t *read_string_value(struct json *json, const uint8_t *at,
                                               const uint8_t *end)
{
    json->begin = offset_of(json, at);
    const uint8_t *stop = text_plain(++at, end);
    if (stop == end || *stop != '"')
        return string_begin(json, at, stop, end, false);
    struct slice text = between(at, stop);
    bool kept = text.len <= JSON_STRING_KEPT;
    value_done(json);
    tell_text(json, JSON_SAW_STRING, kept ? text : slice_make(NULL, 0), kept, text.len,
              offset_of(json, stop) + 1);
    return stop + 1;
}

/* Numbers and literals. */

/* `at` is behind the number; its part from `from` on was not moved. */
static const uint8_t *number_done(struct json *json, const uint8_t *from, const uint8_t *at)
{
    struct slice text = between(from, at);
    if (json->moved) {
        string_move(json, text);
        text = slice_make(json->text, json->text_len);
    }
    if (!number_fits_double(text))
        return fail(json, at, JSON_NUMBER_RANGE);
    value_done(json);
    tell_text(json, JSON_SAW_NUMBER, text, true, text.len, offset_of(json, at));
    return at;
}

static const uint8_t *read_number(struct json *json, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *from = at;
    /* One byte more than may be, so that a number that is too long shows. */
    size_t room = JSON_NUMBER_MAX - json->text_len;
    const uint8_t *limit = (size_t)(end - at) > room ? at + room + 1 : end;
    at = number_run(&json->number, at, limit);
    if (json->number == NUMBER_END)
        return number_done(json, from, at);
    if (json->number == NUMBER_BAD)
        return fail(json, at, JSON_SYNTAX);
    if ((size_t)(at - from) > room)
        return fail(json, at - 1, JSON_NUMBER_TOO_LONG);
    string_move(json, between(from, at));
    return at;
}

static const uint8_t *begin_number(struct json *json, const uint8_t *at, const uint8_t *end)
{
    json->begin = offset_of(json, at);
    json->in_key = false;
    json->moved = false;
    json->kept = true;
    json->text_len = 0;
    json->number = NUMBER_BEGIN;
    json->state = IN_NUMBER;
    return read_number(json, at, end);
}

static const uint8_t *read_literal(struct json *json, const uint8_t *at, const uint8_t *end)
{
    const struct json_literal *literal = json->literal;
    for (; at < end && json->literal_len < literal->len; at++, json->literal_len++)
        if (*at != (uint8_t)literal->word[json->literal_len])
            return fail(json, at, JSON_SYNTAX);
    if (json->literal_len == literal->len) {
        value_done(json);
        tell(json, literal->event, json->begin, offset_of(json, at));
    }
    return at;
}

static const uint8_t *begin_literal(struct json *json, const uint8_t *at, const uint8_t *end)
{
    json->literal = NULL;
    for (unsigned i = 0; i < COUNT_OF(literals); i++)
        if (*at == (uint8_t)literals[i].word[0])
            json->literal = &literals[i];
    if (!json->literal)
        return fail(json, at, JSON_SYNTAX);
    json->begin = offset_of(json, at);
    json->literal_len = 0;
    json->state = IN_LITERAL;
    return read_literal(json, at, end);
}

/* Structure. */

static const uint8_t *expect_value(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end)
        return at;
    switch (*at) {
    case '"':
        return read_string_value(json, at, end);
    case '{':
        return open_container(json, at, true);
    case '[':
        return open_container(json, at, false);
    case '-':
    case '0' ... '9':
        return begin_number(json, at, end);
    default:
        return begin_literal(json, at, end);
    }
}

static const uint8_t *expect_element(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end)
        return at;
    return *at == ']' ? close_container(json, at) : expect_value(json, at, end);
}

static const uint8_t *expect_key(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end)
        return at;
    return *at == '"' ? read_key(json, at + 1, end) : fail(json, at, JSON_SYNTAX);
}

static const uint8_t *expect_member(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end)
        return at;
    return *at == '}' ? close_container(json, at) : expect_key(json, at, end);
}

static const uint8_t *expect_colon(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end)
        return at;
    if (*at != ':')
        return fail(json, at, JSON_SYNTAX);
    json->state = EXPECT_VALUE;
    return at + 1;
}

static const uint8_t *after_value(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    if (at == end)
        return at;
    bool object = in_object(json);
    if (*at == ',') {
        json->state = object ? EXPECT_KEY : EXPECT_VALUE;
        at++;
        return object && at < end ? expect_key(json, at, end) : at;
    }
    return *at == (object ? '}' : ']') ? close_container(json, at) : fail(json, at, JSON_SYNTAX);
}

static const uint8_t *at_end(struct json *json, const uint8_t *at, const uint8_t *end)
{
    at = skip_space(at, end);
    return at == end ? at : fail(json, at, JSON_TRAILING);
}

static step_fn *const steps[STATE_COUNT] = {
    [EXPECT_VALUE] = expect_value,   [EXPECT_ELEMENT] = expect_element,
    [EXPECT_MEMBER] = expect_member, [EXPECT_KEY] = expect_key,
    [EXPECT_COLON] = expect_colon,   [AFTER_VALUE] = after_value,
    [IN_STRING] = string_read,       [IN_NUMBER] = read_number,
    [IN_LITERAL] = read_literal,     [AT_END] = at_end,
};

enum err json_feed(struct json *json, struct slice bytes)
{
    if (json->fault)
        return ERR_SYNTAX;
    if (bytes.len == 0)
        return OK;
    const uint8_t *at = (const uint8_t *)bytes.ptr, *end = at + bytes.len;
    json->piece = at;
    while (at && at < end)
        at = steps[json->state](json, at, end);
    if (json->fault)
        return ERR_SYNTAX;
    json->piece_offset += bytes.len;
    return OK;
}

enum err json_end(struct json *json)
{
    static const uint8_t nothing;
    if (json->fault)
        return ERR_SYNTAX;
    /* Only a number at the top ends by the end of the text: a space would end it as well. */
    json->piece = &nothing;
    if (json->state == IN_NUMBER && json->depth == 0) {
        static const uint8_t space[1] = {0x20};
        (void)number_run(&json->number, space, space + 1);
        if (json->number == NUMBER_END)
            (void)number_done(json, &nothing, &nothing);
    }
    if (!json->fault && json->state != AT_END)
        (void)fail(json, &nothing, JSON_INCOMPLETE);
    return json->fault ? ERR_SYNTAX : OK;
}

static void listen_to_nothing(void *context, const struct json_value *value)
{
    (void)context;
    (void)value;
}

void json_reset_listener(struct json *json, json_listener_fn *listener, void *context)
{
    json->listener = listener ? listener : listen_to_nothing;
    json->context = context;
}

struct json *json_create(struct arena *arena, json_listener_fn *listener, void *context)
{
    struct json *json = ARENA_NEW(arena, struct json);
    if (!json)
        return NULL;
    json_reset_listener(json, listener, context);
    keys_init(&json->keys, arena);
    for (unsigned i = 0; i < JSON_PATH_KEPT; i++)
        json->path[i].ptr = json->path_bytes[i];
    return json;
}

enum json_fault json_fault(const struct json *json)
{
    return json->fault;
}

uint64_t json_offset(const struct json *json)
{
    return json->piece_offset;
}
