/* The Anthropic dialect: named events, one of which is `error`. */
#include "llm/call.h"

static void print_stream_error(struct buffer *out, struct slice message, struct slice request_id)
{
    buffer_text(out, "event: error\n"
                     "data: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":");
    buffer_json_string(out, message);
    buffer_text(out, ",\"code\":\"UPSTREAM_ERROR\"},\"request_id\":");
    buffer_json_string(out, request_id);
    buffer_text(out, "}\n\n");
}

const struct dialect dialect_anthropic = {
    .name = "anthropic",
    .stream_default = false,
    .model_member = "model",
    .stream_type = "text/event-stream",
    .print_stream_error = print_stream_error,
};
