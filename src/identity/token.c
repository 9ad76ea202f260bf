/* Writing and reading tokens. Called by the sign-in handlers, and by the gateway for each request
 * whose token its cache does not know. Its one hard problem is to leave an attacker nothing to
 * choose: the header is one of three texts, compared as bytes, so there is no algorithm, key or
 * extension to ask for (RFC 8725, sections 3.1 and 3.10; RFC 7515, section 4.1.11); the signature
 * is over the bytes as they came; and only what we signed ourselves reaches the JSON scanner. */
#include "identity/token.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/encode.h"
#include "identity/api_key.h"
#include "proto/json.h"

/* The first is the one we write; the second and third are those of other libraries that were given
 * the same secret. */
static const struct slice headers[] = {
    SLICE("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
    SLICE("{\"typ\":\"JWT\",\"alg\":\"HS256\"}"),
    SLICE("{\"alg\":\"HS256\"}"),
};

enum {
    HEADER_BYTES_MAX = 32,
    PAYLOAD_BYTES_MAX = TOKEN_BYTES_MAX * 3 / 4,
    SCANNER_BYTES_MAX = 8192, /* the scanner itself, and its keys of a payload full of them */
};
/* 9999-12-31T23:59:59Z: sums with the skew and the lifetime cannot overflow. */
#define TIME_MAX_EPOCH_S UINT64_C(253402300799)

enum grammar { NAME, WORD, ROLE, TIME };

static const struct claim {
    struct slice name;
    enum grammar grammar;
    size_t offset; /* in struct token_claims */
    size_t max;    /* bytes of a text */
} table[] = {
    {SLICE("sub"),      NAME, offsetof(struct token_claims, sub),         TOKEN_NAME_MAX},
    {SLICE("username"), NAME, offsetof(struct token_claims, username),    TOKEN_NAME_MAX},
    {SLICE("role"),     ROLE, offsetof(struct token_claims, role),        TOKEN_ROLE_MAX},
    {SLICE("sid"),      WORD, offsetof(struct token_claims, sid),         TOKEN_WORD_MAX},
    {SLICE("jti"),      WORD, offsetof(struct token_claims, jti),         TOKEN_WORD_MAX},
    {SLICE("typ"),      ROLE, offsetof(struct token_claims, typ),         TOKEN_ROLE_MAX},
    {SLICE("iat"),      TIME, offsetof(struct token_claims, iat_epoch_s), 0             },
    {SLICE("exp"),      TIME, offsetof(struct token_claims, exp_epoch_s), 0             },
};
enum { ALL_CLAIMS = (1 << COUNT_OF(table)) - 1 };

static bool word_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!base62_valid(slice_make(&c, 1)) && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool role_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= 'a' && text.ptr[i] <= 'z') || text.ptr[i] == '_'))
            return false;
    return true;
}

/* The same for what is written and what is read, so that each token we issue is one we take. */
static bool text_valid(const struct claim *claim, struct slice text)
{
    if (text.len == 0 || text.len > claim->max)
        return false;
    switch (claim->grammar) {
    case NAME: /* what JSON would have to escape does not occur in our payloads */
        return key_word_valid(text, claim->max) && slice_find(text, '"') == text.len &&
               slice_find(text, '\\') == text.len;
    case WORD:
        return word_valid(text);
    case ROLE:
        return role_valid(text);
    case TIME:
        break;
    }
    return false;
}

static const char *lifetime_fault(const struct token_claims *claims)
{
    bool longer = claims->exp_epoch_s > claims->iat_epoch_s;
    return longer && claims->exp_epoch_s - claims->iat_epoch_s <= TOKEN_LIFETIME_S_MAX ? NULL
                                                                                       : "lifetime";
}

/* Writing. */

