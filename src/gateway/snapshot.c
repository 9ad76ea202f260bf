#include "gateway/snapshot.h"

#include <stdlib.h>

static void destroy(struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->upstream_count; i++)
        upstream_unref(snapshot->upstreams[i]);
    free(snapshot->upstreams);
    endpoint_set_finish(&snapshot->endpoints);
    token_keys_finish(&snapshot->tokens);
    settings_unref(snapshot->settings);
    free(snapshot);
}

static struct upstream *find_same(const struct snapshot *previous,
                                  const struct upstream_settings *settings, enum upstream_kind kind,
                                  bool kind_found)
{
    for (unsigned i = 0; previous && i < previous->upstream_count; i++)
        if (previous->upstreams[i]->kind_found == kind_found &&
            upstream_same(previous->upstreams[i], settings, kind))
            return previous->upstreams[i];
    return NULL;
}

static enum err add_upstreams(struct snapshot *snapshot, const struct snapshot *previous,
                              const enum upstream_kind *kinds, struct faults *faults)
{
    struct settings *settings = snapshot->settings;
    snapshot->upstreams = calloc(settings->upstream_count + 1, sizeof *snapshot->upstreams);
    if (!snapshot->upstreams)
        return ERR_MEMORY;
    for (unsigned i = 0; i < settings->upstream_count; i++) {
        const struct upstream_settings *one = &settings->upstreams[i];
        enum upstream_kind kind = one->kind != KIND_ASK || !kinds ? one->kind : kinds[i];
        bool found = kind != KIND_ASK;
        struct upstream **place = &snapshot->upstreams[i];
        *place = find_same(previous, one, kind, found);
        if (*place) {
            upstream_ref(*place);
        } else {
            AUTO(buffer) reason = BUFFER_MAX(1024);
            enum err err = upstream_create(settings, one, kind, found, place, &reason);
            if (err == ERR_TLS) {
                faults_add(faults, settings->file, 0, one->name, "%s: %s", buffer_text_of(&reason),
                           one->ca_file ? one->ca_file : "the system's");
                return ERR_CONFIG;
            }
            TRY(err);
        }
        snapshot->upstream_count++;
    }
    return OK;
}

enum err snapshot_create(struct settings *settings, const struct snapshot *previous,
                         const enum upstream_kind *kinds, struct snapshot **snapshot,
                         struct faults *faults)
{
    struct snapshot *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    atomic_init(&made->references, 1);
    settings_ref(settings);
    made->settings = settings;
    made->limits = (struct http_limits){settings->server.max_header_line_bytes,
                                        settings->server.max_header_bytes};
    enum err err = add_upstreams(made, previous, kinds, faults);
    unsigned all_kinds = 0;
    for (unsigned i = 0; i < made->upstream_count; i++)
        all_kinds |= made->upstreams[i]->kind;
    if (made->upstream_count == 0)
        all_kinds = KIND_ALL; /* routes exist and answer 503, which says what is missing */
    if (!err)
        err = endpoint_set_init(&made->endpoints, settings, all_kinds);
    if (!err && !secret_empty(&settings->security.jwt_secret))
        err = token_keys_init(&made->tokens, secret_reveal(&settings->security.jwt_secret),
                              secret_reveal(&settings->security.jwt_secret_retiring));
    if (err) {
        destroy(made);
        return err;
    }
    *snapshot = made;
    return OK;
}

void snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot && atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1)
        destroy(snapshot);
}
