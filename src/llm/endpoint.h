/* The safe endpoints: what each kind of model server may be asked. Default deny: a path that is no
 * row here, or whose row does not fit the configured upstreams, is refused. The operator narrows
 * the list with endpoints.deny, or replaces it with endpoints.allow. */
#ifndef LLM_ENDPOINT_H
#define LLM_ENDPOINT_H

#include "base/map.h"
#include "config/settings.h"
#include "identity/permission.h"
#include "llm/call.h"
#include "proto/http.h"

enum endpoint_answer {
    ANSWER_UPSTREAM,   /* forwarded, and answered by the model server */
    ANSWER_MODEL_LIST, /* put together from the upstreams' lists, filtered to the caller */
};

struct endpoint {
    const char *path; /* exact; or a prefix that ends in '*' */
    enum http_method method;
    unsigned kinds; /* enum upstream_kind bits that have it */
    permissions right;
    enum call_kind call; /* CALL_NONE: no JSON body */
    const struct dialect *dialect;
    const char *name; /* a bounded label for metrics: "chat_completions" */
    enum endpoint_answer answer;
    bool manages;     /* changes the server's models: only with endpoints.manage */
    bool takes_query; /* its query is passed on */
};

/* All rows, for documentation and tests; ends with a NULL path. */
const struct endpoint *endpoint_table(void);

/* Those of one configuration. */
struct endpoint_set {
    struct endpoint *rows; /* rows of the same path stand together */
    unsigned count;
    struct map exact;      /* path -> its first row */
    struct text_list deny; /* its items are the settings', which outlive the set */
};

/* `kinds` are those of all upstreams together. ERR_MEMORY. */
enum err endpoint_set_init(struct endpoint_set *set, const struct settings *settings,
                           unsigned kinds) MUST_CHECK;
void endpoint_set_finish(struct endpoint_set *set);

/* The row for method and path (HEAD counts as GET), or NULL. `*methods` gets a bit (1 << method)
 * for every method that the path has; 0 when the path itself is unknown. `*rest` is what a prefix
 * left. */
const struct endpoint *endpoint_find(const struct endpoint_set *set, enum http_method method,
                                     struct slice path, unsigned *methods, struct slice *rest);

#endif
