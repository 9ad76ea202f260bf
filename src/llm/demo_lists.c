/* The demo model's answers that are not speech: lists, versions and embeddings. */
#include "llm/demo_answer.h"

#include "base/clock.h"

enum { DIMENSIONS = 16 };

#define DETAILS                                                                                    \
    "\"details\":{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"demo\",\"families\":["    \
    "\"demo\"],"                                                                                   \
    "\"parameter_size\":\"0B\",\"quantization_level\":\"none\"}"
#define DIGEST "0000000000000000000000000000000000000000000000000000000000000000"
#define OLLAMA_MODEL                                                                               \
    "\"name\":\"sallyport-demo\",\"model\":\"sallyport-demo\",\"size\":0,\"digest\":\"" DIGEST     \
    "\"," DETAILS

void demo_print_greeting(const struct demo_answer *answer, struct buffer *out)
{
    (void)answer;
    buffer_text(out, "Ollama is running");
}

static void openai_model(const struct demo_answer *answer, struct buffer *out, struct slice name)
{
    buffer_text(out, "{\"id\":");
    buffer_json_string(out, name);
    buffer_printf(out, ",\"object\":\"model\",\"created\":%llu,\"owned_by\":\"sallyport\"}",
                  (unsigned long long)(answer->wall_us / SECOND_US));
}

void demo_print_models(const struct demo_answer *answer, struct buffer *out)
{
    buffer_text(out, "{\"object\":\"list\",\"data\":[");
    openai_model(answer, out, SLICE("sallyport-demo"));
    buffer_text(out, "]}");
}

void demo_print_model(const struct demo_answer *answer, struct buffer *out)
{
    openai_model(answer, out, slice_from(answer->path, sizeof "/v1/models/" - 1));
}

void demo_print_version(const struct demo_answer *answer, struct buffer *out)
{
    (void)answer;
    buffer_text(out, "{\"version\":\"" SALLYPORT_VERSION "\"}");
}

static void ollama_list(const struct demo_answer *answer, struct buffer *out, const char *member,
                        uint64_t wall_us)
{
    (void)answer;
    buffer_printf(out, "{\"models\":[{" OLLAMA_MODEL ",\"%s\":\"", member);
    clock_print_rfc3339_ms(out, wall_us);
    buffer_text(out, "\"}]}");
}

void demo_print_tags(const struct demo_answer *answer, struct buffer *out)
{
    ollama_list(answer, out, "modified_at", answer->wall_us);
}

void demo_print_running(const struct demo_answer *answer, struct buffer *out)
{
    ollama_list(answer, out, "size_vram\":0,\"expires_at", answer->wall_us + 300 * SECOND_US);
}

void demo_print_show(const struct demo_answer *answer, struct buffer *out)
{
    buffer_text(
        out, "{\"license\":\"\",\"modelfile\":\"\",\"parameters\":\"\",\"template\":\"\"," DETAILS
             ",\"model_info\":{\"general.architecture\":\"demo\"},"
             "\"capabilities\":[\"completion\",\"embedding\"],\"modified_at\":\"");
    clock_print_rfc3339_ms(out, answer->wall_us);
    buffer_text(out, "\"}");
}

void demo_print_token_count(const struct demo_answer *answer, struct buffer *out)
{
    buffer_printf(out, "{\"input_tokens\":%llu}",
                  (unsigned long long)demo_request_tokens(answer->request));
}

/* A number of -1 to 1 for one dimension of an input: multiples of 1/1024 are exact in a float and
 * in six decimals, so that both encodings say the same. */
static double component(uint32_t seed, unsigned dimension)
{
    uint32_t mixed = (seed + dimension * 2654435769U) * 2246822519U;
    mixed = (mixed ^ mixed >> 15) * 3266489917U;
    return ((double)(mixed >> 21) - 1024) / 1024;
}

static void print_vector(struct buffer *out, uint32_t seed)
{
    for (unsigned i = 0; i < DIMENSIONS; i++)
        buffer_printf(out, "%s%.10f", i ? "," : "[", component(seed, i));
    buffer_byte(out, ']');
}

static void print_base64(struct buffer *out, const unsigned char *bytes, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 |
                         (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < size ? bytes[i + 2] : 0);
        buffer_byte(out, letters[three >> 18]);
        buffer_byte(out, letters[three >> 12 & 63]);
        buffer_byte(out, i + 1 < size ? letters[three >> 6 & 63] : '=');
        buffer_byte(out, i + 2 < size ? letters[three & 63] : '=');
    }
}

/* Little-endian floats in base64: what the openai client asks for unless told otherwise. */
static void print_packed_vector(struct buffer *out, uint32_t seed)
{
    unsigned char bytes[4 * DIMENSIONS];
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        float number = (float)component(seed, i);
        uint32_t bits;
        memcpy(&bits, &number, sizeof bits);
        for (unsigned at = 0; at < 4; at++)
            bytes[4 * i + at] = (unsigned char)(bits >> 8 * at);
    }
    buffer_byte(out, '"');
    print_base64(out, bytes, sizeof bytes);
    buffer_byte(out, '"');
}

void demo_print_embeddings(const struct demo_answer *answer, struct buffer *out)
{
    const struct demo_request *request = answer->request;
    buffer_text(out, "{\"object\":\"list\",\"data\":[");
    for (unsigned i = 0; i < request->input_count; i++) {
        buffer_printf(out, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i ? "," : "",
                      i);
        if (request->base64)
            print_packed_vector(out, request->inputs[i]);
        else
            print_vector(out, request->inputs[i]);
        buffer_byte(out, '}');
    }
    unsigned long long tokens = demo_request_tokens(request);
    buffer_text(out, "],\"model\":");
    buffer_json_string(out, request->model);
    buffer_printf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", tokens,
                  tokens);
}

void demo_print_embed(const struct demo_answer *answer, struct buffer *out)
{
    const struct demo_request *request = answer->request;
    buffer_text(out, "{\"model\":");
    buffer_json_string(out, request->model);
    buffer_text(out, ",\"embeddings\":[");
    for (unsigned i = 0; i < request->input_count; i++) {
        buffer_text(out, i ? "," : "");
        print_vector(out, request->inputs[i]);
    }
    buffer_printf(out, "],\"total_duration\":0,\"load_duration\":0,\"prompt_eval_count\":%llu}",
                  (unsigned long long)demo_request_tokens(request));
}

void demo_print_embedding(const struct demo_answer *answer, struct buffer *out)
{
    buffer_text(out, "{\"embedding\":");
    if (answer->request->input_count)
        print_vector(out, answer->request->inputs[0]);
    else
        buffer_text(out, "[]");
    buffer_byte(out, '}');
}
