/* The OpenAI dialect, which llama.cpp, vLLM and most others speak too. */
#include "llm/call.h"

/* The SDKs throw when a chunk has an `error`; [DONE] does not follow, so nobody takes it for a
 * clean end. */
static void print_stream_error(struct buffer *out, struct slice message, struct slice request_id)
{
    buffer_text(out, "data: {\"error\":{\"message\":");
    buffer_json_string(out, message);
    buffer_text(
        out, ",\"type\":\"api_error\",\"code\":\"UPSTREAM_ERROR\",\"param\":null},\"request_id\":");
    buffer_json_string(out, request_id);
    buffer_text(out, "}\n\n");
}

const struct dialect dialect_openai = {
    .name = "openai",
    .stream_default = false,
    .model_member = "model",
    .stream_type = "text/event-stream",
    .print_stream_error = print_stream_error,
};
