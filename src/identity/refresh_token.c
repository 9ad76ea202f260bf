#include "identity/refresh_token.h"

#include "base/encode.h"

static const char prefix[] = "sp_refresh_";

enum { PREFIX_LEN = sizeof prefix - 1, LEN = PREFIX_LEN + REFRESH_TOKEN_RANDOM_LEN };

enum err refresh_token_make(struct secret *plain, uint8_t sha256[SHA256_BYTES])
{
    char text[LEN];
    memcpy(text, prefix, PREFIX_LEN);
    base62_random(text + PREFIX_LEN, REFRESH_TOKEN_RANDOM_LEN);
    enum err err = sha256_of(slice_make(text, LEN), sha256);
    if (err == OK)
        err = secret_set(plain, slice_make(text, LEN));
    explicit_bzero(text, sizeof text);
    return err;
}

enum err refresh_token_digest(struct slice presented, uint8_t sha256[SHA256_BYTES])
{
    if (presented.len != LEN || !slice_starts(presented, slice_make(prefix, PREFIX_LEN)) ||
        !base62_valid(slice_from(presented, PREFIX_LEN)))
        return ERR_DENIED;
    return sha256_of(presented, sha256);
}
