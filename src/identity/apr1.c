/* The MD5-crypt of Poul-Henning Kamp (FreeBSD's crypt, 1994) under Apache's name, as Apache's
 * manual page "Password Formats" has it. Called by password.c for lines of htpasswd files. It is
 * far too fast for what it does, which is why every line of it is warned about; its one hard
 * problem is to be the same bytes as everywhere. */
#include "identity/apr1.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { MD5_BYTES = 16, ROUNDS = 1000 };

struct md5 {
    EVP_MD *algorithm;
    EVP_MD_CTX *context;
    bool failed; /* sticky; asked once, at the end */
    unsigned char digest[MD5_BYTES];
};

static void md5_finish(struct md5 *md5)
{
    EVP_MD_CTX_free(md5->context); /* wipes what it held */
    EVP_MD_free(md5->algorithm);
    OPENSSL_cleanse(md5->digest, sizeof md5->digest);
}

static void md5_begin(struct md5 *md5)
{
    md5->failed = md5->failed || !EVP_DigestInit_ex2(md5->context, md5->algorithm, NULL);
}

static void md5_add(struct md5 *md5, struct slice s)
{
    md5->failed = md5->failed || !EVP_DigestUpdate(md5->context, s.ptr, s.len);
}

static void md5_end(struct md5 *md5)
{
    unsigned size = 0;
    md5->failed = md5->failed || !EVP_DigestFinal_ex(md5->context, md5->digest, &size);
}

static struct slice md5_digest(const struct md5 *md5)
{
    return slice_make((const char *)md5->digest, MD5_BYTES);
}

/* The first digest: password, name, salt, then as much of MD5(password salt password) as the
 * password is long, then a NUL or the password's first byte for each bit of its length. */
static void start(struct md5 *md5, struct slice plain, struct slice salt)
{
    md5_begin(md5);
    md5_add(md5, plain);
    md5_add(md5, salt);
    md5_add(md5, plain);
    md5_end(md5);
    md5_begin(md5);
    md5_add(md5, plain);
    md5_add(md5, SLICE("$apr1$"));
    md5_add(md5, salt);
    for (size_t left = plain.len; left > 0; left -= left < MD5_BYTES ? left : MD5_BYTES)
        md5_add(md5, slice_to(md5_digest(md5), left < MD5_BYTES ? left : MD5_BYTES));
    for (size_t bits = plain.len; bits > 0; bits >>= 1)
        md5_add(md5, bits & 1 ? SLICE("\0") : slice_to(plain, 1));
    md5_end(md5);
}

static void stretch(struct md5 *md5, struct slice plain, struct slice salt)
{
    for (unsigned i = 0; i < ROUNDS && !md5->failed; i++) {
        md5_begin(md5);
        md5_add(md5, i & 1 ? plain : md5_digest(md5));
        if (i % 3)
            md5_add(md5, salt);
        if (i % 7)
            md5_add(md5, plain);
        md5_add(md5, i & 1 ? md5_digest(md5) : plain);
        md5_end(md5);
    }
}

/* Six bits a character, lowest first, over triples of bytes that stand far apart. */
static void print(const unsigned char bytes[MD5_BYTES], char *out)
{
    static const char alphabet[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const unsigned char triples[5][3] = {
        {0, 6,  12},
        {1, 7,  13},
        {2, 8,  14},
        {3, 9,  15},
        {4, 10, 5 },
    };
    for (unsigned i = 0; i < 5; i++) {
        uint32_t bits = (uint32_t)bytes[triples[i][0]] << 16 | (uint32_t)bytes[triples[i][1]] << 8 |
                        bytes[triples[i][2]];
        for (unsigned n = 0; n < 4; n++, bits >>= 6)
            *out++ = alphabet[bits & 63];
    }
    *out++ = alphabet[bytes[11] & 63];
    *out = alphabet[bytes[11] >> 6];
}

enum err apr1_digest(struct slice plain, struct slice salt, char digest[APR1_DIGEST_CHARS])
{
    AUTO(md5) md5 = {.algorithm = EVP_MD_fetch(NULL, "MD5", NULL), .context = EVP_MD_CTX_new()};
    if (!md5.algorithm || !md5.context)
        return ERR_MEMORY;
    start(&md5, plain, salt);
    stretch(&md5, plain, salt);
    if (md5.failed)
        return ERR_MEMORY;
    print(md5.digest, digest);
    return OK;
}
