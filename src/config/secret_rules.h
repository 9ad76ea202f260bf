/* What the gateway's own credentials must be like, since whoever guesses one of them is let in. For
 * the start and for `sallyport check`; not for the hot path. Each function gives the end of a
 * sentence about the credential ("must be ..."), or NULL. What passes may be a bad one still. */
#ifndef CONFIG_SECRET_RULES_H
#define CONFIG_SECRET_RULES_H

#include "base/slice.h"

enum {
    TOKEN_SECRET_BYTES_MIN = 32, /* RFC 7518, section 3.2: no shorter than the hash */
    ADMIN_PASSWORD_CHARACTERS_MIN = 12,
    ADMIN_PASSWORD_BYTES_MAX = 1024, /* what any password of an account may have */
    SHARED_KEY_BYTES_MIN = 16,       /* it is tried over the network, under a limit */
};

/* Why nobody should sign tokens with this secret: too short, a sample of some documentation, or too
 * regular to be random. */
const char *token_secret_fault(struct slice secret);
/* Why this should not be the first admin's password; UTF-8. Regular ones pass: people may choose,
 * and sign-in is limited. */
const char *admin_password_fault(struct slice password);
/* Why callers should not be let in by this key. */
const char *shared_key_fault(struct slice key);

#endif
