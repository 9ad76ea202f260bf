/* How much this caller may ask: the bucket of the key, or of the account. */
#include "gateway/gate.h"

enum verdict check_limit(struct exchange *x)
{
    if (!x->principal.rate_hash)
        return PASS; /* an address without an identity was charged by check_address */
    struct rate_verdict verdict =
        rate_charge(x->worker->shared->rates, x->principal.rate_hash,
                    &exchange_settings(x)->limits.key, x->worker->loop.now_us);
    exchange_show_limit(x, &verdict);
    if (verdict.admitted)
        return PASS;
    x->retry_after_s = (verdict.retry_in_us + 999999) / 1000000;
    return refuse(x, REFUSE_KEY_RATE);
}
