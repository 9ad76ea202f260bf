/* A browser asks whether a web page may send what it wants to send (Fetch, 4.8). The answer needs
 * no credential, for browsers send none, costs nobody a request, and never comes from upstream. */
#include "gateway/gate.h"

static void answer_preflight(struct exchange *x)
{
    struct answer answer = {.status = 204, .preflight = true};
    exchange_send(x, &answer, SLICE(""));
}

const struct native_route preflight_route = {
    .path = "",
    .method = METHOD_OPTIONS,
    .name = "preflight",
    .answer = answer_preflight,
    .open = true,
    .unlimited = true,
};
