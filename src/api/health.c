/* Who is there, is it alive, is it ready: answered from memory, never by calling a model. */
#include "api/routes.h"

/* Clients of Ollama look for this sentence. */
void answer_root(struct exchange *x)
{
    const struct snapshot *snapshot = x->use->snapshot;
    for (unsigned i = 0; i < snapshot->upstream_count; i++) {
        if (snapshot->upstreams[i]->kind == KIND_OLLAMA) {
            exchange_answer(x, 200, "text/plain; charset=utf-8", SLICE("Ollama is running"));
            return;
        }
    }
    exchange_answer(x, 200, "application/json",
                    SLICE("{\"name\":\"sallyport\",\"status\":\"ok\"}\n"));
}

void answer_live(struct exchange *x)
{
    exchange_answer(x, 200, "application/json", SLICE("{\"status\":\"ok\"}\n"));
}

/* The first model that the configuration names. */
static struct slice first_model(const struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->upstream_count; i++) {
        const struct upstream *upstream = snapshot->upstreams[i];
        if (upstream->settings->models.count)
            return slice_of(upstream->settings->models.items[0]);
        if (upstream->kind == KIND_DEMO)
            return SLICE("sallyport-demo");
    }
    return slice_make(NULL, 0);
}

void answer_health(struct exchange *x)
{
    char memory[1024];
    struct buffer body = BUFFER_OVER(memory, sizeof memory);
    struct slice model = first_model(x->use->snapshot);
    buffer_text(&body, "{\"status\":\"ok\",\"device\":\"gateway\",\"model\":");
    if (model.len && model.len < 256)
        buffer_json_string(&body, model);
    else
        buffer_text(&body, "null");
    /* The version of this interface, not of the program: no banner (CONTRACT 10). */
    buffer_text(&body, ",\"version\":\"1.0.0\"}\n");
    exchange_answer(x, 200, "application/json", buffer_slice(&body));
}

void answer_ready(struct exchange *x)
{
    const struct snapshot *snapshot = x->use->snapshot;
    bool ready = !x->worker->draining;
    bool tell = x->principal.known && (x->principal.permissions & READ_METRICS);
    AUTO(buffer) body = BUFFER_MAX(64 * 1024);
    buffer_printf(&body, "{\"status\":\"%s\"", ready ? "ready" : "shutting down");
    if (tell) {
        buffer_text(&body, ",\"dependencies\":{\"upstreams\":[");
        for (unsigned i = 0; i < snapshot->upstream_count; i++) {
            const struct upstream *upstream = snapshot->upstreams[i];
            buffer_text(&body, i ? ",{\"name\":" : "{\"name\":");
            buffer_json_string(&body, slice_of(upstream->settings->name));
            buffer_printf(&body, ",\"kind\":\"%s\",\"in_flight\":%u,\"failures\":%llu}",
                          upstream_kind_name(upstream->kind),
                          atomic_load_explicit(&upstream->in_flight, memory_order_relaxed),
                          (unsigned long long)atomic_load_explicit(&upstream->failures,
                                                                   memory_order_relaxed));
        }
        buffer_text(&body, "]}");
    }
    buffer_text(&body, "}\n");
    exchange_answer(x, ready ? 200 : 503, "application/json", buffer_slice(&body));
}
