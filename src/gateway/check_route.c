/* What is asked for: a browser's preflight, whatever its path; else resolves method and path to a
 * native route or to an endpoint of the allow-list. Refuses little, so that a caller without a
 * credential learns nothing about what exists. */
#include "gateway/gate.h"
#include "guard/cors.h"

/* Is the path this route's? `*rest` is what is left of it: what is below, or what the star is.
 * Every request is compared with all of them, and most are told by their first letter. */
static bool native_matches(const struct native_route *route, struct slice path, struct slice *rest)
{
    const char *own = route->path;
    if (path.len > 1 && own[1] != path.ptr[1])
        return false;
    size_t at = 0;
    while (at < path.len && own[at] && own[at] != '*' && own[at] == path.ptr[at])
        at++;
    *rest = slice_make(NULL, 0);
    if (own[at] == '\0' && at > 1 && own[at - 1] == '/') { /* all below it */
        *rest = slice_from(path, at);
        return true;
    }
    if (own[at] != '*')
        return own[at] == '\0' && at == path.len;
    struct slice behind = slice_of(own + at + 1);
    *rest = slice_from(path, at);
    if (rest->len <= behind.len || !slice_ends(*rest, behind))
        return false;
    rest->len -= behind.len;
    return slice_find(*rest, '/') == rest->len;
}

const struct native_route *find_open_route(const struct exchange *x)
{
    const struct native_route *route = x->worker->shared->routes;
    struct slice rest;
    for (; route->path; route++)
        if (route->open && native_matches(route, x->head->path, &rest))
            return route;
    return NULL;
}

/* True when a caller without a credential may know of the path. */
static bool find_native(struct exchange *x, enum http_method method)
{
    const struct native_route *route = x->worker->shared->routes;
    bool open = false;
    for (; route->path; route++) {
        struct slice rest;
        if (!native_matches(route, x->head->path, &rest))
            continue;
        open |= route->open;
        x->path_methods |= 1u << route->method;
        if (route->method == method) {
            x->native = route;
            x->path_rest = rest;
        }
    }
    return open;
}

enum verdict check_route(struct exchange *x)
{
    const struct settings *settings = exchange_settings(x);
    if (cors_is_preflight(settings, x->head)) {
        x->native = &preflight_route;
        x->handler = preflight_route.name;
        return cors_preflight_allowed(settings, x->head) ? PASS : refuse(x, REFUSE_PREFLIGHT);
    }
    enum http_method method = x->head->method == METHOD_HEAD ? METHOD_GET : x->head->method;
    bool open = find_native(x, method);
    if (!x->path_methods)
        x->endpoint = endpoint_find(&x->use->snapshot->endpoints, method, x->head->path,
                                    &x->path_methods, &x->path_rest);
    if (x->native)
        x->handler = x->native->name;
    else if (x->endpoint)
        x->handler = x->endpoint->name;
    if (x->path_methods & 1u << METHOD_GET)
        x->path_methods |= 1u << METHOD_HEAD;
    /* An open path may say 405 at once; the others do so once the caller is known. */
    if (!x->native && open)
        return refuse(x, REFUSE_METHOD_NOT_ALLOWED);
    return PASS;
}
