/* The Ollama dialect: one JSON object a line, and chats stream unless told otherwise. */
#include "llm/call.h"

/* Its clients know no other member than `error`. */
static void print_stream_error(struct buffer *out, struct slice message, struct slice request_id)
{
    (void)request_id;
    buffer_text(out, "{\"error\":");
    buffer_json_string(out, message);
    buffer_text(out, "}\n");
}

const struct dialect dialect_ollama = {
    .name = "ollama",
    .stream_default = true,
    .model_member = "model",
    .stream_type = "application/x-ndjson",
    .print_stream_error = print_stream_error,
};
