/* The Authorization field, from its line in a head to the claim it makes. Which fields are taken,
 * and as what, the rules written down here say a second time; base64 is OpenSSL's to read, and the
 * one text that OpenSSL prints for a name and a password is the only one that is taken for them.
 *
 * An input without a line's end is a field's value. In any other the first line stands before
 * base64 of the rest, which is made here, for no fuzzer gets past base64 to what is in it. */
#include "identity/basic.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "fuzz.h"
#include "identity/authorization.h"
#include "identity/credentials.h"
#include "identity/key.h"
#include "identity/token.h"
#include "plain_text.h"
#include "proto/http.h"

enum { INPUT_BYTES_MAX = 16 * 1024, FIELD_BYTES_MAX = 32 * 1024, KEY_BYTES_MAX = 72 };

#define HASH "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct credentials *credentials;
static struct keyring *keyring;        /* an empty one */
static struct credential_files *files; /* a key with a public id, and one without */
static const struct slice public_id = SLICE("AbCdEf123456");

static void make_files_once(void)
{
    static const struct slice text =
        SLICE("keys: [{key_id: a, hash: " HASH ", public_id: AbCdEf123456}, {key_id: b, hash: " HASH
              "}]\n");
    struct faults faults = {.count = 0};
    struct keys_file *keys;
    if (credentials)
        return;
    hash_seed();
    credentials = credentials_create(NULL, NULL);
    keyring = keyring_create(NULL, NULL);
    must(credentials && keys_file_parse(text, "keys", &faults, &keys) == OK);
    must(faults.count == 0 && keys_file_unnamed(keys) == 1);
    files = credential_files_create(NULL, keys);
    must(files);
    keys_file_unref(keys);
}

/* --- base64 -------------------------------------------------------------------------------------
 */

static void append_base64(struct buffer *out, struct slice bytes)
{
    char *place = buffer_reserve(out, bytes.len / 3 * 4 + 5);
    must(place);
    buffer_grow(out, (size_t)EVP_EncodeBlock((unsigned char *)place,
                                             (const unsigned char *)(bytes.len ? bytes.ptr : ""),
                                             (int)bytes.len));
}

/* OpenSSL's reader passes over white space, and minds neither padding nor unused bits; but what it
 * read it prints in one way only. False: `text` is not that. */
static bool decode(struct slice text, struct buffer *out)
{
    AUTO(buffer) again = BUFFER_MAX(FIELD_BYTES_MAX);
    size_t padding = 0;
    char *copy = fuzz_copy(text), *place = buffer_reserve(out, text.len + 4);
    must(place);
    int len = EVP_DecodeBlock((unsigned char *)place, (const unsigned char *)copy, (int)text.len);
    free(copy);
    while (padding < 2 && padding < text.len && text.ptr[text.len - 1 - padding] == '=')
        padding++;
    if (len < (int)padding)
        return false;
    buffer_grow(out, (size_t)len - padding);
    append_base64(&again, buffer_slice(out));
    return slice_equal(buffer_slice(&again), text);
}

/* --- a name and a password ----------------------------------------------------------------------
 */

/* One reading, in memory of just its size. */
struct reading {
    enum err err;
    char *memory;
    struct basic basic;
};

static void reading_finish(struct reading *reading)
{
    free(reading->memory);
}

static void read_basic(struct reading *reading, struct slice encoded)
{
    char *copy = fuzz_copy(encoded);
    reading->memory = malloc(BASIC_BYTES_MAX);
    must(reading->memory);
    memset(reading->memory, 'x', BASIC_BYTES_MAX);
    reading->err = basic_parse(slice_make(copy, encoded.len), reading->memory, &reading->basic);
    free(copy);
}

static void must_refuse(struct slice encoded)
{
    AUTO(reading) reading;
    read_basic(&reading, encoded);
    must(reading.err == ERR_SYNTAX || reading.err == ERR_LIMIT);
}

