/* The deny-list, asked three times: before anything is charged, once the key is known, and when the
 * request has waited. */
#include "base/log.h"
#include "gateway/gate.h"
#include "guard/proxies.h"

static bool client_is_banned(const struct exchange *x)
{
    return bans_hold(x->worker->shared->bans, &x->client, x->client_hash, x->worker->loop.now_us);
}

static bool key_is_banned(const struct exchange *x)
{
    return x->principal.ban_hash &&
           bans_hold_key(x->worker->shared->bans, x->principal.ban_hash, x->worker->loop.now_us);
}

enum verdict check_ban_of_client(struct exchange *x)
{
    return client_is_banned(x) ? refuse(x, REFUSE_BANNED_ADDRESS) : PASS;
}

enum verdict check_ban_of_key(struct exchange *x)
{
    return key_is_banned(x) ? refuse(x, REFUSE_BANNED_KEY) : PASS;
}

bool exchange_is_banned(const struct exchange *x)
{
    return client_is_banned(x) || key_is_banned(x);
}

bool peer_is_banned(struct worker *worker, const struct address *peer)
{
    return bans_hold(worker->shared->bans, peer, address_hash(peer), worker->loop.now_us) &&
           !proxies_trust(worker_settings(worker), peer);
}

/* Once: how to mend it. */
static void warn_of_forwarder(const struct exchange *x)
{
    char memory[64];
    struct buffer peer = BUFFER_OVER(memory, sizeof memory);
    if (atomic_exchange_explicit(&x->worker->shared->warned_of_forwarder, true,
                                 memory_order_relaxed))
        return;
    address_print(&peer, &x->peer);
    log_warning(
        "%.*s forwards requests for others but is not in server.trusted_proxies: it is never "
        "banned, and all behind it share one limit",
        SLICE_ARG(buffer_slice(&peer)));
}

bool client_is_bannable(const struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    const struct cidr_list *protect = &settings->abuse.protect;
    if (x->client.family == ADDRESS_UNIX || proxies_trust(settings, &x->client))
        return false;
    if (cidrs_contain(protect->items, protect->count, &x->client))
        return false;
    bool passed_on = x->head ? proxies_passed(x->head) : x->passed_on;
    bool forwards = passed_on && !proxies_trust(settings, &x->peer);
    if (forwards)
        warn_of_forwarder(x);
    return !forwards;
}
