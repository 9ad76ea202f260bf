/* Strings with escapes, with text that is not ASCII, or cut by the end of a piece; json.c reads the
 * plain ones itself. The hard problem: what the listener and the duplicate check get must be the
 * unescaped text, and a string of megabytes must cost neither memory nor a copy. */
#include "base/utf8.h"
#include "proto/json_scan.h"

void string_move(struct json *json, struct slice part)
{
    json->moved = true;
    if (json->in_key) {
        key_text_append(&json->key, part);
        path_append(json, part);
    } else if (json->kept && part.len <= sizeof json->text - json->text_len) {
        if (part.len)
            memcpy(json->text + json->text_len, part.ptr, part.len);
        json->text_len += part.len;
    } else {
        json->kept = false;
    }
}

static const uint8_t *string_done(struct json *json, const uint8_t *from, const uint8_t *at,
                                  const uint8_t *end)
{
    struct slice text = between(from, at);
    if (json->moved || json->in_key)
        string_move(json, text);
    if (json->in_key)
        return key_done(json, key_text_hash(&json->key), at + 1, end);
    if (json->moved)
        text = slice_make(json->text, json->text_len);
    bool kept = json->kept && text.len <= JSON_STRING_KEPT;
    value_done(json);
    tell_text(json, JSON_SAW_STRING, kept ? text : slice_make(NULL, 0), kept, json->characters,
              offset_of(json, at) + 1);
    return at + 1;
}

/* A code point from an escape sequence. */
static void put_character(struct json *json, uint32_t code_point)
{
    char bytes[4];
    json->characters++;
    if (json->kept)
        string_move(json, slice_make(bytes, utf8_encode(code_point, bytes)));
}

static enum json_fault code_unit_done(struct json *json)
{
    uint16_t unit = json->escape;
    bool low = unit >= 0xdc00 && unit <= 0xdfff;
    if (low != (json->high != 0))
        return JSON_SURROGATE;
    if (low)
        put_character(json, 0x10000 + ((uint32_t)(json->high - 0xd800) << 10) + (unit - 0xdc00));
    else if (unit < 0xd800 || unit > 0xdfff)
        put_character(json, unit);
    json->high = !low && unit >= 0xd800 && unit <= 0xdbff ? unit : 0;
    return JSON_FINE;
}

/* The byte after the backslash. */
static enum json_fault escape_letter(struct json *json, uint8_t byte)
{
    static const char meaning[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    if (byte == 'u') {
        json->escape_len = 2;
        json->escape = 0;
        return JSON_FINE;
    }
    if (json->high)
        return JSON_SURROGATE;
    if (!meaning[byte])
        return JSON_SYNTAX;
    string_move(json, slice_make(&meaning[byte], 1));
    json->characters++;
    json->escape_len = 0;
    return JSON_FINE;
}

/* Reads on in an escape sequence, whose backslash was read. */
static const uint8_t *read_escape(struct json *json, const uint8_t *at, const uint8_t *end)
{
    int32_t unit;
    if (json->escape_len == 1 && end - at >= 5 && *at == 'u' &&
        (unit = text_code_unit(at + 1)) >= 0) {
        json->escape_len = 0;
        json->escape = (uint16_t)unit;
        enum json_fault fault = code_unit_done(json);
        return fault ? fail(json, at + 4, fault) : at + 5;
    }
    for (; at < end && json->escape_len; at++) {
        enum json_fault fault = JSON_FINE;
        if (json->escape_len == 1) {
            fault = escape_letter(json, *at);
        } else {
            int digit = text_hex(*at);
            if (digit < 0)
                return fail(json, at, JSON_SYNTAX);
            json->escape = (uint16_t)(json->escape << 4 | digit);
            if (++json->escape_len == 6) {
                json->escape_len = 0;
                fault = code_unit_done(json);
            }
        }
        if (fault)
            return fail(json, at, fault);
    }
    return at;
}

/* Passes over text up to a quote, a backslash, a control byte or the end, checking UTF-8. */
static const uint8_t *read_text(struct json *json, const uint8_t *at, const uint8_t *end)
{
    if (json->sequence.left == 0) {
        const uint8_t *stop = text_plain(at, end);
        json->characters += (uint64_t)(stop - at);
        /* Of a string too long to be kept nobody wants the text: its escapes need only be valid. */
        bool escapes = !json->kept && !json->high;
        if (stop == end || (*stop < 0x80 && !(escapes && *stop == '\\')))
            return stop;
        /* Once only: behind a mistake or without the fast way the rest goes byte by byte. */
        at = (escapes ? text_long : text_bulk)(stop, end, &json->characters);
    }
    for (; at < end; at++) {
        if (*at >= 0x80 || json->sequence.left) {
            json->characters += json->sequence.left == 0;
            if (!text_next(&json->sequence, *at))
                return fail(json, at, JSON_UTF8);
        } else if (*at == '"' || *at == '\\' || *at < 0x20) {
            break;
        } else {
            json->characters++;
        }
    }
    return at;
}

/* Reads on in a string of which everything before `from` was moved. */
static const uint8_t *string_read_from(struct json *json, const uint8_t *from, const uint8_t *at,
                                       const uint8_t *end)
{
    for (;;) {
        if (json->escape_len) {
            from = at = read_escape(json, at, end);
            if (!at || at == end)
                return at;
        }
        if (json->high && *at != '\\')
            return fail(json, at, JSON_SURROGATE);
        at = read_text(json, at, end);
        if (!at)
            return NULL;
        if (at < end && *at == '"')
            return string_done(json, from, at, end);
        string_move(json, between(from, at));
        if (at == end)
            return at;
        if (*at != '\\')
            return fail(json, at, JSON_SYNTAX);
        json->escape_len = 1;
        if (++at == end)
            return at;
    }
}

const uint8_t *string_read(struct json *json, const uint8_t *at, const uint8_t *end)
{
    return string_read_from(json, at, at, end);
}

const uint8_t *string_begin(struct json *json, const uint8_t *from, const uint8_t *at,
                            const uint8_t *end, bool key)
{
    json->in_key = key;
    json->moved = false;
    json->kept = true;
    json->text_len = 0;
    json->escape_len = 0;
    json->high = 0;
    json->characters = (uint64_t)(at - from);
    json->state = IN_STRING;
    if (key) {
        key_text_clear(&json->key);
        path_clear(json);
    }
    return string_read_from(json, from, at, end);
}
