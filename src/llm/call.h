/* The neutral call: what policy needs to know of an LLM request, whatever dialect it came in, read
 * by the JSON scanner in the one pass over the body. */
#ifndef LLM_CALL_H
#define LLM_CALL_H

#include "base/arena.h"
#include "base/buffer.h"
#include "proto/json.h"

enum call_kind {
    CALL_NONE, /* not an LLM call (lists, version) */
    CALL_CHAT,
    CALL_COMPLETION,
    CALL_EMBEDDING,
    CALL_OTHER, /* JSON with a model, nothing else of interest */
    CALL_LOCAL, /* JSON that need not name a model: the server has one loaded */
};

enum call_fault {
    CALL_FINE = 0,
    CALL_NOT_OBJECT,
    CALL_MODEL_MISSING,
    CALL_MODEL_TYPE,
    CALL_MODEL_NAME, /* "MODEL": some servers would take it for "model" */
    CALL_STREAM_TYPE,
    CALL_STREAM_NAME,
    CALL_NO_MEMORY, /* not the caller's fault: 503 */
};

struct call {
    enum call_kind kind;
    struct slice model; /* copied into the arena */
    bool has_model;
    bool stream; /* the dialect's default when the body does not say */
    bool has_stream;
    enum call_fault fault;
    const char *param; /* the member at fault: "model", "stream" */
    uint64_t messages; /* of a chat */
};

/* A dialect: how one family of clients speaks. One row per family. */
struct dialect {
    const char *name;         /* "openai", "ollama" */
    bool stream_default;      /* Ollama streams unless told otherwise */
    const char *model_member; /* "model" */
    const char
        *stream_type; /* content type of its streams: text/event-stream, application/x-ndjson */
    /* Written after a stream that broke off, so that clients see it: never a clean end. */
    void (*print_stream_error)(struct buffer *out, struct slice message, struct slice request_id);
};
extern const struct dialect dialect_openai, dialect_ollama, dialect_anthropic;

/* Prepares `call` for reading by call_listen with `dialect`'s defaults. */
void call_init(struct call *call, enum call_kind kind, const struct dialect *dialect,
               struct arena *arena);

/* A json_listener_fn; its context is a struct call_reader. */
struct call_reader {
    struct call *call;
    const struct dialect *dialect;
    struct arena *arena;
};
void call_listen(void *context, const struct json_value *value);

/* After the whole body was read: settles defaults, finds what is missing (a model is required for
 * every kind but CALL_NONE). The result is in call->fault and call->param. */
void call_finish(struct call *call);

#endif
