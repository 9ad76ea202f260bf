/* The access token of a session: what a caller sends with each request after signing in. */
#ifndef IDENTITY_ACCESS_TOKEN_H
#define IDENTITY_ACCESS_TOKEN_H

#include "identity/account.h"
#include "identity/token.h"

/* The kind of token that opens something, its claim `typ` (RFC 8725, section 3.11). */
#define ACCESS_TOKEN_TYP SLICE("access")

/* A token of the session, good for `lifetime_s` from now on and no longer than the session. Errors
 * as of token_print. `*expires_epoch_s` is until when. */
enum err access_token_make(const struct token_keys *keys, const struct session *session,
                           uint64_t now_epoch_s, uint64_t lifetime_s, struct secret *token,
                           uint64_t *expires_epoch_s) MUST_CHECK;

#endif
