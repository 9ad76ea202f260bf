/* The secrets that sign our tokens, and HMAC-SHA-256 (RFC 2104, RFC 7518 section 3.2) under them.
 */
#ifndef IDENTITY_TOKEN_KEYS_H
#define IDENTITY_TOKEN_KEYS_H

#include "base/secret.h"
#include "config/secret_rules.h"

enum { TOKEN_MAC_BYTES = 32 };

/* Immutable between init and finish, and then read by any thread. All zero: can neither sign nor
 * verify. */
struct token_keys {
    struct secret signing;
    struct secret retiring; /* verifies what it signed before a rotation; mostly empty */
};

/* Takes copies. `retiring` may be empty; one equal to `signing` counts as empty. ERR_RANGE: one of
 * them is shorter than TOKEN_SECRET_BYTES_MIN; ERR_MEMORY. The keys are all zero after an error. */
enum err token_keys_init(struct token_keys *keys, struct slice signing,
                         struct slice retiring) MUST_CHECK;
void token_keys_finish(struct token_keys *keys);

/* The MAC of `text` under the signing secret. Costs a microsecond or two; a thread's first
 * call allocates. ERR_DENIED: there is no secret; ERR_MEMORY: OpenSSL refused. */
enum err token_keys_sign(const struct token_keys *keys, struct slice text,
                         uint8_t mac[TOKEN_MAC_BYTES]) MUST_CHECK;
/* Is `mac` that of `text` under one of the secrets? Compared in constant time. ERR_DENIED: no;
 * ERR_MEMORY: it could not be judged. */
enum err token_keys_verify(const struct token_keys *keys, struct slice text,
                           const uint8_t mac[TOKEN_MAC_BYTES]) MUST_CHECK;

#endif
