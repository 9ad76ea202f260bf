/* The lifetime of the settings. Whoever holds a reference may read; nobody writes after
 * config_load. */
#include "config/settings.h"

#include <stdlib.h>

void settings_ref(struct settings *settings)
{
    atomic_fetch_add_explicit(&settings->references, 1, memory_order_relaxed);
}

void settings_unref(struct settings *settings)
{
    if (!settings || atomic_fetch_sub_explicit(&settings->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < settings->upstream_count; i++)
        secret_finish(&settings->upstreams[i].api_key);
    secret_finish(&settings->security.jwt_secret);
    secret_finish(&settings->security.jwt_secret_retiring);
    secret_finish(&settings->security.admin_password);
    secret_finish(&settings->security.api_key);
    arena_finish(&settings->arena);
    free(settings);
}

bool settings_listen_tls(const struct settings *settings, unsigned i)
{
    struct slice address = slice_of(settings->server.listen.items[i]);
    if (slice_starts(address, SLICE("https://")))
        return true;
    return settings->server.tls_enabled && !slice_starts(address, SLICE("http://"));
}

bool settings_any_tls(const struct settings *settings)
{
    for (unsigned i = 0; i < settings->server.listen.count; i++)
        if (settings_listen_tls(settings, i))
            return true;
    return false;
}

bool settings_has_sign_in(const struct settings *settings)
{
    return !secret_empty(&settings->security.jwt_secret);
}

bool settings_has_credentials(const struct settings *settings)
{
    return settings_has_sign_in(settings) || !secret_empty(&settings->security.admin_password) ||
           !secret_empty(&settings->security.api_key) || settings->security.api_keys_file ||
           settings->security.htpasswd_file;
}

const char *upstream_kind_name(enum upstream_kind kind)
{
    switch (kind) {
    case KIND_OLLAMA:
        return "ollama";
    case KIND_OPENAI:
        return "openai";
    case KIND_ANTHROPIC:
        return "anthropic";
    case KIND_LLAMA_CPP:
        return "llama.cpp";
    case KIND_VLLM:
        return "vllm";
    case KIND_DEMO:
        return "demo";
    case KIND_ASK:
    case KIND_ALL:
        break;
    }
    return "unknown";
}
