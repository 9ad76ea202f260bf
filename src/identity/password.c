/* The table of password schemes, and what is asked of it. Called by accounts, htpasswd.c and
 * `sallyport hash-password`, on threads of the job pool. Its one hard problem is that a stored form
 * is somebody's input that decides how much work we do: every form is read and bounded here before
 * a library sees it. How each scheme computes is password_scheme.c's. */
#include "identity/password.h"

#include "base/utf8.h"
#include "identity/password_scheme.h"

/* What the programs that write such forms take (Apache's htpasswd). */
enum { OTHERS_BYTES_MAX = 255 };

static bool always(struct slice stored)
{
    (void)stored;
    return true;
}

static const struct scheme {
    const char *name;
    struct slice prefix;
    enum err (*check)(struct slice stored);
    enum err (*verify)(struct slice stored, struct slice plain); /* of what `check` let pass */
    size_t plain_bytes_max;
    bool (*wants_upgrade)(struct slice stored);
    bool htpasswd_only, weak;
} schemes[] = {
  // clang-format off
    {"Argon2id",      SLICE("$argon2id$"), argon2id_check, argon2id_verify, PASSWORD_BYTES_MAX,        argon2id_outdated, false, false},
    {"bcrypt",        SLICE("$2a$"),       bcrypt_check,   crypt_verify,    PASSWORD_BCRYPT_BYTES_MAX, always,            false, false},
    {"bcrypt",        SLICE("$2b$"),       bcrypt_check,   crypt_verify,    PASSWORD_BCRYPT_BYTES_MAX, always,            false, false},
    {"bcrypt",        SLICE("$2y$"),       bcrypt_check,   crypt_verify,    PASSWORD_BCRYPT_BYTES_MAX, always,            false, false},
    {"SHA-256-crypt", SLICE("$5$"),        sha256_check,   crypt_verify,    OTHERS_BYTES_MAX,          always,            false, false},
    {"SHA-512-crypt", SLICE("$6$"),        sha512_check,   crypt_verify,    OTHERS_BYTES_MAX,          always,            false, false},
    {"Apache MD5",    SLICE("$apr1$"),     md5_check,      md5_verify,      OTHERS_BYTES_MAX,          always,            true,  true },
    {"SHA-1",         SLICE("{SHA}"),      sha1_check,     sha1_verify,     OTHERS_BYTES_MAX,          always,            true,  true },
  // clang-format on
};

static const struct scheme *find_scheme(struct slice stored)
{
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (slice_starts(stored, schemes[i].prefix))
            return &schemes[i];
    return NULL;
}

static enum err check_stored(struct slice stored, enum password_home home,
                             const struct scheme **found)
{
    const struct scheme *scheme = find_scheme(stored);
    if (!scheme || (scheme->htpasswd_only && home != PASSWORD_OF_HTPASSWD))
        return ERR_UNSUPPORTED;
    if (stored.len >= PASSWORD_STORED_SIZE)
        return ERR_SYNTAX;
    TRY(scheme->check(stored));
    *found = scheme;
    return OK;
}

enum err password_check_stored(struct slice stored, enum password_home home)
{
    const struct scheme *scheme = NULL;
    return check_stored(stored, home, &scheme);
}

/* Could it be a password at all, under any scheme? */
static enum err check_plain(struct slice plain)
{
    if (plain.len == 0 || plain.len > PASSWORD_BYTES_MAX || memchr(plain.ptr, '\0', plain.len))
        return ERR_LIMIT;
    return OK;
}

enum err password_check_new(struct slice plain)
{
    size_t characters = 0;
    if (plain.len > PASSWORD_BYTES_MAX)
        return ERR_LIMIT;
    for (size_t at = 0, len; at < plain.len; at += len, characters++) {
        struct slice rest = slice_from(plain, at);
        unsigned char c = (unsigned char)rest.ptr[0];
        len = utf8_sequence(rest);
        /* U+0080 to U+009F, too. */
        if (len == 0 || c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)rest.ptr[1] < 0xa0))
            return ERR_SYNTAX;
    }
    return characters < PASSWORD_NEW_CHARACTERS_MIN ? ERR_RANGE : OK;
}

enum err password_hash_new(struct slice plain, char stored[PASSWORD_STORED_SIZE])
{
    TRY(password_check_new(plain));
    return argon2id_make(plain, stored);
}

enum err password_hash_again(struct slice plain, char stored[PASSWORD_STORED_SIZE])
{
    TRY(check_plain(plain));
    return argon2id_make(plain, stored);
}

enum err password_hash_bcrypt(struct slice plain, char stored[PASSWORD_STORED_SIZE])
{
    TRY(password_check_new(plain));
    if (plain.len > PASSWORD_BCRYPT_BYTES_MAX)
        return ERR_LIMIT;
    return bcrypt_make(plain, stored);
}

enum err password_verify(struct slice stored, struct slice plain, enum password_home home)
{
    const struct scheme *scheme = NULL;
    /* The same for everybody, so it may be quick. */
    TRY(check_plain(plain));
    enum err err = check_stored(stored, home, &scheme);
    if (err == OK && plain.len > scheme->plain_bytes_max)
        err = ERR_LIMIT;
    if (err == OK)
        return scheme->verify(stored, plain);
    /* Not for everybody: a quick refusal here would tell that the name exists. */
    enum err spent = argon2id_verify_nobody(plain);
    return spent == ERR_MEMORY ? spent : err;
}

enum err password_verify_nobody(struct slice like, struct slice plain)
{
    TRY(check_plain(plain));
    enum err err = like.len ? password_verify(like, plain, PASSWORD_OF_HTPASSWD)
                            : argon2id_verify_nobody(plain);
    return err == ERR_MEMORY || err == ERR_LIMIT ? err : ERR_DENIED;
}

bool password_wants_upgrade(struct slice stored)
{
    const struct scheme *scheme = NULL;
    return check_stored(stored, PASSWORD_OF_HTPASSWD, &scheme) == OK &&
           scheme->wants_upgrade(stored);
}

bool password_is_weak(struct slice stored)
{
    const struct scheme *scheme = find_scheme(stored);
    return scheme && scheme->weak;
}

const char *password_scheme_name(struct slice stored)
{
    const struct scheme *scheme = find_scheme(stored);
    return scheme ? scheme->name : "unknown";
}
