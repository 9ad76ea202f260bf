/* May this caller do this? Default deny: what is neither a native route nor an endpoint of the
 * allow-list is refused, also to the most powerful key. */
#include "gateway/gate.h"
#include "guard/cors.h"

/* A form on somebody's page must not sign in for whoever looks at it, nor use up their tries. */
static bool signs_in_from_elsewhere(const struct exchange *x)
{
    return x->native->body == NATIVE_FORM && exchange_is_of_foreign_page(x) &&
           cors_allow_origin(exchange_settings(x), x->head->origin).len == 0;
}

enum verdict check_right(struct exchange *x)
{
    if (x->native && x->native->open) {
        if (!signs_in_from_elsewhere(x))
            return PASS;
        return refuse_with(x, REFUSE_PERMISSION, NULL,
                           "A web page of another site may not sign in here. The operator can list "
                           "its origin in server.cors_origins.");
    }
    if (!x->native && !x->endpoint) {
        if (x->path_methods)
            return refuse(x, REFUSE_METHOD_NOT_ALLOWED);
        bool native_path = slice_starts(x->head->path, SLICE("/api/v1/"));
        return refuse(x, native_path ? REFUSE_NOT_FOUND : REFUSE_ENDPOINT);
    }
    permissions needed = x->native ? x->native->right : x->endpoint->right;
    if ((x->principal.permissions & needed) != needed)
        return refuse(x, REFUSE_PERMISSION);
    const struct api_key *key = x->principal.key;
    if (key && !api_key_may_use_endpoint(key, x->head->path))
        return refuse(x, REFUSE_KEY_ENDPOINT);
    return PASS;
}
