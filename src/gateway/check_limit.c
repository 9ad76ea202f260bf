/* How much this caller may ask: the bucket of the key, or of the account. A key's own rate goes
 * before the one of all keys, whether it is lower or higher. */
#include "gateway/gate.h"

const struct rate *rate_of_caller(const struct exchange *x)
{
    const struct api_key *key = x->principal.key;
    return key && key->rate.requests ? &key->rate : &exchange_settings(x)->limits.key;
}

enum verdict check_limit(struct exchange *x)
{
    if (!x->principal.rate_hash)
        return PASS; /* an address without an identity was charged by check_address */
    struct rate_verdict verdict = rate_charge(x->worker->shared->rates, x->principal.rate_hash,
                                              rate_of_caller(x), x->worker->loop.now_us);
    exchange_show_limit(x, &verdict);
    if (verdict.admitted)
        return PASS;
    x->retry_after_s = (verdict.retry_in_us + 999999) / 1000000;
    return refuse(x, REFUSE_KEY_RATE);
}
