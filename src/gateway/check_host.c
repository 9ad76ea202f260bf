/* Who is asked. The parser has seen to it that there is exactly one well-formed Host and that an
 * absolute target agrees with it; which hosts are ours is the operator's to say. */
#include "gateway/gate.h"

enum verdict check_host(struct exchange *x)
{
    if (x->head->minor_version >= 1 && x->head->host.len == 0)
        return refuse(x, REFUSE_BAD_HOST);
    return PASS;
}
