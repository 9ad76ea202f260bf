/* Passwords: what is kept of them, and whether a presented one is right.
 *
 * New ones become Argon2id (RFC 9106). What else is read, because people bring it along, is told by
 * its prefix: bcrypt and SHA-crypt, and in htpasswd files only Apache's MD5 and unsalted SHA-1. All
 * else, plain text and DES above all, is refused.
 *
 * Everything here is thread-safe and slow on purpose, from some milliseconds to seconds: it belongs
 * on the job pool, never on an event loop. Memory: about 19 MiB at a time for ours, at most
 * PASSWORD_ARGON2_MEMORY_KIB_MAX for one that was brought along. A plain password is a slice of a
 * secret of the caller's, which the caller wipes; copies made here are wiped here. Passwords are
 * compared as bytes: nothing is normalized (RFC 7617, section 2.1, leaves that to the client). */
#ifndef IDENTITY_PASSWORD_H
#define IDENTITY_PASSWORD_H

#include "base/err.h"
#include "base/slice.h"

enum {
    PASSWORD_BYTES_MAX = 1024,
    PASSWORD_NEW_CHARACTERS_MIN = 8, /* NIST SP 800-63B, section 5.1.1.2 */
    PASSWORD_BCRYPT_BYTES_MAX = 72,  /* bcrypt reads no further */
    PASSWORD_STORED_SIZE = 128,      /* of any stored form, with its NUL */

    /* OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane. */
    PASSWORD_ARGON2_MEMORY_KIB = 19 * 1024,
    PASSWORD_ARGON2_PASSES = 2,
    PASSWORD_BCRYPT_COST = 12, /* 2^12 rounds; some quarter of a second */

    /* What a stored form may ask of us. Above what other programs write by default (PHP 64 MiB,
     * Django 100 MiB; Caddy's bcrypt 14; passlib's SHA-crypt 656,000 rounds), and below what would
     * hold a thread for more than some seconds. */
    PASSWORD_ARGON2_MEMORY_KIB_MAX = 128 * 1024,
    PASSWORD_ARGON2_WORK_KIB_MAX = 512 * 1024, /* memory times passes */
    PASSWORD_ARGON2_LANES_MAX = 16,
    PASSWORD_BCRYPT_COST_MIN = 4,
    PASSWORD_BCRYPT_COST_MAX = 15,
    PASSWORD_SHA_ROUNDS_MIN = 1000, /* the format's own minimum; libxcrypt's default is 5000 */
    PASSWORD_SHA_ROUNDS_MAX = 1000000,
};

/* Where a stored form stands; an htpasswd file may hold weak ones too. */
enum password_home { PASSWORD_OF_ACCOUNT, PASSWORD_OF_HTPASSWD };

/* May this be chosen as a password? ERR_RANGE: fewer than PASSWORD_NEW_CHARACTERS_MIN characters;
 * ERR_LIMIT: more than PASSWORD_BYTES_MAX bytes; ERR_SYNTAX: not UTF-8, or it has control
 * characters, which Basic cannot carry (RFC 7617, section 2). */
enum err password_check_new(struct slice plain) MUST_CHECK;

/* The stored form of a new password, Argon2id with a random salt, NUL-terminated. The errors of
 * password_check_new; ERR_MEMORY. */
enum err password_hash_new(struct slice plain, char stored[PASSWORD_STORED_SIZE]) MUST_CHECK;
/* The same for a password that was just verified and whose form wants an upgrade: it may be as
 * short as it always was. ERR_LIMIT as password_verify; ERR_MEMORY. */
enum err password_hash_again(struct slice plain, char stored[PASSWORD_STORED_SIZE]) MUST_CHECK;
/* As password_hash_new in bcrypt, for files that other programs read. ERR_LIMIT also when it has
 * more than PASSWORD_BCRYPT_BYTES_MAX bytes. */
enum err password_hash_bcrypt(struct slice plain, char stored[PASSWORD_STORED_SIZE]) MUST_CHECK;

/* OK: `plain` is the password. Everything else is a refusal: ERR_DENIED: it is not; ERR_LIMIT: it
 * cannot be one (empty, over PASSWORD_BYTES_MAX, with a NUL, or longer than the scheme reads: 72
 * bytes for bcrypt, 255 for SHA-crypt and the weak ones); ERR_UNSUPPORTED, ERR_SYNTAX, ERR_RANGE:
 * as password_check_stored; ERR_MEMORY: it was not found out. A refusal for the stored form's sake
 * costs what a wrong password costs under our own scheme. */
enum err password_verify(struct slice stored, struct slice plain,
                         enum password_home home) MUST_CHECK;
/* What a login of somebody unknown does instead: the work of a wrong password, for `like`, or when
 * that is empty for a new stored form. Never OK; ERR_DENIED, ERR_LIMIT or ERR_MEMORY. */
enum err password_verify_nobody(struct slice like, struct slice plain) MUST_CHECK;

/* Would password_verify try this? Cheap. ERR_UNSUPPORTED: no scheme of ours, or not in this home;
 * ERR_SYNTAX: it has the scheme's prefix but not its form; ERR_RANGE: it costs more than the bounds
 * above (a line with 4 GiB of memory is an attack), or less than the scheme allows. */
enum err password_check_stored(struct slice stored, enum password_home home) MUST_CHECK;
/* Should it be replaced by password_hash_again at the next login? Not for htpasswd files, which are
 * not ours to write. False for what is refused. */
bool password_wants_upgrade(struct slice stored);
/* Is its scheme one that a thief of the file undoes quickly? */
bool password_is_weak(struct slice stored);
/* "Argon2id", "bcrypt", ..., for people; "unknown" for what is refused. */
const char *password_scheme_name(struct slice stored);

#endif
