/* Tokens: what is taken, OpenSSL's HMAC() finds signed and jansson reads the same; what jansson
 * finds to be our claims is taken. An input with a line's end in it is a header and a payload,
 * which are signed here, for no fuzzer guesses a signature; any other is presented as it is.
 *
 * Known differences: of headers we take three texts only, and payloads with escape sequences we
 * refuse. Jansson passes over a NUL byte behind a number, so a payload with one says nothing of us.
 */
#include "identity/token.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "fuzz.h"

enum { NOW = 1700000000, PARTS_BYTES_MAX = 64 * 1024, MAC_LEN = 43 };

static const struct slice secret_text = SLICE("fuzz target's signing secret, #1");
static struct token_keys keys;

static void make_keys_once(void)
{
    if (keys.signing.size)
        return;
    hash_seed();
    must(token_keys_init(&keys, secret_text, SLICE("")) == OK);
}

/* OpenSSL's base64 in the other alphabet. */
static void append_part(struct buffer *out, struct slice bytes)
{
    char *text = malloc(bytes.len * 2 + 8);
    must(text);
    int len =
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes.ptr, (int)bytes.len);
    for (int i = 0; i < len && text[i] != '='; i++)
        buffer_byte(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    free(text);
}

static void append_signature(struct buffer *out, struct slice signed_text)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size;
    must(HMAC(EVP_sha256(), secret_text.ptr, (int)secret_text.len,
              (const unsigned char *)signed_text.ptr, signed_text.len, mac, &size));
    append_part(out, slice_make((const char *)mac, size));
}

/* The bytes of a part by OpenSSL's reader, which wants the padding; false when it is none. */
static bool decode_part(struct slice part, struct buffer *out)
{
    AUTO(buffer) padded = BUFFER_MAX(PARTS_BYTES_MAX);
    for (size_t i = 0; i < part.len; i++)
        buffer_byte(&padded, part.ptr[i] == '-' ? '+' : part.ptr[i] == '_' ? '/' : part.ptr[i]);
    size_t padding = (4 - part.len % 4) % 4;
    buffer_append(&padded, slice_make("===", padding));
    char *place = buffer_reserve(out, padded.len + 1);
    must(place && padding < 3);
    int len = EVP_DecodeBlock((unsigned char *)place, (unsigned char *)buffer_text_of(&padded),
                              (int)padded.len);
    if (len < 0)
        return false;
    buffer_grow(out, (size_t)len - padding);
    return true;
}

static json_t *load(struct slice text)
{
    return json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, NULL);
}

static bool text_is(const json_t *object, const char *key, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && strcmp(text, expected) == 0;
}

static bool number_is(const json_t *object, const char *key, uint64_t expected)
{
    const json_t *number = json_object_get(object, key);
    return json_is_integer(number) && (uint64_t)json_integer_value(number) == expected;
}

/* What was taken, by the other readers. */
static void check_taken(struct slice text, const struct token_claims *claims)
{
    AUTO(buffer) header = BUFFER_MAX(PARTS_BYTES_MAX);
    AUTO(buffer) payload = BUFFER_MAX(PARTS_BYTES_MAX);
    AUTO(buffer) signature = BUFFER_MAX(PARTS_BYTES_MAX);
    struct slice rest = text;
    must(text.len > MAC_LEN + 1);
    append_signature(&signature, slice_to(text, text.len - MAC_LEN - 1));
    must(decode_part(slice_cut(&rest, '.'), &header));
    must(decode_part(slice_cut(&rest, '.'), &payload));
    must_equal(rest, buffer_slice(&signature));

    json_t *head = load(buffer_slice(&header)), *body = load(buffer_slice(&payload));
    must(json_is_object(head) && text_is(head, "alg", "HS256"));
    must(json_object_size(head) == (json_object_get(head, "typ") ? 2u : 1u));
    must(json_object_size(head) == 1 || text_is(head, "typ", "JWT"));
    must(json_is_object(body) && json_object_size(body) == 8);
    must(text_is(body, "sub", claims->sub) && text_is(body, "username", claims->username));
    must(text_is(body, "role", claims->role) && text_is(body, "sid", claims->sid));
    must(text_is(body, "jti", claims->jti) && text_is(body, "typ", claims->typ));
    must(number_is(body, "iat", claims->iat_epoch_s) &&
         number_is(body, "exp", claims->exp_epoch_s));
    must(text_is(body, "typ", "access") && claims->exp_epoch_s > NOW);
    json_decref(head);
    json_decref(body);
}