/* With `instead` in the place of the `count` bytes from `at` on. */
static void must_refuse_changed(struct slice encoded, size_t at, size_t count, const char *instead)
{
    AUTO(buffer) text = BUFFER_MAX(FIELD_BYTES_MAX);
    buffer_append(&text, slice_to(encoded, at));
    buffer_text(&text, instead);
    buffer_append(&text, slice_from(encoded, at + count));
    must(!text.failed);
    must_refuse(buffer_slice(&text));
}

/* Other last digits, whose unused bits are not zero. `last` is behind the last one. */
static void check_unused_bits(struct slice encoded, size_t last)
{
    static const size_t values[] = {1, 4, 16}; /* of the unused bits */
    size_t unused = values[encoded.len - last];
    char *copy = fuzz_copy(encoded);
    const char *digit = strchr(digits, copy[last - 1]);
    must(digit && (size_t)(digit - digits) % unused == 0);
    for (size_t i = 1; i < unused; i++) {
        copy[last - 1] = digit[i];
        must_refuse(slice_make(copy, encoded.len));
    }
    free(copy);
}

/* Whatever a reader that is less strict takes for the same bytes. */
static void check_other_spellings(struct slice encoded)
{
    static const char *const noise[] = {" ",    "\t",       "=",    "-",   ".",
                                        "    ", "\r\n\r\n", "AAA=", "===="};
    size_t last = encoded.len, half = encoded.len / 2;
    while (encoded.ptr[last - 1] == '=')
        last--;
    check_unused_bits(encoded, last);
    for (size_t i = 0; i < COUNT_OF(noise); i++) {
        must_refuse_changed(encoded, 0, 0, noise[i]);
        must_refuse_changed(encoded, half, 0, noise[i]);
        must_refuse_changed(encoded, encoded.len, 0, noise[i]);
        must_refuse_changed(encoded, 0, 1, noise[i]);
    }
    for (size_t at = last; at < encoded.len; at++)
        must_refuse(slice_to(encoded, at));
    for (size_t i = 0, left = 4; i < last && left; i++)
        if (encoded.ptr[i] == '+' || encoded.ptr[i] == '/') {
            must_refuse_changed(encoded, i, 1, encoded.ptr[i] == '+' ? "-" : "_");
            left--;
        }
}

/* Parts of what was decoded, divided at the first colon. */
static void check_parts(const struct reading *reading, struct slice decoded)
{
    const struct basic *basic = &reading->basic;
    const char *colon = memchr(decoded.ptr, ':', decoded.len);
    struct slice name = slice_to(decoded, (size_t)(colon - decoded.ptr));
    struct slice password = slice_from(decoded, name.len + 1);
    must_equal(basic->text, decoded);
    must_equal(basic->name, name);
    must_equal(basic->password, password);
    must(basic->text.ptr == reading->memory && basic->name.ptr == reading->memory);
    must(basic->password.ptr == reading->memory + name.len + 1);
}

/* Found again by its own digest, and never by that of a key of the same bytes. */
static void check_claim(const struct basic *basic)
{
    struct claim claim = claim_of_basic(basic), as_key = claim;
    uint8_t one[SHA256_BYTES], two[SHA256_BYTES];
    must(!claim.by_key && claim.public_id.len == 0);
    must_equal(claim.name, basic->name);
    must_equal(claim.secret, basic->password);
    must(credentials_digest(credentials, &claim, one) == OK);
    must(credentials_digest(credentials, &claim, two) == OK);
    must(memcmp(one, two, sizeof one) == 0);
    as_key.by_key = true;
    must(credentials_digest(credentials, &as_key, two) == OK);
    must(memcmp(one, two, sizeof one) != 0);
}

static void check_basic(struct slice encoded)
{
    AUTO(buffer) decoded = BUFFER_MAX(FIELD_BYTES_MAX);
    AUTO(reading) reading;
    bool canonical = decode(encoded, &decoded);
    struct slice text = buffer_slice(&decoded);
    bool good = canonical && text.len <= BASIC_BYTES_MAX && slice_find(text, ':') < text.len &&
                plain_text(text);
    read_basic(&reading, encoded);
    must((reading.err == OK) == good);
    must(good || reading.err == ERR_SYNTAX || reading.err == ERR_LIMIT);
    if (canonical)
        must((reading.err == ERR_LIMIT) == (text.len > BASIC_BYTES_MAX));
    if (!good)
        return;
    check_parts(&reading, text);
    check_claim(&reading.basic);
    check_other_spellings(encoded);
}

