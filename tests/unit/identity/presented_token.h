/* What the tests of tokens share: tokens signed by OpenSSL's one-shot HMAC() and encoded by its
 * base64, not by the code under test, and mostly with the right secret: that the signature holds
 * must not help. Included after cmocka.h, once in each program. */
#ifndef IDENTITY_PRESENTED_TOKEN_H
#define IDENTITY_PRESENTED_TOKEN_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "identity/token.h"

enum { NOW = 1700000000, TEXT_MAX = 3 * 1024 * 1024 };

static const struct slice access_kind = SLICE("access");
static const struct slice secret_text = SLICE("unit test signing secret, no. 1!");
static struct token_keys keys;
static char text[TEXT_MAX];

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define WHO "\"sub\":\"u\",\"username\":\"n\",\"role\":\"user\",\"sid\":\"s\",\"jti\":\"j\""
#define TYP ",\"typ\":\"access\""
#define IAT ",\"iat\":1700000000"
#define EXP ",\"exp\":1700003600"
#define PAYLOAD "{" WHO TYP IAT EXP "}"

static int make_keys(void **state)
{
    (void)state;
    hash_seed();
    return token_keys_init(&keys, secret_text, SLICE("")) == OK ? 0 : -1;
}

static int remove_keys(void **state)
{
    (void)state;
    token_keys_finish(&keys);
    return 0;
}

/* base64url of OpenSSL's base64, appended to `text`. */
static void append_part(const void *bytes, size_t size)
{
    char *end = text + strlen(text);
    int len = EVP_EncodeBlock((unsigned char *)end, bytes, (int)size);
    for (int i = 0; i < len; i++)
        end[i] = end[i] == '+' ? '-' : end[i] == '/' ? '_' : end[i] == '=' ? '\0' : end[i];
    end[len] = '\0';
}

/* Appends a dot and the signature of what `text` holds. */
static void append_signature(struct slice key)
{
    unsigned char mac[32];
    unsigned size;
    assert_non_null(HMAC(EVP_sha256(), key.ptr, (int)key.len, (const unsigned char *)text,
                         strlen(text), mac, &size));
    strcat(text, ".");
    append_part(mac, size);
}

static void make(struct slice header, struct slice payload, struct slice key)
{
    text[0] = '\0';
    append_part(header.ptr, header.len);
    strcat(text, ".");
    append_part(payload.ptr, payload.len);
    append_signature(key);
}

/* NULL when the token in `text` is good. Nothing may be told of one that is not. */
static const char *read_at(uint64_t now_epoch_s, struct token_claims *claims)
{
    static const struct token_claims nothing;
    const char *reason = "unset";
    /* In memory of just its size, so that a read beyond its end shows. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    memset(claims, 'x', sizeof *claims);
    enum err err =
        token_parse(&keys, slice_make(copy, len), access_kind, now_epoch_s, claims, &reason);
    free(copy);
    assert_int_equal(err, reason ? ERR_DENIED : OK);
    if (reason)
        assert_memory_equal(claims, &nothing, sizeof nothing);
    return reason;
}

static const char *reason_at(uint64_t now_epoch_s)
{
    struct token_claims claims;
    return read_at(now_epoch_s, &claims);
}

static void expect(const char *what, const char *reason, const char *expected)
{
    if (!reason != !expected || (reason && strcmp(reason, expected) != 0))
        fail_msg("%.200s: '%s' instead of '%s'", what, reason ? reason : "taken",
                 expected ? expected : "taken");
}

#endif
