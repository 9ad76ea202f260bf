/* Apache's own form of MD5-crypt, "$apr1$", which nothing but htpasswd files has. */
#ifndef IDENTITY_APR1_H
#define IDENTITY_APR1_H

#include "base/err.h"
#include "base/slice.h"

enum { APR1_SALT_BYTES_MAX = 8, APR1_DIGEST_CHARS = 22 };

/* Writes the last part of a "$apr1$salt$digest" line, without a NUL. Takes a thousand rounds of MD5
 * over `plain`. ERR_MEMORY when OpenSSL refuses (a build without MD5, too). */
enum err apr1_digest(struct slice plain, struct slice salt,
                     char digest[APR1_DIGEST_CHARS]) MUST_CHECK;

#endif
