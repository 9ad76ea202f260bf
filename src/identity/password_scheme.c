/* The password schemes, each a reader of its form and a call into the library that computes it:
 * libsodium for Argon2id, libxcrypt for bcrypt and SHA-crypt, OpenSSL for the two weak ones. Called
 * by password.c. Its one hard problem: these libraries do whatever work a form asks for, so the
 * readers are stricter than they are; only the alphabet, the lengths and the costs that are written
 * out here reach them. */
#include "identity/password_scheme.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/secret.h"
#include "identity/apr1.h"

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
static const char base64_alphabet[] = LETTERS_AND_DIGITS "+/";
static const char crypt_alphabet[] = LETTERS_AND_DIGITS "./";

enum {
    BCRYPT_LEN = 60,        /* "$2b$" cost "$" and these: */
    BCRYPT_TAIL_CHARS = 53, /* 22 of salt, 31 of digest */
    CRYPT_SALT_CHARS_MAX = 16,
    SHA256_CHARS = 43,
    SHA512_CHARS = 86,
    SHA1_BYTES = 20,
    SHA1_CHARS = 28, /* base64, the last of them '=' */
};

/* Reading forms: each of these takes what it names off the front, or says no. */

static bool take_text(struct slice *at, struct slice word)
{
    if (!slice_starts(*at, word))
        return false;
    *at = slice_from(*at, word.len);
    return true;
}

/* A decimal number and the byte behind it, without a leading zero, as all who write these forms
 * print it; so that a form has one spelling. */
static bool take_number(struct slice *at, char end, uint64_t *number)
{
    size_t len = slice_find(*at, end);
    if (len == at->len || (len > 1 && at->ptr[0] == '0') ||
        !slice_number(slice_to(*at, len), UINT32_MAX, number))
        return false;
    *at = slice_from(*at, len + 1);
    return true;
}

static bool all_of(struct slice s, const char *alphabet, size_t min, size_t max)
{
    if (s.len < min || s.len > max)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(alphabet, s.ptr[i], strlen(alphabet)))
            return false;
    return true;
}

/* As much as stands before the next '$', which is taken too. */
static bool take_part(struct slice *at, const char *alphabet, size_t min, size_t max)
{
    size_t len = slice_find(*at, '$');
    if (len == at->len || !all_of(slice_to(*at, len), alphabet, min, max))
        return false;
    *at = slice_from(*at, len + 1);
    return true;
}

/* Argon2id: $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$DIGEST, the form of the reference
 * implementation; RFC 9106 has the bounds of each parameter. */

struct argon2_cost {
    uint64_t memory_kib, passes, lanes;
};

static enum err argon2_read(struct slice stored, struct argon2_cost *cost)
{
    struct slice at = stored;
    /* Salts of 8 to 48 bytes, digests of 16 to 64. */
    if (!take_text(&at, SLICE("$argon2id$v=19$m=")) || !take_number(&at, ',', &cost->memory_kib) ||
        !take_text(&at, SLICE("t=")) || !take_number(&at, ',', &cost->passes) ||
        !take_text(&at, SLICE("p=")) || !take_number(&at, '$', &cost->lanes) ||
        !take_part(&at, base64_alphabet, 11, 64) || !all_of(at, base64_alphabet, 22, 86))
        return ERR_SYNTAX;
    return OK;
}

enum err argon2id_check(struct slice stored)
{
    struct argon2_cost cost;
    TRY(argon2_read(stored, &cost));
    /* RFC 9106, section 3.1: at least one pass, and 8 KiB for each lane. */
    if (cost.lanes < 1 || cost.lanes > PASSWORD_ARGON2_LANES_MAX || cost.passes < 1 ||
        cost.memory_kib < 8 * cost.lanes || cost.memory_kib > PASSWORD_ARGON2_MEMORY_KIB_MAX ||
        cost.passes > PASSWORD_ARGON2_WORK_KIB_MAX / cost.memory_kib)
        return ERR_RANGE;
    return OK;
}

bool argon2id_outdated(struct slice stored)
{
    struct argon2_cost cost;
    return argon2_read(stored, &cost) == OK &&
           (cost.memory_kib < PASSWORD_ARGON2_MEMORY_KIB || cost.passes < PASSWORD_ARGON2_PASSES);
}

static bool sodium_ready;

