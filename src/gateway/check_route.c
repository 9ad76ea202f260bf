/* What is asked for: resolves method and path to a native route or to an endpoint of the
 * allow-list. Refuses little, so that a caller without a credential learns nothing about what
 * exists. */
#include "gateway/gate.h"

static void find_native(struct exchange *x, enum http_method method)
{
    const struct native_route *route = x->worker->shared->routes;
    for (; route->path; route++) {
        if (!slice_equal(x->head->path, slice_of(route->path)))
            continue;
        x->path_methods |= 1u << route->method;
        if (route->method == method)
            x->native = route;
    }
}

bool is_open_path(const struct exchange *x)
{
    const struct native_route *route = x->worker->shared->routes;
    for (; route->path; route++)
        if (route->open && slice_equal(x->head->path, slice_of(route->path)))
            return true;
    return false;
}

enum verdict check_route(struct exchange *x)
{
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
    if (!x->native && x->path_methods && is_open_path(x))
        return refuse(x, REFUSE_METHOD_NOT_ALLOWED);
    return PASS;
}
