/* What the demo model answers, in each dialect. Called by demo.c, which frames it as HTTP. */
#ifndef LLM_DEMO_ANSWER_H
#define LLM_DEMO_ANSWER_H

#include "base/buffer.h"
#include "llm/demo_request.h"
#include "proto/http.h"

struct demo_answer {
    const struct demo_request *request;
    struct slice path;  /* of the request */
    uint64_t number;    /* of the answer on this connection: part of ids */
    uint64_t wall_us;   /* when it was asked for */
    struct buffer text; /* what it says, again and again if need be */
    size_t at;          /* in `text`: the next word */
    uint64_t words;     /* how many it will say */
    uint64_t words_said;
    bool cut;          /* fewer than it had to say */
    uint64_t pause_us; /* between words */
};

/* How one kind of answer is written: at once, or word by word. */
struct demo_speaker {
    const char *stream_type;
    void (*whole)(const struct demo_answer *answer, struct buffer *out, struct slice text);
    void (*begin)(const struct demo_answer *answer, struct buffer *out);
    void (*word)(const struct demo_answer *answer, struct buffer *out, struct slice word);
    void (*end)(const struct demo_answer *answer, struct buffer *out);
};

extern const struct demo_speaker demo_openai_chat, demo_openai_completion, demo_ollama_chat,
    demo_ollama_generate, demo_anthropic;

/* Writes the body of an answer that is always whole. */
typedef void demo_print_fn(const struct demo_answer *answer, struct buffer *out);
demo_print_fn demo_print_greeting, demo_print_models, demo_print_model, demo_print_embeddings,
    demo_print_tags, demo_print_version, demo_print_running, demo_print_show, demo_print_embed,
    demo_print_embedding, demo_print_token_count;

/* Makes up what to say to `request`. `answer->text` is set up by its owner and reused. */
void demo_answer_begin(struct demo_answer *answer, const struct demo_request *request);
/* The next word, with the space before it; empty at the end. */
struct slice demo_answer_word(struct demo_answer *answer);

#endif