static void sodium_prepare(void)
{
    sodium_ready = sodium_init() >= 0;
}

/* libsodium chooses its code for this processor once; before that it is not to be called. */
static enum err sodium_need(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, sodium_prepare);
    return sodium_ready ? OK : ERR_MEMORY;
}

enum err argon2id_verify(struct slice stored, struct slice plain)
{
    char text[PASSWORD_STORED_SIZE] = {0};
    TRY(sodium_need());
    memcpy(text, stored.ptr, stored.len);
    errno = 0;
    if (crypto_pwhash_argon2id_str_verify(text, plain.ptr, plain.len) == 0)
        return OK;
    /* It says -1 to a wrong password and to a failed allocation alike. */
    return errno == ENOMEM ? ERR_MEMORY : ERR_DENIED;
}

/* A form with our parameters that is nobody's: salt and digest are zeros. */
enum err argon2id_verify_nobody(struct slice plain)
{
    char text[PASSWORD_STORED_SIZE];
    int len = snprintf(text, sizeof text, "$argon2id$v=19$m=%d,t=%d,p=1$%.22s$%.43s",
                       PASSWORD_ARGON2_MEMORY_KIB, PASSWORD_ARGON2_PASSES,
                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    invariant(len > 0 && len < PASSWORD_STORED_SIZE);
    enum err err = argon2id_verify(slice_make(text, (size_t)len), plain);
    return err == ERR_MEMORY ? err : ERR_DENIED;
}

enum err argon2id_make(struct slice plain, char stored[PASSWORD_STORED_SIZE])
{
    _Static_assert(crypto_pwhash_argon2id_STRBYTES <= PASSWORD_STORED_SIZE, "it has room");
    TRY(sodium_need());
    int status = crypto_pwhash_argon2id_str(stored, plain.ptr, plain.len, PASSWORD_ARGON2_PASSES,
                                            (size_t)PASSWORD_ARGON2_MEMORY_KIB * 1024);
    return status == 0 ? OK : ERR_MEMORY;
}

/* bcrypt: $2b$COST$ and 53 characters. `$2x$`, the form with the bug of 2011, is not in the table.
 */
enum err bcrypt_check(struct slice stored)
{
    if (stored.len != BCRYPT_LEN || stored.ptr[6] != '$' ||
        !all_of(slice_from(stored, BCRYPT_LEN - BCRYPT_TAIL_CHARS), crypt_alphabet,
                BCRYPT_TAIL_CHARS, BCRYPT_TAIL_CHARS))
        return ERR_SYNTAX;
    uint64_t cost;
    if (!slice_number(slice_make(stored.ptr + 4, 2), 99, &cost))
        return ERR_SYNTAX;
    if (cost < PASSWORD_BCRYPT_COST_MIN || cost > PASSWORD_BCRYPT_COST_MAX)
        return ERR_RANGE;
    return OK;
}

/* SHA-crypt (Drepper, "Unix crypt using SHA-256 and SHA-512"): $5$[rounds=N$]SALT$DIGEST. */
static enum err sha_check(struct slice stored, size_t digest_chars)
{
    struct slice at = slice_from(stored, 3);
    uint64_t rounds = PASSWORD_SHA_ROUNDS_MIN;
    if ((take_text(&at, SLICE("rounds=")) && !take_number(&at, '$', &rounds)) ||
        !take_part(&at, crypt_alphabet, 1, CRYPT_SALT_CHARS_MAX) ||
        !all_of(at, crypt_alphabet, digest_chars, digest_chars))
        return ERR_SYNTAX;
    if (rounds < PASSWORD_SHA_ROUNDS_MIN || rounds > PASSWORD_SHA_ROUNDS_MAX)
        return ERR_RANGE;
    return OK;
}

enum err sha256_check(struct slice stored)
{
    return sha_check(stored, SHA256_CHARS);
}

enum err sha512_check(struct slice stored)
{
    return sha_check(stored, SHA512_CHARS);
}

/* All that crypt_r reads and writes, in one block of the heap (some 32 KiB), wiped as a whole. */
struct crypt_work {
    struct crypt_data space;
    char plain[PASSWORD_BYTES_MAX + 1];
    char setting[PASSWORD_STORED_SIZE];
};

static struct crypt_work *crypt_work_create(struct slice plain, struct slice setting)
{
    struct crypt_work *work = calloc(1, sizeof *work);
    if (!work)
        return NULL;
    invariant(plain.len < sizeof work->plain && setting.len < sizeof work->setting);
    memcpy(work->plain, plain.ptr, plain.len);
    memcpy(work->setting, setting.ptr, setting.len);
    return work;
}

static void crypt_work_destroy(struct crypt_work *work)
{
    explicit_bzero(work, sizeof *work);
    free(work);
}

/* The form that this password has under that setting. ERR_SYNTAX: the library refuses it. */
static enum err crypt_run(struct crypt_work *work, struct slice *made)
{
    errno = 0;
    *made = slice_of(crypt_r(work->plain, work->setting, &work->space));
    /* A failure is NULL, or a token ("*0") that no form begins with. */
    if (made->len == 0 || made->ptr[0] == '*')
        return errno == ENOMEM ? ERR_MEMORY : ERR_SYNTAX;
    return OK;
}

static enum err compare(struct slice made, struct slice stored)
{
    return made.len == stored.len && digest_equal(made.ptr, stored.ptr, stored.len) ? OK
                                                                                    : ERR_DENIED;
}

enum err crypt_verify(struct slice stored, struct slice plain)
{
    struct slice made;
    struct crypt_work *work = crypt_work_create(plain, stored);
    if (!work)
        return ERR_MEMORY;
    enum err err = crypt_run(work, &made);
    if (err == OK)
        err = compare(made, stored);
    crypt_work_destroy(work);
    return err;
}

/* "$2y$" rather than "$2b$", which is the same: Apache's own code reads only that. */
enum err bcrypt_make(struct slice plain, char stored[PASSWORD_STORED_SIZE])
{
    char salt[16], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct slice made;
    random_bytes(salt, sizeof salt);
    if (!crypt_gensalt_rn("$2y$", PASSWORD_BCRYPT_COST, salt, sizeof salt, setting, sizeof setting))
        return ERR_MEMORY;
    struct crypt_work *work = crypt_work_create(plain, slice_of(setting));
    if (!work)
        return ERR_MEMORY;
    enum err err = crypt_run(work, &made);
    if (err == OK) {
        invariant(made.len == BCRYPT_LEN);
        memcpy(stored, made.ptr, made.len);
        stored[made.len] = '\0';
    }
    crypt_work_destroy(work);
    return err == OK ? OK : ERR_MEMORY;
}

/* The two weak ones, for lines of htpasswd files: $apr1$SALT$DIGEST, and {SHA} with the SHA-1 of
 * the password alone in base64. */

enum err md5_check(struct slice stored)
{
    struct slice at = slice_from(stored, strlen("$apr1$"));
    return take_part(&at, crypt_alphabet, 1, APR1_SALT_BYTES_MAX) &&
                   all_of(at, crypt_alphabet, APR1_DIGEST_CHARS, APR1_DIGEST_CHARS)
               ? OK
               : ERR_SYNTAX;
}

enum err md5_verify(struct slice stored, struct slice plain)
{
    struct slice digest = slice_from(stored, strlen("$apr1$"));
    struct slice salt = slice_cut(&digest, '$');
    char made[APR1_DIGEST_CHARS];
    TRY(apr1_digest(plain, salt, made));
    enum err err = compare(slice_make(made, sizeof made), digest);
    explicit_bzero(made, sizeof made);
    return err;
}

enum err sha1_check(struct slice stored)
{
    struct slice at = slice_from(stored, strlen("{SHA}"));
    return at.len == SHA1_CHARS && at.ptr[SHA1_CHARS - 1] == '=' &&
                   all_of(slice_to(at, SHA1_CHARS - 1), base64_alphabet, 0, SHA1_CHARS)
               ? OK
               : ERR_SYNTAX;
}

enum err sha1_verify(struct slice stored, struct slice plain)
{
    unsigned char digest[SHA1_BYTES], made[SHA1_CHARS + 1];
    if (!EVP_Q_digest(NULL, "SHA1", NULL, plain.ptr, plain.len, digest, NULL))
        return ERR_MEMORY;
    EVP_EncodeBlock(made, digest, sizeof digest);
    enum err err =
        compare(slice_make((const char *)made, SHA1_CHARS), slice_from(stored, strlen("{SHA}")));
    explicit_bzero(digest, sizeof digest);
    explicit_bzero(made, sizeof made);
    return err;
}
