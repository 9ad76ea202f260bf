/* Who is calling. A request carries at most one identity; what is presented is either good or
 * refused, never passed over for something weaker. There is no "empty success": `principal.known`
 * is set in one place, after the keyring, the session or the remembered credential said OK. Keys
 * and tokens are judged at once; a password, or a key of the file, that is not remembered is
 * verified in a job (verification.c), and the exchange comes back here when that is done. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "gateway/note_abuse.h"
#include "gateway/verification.h"
#include "guard/login_rate.h"
#include "identity/access_token.h"
#include "identity/authorization.h"

/* What auth_enabled = false lets anybody do, and what callers may do who have no rights of their
 * own written down anywhere: the shared key's. */
enum { PLAIN_USE = READ_MODELS | RUN_INFERENCE | USE_STREAMING };

/* Collects what the request presents. Two different credentials are ambiguous: which of them a
 * server behind us, or a log reader, would believe is anybody's guess. */
static enum verdict find_credential(struct exchange *x, struct presented *presented, bool *any)
{
    const struct request_head *head = x->head;
    struct presented found[3] = {
        {{0}, false}
    };
    unsigned count = 0;
    *any = head->authorization.ptr || head->x_api_key.ptr || head->api_key.ptr;
    if (head->authorization.ptr &&
        authorization_parse(head->authorization, exchange_settings(x)->security.basic_enabled,
                            &found[count++]) != OK)
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    if (head->x_api_key.ptr)
        found[count++].text = head->x_api_key;
    if (head->api_key.ptr)
        found[count++].text = head->api_key;
    for (unsigned i = 1; i < count; i++)
        if (found[0].basic || !slice_equal(found[0].text, found[i].text))
            return refuse(x, REFUSE_AMBIGUOUS_CREDENTIALS);
    if (count)
        *presented = found[0];
    return PASS;
}

static enum verdict know(struct exchange *x, struct principal principal)
{
    x->principal = principal;
    x->principal.known = true;
    /* The address has shown that it belongs to somebody we know: what it paid goes back, and their
     * own limits take over. */
    if (principal.rate_hash && !exchange_settings(x)->limits.ip_counts_all) {
        const struct limit_request request = limit_request_of(x);
        limits_give_back_address(&request, &x->limits);
    }
    note_caller(x);
    return check_ban_of_key(x);
}

/* Without memory nobody is judged, and nobody passes. */
static enum verdict refuse_for(struct exchange *x, enum err err)
{
    return refuse(x, err == ERR_MEMORY ? REFUSE_OVERLOADED : REFUSE_BAD_CREDENTIAL);
}

/* Too many passwords were tried. */
static enum verdict refuse_try(struct exchange *x, uint64_t retry_in_us)
{
    x->retry_after_s = (retry_in_us + SECOND_US - 1) / SECOND_US;
    return refuse(x, REFUSE_LOGIN_RATE);
}

/* --- what is slow to verify ---------------------------------------------------------------------
 */

/* Whose the key is. Takes the reference over. */
static enum verdict by_stored_key(struct exchange *x, struct api_key *key)
{
    /* 403, not the 401 of a credential that is wrong: who sent this has the secret, so there is
     * nothing to hide from them, and the operator who set the range finds the address beside the
     * key in the log. The address has shown nothing, and pays for it. */
    if (!api_key_may_come_from(key, &x->client)) {
        x->principal.key = key;
        return refuse(x, REFUSE_KEY_ADDRESS);
    }
    return know(x, (struct principal){.permissions = api_key_permissions(key),
                                      .key = key,
                                      .rate_hash = key->rate_hash,
                                      .user_hash = key->user_hash,
                                      .ban_hash = key->ban_hash});
}

/* Takes the reference over. What an imported key may do is the store's to say, as of any other. */
static enum verdict by_credential(struct exchange *x, struct credential *credential)
{
    struct api_key *key = credential->key;
    if (key) {
        api_key_ref(key);
        credential_unref(credential);
        api_key_note_use(key, clock_credential_s());
        return by_stored_key(x, key);
    }
    return know(
        x, (struct principal){.permissions = credential_permissions(credential, x->worker->files),
                              .credential = credential,
                              .rate_hash = credential->rate_hash,
                              .user_hash = credential->rate_hash,
                              .ban_hash = credential->ban_hash});
}

/* What is remembered is good at once. Else, when this address may still try that name, it is
 * verified while the exchange waits. */
static enum verdict by_claim(struct exchange *x, const struct claim *claim)
{
    struct shared *shared = x->worker->shared;
    uint8_t digest[SHA256_BYTES];
    if (!claim->by_key)
        x->tried_name = hash_bytes(claim->name);
    enum err err = credentials_digest(shared->credentials, claim, digest);
    if (err)
        return refuse_for(x, err);
    struct credential *known =
        credentials_find(shared->credentials, digest, x->worker->files, clock_credential_s());
    if (known)
        return by_credential(x, known);
    struct rate_verdict verdict =
        login_peek(shared->rates, x->client_hash, claim->name, x->worker->loop.now_us);
    return verdict.admitted ? verification_begin(x, digest, claim)
                            : refuse_try(x, verdict.retry_in_us);
}

/* Whoever presented a name and a password tried to sign in, and that is what the record says.
 * Nobody is named there: what was typed as a name may have been the password. */
static enum verdict refuse_waited(struct exchange *x, const struct verification_wait *wait)
{
    return refuse(x, wait->by_key ? REFUSE_BAD_CREDENTIAL : REFUSE_BAD_PASSWORD);
}

