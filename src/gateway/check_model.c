/* Which model, and which upstream has it. What only the body shows is checked here: the model
 * against the key's list, and whether the caller may stream. A model that does not exist and one
 * that this key may not use get the same answer, so that nobody can list what others have. */
#include "gateway/gate.h"

static enum verdict check_call(struct exchange *x)
{
    const struct call *call = &x->call;
    switch (call->fault) {
    case CALL_FINE:
        break;
    case CALL_NOT_OBJECT:
        return refuse_with(x, REFUSE_BAD_PARAMETER, NULL,
                           "The request body must be a JSON object.");
    case CALL_MODEL_MISSING:
        return refuse_with(x, REFUSE_BAD_PARAMETER, call->param, "\"model\" is required.");
    case CALL_MODEL_TYPE:
        return refuse_with(x, REFUSE_BAD_PARAMETER, call->param,
                           "\"model\" must be a string of 1 to 256 printable characters.");
    case CALL_MODEL_NAME:
        return refuse_with(
            x, REFUSE_BAD_PARAMETER, call->param,
            "Write \"model\" in lower case: servers differ on which spelling counts.");
    case CALL_STREAM_NAME:
        return refuse_with(
            x, REFUSE_BAD_PARAMETER, call->param,
            "Write \"stream\" in lower case: servers differ on which spelling counts.");
    case CALL_STREAM_TYPE:
        return refuse_with(x, REFUSE_BAD_PARAMETER, call->param,
                           "\"stream\" must be true or false.");
    case CALL_NO_MEMORY:
        return refuse(x, REFUSE_OVERLOADED);
    }
    const struct api_key *key = x->principal.key;
    if (call->has_model && key && !api_key_may_use_model(key, call->model))
        return refuse(x, REFUSE_MODEL);
    if (!call->has_model && key && key->models)
        return refuse_with(x, REFUSE_BAD_PARAMETER, "model",
                           "\"model\" is required: this key may use only some models.");
    if (call->stream && !(x->principal.permissions & USE_STREAMING))
        return refuse(x, REFUSE_STREAMING);
    return PASS;
}

/* The first upstream that speaks the endpoint and has the model: one that lists it goes before one
 * that lists nothing and takes any. */
static struct upstream *choose(const struct exchange *x, bool *kind_exists)
{
    const struct snapshot *snapshot = x->use->snapshot;
    struct upstream *open = NULL;
    *kind_exists = false;
    for (unsigned i = 0; i < snapshot->upstream_count; i++) {
        struct upstream *upstream = snapshot->upstreams[i];
        if (!(upstream->kind & x->endpoint->kinds))
            continue;
        *kind_exists = true;
        if (!x->call.has_model)
            return upstream;
        if (upstream->settings->models.count == 0)
            open = open ? open : upstream;
        else if (upstream_lists_model(upstream, x->call.model))
            return upstream;
    }
    return open;
}

enum verdict check_model(struct exchange *x)
{
    if (!x->endpoint || x->endpoint->answer != ANSWER_UPSTREAM)
        return PASS;
    if (x->endpoint->call != CALL_NONE && check_call(x) == REFUSE)
        return REFUSE;
    bool kind_exists;
    x->upstream = choose(x, &kind_exists);
    if (x->upstream)
        return PASS;
    return refuse(x, kind_exists ? REFUSE_MODEL : REFUSE_NO_UPSTREAM);
}
