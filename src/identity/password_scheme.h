/* How each password scheme is read, made and verified; for password.c's table only. All take
 * stored forms of fewer than PASSWORD_STORED_SIZE bytes that begin with the scheme's prefix. */
#ifndef IDENTITY_PASSWORD_SCHEME_H
#define IDENTITY_PASSWORD_SCHEME_H

#include "identity/password.h"

/* Form and cost. OK, ERR_SYNTAX, ERR_RANGE. */
enum err argon2id_check(struct slice stored) MUST_CHECK;
enum err bcrypt_check(struct slice stored) MUST_CHECK;
enum err sha256_check(struct slice stored) MUST_CHECK;
enum err sha512_check(struct slice stored) MUST_CHECK;
enum err md5_check(struct slice stored) MUST_CHECK;
enum err sha1_check(struct slice stored) MUST_CHECK;

/* Of a form that passed its check, and a password without NUL, of 1 byte to what the scheme's row
 * says. OK, ERR_DENIED, ERR_MEMORY. crypt_verify, for bcrypt and SHA-crypt, also ERR_SYNTAX: the
 * library thinks otherwise of the form. */
enum err argon2id_verify(struct slice stored, struct slice plain) MUST_CHECK;
enum err crypt_verify(struct slice stored, struct slice plain) MUST_CHECK;
enum err md5_verify(struct slice stored, struct slice plain) MUST_CHECK;
enum err sha1_verify(struct slice stored, struct slice plain) MUST_CHECK;

/* The work of argon2id_verify with our own parameters. ERR_DENIED or ERR_MEMORY. */
enum err argon2id_verify_nobody(struct slice plain) MUST_CHECK;
/* Weaker parameters than those of new forms? */
bool argon2id_outdated(struct slice stored);

/* New forms, NUL-terminated. ERR_MEMORY. bcrypt_make takes 72 bytes at most. */
enum err argon2id_make(struct slice plain, char stored[PASSWORD_STORED_SIZE]) MUST_CHECK;
enum err bcrypt_make(struct slice plain, char stored[PASSWORD_STORED_SIZE]) MUST_CHECK;

#endif
