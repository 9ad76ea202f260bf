/* The demo model's reader: one table of the members it looks at, whatever dialect they belong to.
 */
#include "llm/demo_request.h"

#include "base/encode.h"

enum { PATH_MAX_DEPTH = 5 };

void demo_request_init(struct demo_request *request, bool stream)
{
    request->model = SLICE("sallyport-demo");
    request->stream = stream;
    request->include_usage = request->base64 = request->by_user = request->too_many_inputs = false;
    request->max_words = UINT64_MAX;
    request->characters = 0;
    request->said.len = request->content.len = 0;
    request->said.characters = request->content.characters = 0;
    request->input_count = 0;
}

uint64_t demo_request_tokens(const struct demo_request *request)
{
    return request->characters / 4 + 1;
}

static void take_text(struct demo_text *text, const struct json_value *value)
{
    text->len = value->kept ? value->text.len : 0;
    if (text->len)
        memcpy(text->bytes, value->text.ptr, text->len);
    text->characters = value->characters;
}

static void take_model(struct demo_request *request, const struct json_value *value)
{
    if (!value->kept || value->text.len == 0 || value->text.len > DEMO_MODEL_MAX)
        return;
    memcpy(request->model_bytes, value->text.ptr, value->text.len);
    request->model = slice_make(request->model_bytes, value->text.len);
}

static void take_stream(struct demo_request *request, const struct json_value *value)
{
    request->stream = value->event == JSON_SAW_TRUE;
}

static void take_usage(struct demo_request *request, const struct json_value *value)
{
    request->include_usage = value->event == JSON_SAW_TRUE;
}

static void take_encoding(struct demo_request *request, const struct json_value *value)
{
    request->base64 = slice_equal(value->text, SLICE("base64"));
}

static void take_max(struct demo_request *request, const struct json_value *value)
{
    uint64_t max;
    if (slice_number(value->text, UINT32_MAX, &max) && max > 0)
        request->max_words = max;
}

static void count_text(struct demo_request *request, const struct json_value *value)
{
    request->characters += value->characters;
}

static void begin_message(struct demo_request *request, const struct json_value *value)
{
    (void)value;
    request->by_user = false;
    request->content.len = 0;
    request->content.characters = 0;
}

static void take_role(struct demo_request *request, const struct json_value *value)
{
    request->by_user = slice_equal(value->text, SLICE("user"));
}

static void take_content(struct demo_request *request, const struct json_value *value)
{
    count_text(request, value);
    take_text(&request->content, value);
}

/* Not before its end: `role` may stand behind `content`. */
static void end_message(struct demo_request *request, const struct json_value *value)
{
    (void)value;
    if (request->by_user)
        request->said = request->content;
}

static void add_input(struct demo_request *request, uint32_t seed)
{
    if (request->input_count == DEMO_INPUTS_MAX)
        request->too_many_inputs = true;
    else
        request->inputs[request->input_count++] = seed;
}

static void take_input(struct demo_request *request, const struct json_value *value)
{
    count_text(request, value);
    add_input(request, crc32_of(value->text) ^ (uint32_t)value->characters * 2654435761U);
}

static void take_prompt(struct demo_request *request, const struct json_value *value)
{
    take_input(request, value);
    take_text(&request->said, value);
}

static void begin_token_list(struct demo_request *request, const struct json_value *value)
{
    (void)value;
    add_input(request, 1);
}

/* A list of numbers is one input, already cut into tokens. */
static void take_token(struct demo_request *request, const struct json_value *value)
{
    if (request->input_count == 0)
        add_input(request, 1);
    uint32_t *seed = &request->inputs[request->input_count - 1];
    *seed = *seed * 31 + crc32_of(value->text);
    request->characters += 4;
}

static const struct member {
    unsigned depth;
    enum json_event event;
    const char *path[PATH_MAX_DEPTH]; /* "" is an array's element */
    void (*take)(struct demo_request *request, const struct json_value *value);
} members[] = {
  // clang-format off
    { 1, JSON_SAW_STRING,       {"model"},                                 take_model },
    { 1, JSON_SAW_TRUE,         {"stream"},                                take_stream },
    { 1, JSON_SAW_FALSE,        {"stream"},                                take_stream },
    { 2, JSON_SAW_TRUE,         {"stream_options", "include_usage"},       take_usage },
    { 1, JSON_SAW_STRING,       {"encoding_format"},                       take_encoding },
    { 1, JSON_SAW_NUMBER,       {"max_tokens"},                            take_max },
    { 1, JSON_SAW_NUMBER,       {"max_completion_tokens"},                 take_max },
    { 2, JSON_SAW_NUMBER,       {"options", "num_predict"},                take_max },
    { 1, JSON_SAW_STRING,       {"system"},                                count_text },
    { 2, JSON_SAW_OBJECT_BEGIN, {"messages", ""},                          begin_message },
    { 3, JSON_SAW_STRING,       {"messages", "", "role"},                  take_role },
    { 3, JSON_SAW_STRING,       {"messages", "", "content"},               take_content },
    { 5, JSON_SAW_STRING,       {"messages", "", "content", "", "text"},   take_content },
    { 2, JSON_SAW_OBJECT_END,   {"messages", ""},                          end_message },
    { 1, JSON_SAW_STRING,       {"prompt"},                                take_prompt },
    { 2, JSON_SAW_STRING,       {"prompt", ""},                            take_prompt },
    { 1, JSON_SAW_STRING,       {"input"},                                 take_input },
    { 2, JSON_SAW_STRING,       {"input", ""},                             take_input },
    { 2, JSON_SAW_NUMBER,       {"input", ""},                             take_token },
    { 2, JSON_SAW_ARRAY_BEGIN,  {"input", ""},                             begin_token_list },
    { 3, JSON_SAW_NUMBER,       {"input", "", ""},                         take_token },
  // clang-format on
};

static bool stands_at(const struct json_value *value, const struct member *member)
{
    for (unsigned i = 0; i < member->depth; i++)
        if (!slice_equal(value->path[i], slice_of(member->path[i])))
            return false;
    return true;
}

void demo_request_listen(void *context, const struct json_value *value)
{
    if (value->depth == 0 || value->depth > PATH_MAX_DEPTH)
        return;
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (members[i].depth == value->depth && members[i].event == value->event &&
            stands_at(value, &members[i])) {
            members[i].take(context, value);
            return;
        }
}
