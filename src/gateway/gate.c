/* What happens to a request, in one table. Each checkpoint works from facts in the exchange, does
 * no I/O of its own, and passes, refuses, or waits. HTTP/1 and HTTP/2 requests are the same
 * exchange before the first one runs, so a rule is written once. Whatever happens, exchange_end
 * settles and records. */
#include "gateway/gate.h"

static const struct checkpoint {
    const char *name;
    enum verdict (*check)(struct exchange *x);
} gate[] = {
    {"address",  check_address }, /* caps, the address's bucket          429 503 */
    {"host",     check_host    }, /* who is asked, over what             307 400 403 */
    {"route",    check_route   }, /* resolves; open or not, which right  400 405 */
    {"identity", check_identity}, /* who is calling                      400 401 429 503 */
    {"right",    check_right   }, /* permission, endpoint                403 404 405 */
    {"limit",    check_limit   }, /* the principal's limits              429 */
    {"body",     check_body    }, /* well formed, allowed                400 411 413 415 */
    {"model",    check_model   }, /* which model, rights in the body     400 403 404 */
    {"admit",    check_admit   }, /* their turn                          401 503 */
    {"answer",   give_answer   }, /* native handler or upstream */
};

void gate_run(struct exchange *x)
{
    while (x->step < COUNT_OF(gate)) {
        switch (gate[x->step].check(x)) {
        case PASS:
            x->step++;
            break;
        case WAIT:
            return;
        case REFUSE:
            exchange_refuse(x);
            return;
        }
    }
}
