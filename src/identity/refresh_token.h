/* Refresh tokens: opaque, "sp_refresh_" and 43 characters of base62 (256 bits). Only the SHA-256 is
 * kept; with so many random bits a slow hash would protect nothing more. */
#ifndef IDENTITY_REFRESH_TOKEN_H
#define IDENTITY_REFRESH_TOKEN_H

#include "base/secret.h"
#include "identity/digest.h"

enum { REFRESH_TOKEN_RANDOM_LEN = 43 };

/* Makes one; `sha256` is what is to be kept. ERR_MEMORY. */
enum err refresh_token_make(struct secret *plain, uint8_t sha256[SHA256_BYTES]) MUST_CHECK;
/* What a presented one is kept as. ERR_DENIED: it is not shaped like one; ERR_MEMORY. */
enum err refresh_token_digest(struct slice presented, uint8_t sha256[SHA256_BYTES]) MUST_CHECK;

#endif
