/* Our own access tokens: JSON Web Tokens (RFC 7519) in the compact form (RFC 7515, section 7.1),
 * signed with HS256 and nothing else. We issue them and we read them; nobody else's are taken, so
 * the reader takes exactly what the writer writes and the two forms that common libraries give the
 * header, and refuses the rest (RFC 8725).
 *
 * A token says who signed in and until when. What they may do is for the store to say: the role in
 * here is for clients to look at. */
#ifndef IDENTITY_TOKEN_H
#define IDENTITY_TOKEN_H

#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
#include "identity/token_keys.h"

enum {
    TOKEN_BYTES_MAX = 2048,        /* of a token's text; ours stay far below */
    TOKEN_NAME_MAX = 64,           /* bytes of sub and username */
    TOKEN_WORD_MAX = 36,           /* bytes of sid and jti: a UUID's */
    TOKEN_ROLE_MAX = 15,           /* bytes of role and typ */
    TOKEN_LIFETIME_S_MAX = 2678400 /* 31 days from iat to exp; longer is what API keys are for */
};

/* Texts end with a NUL. All are required, none may be empty. */
struct token_claims {
    char sub[TOKEN_NAME_MAX + 1]; /* UTF-8 without control characters, quotes and backslashes */
    char username[TOKEN_NAME_MAX + 1]; /* the same */
    char role[TOKEN_ROLE_MAX + 1];     /* a to z and '_' */
    char sid[TOKEN_WORD_MAX + 1];      /* the session: letters, digits, '-' and '_' */
    char jti[TOKEN_WORD_MAX + 1];      /* this very token: the same */
    char typ[TOKEN_ROLE_MAX + 1];      /* what it is for, "access"; a to z and '_' */
    uint64_t iat_epoch_s;              /* issued at */
    uint64_t exp_epoch_s;              /* good until the second before */
};

/* Writes a token into `out`, which is replaced. ERR_RANGE: a claim that token_parse would refuse;
 * ERR_DENIED: there is no signing secret; ERR_MEMORY. `out` is unchanged after an error. */
enum err token_print(const struct token_keys *keys, const struct token_claims *claims,
                     struct secret *out) MUST_CHECK;

/* Reads a presented token that must be of the kind `typ` ("access") and good at `now_epoch_s`.
 * Two to four microseconds for one of ours; no heap but OpenSSL's copy of the key. Nothing of the
 * payload is looked at before the signature holds. `claims` is all zero unless it returns OK.
 *
 * ERR_MEMORY: it could not be judged. Everything else is ERR_DENIED, and `*reason` (may be NULL) is
 * for the log only: "too_long"; "malformed", not three parts of canonical base64url; "header", any
 * but {"alg":"HS256"} with or without "typ":"JWT"; "signature"; "claims", not strict JSON, or not
 * exactly our eight members, each of its type and grammar, written without escape sequences;
 * "kind"; "lifetime", exp not after iat or too long after it; "issued_later", iat ahead of our
 * clock (clock_is_ahead); "expired", which no skew delays. */
enum err token_parse(const struct token_keys *keys, struct slice text, struct slice typ,
                     uint64_t now_epoch_s, struct token_claims *claims,
                     const char **reason) MUST_CHECK;

/* The same of claims that were read before: why they are not good at `now_epoch_s`, "issued_later"
 * or "expired". NULL: they are. */
const char *token_time_fault(const struct token_claims *claims, uint64_t now_epoch_s);

/* Is it to be read as a token rather than as a key? Three parts in base64url's alphabet, of which
 * the first begins as a JSON object does. No key has a dot. It need not be a good token. */
bool token_shaped(struct slice text);

#endif
