/* An upstream: one model server behind the gate, as all event loops see it. Made with a snapshot,
 * shared by later snapshots while its settings stay the same. */
#ifndef GATEWAY_UPSTREAM_H
#define GATEWAY_UPSTREAM_H

#include <stdatomic.h>

#include "config/settings.h"
#include "io/tls_client.h"

struct upstream {
    atomic_uint references;
    const struct upstream_settings *settings;
    struct settings *owner;  /* keeps `settings` alive */
    enum upstream_kind kind; /* never KIND_ASK: what was found, or KIND_OPENAI until it is */
    bool kind_found;         /* false: the server could not be asked yet */
    struct tls_client *tls;  /* NULL: plain */
    char *authority;         /* for Host: "localhost:11434" */
    char *origin;            /* "http://localhost:11434" */
    atomic_uint in_flight;   /* admission: slots taken */
    atomic_uint_fast64_t failures;
};

/* `kind` is what the settings say, or what was found. ERR_MEMORY, ERR_TLS (`reason` says why). */
enum err upstream_create(struct settings *owner, const struct upstream_settings *settings,
                         enum upstream_kind kind, bool kind_found, struct upstream **upstream,
                         struct buffer *reason) MUST_CHECK;
void upstream_ref(struct upstream *upstream);
void upstream_unref(struct upstream *upstream);
/* Would a new one be the same? */
bool upstream_same(const struct upstream *upstream, const struct upstream_settings *settings,
                   enum upstream_kind kind);
/* Does it list this model, or list none and so take any? */
bool upstream_lists_model(const struct upstream *upstream, struct slice model);

/* Takes a slot; false when max_concurrency are taken. */
bool upstream_admit(struct upstream *upstream);
void upstream_leave(struct upstream *upstream);

#endif