static enum err print_claim(struct buffer *out, const struct claim *claim,
                            const struct token_claims *claims)
{
    const char *place = (const char *)claims + claim->offset;
    buffer_printf(out, "%c\"%.*s\":", claim == table ? '{' : ',', SLICE_ARG(claim->name));
    if (claim->grammar == TIME) {
        uint64_t time;
        memcpy(&time, place, sizeof time);
        buffer_number(out, time);
        return time <= TIME_MAX_EPOCH_S ? OK : ERR_RANGE;
    }
    struct slice text = slice_make(place, strnlen(place, claim->max + 1));
    if (!text_valid(claim, text))
        return ERR_RANGE;
    buffer_byte(out, '"');
    buffer_append(out, text);
    buffer_byte(out, '"');
    return OK;
}

static enum err print_payload(struct buffer *out, const struct token_claims *claims)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        TRY(print_claim(out, &table[i], claims));
    buffer_byte(out, '}');
    return lifetime_fault(claims) ? ERR_RANGE : out->failed;
}

static void print_part(struct buffer *out, const void *bytes, size_t size)
{
    size_t len = base64url_size(size);
    char *place = buffer_reserve(out, len);
    if (!place)
        return;
    base64url_print(bytes, size, place);
    buffer_grow(out, len);
}

static enum err print_text(struct buffer *out, const struct token_keys *keys,
                           const struct token_claims *claims)
{
    char memory[PAYLOAD_BYTES_MAX];
    uint8_t mac[TOKEN_MAC_BYTES];
    struct buffer payload = BUFFER_OVER(memory, sizeof memory);
    TRY(print_payload(&payload, claims));
    print_part(out, headers[0].ptr, headers[0].len);
    buffer_byte(out, '.');
    print_part(out, payload.bytes, payload.len);
    TRY(token_keys_sign(keys, buffer_slice(out), mac));
    buffer_byte(out, '.');
    print_part(out, mac, sizeof mac);
    explicit_bzero(mac, sizeof mac);
    return out->failed;
}

enum err token_print(const struct token_keys *keys, const struct token_claims *claims,
                     struct secret *out)
{
    char memory[TOKEN_BYTES_MAX];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    enum err err = print_text(&text, keys, claims);
    if (err == OK)
        err = secret_set(out, buffer_slice(&text));
    explicit_bzero(memory, sizeof memory);
    return err;
}

/* Reading. */

struct parts {
    struct slice header, payload, signature;
    struct slice signed_text; /* the first two and the dot between them */
};

static enum err split(struct slice text, struct parts *parts)
{
    size_t first = slice_find(text, '.');
    if (first == text.len)
        return ERR_SYNTAX;
    struct slice rest = slice_from(text, first + 1);
    size_t second = slice_find(rest, '.');
    if (second == rest.len)
        return ERR_SYNTAX;
    parts->header = slice_to(text, first);
    parts->payload = slice_to(rest, second);
    parts->signature = slice_from(rest, second + 1);
    parts->signed_text = slice_to(text, first + 1 + second);
    return OK; /* a third dot is no digit of base64url */
}

static bool header_valid(struct slice part)
{
    char memory[HEADER_BYTES_MAX];
    size_t size;
    if (base64url_parse(part, memory, sizeof memory, &size) != OK)
        return false;
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        if (slice_equal(slice_make(memory, size), headers[i]))
            return true;
    return false;
}

struct reading {
    struct token_claims *claims;
    unsigned seen; /* a bit for each row of the table */
    bool wrong;
};

static const struct claim *claim_find(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (slice_equal(table[i].name, name))
            return &table[i];
    return NULL;
}

static bool take_time(const struct claim *claim, const struct json_value *value, char *place)
{
    uint64_t time;
    if (claim->grammar != TIME || !slice_number(value->text, TIME_MAX_EPOCH_S, &time))
        return false;
    memcpy(place, &time, sizeof time);
    return true;
}

static bool take_text(const struct claim *claim, const struct json_value *value, char *place)
{
    if (!value->kept || !text_valid(claim, value->text))
        return false;
    memcpy(place, value->text.ptr, value->text.len);
    place[value->text.len] = '\0';
    return true;
}

