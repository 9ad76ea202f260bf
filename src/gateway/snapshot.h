/* A snapshot: one configuration made ready for use. Immutable; an exchange keeps the one it began
 * with, so it never sees a reload. Each event loop holds one reference and counts its own
 * exchanges. */
#ifndef GATEWAY_SNAPSHOT_H
#define GATEWAY_SNAPSHOT_H

#include "gateway/upstream.h"
#include "identity/token_keys.h"
#include "llm/endpoint.h"

struct snapshot {
    atomic_uint references;
    struct settings *settings;
    struct upstream **upstreams;
    unsigned upstream_count;
    struct endpoint_set endpoints;
    struct http_limits limits;
    struct token_keys tokens; /* all zero: nobody signs in with a password */
};

/* Takes over nothing: `settings` gets a reference of its own. Upstreams of `previous` (may be NULL)
 * whose settings did not change are kept, with their slots and connections. `kinds` says, per
 * upstream, what was found out for those without a kind; NULL: nothing. ERR_MEMORY, ERR_CONFIG with
 * `faults`. */
enum err snapshot_create(struct settings *settings, const struct snapshot *previous,
                         const enum upstream_kind *kinds, struct snapshot **snapshot,
                         struct faults *faults) MUST_CHECK;
void snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is fine */

#endif
