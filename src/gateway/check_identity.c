/* Who is calling. A request carries at most one identity; what is presented is either good or
 * refused, never passed over for something weaker. There is no "empty success": `principal.known`
 * is set in one place, after the keyring or the session said OK. */
#include "base/clock.h"
#include "base/hash.h"
#include "gateway/gate.h"
#include "identity/access_token.h"

/* What auth_enabled = false lets anybody do, and what callers may do who have no rights of their
 * own written down anywhere: the shared key's. */
enum { PLAIN_USE = READ_MODELS | RUN_INFERENCE | USE_STREAMING };

/* The credential of an Authorization field: Bearer only. ERR_UNSUPPORTED for any other scheme. */
static enum err bearer(struct slice field, struct slice *credential)
{
    if (!slice_starts_nocase(field, SLICE("Bearer ")))
        return ERR_UNSUPPORTED;
    *credential = slice_from(field, 7);
    while (credential->len && credential->ptr[0] == ' ')
        *credential = slice_from(*credential, 1);
    return OK;
}

/* Collects what the request presents. Two different credentials are ambiguous: which of them a
 * server behind us, or a log reader, would believe is anybody's guess. */
static enum verdict find_credential(struct exchange *x, struct slice *credential, bool *presented)
{
    const struct request_head *head = x->head;
    struct slice found[3];
    unsigned count = 0;
    *presented = head->authorization.ptr || head->x_api_key.ptr || head->api_key.ptr;
    if (head->authorization.ptr && bearer(head->authorization, &found[count++]) != OK)
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    if (head->x_api_key.ptr)
        found[count++] = head->x_api_key;
    if (head->api_key.ptr)
        found[count++] = head->api_key;
    for (unsigned i = 1; i < count; i++)
        if (!slice_equal(found[0], found[i]))
            return refuse(x, REFUSE_AMBIGUOUS_CREDENTIALS);
    if (count)
        *credential = found[0];
    return PASS;
}

static enum verdict know(struct exchange *x, struct principal principal)
{
    x->principal = principal;
    x->principal.known = true;
    /* The address has shown that it belongs to somebody we know: its token goes back, and their own
     * limit takes over. */
    const struct settings *settings = exchange_settings(x);
    if (x->address_charged && principal.rate_hash && !settings->limits.ip_counts_all) {
        rate_refund(x->worker->shared->rates, x->client_hash, &settings->limits.ip,
                    x->worker->loop.now_us);
        x->address_charged = false;
        x->has_shown = false;
    }
    if (principal.rate_hash) {
        struct rate_verdict verdict = rate_peek(x->worker->shared->rates, principal.rate_hash,
                                                rate_of_caller(x), x->worker->loop.now_us);
        exchange_show_limit(
            x, &verdict); /* also on the answers of the checkpoints before check_limit */
    }
    return PASS;
}

/* Without memory nobody is judged, and nobody passes. */
static enum verdict refuse_for(struct exchange *x, enum err err)
{
    return refuse(x, err == ERR_MEMORY ? REFUSE_OVERLOADED : REFUSE_BAD_CREDENTIAL);
}

/* All who call with the shared key are one caller to the limits. */
static enum verdict by_shared_key(struct exchange *x)
{
    return know(x, (struct principal){.permissions = PLAIN_USE,
                                      .shared = true,
                                      .rate_hash = hash_bytes(SLICE("the shared key"))});
}

static enum verdict by_key(struct exchange *x, struct slice credential)
{
    if (!exchange_settings(x)->security.api_key_enabled || credential.len > KEY_LEN)
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    struct api_key *key;
    enum err err = keyring_find(x->worker->shared->keyring, credential,
                                x->began_wall_us / SECOND_US, &key, NULL);
    if (err)
        return refuse_for(x, err);
    /* 403, not the 401 of a credential that is wrong: who sent this has the secret, so there is
     * nothing to hide from them, and the operator who set the range finds the address beside the
     * key in the log. The address has shown nothing, and pays for it. */
    if (!api_key_may_come_from(key, &x->client)) {
        x->principal.key = key;
        return refuse(x, REFUSE_KEY_ADDRESS);
    }
    return know(x, (struct principal){
                       .permissions = key->permissions, .key = key, .rate_hash = key->rate_hash});
}

/* What a token says is verified once, and remembered by its digest. `*claims` is `room`, or the
 * cache's until something is added to it. */
static enum err read_token(struct exchange *x, struct slice text, uint64_t now_epoch_s,
                           struct token_claims *room, const struct token_claims **claims)
{
    struct token_cache *cache = &x->worker->tokens;
    uint8_t digest[SHA256_BYTES];
    if (text.len > TOKEN_BYTES_MAX)
        return ERR_DENIED;
    TRY(sha256_of(text, digest));
    *claims = token_cache_find(cache, digest, now_epoch_s);
    if (!*claims) {
        TRY(token_parse(&x->use->snapshot->tokens, text, ACCESS_TOKEN_TYP, now_epoch_s, room,
                        NULL));
        token_cache_add(cache, digest, room);
        *claims = room;
    }
    return strlen((*claims)->sid) == SESSION_ID_LEN ? OK : ERR_DENIED;
}

static bool is_of(const struct token_claims *claims, const struct account *account)
{
    return strcmp(claims->sub, account->name) == 0 && strcmp(claims->username, account->name) == 0;
}

/* The token names a session; whether that stands, whose it is, and what its account may do, is
 * looked up each time. */
static enum verdict by_token(struct exchange *x, struct slice credential)
{
    uint64_t now_epoch_s = x->began_wall_us / SECOND_US;
    struct token_claims room;
    const struct token_claims *claims;
    enum err err = read_token(x, credential, now_epoch_s, &room, &claims);
    if (err)
        return refuse_for(x, err);
    struct session *session =
        session_find(x->worker->shared->accounts, slice_of(claims->sid), now_epoch_s);
    if (!session || !is_of(claims, session->account)) {
        session_unref(session);
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    }
    enum role role = atomic_load_explicit(&session->account->role, memory_order_relaxed);
    return know(x, (struct principal){.permissions = role_permissions(role),
                                      .session = session,
                                      .rate_hash = session->account->rate_hash});
}

/* A key, whichever field it came in; or, being a token, a session. */
static enum verdict by_text(struct exchange *x, struct slice credential)
{
    const struct settings *settings = exchange_settings(x);
    const struct secret *shared = &settings->security.api_key;
    if (!secret_empty(shared) && settings->security.api_key_enabled &&
        secret_equal(shared, credential))
        return by_shared_key(x);
    return token_shaped(credential) ? by_token(x, credential) : by_key(x, credential);
}

enum verdict check_identity(struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    struct slice credential = {0};
    bool presented, open = x->native && x->native->open;
    if (open && !x->native->names_caller)
        return PASS;
    /* It would stand in every log on the way. */
    if (query_holds_key(x->head->query, &settings->security.api_key))
        return refuse(x, REFUSE_KEY_IN_URL);
    if (find_credential(x, &credential, &presented) == REFUSE)
        return REFUSE;
    if (!presented && open)
        return PASS;
    if (!presented) {
        if (!settings->security.auth_enabled)
            return know(x, (struct principal){.permissions = PLAIN_USE});
        if (x->native && x->native->admits && x->native->admits(x))
            return know(x, (struct principal){.permissions = x->native->right});
        return refuse(x, REFUSE_NO_CREDENTIAL);
    }
    /* An open path is free of charge, guessing at credentials there is not; know() gives it back.
     */
    if (open && charge_address(x) == REFUSE)
        return REFUSE;
    return by_text(x, credential);
}
