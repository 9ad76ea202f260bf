/* What the demo model says and how each protocol words it. Shapes are those the official clients
 * read: openai, ollama and @anthropic-ai/sdk. Everything is deterministic but the clock. */
#include "llm/demo_answer.h"

#include "base/clock.h"

enum { LONG_WORDS = 10000 };

static const struct behaviour {
    struct slice model;
    uint64_t pause_us;
    uint64_t words; /* 0: as many as the text has */
} behaviours[] = {
    {SLICE("sallyport-demo-slow"), SECOND_US,  0         },
    {SLICE("sallyport-demo-long"), 0,          LONG_WORDS},
    {SLICE(""),                    20 * MS_US, 0         }, /* any other name */
};

static uint64_t count_words(struct slice text)
{
    uint64_t words = 1;
    for (size_t i = 0; i < text.len; i++)
        words += text.ptr[i] == ' ';
    return words;
}

static void print_text(const struct demo_text *said, struct buffer *out)
{
    buffer_text(out, "This is Sallyport's demo model. ");
    if (said->len) {
        buffer_text(out, "You said: \"");
        buffer_append(out, slice_make(said->bytes, said->len));
        buffer_text(out, "\". ");
    } else if (said->characters) {
        buffer_printf(out, "You said %llu characters. ", (unsigned long long)said->characters);
    }
    buffer_text(out, "Put a real model server behind the gate with --upstream.");
}

void demo_answer_begin(struct demo_answer *answer, const struct demo_request *request)
{
    const struct behaviour *behaviour = behaviours;
    while (behaviour->model.len && !slice_equal(behaviour->model, request->model))
        behaviour++;
    answer->request = request;
    answer->number++;
    answer->wall_us = clock_wall_us();
    answer->pause_us = behaviour->pause_us;
    buffer_clear(&answer->text);
    print_text(&request->said, &answer->text);
    answer->at = 0;
    answer->words_said = 0;
    answer->words = behaviour->words ? behaviour->words : count_words(buffer_slice(&answer->text));
    answer->cut = answer->words > request->max_words;
    if (answer->cut)
        answer->words = request->max_words;
}

struct slice demo_answer_word(struct demo_answer *answer)
{
    struct slice text = buffer_slice(&answer->text);
    if (answer->words_said == answer->words)
        return slice_make(NULL, 0);
    bool again = answer->at == text.len;
    if (again)
        answer->at = 0;
    /* A word takes the space before it along; the text's first word has one only when it comes
     * again. */
    size_t from = answer->at, to = from + (from < text.len);
    while (to < text.len && text.ptr[to] != ' ')
        to++;
    answer->at = to;
    answer->words_said++;
    if (again)
        return SLICE(" This");
    return slice_make(text.ptr + from, to - from);
}

static unsigned long long seconds(const struct demo_answer *answer)
{
    return answer->wall_us / SECOND_US;
}

static void print_usage(const struct demo_answer *answer, struct buffer *out)
{
    unsigned long long asked = demo_request_tokens(answer->request), said = answer->words_said;
    buffer_printf(out, "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu}",
                  asked, said, asked + said);
}

static const char *finish_reason(const struct demo_answer *answer)
{
    return answer->cut ? "\"length\"" : "\"stop\"";
}

/* OpenAI. */

static void openai_head(const struct demo_answer *answer, struct buffer *out, const char *id,
                        const char *object)
{
    buffer_printf(out, "{\"id\":\"%s-demo-%llu\",\"object\":\"%s\",\"created\":%llu,\"model\":", id,
                  (unsigned long long)answer->number, object, seconds(answer));
    buffer_json_string(out, answer->request->model);
    buffer_text(out, ",\"system_fingerprint\":\"sallyport-demo\",\"choices\":[");
}

