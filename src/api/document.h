/* A native request's documents: its body as a verb's request, a verb's response as an answer. Apart
 * from native.c, because the enumerators of jansson's header clash with those of proto/json.h. */
#ifndef API_DOCUMENT_H
#define API_DOCUMENT_H

#include "base/buffer.h"

struct desk;
struct caller;

/* One errand's words; all borrowed. */
struct document_request {
    const char *verb;
    struct slice id;    /* what the path names; empty: nothing */
    struct slice query; /* of the URL: "a=b&c=d", its values become strings */
    struct slice body;
    bool form; /* the body is what a web form sends, else JSON, or empty */
};

struct document_answer {
    const char *member; /* of the response, to be printed; NULL: none */
    bool list;
    struct buffer *body;
};

/* Why it was not done: a code of verb.h's, a sentence, the member it is about. */
struct document_refusal {
    char code[20];
    char message[512];
    char param[65]; /* empty: none */
    uint64_t retry_after_s;
    uint64_t tried; /* a hash of the name that somebody failed to sign in under; 0: none */
};

/* Runs it. OK: `answer->body` is printed. ERR_DENIED: `refusal` says why not. ERR_MEMORY. */
enum err document_run(const struct desk *desk, const struct caller *caller,
                      const struct document_request *request, struct document_answer *answer,
                      struct document_refusal *refusal) MUST_CHECK;

#endif
