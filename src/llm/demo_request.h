/* What the demo model needs to know of a request, read out of its body as it comes. Called by
 * demo.c. */
#ifndef LLM_DEMO_REQUEST_H
#define LLM_DEMO_REQUEST_H

#include "base/buffer.h"
#include "proto/json.h"

enum { DEMO_MODEL_MAX = 256, DEMO_INPUTS_MAX = 2048 };

/* A text of the request: whole when it is short, else only its length. */
struct demo_text {
    char bytes[JSON_STRING_KEPT];
    size_t len;
    uint64_t characters;
};

struct demo_request {
    char model_bytes[DEMO_MODEL_MAX];
    struct slice model;  /* as asked for, or the demo's own name */
    bool stream;         /* set to the route's default before reading */
    bool include_usage;  /* OpenAI: stream_options.include_usage */
    bool base64;         /* OpenAI: encoding_format */
    uint64_t max_words;  /* UINT64_MAX: no bound */
    uint64_t characters; /* of all texts, for the token counts */

    struct demo_text said;    /* by the user, last */
    struct demo_text content; /* of the message being read */
    bool by_user;             /* that message is the user's */

    uint32_t inputs[DEMO_INPUTS_MAX]; /* embeddings: a number drawn from each input */
    unsigned input_count;
    bool too_many_inputs;
};

void demo_request_init(struct demo_request *request, bool stream);
/* A json_listener_fn; its context is the request. */
void demo_request_listen(void *context, const struct json_value *value);
/* English has about four characters to a token. */
uint64_t demo_request_tokens(const struct demo_request *request);

#endif