/* What the exchange waited for is there. It may be good no more: that is looked at once again. */
static enum verdict after_wait(struct exchange *x)
{
    struct verification_wait wait = *x->wait;
    x->wait = NULL;
    switch (wait.err) {
    case OK:
        if (credential_stands(wait.found, x->worker->files, clock_credential_s()))
            return by_credential(x, wait.found);
        credential_unref(wait.found);
        return refuse_waited(x, &wait);
    case ERR_DENIED:
        return refuse_waited(x, &wait);
    case ERR_LIMIT:
        return refuse_try(x, wait.retry_in_us);
    case ERR_CLOSED:
        return refuse(x, REFUSE_SHUTTING_DOWN);
    default:
        return refuse_for(x, wait.err);
    }
}

/* --- keys and tokens ----------------------------------------------------------------------------
 */

/* In constant time. */
static bool is_shared_key(const struct exchange *x, struct slice text)
{
    const struct settings *settings = exchange_settings(x);
    return !secret_empty(&settings->security.api_key) && settings->security.api_key_enabled &&
           secret_equal(&settings->security.api_key, text);
}

/* All who call with the shared key are one caller to the limits. */
static enum verdict by_shared_key(struct exchange *x)
{
    return know(x, (struct principal){.permissions = PLAIN_USE,
                                      .shared = true,
                                      .rate_hash = hash_bytes(SLICE("the shared key")),
                                      .user_hash = hash_bytes(SLICE("the shared key"))});
}

/* One of the file's, or imported. All others cost no more than this look at their form. */
static enum verdict by_slow_key(struct exchange *x, struct slice text)
{
    struct claim claim;
    return claim_of_key(x->worker->files, x->worker->shared->keyring, text, &claim)
               ? by_claim(x, &claim)
               : refuse(x, REFUSE_BAD_CREDENTIAL);
}

static enum verdict by_key(struct exchange *x, struct slice credential)
{
    if (!exchange_settings(x)->security.api_key_enabled)
        return refuse(x, REFUSE_BAD_CREDENTIAL);
    struct api_key *key;
    enum err err =
        keyring_find(x->worker->shared->keyring, credential, clock_credential_s(), &key, NULL);
    if (err == ERR_DENIED)
        return by_slow_key(x, credential);
    if (err)
        return refuse_for(x, err);
    return by_stored_key(x, key);
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
    uint64_t now_epoch_s = clock_credential_s();
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
                                      .rate_hash = session->account->rate_hash,
                                      .user_hash = session->account->rate_hash});
}

/* A key, whichever field it came in; or, being a token, a session. */
static enum verdict by_text(struct exchange *x, struct slice credential)
{
    if (is_shared_key(x, credential))
        return by_shared_key(x);
    return token_shaped(credential) ? by_token(x, credential) : by_key(x, credential);
}

/* --- names and passwords ------------------------------------------------------------------------
 */

/* A password that anybody on the way can read is worth a word to the operator: one. */
static void warn_of_plain_http(struct exchange *x)
{
    struct shared *shared = x->worker->shared;
    if (x->secure || x->client.family == ADDRESS_UNIX || address_loopback(&x->client) ||
        atomic_load_explicit(&shared->warned_of_plain_http, memory_order_relaxed) ||
        atomic_exchange(&shared->warned_of_plain_http, true))
        return;
    log_warning("passwords come over plain HTTP, where everybody on the way can read them: use "
                "TLS, and security.tls_required so that nothing else is taken");
}

static enum verdict by_password(struct exchange *x, const struct basic *basic)
{
    struct claim claim = claim_of_basic(basic);
    warn_of_plain_http(x);
    return by_claim(x, &claim);
}

/* A key may come as the password of any name: some clients know no other way. */
static enum verdict by_basic(struct exchange *x, struct slice encoded)
{
    char memory[BASIC_BYTES_MAX];
    struct basic basic;
    enum verdict verdict;
    if (basic_parse(encoded, memory, &basic) != OK)
        verdict = refuse(x, REFUSE_BAD_CREDENTIAL);
    else if (is_shared_key(x, basic.password) || api_key_shaped(basic.password))
        verdict = by_text(x, basic.password);
    else
        verdict = by_password(x, &basic);
    explicit_bzero(memory, sizeof memory);
    return verdict;
}

enum verdict check_identity(struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    struct presented presented = {{0}, false};
    bool any, open = x->native && x->native->open;
    if (x->wait)
        return after_wait(x);
    if (open && !x->native->names_caller)
        return PASS;
    /* It would stand in every log on the way. */
    if (query_holds_key(x->head->query, &settings->security.api_key))
        return refuse(x, REFUSE_KEY_IN_URL);
    if (find_credential(x, &presented, &any) == REFUSE)
        return REFUSE;
    if (!any && open)
        return PASS;
    if (!any) {
        if (!settings->security.auth_enabled)
            return know(x, (struct principal){.permissions = PLAIN_USE});
        if (x->native && x->native->admits && x->native->admits(x))
            return know(x, (struct principal){.permissions = x->native->right});
        return refuse(x, REFUSE_NO_CREDENTIAL);
    }
    /* An open path is free of charge, guessing at credentials there is not; know() gives it back.
     */
    if (open && charge_limits(x, limits_charge_address) == REFUSE)
        return REFUSE;
    return presented.basic ? by_basic(x, presented.text) : by_text(x, presented.text);
}
