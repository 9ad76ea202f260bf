/* The verbs: what the native API and the commands can have done, as JSON in and JSON out. One table
 * (verbs.c) serves both: a command sends a request over the control socket or runs it itself, and
 * an HTTP request becomes one (native.c). They wait for the disk and hash passwords: never run on
 * an event loop.
 *
 * A request is {"verb": NAME, ...}. A response is {"ok": true, ...} or {"ok": false, "error": code,
 * "message": sentence, "param": member or null}. Codes: "usage" (the request is wrong), "denied",
 * "unauthenticated", "not_found", "conflict", "limit", "rate" (with "retry_after_s"), "store",
 * "audit", "memory", "closing". */
#ifndef API_VERB_H
#define API_VERB_H

#include <jansson.h>

#include "api/caller.h"
#include "identity/accounts.h"
#include "identity/json_read.h"
#include "identity/keys.h"
#include "record/audit.h"

enum {
    /* What a response to a command may be printed as, newline included; lists come in pages that
     * fit. */
    VERB_LINE_MAX = 64 * 1024,
    /* What a command's request, or the response to key_import, may be: there is a file in it. */
    VERB_FILE_LINE_MAX = 1024 * 1024,
    KEY_DAYS_MAX = 36500, /* that a new key may last */
};

struct denylist;
struct keys_file;

/* What a writer works with. */
struct desk {
    struct store *store;
    struct keyring *keyring;
    struct accounts *accounts;
    struct audit *audit;       /* NULL: there is none */
    struct denylist *denylist; /* NULL: it cannot be read */
    /* The keys of security.api_keys_file as they are now, with a reference; NULL: there are none.
     * Any thread. */
    struct keys_file *(*file_keys)(void *context);
    void *context;
};

/* NULL only when there is no memory. The caller owns the response; it may hold a plain key or a
 * password, see json_watch_memory. */
json_t *verb_run(const struct desk *desk, const struct caller *caller, const json_t *request);

/* {"ok": false, ...}. `param` may be NULL. Never NULL itself, which means "go on" to whoever checks
 * something: without memory it is JSON's null, which needs none, and verb_run returns NULL. */
json_t *verb_refusal(const char *code, const char *param, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