static void openai_chat_whole(const struct demo_answer *answer, struct buffer *out,
                              struct slice text)
{
    openai_head(answer, out, "chatcmpl", "chat.completion");
    buffer_text(out, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    buffer_json_string(out, text);
    buffer_printf(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":%s}],\"usage\":",
                  finish_reason(answer));
    print_usage(answer, out);
    buffer_byte(out, '}');
}

static void openai_completion_whole(const struct demo_answer *answer, struct buffer *out,
                                    struct slice text)
{
    openai_head(answer, out, "cmpl", "text_completion");
    buffer_text(out, "{\"index\":0,\"text\":");
    buffer_json_string(out, text);
    buffer_printf(out,
                  ",\"logprobs\":null,\"finish_reason\":%s}],\"usage\":", finish_reason(answer));
    print_usage(answer, out);
    buffer_byte(out, '}');
}

/* With include_usage every chunk has the member, null but in the last one. */
static void openai_chunk_end(const struct demo_answer *answer, struct buffer *out)
{
    buffer_text(out, answer->request->include_usage ? "],\"usage\":null}\n\n" : "]}\n\n");
}

/* Before the [DONE]; a chunk of its own without choices. */
static void openai_stream_end(const struct demo_answer *answer, struct buffer *out, const char *id,
                              const char *object)
{
    if (answer->request->include_usage) {
        buffer_text(out, "data: ");
        openai_head(answer, out, id, object);
        buffer_text(out, "],\"usage\":");
        print_usage(answer, out);
        buffer_text(out, "}\n\n");
    }
    buffer_text(out, "data: [DONE]\n\n");
}

static void openai_chat_delta(const struct demo_answer *answer, struct buffer *out,
                              const char *role, struct slice word, const char *reason)
{
    buffer_text(out, "data: ");
    openai_head(answer, out, "chatcmpl", "chat.completion.chunk");
    buffer_printf(out, "{\"index\":0,\"delta\":{%s", role);
    if (word.ptr) {
        buffer_text(out, "\"content\":");
        buffer_json_string(out, word);
    }
    buffer_printf(out, "},\"logprobs\":null,\"finish_reason\":%s}", reason);
    openai_chunk_end(answer, out);
}

static void openai_chat_begin(const struct demo_answer *answer, struct buffer *out)
{
    openai_chat_delta(answer, out, "\"role\":\"assistant\",", SLICE(""), "null");
}

static void openai_chat_word(const struct demo_answer *answer, struct buffer *out,
                             struct slice word)
{
    openai_chat_delta(answer, out, "", word, "null");
}

static void openai_chat_end(const struct demo_answer *answer, struct buffer *out)
{
    openai_chat_delta(answer, out, "", slice_make(NULL, 0), finish_reason(answer));
    openai_stream_end(answer, out, "chatcmpl", "chat.completion.chunk");
}

static void openai_completion_delta(const struct demo_answer *answer, struct buffer *out,
                                    struct slice word, const char *reason)
{
    buffer_text(out, "data: ");
    openai_head(answer, out, "cmpl", "text_completion");
    buffer_text(out, "{\"index\":0,\"text\":");
    buffer_json_string(out, word);
    buffer_printf(out, ",\"logprobs\":null,\"finish_reason\":%s}", reason);
    openai_chunk_end(answer, out);
}

static void nothing(const struct demo_answer *answer, struct buffer *out)
{
    (void)answer;
    (void)out;
}

static void openai_completion_word(const struct demo_answer *answer, struct buffer *out,
                                   struct slice word)
{
    openai_completion_delta(answer, out, word, "null");
}

static void openai_completion_end(const struct demo_answer *answer, struct buffer *out)
{
    openai_completion_delta(answer, out, SLICE(""), finish_reason(answer));
    openai_stream_end(answer, out, "cmpl", "text_completion");
}

const struct demo_speaker demo_openai_chat = {"text/event-stream", openai_chat_whole,
                                              openai_chat_begin, openai_chat_word, openai_chat_end};
const struct demo_speaker demo_openai_completion = {"text/event-stream", openai_completion_whole,
                                                    nothing, openai_completion_word,
                                                    openai_completion_end};

/* Ollama. */

static void ollama_line(const struct demo_answer *answer, struct buffer *out, const char *before,
                        struct slice text, const char *after)
{
    buffer_text(out, "{\"model\":");
    buffer_json_string(out, answer->request->model);
    buffer_text(out, ",\"created_at\":\"");
    clock_print_rfc3339_ms(out, answer->wall_us);
    buffer_printf(out, "\",%s", before);
    buffer_json_string(out, text);
    buffer_text(out, after);
}

/* The counts of a last line; durations are in nanoseconds. */
static void ollama_done(const struct demo_answer *answer, struct buffer *out)
{
    unsigned long long asked = demo_request_tokens(answer->request), said = answer->words_said;
    unsigned long long spent_ns = said * answer->pause_us * 1000;
    buffer_printf(out,
                  ",\"done_reason\":%s,\"done\":true,\"total_duration\":%llu,\"load_duration\":0,"
                  "\"prompt_eval_count\":%llu,\"prompt_eval_duration\":0,\"eval_count\":%llu,"
                  "\"eval_duration\":%llu}\n",
                  finish_reason(answer), spent_ns, asked, said, spent_ns);
}

#define OLLAMA_MESSAGE "\"message\":{\"role\":\"assistant\",\"content\":"

static void ollama_chat_whole(const struct demo_answer *answer, struct buffer *out,
                              struct slice text)
{
    ollama_line(answer, out, OLLAMA_MESSAGE, text, "}");
    ollama_done(answer, out);
}

static void ollama_chat_word(const struct demo_answer *answer, struct buffer *out,
                             struct slice word)
{
    ollama_line(answer, out, OLLAMA_MESSAGE, word, "},\"done\":false}\n");
}

static void ollama_chat_end(const struct demo_answer *answer, struct buffer *out)
{
    ollama_chat_whole(answer, out, SLICE(""));
}

static void ollama_generate_whole(const struct demo_answer *answer, struct buffer *out,
                                  struct slice text)
{
    ollama_line(answer, out, "\"response\":", text, ",\"context\":[]");
    ollama_done(answer, out);
}

static void ollama_generate_word(const struct demo_answer *answer, struct buffer *out,
                                 struct slice word)
{
    ollama_line(answer, out, "\"response\":", word, ",\"done\":false}\n");
}

static void ollama_generate_end(const struct demo_answer *answer, struct buffer *out)
{
    ollama_generate_whole(answer, out, SLICE(""));
}

const struct demo_speaker demo_ollama_chat = {"application/x-ndjson", ollama_chat_whole, nothing,
                                              ollama_chat_word, ollama_chat_end};
const struct demo_speaker demo_ollama_generate = {"application/x-ndjson", ollama_generate_whole,
                                                  nothing, ollama_generate_word,
                                                  ollama_generate_end};

/* Anthropic. */

/* `text` with a NULL pointer: no content yet. */
static void anthropic_message(const struct demo_answer *answer, struct buffer *out,
                              struct slice text, const char *reason)
{
    buffer_printf(
        out, "{\"id\":\"msg_demo_%llu\",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
        (unsigned long long)answer->number);
    buffer_json_string(out, answer->request->model);
    buffer_text(out, ",\"content\":[");
    if (text.ptr) {
        buffer_text(out, "{\"type\":\"text\",\"text\":");
        buffer_json_string(out, text);
        buffer_byte(out, '}');
    }
    buffer_printf(out,
                  "],\"stop_reason\":%s,\"stop_sequence\":null,"
                  "\"usage\":{\"input_tokens\":%llu,\"output_tokens\":%llu}}",
                  reason, (unsigned long long)demo_request_tokens(answer->request),
                  (unsigned long long)answer->words_said);
}

static const char *stop_reason(const struct demo_answer *answer)
{
    return answer->cut ? "\"max_tokens\"" : "\"end_turn\"";
}

static void anthropic_whole(const struct demo_answer *answer, struct buffer *out, struct slice text)
{
    anthropic_message(answer, out, text, stop_reason(answer));
}

static void anthropic_begin(const struct demo_answer *answer, struct buffer *out)
{
    buffer_text(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    anthropic_message(answer, out, slice_make(NULL, 0), "null");
    buffer_text(out, "}\n\n"
                     "event: content_block_start\n"
                     "data: {\"type\":\"content_block_start\",\"index\":0,"
                     "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
                     "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static void anthropic_word(const struct demo_answer *answer, struct buffer *out, struct slice word)
{
    (void)answer;
    buffer_text(out, "event: content_block_delta\n"
                     "data: {\"type\":\"content_block_delta\",\"index\":0,"
                     "\"delta\":{\"type\":\"text_delta\",\"text\":");
    buffer_json_string(out, word);
    buffer_text(out, "}}\n\n");
}

static void anthropic_end(const struct demo_answer *answer, struct buffer *out)
{
    buffer_printf(
        out,
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: message_delta\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":%s,"
        "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%llu}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        stop_reason(answer), (unsigned long long)answer->words_said);
}

const struct demo_speaker demo_anthropic = {"text/event-stream", anthropic_whole, anthropic_begin,
                                            anthropic_word, anthropic_end};