/* --- a key or a token ---------------------------------------------------------------------------
 */

/* Of a key that is none of ours it cannot be said at once whether it is one of the file's. */
static void check_key(struct slice text)
{
    struct claim claim;
    uint8_t digest[SHA256_BYTES];
    bool ours = api_key_shaped(text);
    must(!ours || (text.len == KEY_LEN && slice_starts(text, SLICE("sp_"))));
    must(!ours || !token_shaped(text));
    must(!claim_of_key(NULL, keyring, text, &claim));
    bool may_be = text.len > 0 && text.len <= KEY_BYTES_MAX;
    if (ours)
        may_be = slice_equal(slice_make(text.ptr + 3, KEY_ID_LEN), public_id);
    must(claim_of_key(files, keyring, text, &claim) == may_be);
    if (!may_be)
        return;
    must(claim.by_key);
    must_equal(claim.text, text);
    must_equal(claim.secret, text);
    must_equal(claim.public_id, ours ? public_id : SLICE(""));
    must(credentials_digest(credentials, &claim, digest) == OK);
}

/* --- the field ----------------------------------------------------------------------------------
 */

/* What stands behind "NAME" and one space or more; `.ptr` is NULL: another scheme. */
static struct slice behind(struct slice field, const char *name)
{
    size_t at = strlen(name);
    if (field.len <= at || strncasecmp(field.ptr, name, at) != 0 || field.ptr[at] != ' ')
        return (struct slice){NULL, 0};
    while (at < field.len && field.ptr[at] == ' ')
        at++;
    return slice_from(field, at);
}

static void check_field(struct slice field)
{
    struct slice basic = behind(field, "Basic"), bearer = behind(field, "Bearer");
    for (int basic_taken = 0; basic_taken < 2; basic_taken++) {
        struct presented presented = {{0}, false};
        enum err err = authorization_parse(field, basic_taken, &presented);
        bool good = bearer.ptr || (basic.ptr && basic_taken);
        must(err == (good ? OK : ERR_UNSUPPORTED));
        if (err != OK)
            continue;
        must(presented.basic == (basic.ptr != NULL));
        must_equal(presented.text, presented.basic ? basic : bearer);
        if (presented.basic)
            check_basic(presented.text);
        else
            check_key(presented.text);
    }
}

static bool printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

/* What a head hands on of the field is all of it, but for the white space around. */
static void check_head(struct slice value)
{
    static const struct http_limits limits = {.line_bytes = FIELD_BYTES_MAX,
                                              .head_bytes = 2 * FIELD_BYTES_MAX};
    static struct request_head head;
    AUTO(buffer) text = BUFFER_MAX(2 * FIELD_BYTES_MAX);
    size_t used;
    enum http_fault fault;
    buffer_text(&text, "GET / HTTP/1.1\r\nHost: h\r\n");
    http_print_field(&text, SLICE("Authorization"), value);
    buffer_text(&text, "\r\n");
    must(!text.failed);
    if (request_head_parse(buffer_slice(&text), &limits, &head, &used, &fault) != OK) {
        must(!printable(value));
        return;
    }
    must(used == text.len && head.authorization.ptr);
    must_equal(head.authorization, slice_trim(value));
    check_field(head.authorization);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    AUTO(buffer) field = BUFFER_MAX(FIELD_BYTES_MAX);
    if (size > INPUT_BYTES_MAX)
        return 0;
    make_files_once();
    size_t line = slice_find(input, '\n');
    buffer_append(&field, slice_to(input, line));
    if (line < input.len)
        append_base64(&field, slice_from(input, line + 1));
    must(!field.failed);
    /* Of just its size, so that a read beyond its end shows. */
    char *copy = fuzz_copy(buffer_slice(&field));
    check_field(slice_make(copy, field.len));
    free(copy);
    check_head(buffer_slice(&field));
    return 0;
}
