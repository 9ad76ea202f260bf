#include "gateway/upstream.h"

#include <stdio.h>
#include <stdlib.h>

static void destroy(struct upstream *upstream)
{
    tls_client_destroy(upstream->tls);
    settings_unref(upstream->owner);
    free(upstream->authority);
    free(upstream->origin);
    free(upstream);
}

/* Host as clients write it: without the scheme's own port, IPv6 in brackets. */
static char *print_authority(const struct url *url)
{
    struct buffer text = BUFFER_MAX(512);
    bool brackets = memchr(url->host.ptr, ':', url->host.len) != NULL;
    if (url->unix_socket)
        buffer_text(&text, "localhost");
    else
        buffer_printf(&text, "%s%.*s%s", brackets ? "[" : "", SLICE_ARG(url->host),
                      brackets ? "]" : "");
    if (!url->unix_socket && url->port != (url->tls ? 443u : 80u))
        buffer_printf(&text, ":%u", url->port);
    char *copy = strdup(buffer_text_of(&text));
    buffer_finish(&text);
    return copy;
}

enum err upstream_create(struct settings *owner, const struct upstream_settings *settings,
                         enum upstream_kind kind, bool kind_found, struct upstream **upstream,
                         struct buffer *reason)
{
    struct upstream *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    atomic_init(&made->references, 1);
    settings_ref(owner);
    made->owner = owner;
    made->settings = settings;
    made->kind = kind == KIND_ASK ? KIND_OPENAI : kind;
    made->kind_found = kind_found;
    made->authority = kind == KIND_DEMO ? strdup("demo") : print_authority(&settings->url);
    enum err err = made->authority ? OK : ERR_MEMORY;
    if (!err && asprintf(&made->origin, "%s://%s", settings->url.tls ? "https" : "http",
                         made->authority) < 0) {
        made->origin = NULL;
        err = ERR_MEMORY;
    }
    if (!err && settings->url.tls)
        err = tls_client_create(settings->ca_file, &made->tls, reason);
    if (err) {
        made->tls = NULL;
        destroy(made);
        return err;
    }
    *upstream = made;
    return OK;
}

void upstream_ref(struct upstream *upstream)
{
    atomic_fetch_add_explicit(&upstream->references, 1, memory_order_relaxed);
}

void upstream_unref(struct upstream *upstream)
{
    if (atomic_fetch_sub_explicit(&upstream->references, 1, memory_order_acq_rel) == 1)
        destroy(upstream);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same_list(const struct text_list *a, const struct text_list *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]))
            return false;
    return true;
}

bool upstream_same(const struct upstream *upstream, const struct upstream_settings *b,
                   enum upstream_kind kind)
{
    const struct upstream_settings *a = upstream->settings;
    return upstream->kind == (kind == KIND_ASK ? KIND_OPENAI : kind) && a->kind == b->kind &&
           same_text(a->name, b->name) && same_text(a->url_text, b->url_text) &&
           same_text(a->ca_file, b->ca_file) && same_list(&a->models, &b->models) &&
           slice_equal(secret_reveal(&a->api_key), secret_reveal(&b->api_key)) &&
           a->max_concurrency == b->max_concurrency &&
           a->connect_timeout_us == b->connect_timeout_us &&
           a->send_timeout_us == b->send_timeout_us && a->read_timeout_us == b->read_timeout_us &&
           a->first_byte_timeout_us == b->first_byte_timeout_us;
}

bool upstream_lists_model(const struct upstream *upstream, struct slice model)
{
    const struct text_list *models = &upstream->settings->models;
    for (unsigned i = 0; i < models->count; i++)
        if (slice_equal(model, slice_of(models->items[i])))
            return true;
    return models->count == 0;
}

bool upstream_admit(struct upstream *upstream)
{
    uint64_t max = upstream->settings->max_concurrency;
    unsigned taken = atomic_fetch_add_explicit(&upstream->in_flight, 1, memory_order_relaxed);
    if (max == 0 || taken < max)
        return true;
    upstream_leave(upstream);
    return false;
}

void upstream_leave(struct upstream *upstream)
{
    atomic_fetch_sub_explicit(&upstream->in_flight, 1, memory_order_relaxed);
}
