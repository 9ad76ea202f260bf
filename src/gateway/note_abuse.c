/* Called when an exchange ends and when it is known whose it is. The hard problem is whom to hold
 * to account: a key that proved itself, else the address; never an address behind which others may
 * be. What cannot be banned is only told about. */
#include "gateway/note_abuse.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "gateway/denylist_file.h"
#include "gateway/gate.h"
#include "guard/abuse.h"

/* ERR_SYNTAX: a key_id of the file's that has no form in the deny-list. */
static enum err entry_of(const struct exchange *x, bool key, struct deny_entry *entry)
{
    const struct principal *who = &x->principal;
    if (key)
        return deny_entry_of_key(slice_of(who->key ? who->key->id : who->credential->name), entry);
    *entry = deny_entry_of_client(&x->client);
    return OK;
}

static void ban(const struct exchange *x, bool key, const char *reason)
{
    const struct shared *shared = x->worker->shared;
    struct deny_entry entry;
    if (entry_of(x, key, &entry) != OK)
        return;
    snprintf(entry.reason, sizeof entry.reason, "%s", reason);
    entry.seconds = exchange_settings(x)->abuse.ban_seconds;
    (void)denylist_ban(shared->denylist, &entry, x->worker->loop.now_us); /* it counts failures */
}

static void flag(const struct exchange *x, enum abuse_pattern pattern)
{
    struct shared *shared = x->worker->shared;
    struct audit *audit = shared_audit(shared);
    const char *name = abuse_pattern_name(pattern);
    const struct audit_record record = {.wall_us = clock_wall_us(),
                                        .now_us = x->worker->loop.now_us,
                                        .event = AUDIT_FLAG,
                                        .actor = exchange_actor(x),
                                        .ip = x->client,
                                        .reason = slice_of(name),
                                        .request_id = slice_make(x->request_id, 32)};
    abuse_count_flag(shared->abuse, pattern);
    if (audit)
        audit_note(audit, &record);
}

/* One more of `item`, with what follows from it. `key`: it is the key's doing, not the address's.
 */
static void see(struct exchange *x, enum abuse_pattern pattern, bool key, uint64_t item)
{
    enum pattern_action action = abuse_action(exchange_settings(x), pattern);
    uint64_t identity = key ? x->principal.ban_hash : x->client_hash;
    if (action == PATTERN_OFF ||
        !abuse_seen(x->worker->shared->abuse, pattern, identity, item, x->worker->loop.now_us))
        return;
    flag(x, pattern);
    if (action == PATTERN_BAN && (key || client_is_bannable(x)))
        ban(x, key, abuse_pattern_name(pattern));
}

/* An address answers for what comes from it without a name, and for the key that all share. It
 * does not for the mistakes of somebody who signed in: colleagues sit behind it. Nor for a picture
 * on somebody's page that points here, which comes without a credential. */
static bool address_answers(struct exchange *x)
{
    if (x->principal.known && !x->principal.shared)
        return false;
    if (x->refusal == REFUSE_NO_CREDENTIAL && exchange_is_of_foreign_page(x))
        return false;
    return client_is_bannable(x);
}

static void note_error(struct exchange *x, bool key)
{
    const struct settings *settings = exchange_settings(x);
    char reason[64];
    if (!key && !address_answers(x))
        return;
    if (!abuse_error(x->worker->shared->abuse, settings,
                     key ? x->principal.ban_hash : x->client_hash, x->worker->loop.now_us))
        return;
    abuse_print_reason(settings, reason, sizeof reason);
    ban(x, key, reason);
}

void note_refused(struct exchange *x)
{
    if (!x->refusal)
        return;
    enum refusal_abuse counts = refusal_get(x->refusal)->abuse;
    bool key = x->principal.known && x->principal.ban_hash;
    if (counts == ABUSE_ERROR ||
        (counts == ABUSE_UPSTREAM && exchange_settings(x)->abuse.count_upstream_errors))
        note_error(x, key);
    if (x->refusal == REFUSE_MODEL)
        see(x, ABUSE_MODEL_ENUMERATION, key, hash_bytes(x->call.model));
    if (x->tried_name && (x->refusal == REFUSE_BAD_LOGIN || x->refusal == REFUSE_BAD_PASSWORD))
        see(x, ABUSE_LOGIN_SPRAY, false, x->tried_name);
}

void note_caller(struct exchange *x)
{
    struct api_key *key = x->principal.key;
    struct credential *credential = x->principal.credential;
    if (!x->principal.ban_hash)
        return;
    /* Most keys come from one address: nothing is shared with other loops then. */
    _Atomic uint64_t *last = key ? &key->last_client : &credential->last_client;
    if (atomic_load_explicit(last, memory_order_relaxed) == x->client_hash)
        return;
    atomic_store_explicit(last, x->client_hash, memory_order_relaxed);
    see(x, ABUSE_KEY_ADDRESSES, true, x->client_hash);
}
