#include "identity/access_token.h"

#include "base/encode.h"
#include "base/random.h"

enum err access_token_make(const struct token_keys *keys, const struct session *session,
                           uint64_t now_epoch_s, uint64_t lifetime_s, struct secret *token,
                           uint64_t *expires_epoch_s)
{
    const struct account *account = session->account;
    uint64_t end = atomic_load_explicit(&session->expires_epoch_s, memory_order_relaxed);
    uint64_t expires = now_epoch_s + lifetime_s;
    struct token_claims claims = {
        .iat_epoch_s = now_epoch_s,
        .exp_epoch_s = expires < end ? expires : end,
    };
    uint8_t random[16];
    random_bytes(random, sizeof random);
    base64url_print(random, sizeof random, claims.jti);
    _Static_assert(sizeof claims.sub == sizeof account->name, "a name is a subject");
    memcpy(claims.sub, account->name, sizeof claims.sub);
    memcpy(claims.username, account->name, sizeof claims.username);
    memcpy(claims.sid, session->id, sizeof session->id);
    const char *role = role_name(atomic_load_explicit(&account->role, memory_order_relaxed));
    memcpy(claims.role, role, strlen(role));
    memcpy(claims.typ, ACCESS_TOKEN_TYP.ptr, ACCESS_TOKEN_TYP.len);
    *expires_epoch_s = claims.exp_epoch_s;
    return token_print(keys, &claims, token);
}