/* Printed and read, it says the same. */
static void check_printed(const struct token_claims *claims)
{
    AUTO(secret) printed = {0};
    struct token_claims again;
    must(token_print(&keys, claims, &printed) == OK);
    must(token_shaped(secret_reveal(&printed)));
    must(token_parse(&keys, secret_reveal(&printed), SLICE("access"), NOW, &again, NULL) == OK);
    must(memcmp(&again, claims, sizeof again) == 0);
}

static bool made_of(const json_t *object, const char *key, const char *letters, size_t max)
{
    const json_t *text = json_object_get(object, key);
    size_t len = json_string_length(text);
    return json_is_string(text) && len >= 1 && len <= max &&
           strspn(json_string_value(text), letters) == len;
}

#define SMALL "abcdefghijklmnopqrstuvwxyz"
#define LETTERS SMALL "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

/* Claims that nobody could find a fault in, by jansson's reading. */
static bool plainly_ours(struct slice payload)
{
    json_t *body = load(payload);
    json_int_t iat = json_integer_value(json_object_get(body, "iat"));
    json_int_t exp = json_integer_value(json_object_get(body, "exp"));
    bool ours =
        json_object_size(body) == 8 && made_of(body, "sub", LETTERS " @.+", TOKEN_NAME_MAX) &&
        made_of(body, "username", LETTERS " @.+", TOKEN_NAME_MAX) &&
        made_of(body, "role", SMALL "_", TOKEN_ROLE_MAX) &&
        made_of(body, "sid", LETTERS, TOKEN_WORD_MAX) &&
        made_of(body, "jti", LETTERS, TOKEN_WORD_MAX) && text_is(body, "typ", "access") &&
        json_is_integer(json_object_get(body, "iat")) &&
        json_is_integer(json_object_get(body, "exp")) && iat >= 0 && iat <= NOW + CLOCK_SKEW_S &&
        exp > NOW && exp > iat && exp - iat <= TOKEN_LIFETIME_S_MAX;
    json_decref(body);
    return ours && slice_find(payload, '\\') == payload.len &&
           slice_find(payload, '\0') == payload.len;
}

/* True when it was taken. */
static bool present(struct slice text)
{
    static const struct token_claims nothing;
    struct token_claims claims;
    const char *reason = NULL;
    memset(&claims, 'x', sizeof claims);
    char *copy = fuzz_copy(text);
    enum err err =
        token_parse(&keys, slice_make(copy, text.len), SLICE("access"), NOW, &claims, &reason);
    bool shaped = token_shaped(slice_make(copy, text.len));
    free(copy);
    must(err == OK || err == ERR_DENIED);
    must((err == OK) == (reason == NULL));
    if (err != OK) {
        must(memcmp(&claims, &nothing, sizeof claims) == 0);
        return false;
    }
    must(shaped && text.len <= TOKEN_BYTES_MAX);
    check_taken(text, &claims);
    check_printed(&claims);
    return true;
}

static void sign_and_present(struct slice header, struct slice payload)
{
    AUTO(buffer) text = BUFFER_MAX(PARTS_BYTES_MAX);
    append_part(&text, header);
    buffer_byte(&text, '.');
    append_part(&text, payload);
    size_t signed_bytes = text.len;
    buffer_byte(&text, '.');
    append_signature(&text, slice_to(buffer_slice(&text), signed_bytes));
    must(!text.failed);
    bool taken = present(buffer_slice(&text));
    if (slice_equal(header, SLICE("{\"alg\":\"HS256\"}")) && text.len <= TOKEN_BYTES_MAX &&
        plainly_ours(payload))
        must(taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    if (size > PARTS_BYTES_MAX / 4)
        return 0;
    make_keys_once();
    size_t line = slice_find(input, '\n');
    if (line == input.len)
        present(input);
    else
        sign_and_present(slice_to(input, line), slice_from(input, line + 1));
    return 0;
}
