/* What is asked for: a browser's preflight, whatever its path; else resolves method and path to a
 * native route or to an endpoint of the allow-list. Refuses little, so that a caller without a
 * credential learns nothing about what exists. */
#include "gateway/gate.h"
#include "guard/cors.h"

/* Is the path this route's, or below it? */
static bool native_matches(const struct native_route *route, struct slice path)
{
    struct slice own = slice_of(route->path);
    bool below = own.len > 1 && own.ptr[own.len - 1] == '/';
    return below ? slice_starts(path, own) : slice_equal(path, own);
}

static void find_native(struct exchange *x, enum http_method method)
{
    const struct native_route *route = x->worker->shared->routes;
    for (; route->path; route++) {
        if (!native_matches(route, x->head->path))
            continue;
        x->path_rest = slice_from(x->head->path, strlen(route->path));
        x->path_methods |= 1u << route->method;
        if (route->method == method)
            x->native = route;
    }
}

const struct native_route *find_open_route(const struct exchange *x)
{
    const struct native_route *route = x->worker->shared->routes;
    for (; route->path; route++)
        if (route->open && native_matches(route, x->head->path))
            return route;
    return NULL;
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
    find_native(x, method);
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
    if (!x->native && x->path_methods && find_open_route(x))
        return refuse(x, REFUSE_METHOD_NOT_ALLOWED);
    return PASS;
}
