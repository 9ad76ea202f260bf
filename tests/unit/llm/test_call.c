/* What is read of a call in each dialect, and how each words a stream that broke off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "llm/call.h"

#define LONG_256                                                                                   \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const struct dialect *dialect;
    enum call_kind kind;
    const char *body;
    enum call_fault fault;
    const char *param;
    const char *model;
    bool stream;
    unsigned messages;
} cases[] = {
  // clang-format off
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"},{}]}", CALL_FINE, NULL, "m", false, 2 },
    { &dialect_openai, CALL_CHAT, "{\"messages\":[],\"stream\":true,\"model\":\"m\"}", CALL_FINE, NULL, "m", true, 0 },
    { &dialect_openai, CALL_CHAT, "{\"mod\\u0065l\":\"\\u006d\",\"stream\":false}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"stream\":null}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"x\":{\"model\":\"no\",\"stream\":true},\"model\":\"m\"}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"x\":[\"model\"],\"messages\":{\"a\":1},\"model\":\"m \"}", CALL_FINE, NULL, "m ", false, 0 },
    { &dialect_openai, CALL_EMBEDDING, "{\"model\":\"" LONG_256 "\"}", CALL_FINE, NULL, LONG_256, false, 0 },
    { &dialect_openai, CALL_EMBEDDING, "{\"model\":\"a" LONG_256 "\"}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_EMBEDDING, "{\"model\":\"" LONG_256 LONG_256 LONG_256 "\"}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":[\"m\"]}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":{\"model\":\"m\"}}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":1}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":null}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":true}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"x\\u0000y\"}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"x\\ny\"}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"x\\u007f\"}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"\"}", CALL_MODEL_MISSING, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"Model\":\"m\"}", CALL_MODEL_NAME, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"MODEL\":\"n\"}", CALL_MODEL_NAME, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"models\":\"n\"}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_ollama, CALL_CHAT, "{\"model\":\"m\",\"\\u017ftream\":true}", CALL_STREAM_NAME, "stream", NULL, true, 0 },
    { &dialect_ollama, CALL_CHAT, "{\"model\":\"m\",\"streaM\":true}", CALL_STREAM_NAME, "stream", NULL, true, 0 },
    { &dialect_openai, CALL_CHAT, "{}", CALL_MODEL_MISSING, "model", NULL, false, 0 },
    { &dialect_openai, CALL_LOCAL, "{}", CALL_FINE, NULL, NULL, false, 0 },
    { &dialect_openai, CALL_LOCAL, "{\"model\":7}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"stream\":\"true\"}", CALL_STREAM_TYPE, "stream", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"stream\":1}", CALL_STREAM_TYPE, "stream", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":\"m\",\"stream\":[]}", CALL_STREAM_TYPE, "stream", NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "[{\"model\":\"m\"}]", CALL_NOT_OBJECT, NULL, NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "\"model\"", CALL_NOT_OBJECT, NULL, NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "null", CALL_NOT_OBJECT, NULL, NULL, false, 0 },
    { &dialect_openai, CALL_CHAT, "{\"model\":1,\"stream\":1}", CALL_MODEL_TYPE, "model", NULL, false, 0 },
    { &dialect_ollama, CALL_CHAT, "{\"model\":\"m\"}", CALL_FINE, NULL, "m", true, 0 },
    { &dialect_ollama, CALL_COMPLETION, "{\"model\":\"m\",\"stream\":null}", CALL_FINE, NULL, "m", true, 0 },
    { &dialect_ollama, CALL_CHAT, "{\"model\":\"m\",\"stream\":false}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_ollama, CALL_EMBEDDING, "{\"model\":\"m\"}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_ollama, CALL_OTHER, "{\"model\":\"m\"}", CALL_FINE, NULL, "m", false, 0 },
    { &dialect_anthropic, CALL_CHAT, "{\"model\":\"m\",\"messages\":[1,[2],{\"messages\":[3]}]}", CALL_FINE, NULL, "m", false, 3 },
    { &dialect_anthropic, CALL_NONE, "[]", CALL_FINE, NULL, NULL, false, 0 },
  // clang-format on
};

static void reads_calls_of_all_dialects(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int cut = 0; cut < 2; cut++) {
            struct arena arena;
            arena_init(&arena, NULL, 0, 1 << 20);
            struct call call;
            struct call_reader reader = {&call, cases[i].dialect, &arena};
            call_init(&call, cases[i].kind, cases[i].dialect, &arena);
            struct json *json = json_create(&arena, call_listen, &reader);
            struct slice rest = slice_of(cases[i].body);
            while (rest.len) {
                size_t n = cut ? 1 : rest.len;
                assert_int_equal(json_feed(json, slice_to(rest, n)), OK);
                rest = slice_from(rest, n);
            }
            assert_int_equal(json_end(json), OK);
            call_finish(&call);
            if (call.fault != cases[i].fault)
                fail_msg("%s: fault %d, expected %d", cases[i].body, call.fault, cases[i].fault);
            if (cases[i].param)
                assert_string_equal(call.param, cases[i].param);
            else
                assert_null(call.param);
            assert_int_equal(call.has_model, cases[i].model != NULL);
            if (cases[i].model)
                assert_true(slice_equal(call.model, slice_of(cases[i].model)));
            if (!call.fault) {
                assert_int_equal(call.stream, cases[i].stream);
                assert_int_equal(call.messages, cases[i].messages);
            }
            arena_finish(&arena);
        }
}

static void a_model_without_memory_is_no_model(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0, 0);
    struct call call;
    struct call_reader reader = {&call, &dialect_openai, &arena};
    struct slice path[] = {SLICE("model")};
    struct json_value value = {
        .event = JSON_SAW_STRING, .depth = 1, .path = path, .text = SLICE("m"), .kept = true};
    call_init(&call, CALL_CHAT, &dialect_openai, &arena);
    call_listen(&reader, &value);
    call_finish(&call);
    assert_int_equal(call.fault, CALL_NO_MEMORY);
    assert_false(call.has_model);
    arena_finish(&arena);
}

static void broken_streams_say_so(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *dialect;
        const char *text;
    } expected[] = {
        {&dialect_openai,
         "data: {\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"api_error\",\"code\":"
         "\"UPSTREAM_ERROR\",\"param\":null},\"request_id\":\"r1\"}\n\n"                      },
        {&dialect_anthropic,
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
         "\"message\":\"a \\\"b\\\"\",\"code\":\"UPSTREAM_ERROR\"},\"request_id\":\"r1\"}\n\n"},
        {&dialect_ollama,    "{\"error\":\"a \\\"b\\\"\"}\n"                                  },
    };
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        struct buffer out = BUFFER_MAX(1024);
        expected[i].dialect->print_stream_error(&out, SLICE("a \"b\""), SLICE("r1"));
        assert_string_equal(buffer_text_of(&out), expected[i].text);
        buffer_finish(&out);
    }
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_calls_of_all_dialects),
        cmocka_unit_test(a_model_without_memory_is_no_model),
        cmocka_unit_test(broken_streams_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
