/* Who is asked, and over what. The parser has seen to it that there is exactly one well-formed Host
 * and that an absolute target agrees with it; which hosts are ours is the operator's to say, and so
 * is whether plain HTTP will do. */
#include "gateway/gate.h"
#include "guard/hosts.h"
#include "guard/proxies.h"

/* From this machine itself. A request that a proxy passed on is not, wherever the proxy runs. */
static bool is_local(const struct exchange *x)
{
    return address_loopback(&x->peer) && !proxies_passed(x->head);
}

/* What answers on plain HTTP whatever is set: a certificate is not there yet when its issuer asks
 * for the proof, and a probe on this machine knows no name to check one against. */
static bool is_plain_path(const struct exchange *x)
{
    static const char *const probes[] = {"/livez", "/readyz", "/ready", "/health"};
    if (slice_starts(x->head->path, SLICE("/.well-known/acme-challenge/")))
        return true;
    for (unsigned i = 0; i < COUNT_OF(probes); i++)
        if (slice_equal(x->head->path, slice_of(probes[i])))
            return is_local(x);
    return false;
}

/* The same, at https://. Every byte of Host, path and query was checked by the parser, so that none
 * of them can end the line. A redirected POST would have sent its key in the clear already, and
 * some clients would repeat it as GET: it is refused instead. */
static enum verdict redirect(struct exchange *x)
{
    const struct request_head *head = x->head;
    if ((head->method != METHOD_GET && head->method != METHOD_HEAD) || head->host.len == 0)
        return refuse(x, REFUSE_HTTPS_ONLY);
    struct buffer location = BUFFER_OVER(x->worker->builder, BUILDER_BYTES);
    buffer_text(&location, "https://");
    buffer_append(&location, host_without_port(head->host, SLICE(":80")));
    buffer_append(&location, head->path);
    buffer_text(&location, head->query.len ? "?" : "");
    buffer_append(&location, head->query);
    struct answer answer = {.status = 307,
                            .location = arena_copy(&x->arena, buffer_slice(&location))};
    if (location.failed || !answer.location.ptr)
        return refuse(x, REFUSE_OVERLOADED);
    x->handler = "https_redirect";
    exchange_send(x, &answer, SLICE(""));
    return WAIT; /* it may have ended */
}

enum verdict check_host(struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    if (x->head->minor_version >= 1 && x->head->host.len == 0)
        return refuse(x, REFUSE_BAD_HOST);
    if (!hosts_allow(&settings->server.trusted_hosts, x->head->host))
        return refuse(x, REFUSE_UNTRUSTED_HOST);
    if (x->secure || is_plain_path(x))
        return PASS;
    if (settings->server.https_redirect)
        return redirect(x);
    if (settings->security.tls_required && !is_local(x))
        return refuse(x, REFUSE_TLS_REQUIRED);
    return PASS;
}