static bool take_claim(struct reading *reading, const struct json_value *value)
{
    const struct claim *claim = claim_find(value->path[0]);
    if (!claim)
        return false;
    char *place = (char *)reading->claims + claim->offset;
    reading->seen |= 1u << (claim - table);
    if (value->event == JSON_SAW_NUMBER)
        return take_time(claim, value, place);
    return value->event == JSON_SAW_STRING && take_text(claim, value, place);
}

static void listen(void *context, const struct json_value *value)
{
    struct reading *reading = context;
    /* What lies deeper is in a container, which was no claim; what is no object has none to see. */
    if (value->depth == 1 && !take_claim(reading, value))
        reading->wrong = true;
}

/* The scanner answers for syntax, UTF-8 and duplicates; the listener for which members there are.
 */
static enum err read_payload(struct slice payload, struct token_claims *claims)
{
    _Alignas(max_align_t) char memory[SCANNER_BYTES_MAX];
    struct reading reading = {.claims = claims};
    AUTO(arena) arena;
    arena_init(&arena, memory, sizeof memory, sizeof memory);
    if (slice_find(payload, '\\') < payload.len)
        return ERR_DENIED;
    struct json *json = json_create(&arena, listen, &reading);
    if (!json)
        return ERR_MEMORY;
    if (json_feed(json, payload) != OK || json_end(json) != OK)
        return ERR_DENIED;
    return reading.wrong || reading.seen != ALL_CLAIMS ? ERR_DENIED : OK;
}

const char *token_time_fault(const struct token_claims *claims, uint64_t now_epoch_s)
{
    if (clock_is_ahead(claims->iat_epoch_s, now_epoch_s))
        return "issued_later";
    return claims->exp_epoch_s > now_epoch_s ? NULL : "expired";
}

static const char *judge(const struct token_claims *claims, struct slice typ, uint64_t now_epoch_s)
{
    if (!slice_equal(slice_of(claims->typ), typ))
        return "kind";
    if (lifetime_fault(claims))
        return lifetime_fault(claims);
    return token_time_fault(claims, now_epoch_s);
}

/* What the signature has to answer for; `reason` follows how far it came. */
static enum err read_signed(const struct token_keys *keys, struct slice text,
                            struct token_claims *claims, const char **reason)
{
    char payload[PAYLOAD_BYTES_MAX];
    uint8_t mac[TOKEN_MAC_BYTES];
    size_t payload_size, mac_size;
    struct parts parts;
    *reason = "too_long";
    if (text.len > TOKEN_BYTES_MAX)
        return ERR_DENIED;
    *reason = "malformed";
    if (split(text, &parts) != OK ||
        base64url_parse(parts.signature, mac, sizeof mac, &mac_size) != OK ||
        mac_size != sizeof mac ||
        base64url_parse(parts.payload, payload, sizeof payload, &payload_size) != OK)
        return ERR_DENIED;
    *reason = "header";
    if (!header_valid(parts.header))
        return ERR_DENIED;
    *reason = "signature";
    TRY(token_keys_verify(keys, parts.signed_text, mac));
    *reason = "claims";
    return read_payload(slice_make(payload, payload_size), claims);
}

enum err token_parse(const struct token_keys *keys, struct slice text, struct slice typ,
                     uint64_t now_epoch_s, struct token_claims *claims, const char **reason)
{
    const char *ignored;
    struct token_claims read = {0};
    if (!reason)
        reason = &ignored;
    *claims = (struct token_claims){0};
    TRY(read_signed(keys, text, &read, reason));
    *reason = judge(&read, typ, now_epoch_s);
    if (*reason)
        return ERR_DENIED;
    *claims = read;
    return OK;
}

bool token_shaped(struct slice text)
{
    /* '{' is 0x7b: its first six bits are 'e', its last two begin a digit from 48 up. */
    if (text.len < 2 || text.ptr[0] != 'e' || !memchr("wxyz0123456789-_", text.ptr[1], 16))
        return false;
    unsigned dots = 0;
    for (size_t i = 0; i < text.len; i++) {
        dots += text.ptr[i] == '.';
        if (text.ptr[i] != '.' && !word_valid(slice_make(text.ptr + i, 1)))
            return false;
    }
    return dots == 2;
}
