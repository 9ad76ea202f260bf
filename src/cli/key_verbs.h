/* The verbs on keys as JSON in and JSON out, for whoever is the writer: the control socket's thread
 * in a running gateway, or the command itself when none runs. */
#ifndef CLI_KEY_VERBS_H
#define CLI_KEY_VERBS_H

#include <jansson.h>

#include "identity/keys.h"
#include "record/audit.h"

/* What a response may be printed as, newline included; lists come in pages that fit. */
enum { VERB_LINE_MAX = 64 * 1024 };

/* What a writer works with. */
struct desk {
    struct store *store;
    struct keyring *keyring;
    struct audit *audit; /* NULL: log.audit is not set */
};

/* Runs {"verb": "key_create" | "key_list" | "key_show" | "key_revoke" | "ping", ...}. The response
 * is
 * {"ok": true, ...} or {"ok": false, "error": code, "message": sentence}; NULL only when there is
 * no memory. The caller owns it; it may hold a plain key, see json_wipe_on_free. */
json_t *verb_run(const struct desk *desk, const json_t *request);

/* {"ok": false, ...}. */
json_t *verb_refusal(const char *code, const char *format, ...) PRINTF_LIKE(2, 3);

/* From here on jansson wipes all memory that it frees, so that no copy of a plain key stays behind.
 * Called before the first document with a secret in it. */
void json_wipe_on_free(void);

#endif
