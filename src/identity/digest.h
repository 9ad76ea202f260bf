/* SHA-256 at the price of SHA-256. */
#ifndef IDENTITY_DIGEST_H
#define IDENTITY_DIGEST_H

#include "base/err.h"
#include "base/slice.h"

enum { SHA256_BYTES = 32 };

/* Allocates on a thread's first call only. ERR_MEMORY when OpenSSL refuses; `digest` is not to be
 * used then. */
enum err sha256_of(struct slice s, uint8_t digest[SHA256_BYTES]) MUST_CHECK;

#endif
