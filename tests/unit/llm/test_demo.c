/* The demo model over its wire: whole and byte by byte, every answer framed right and valid JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "llm/demo.h"
#include "proto/chunked.h"
#include "proto/events.h"
#include "proto/json.h"

enum { OUT_MAX = 16 << 20 };

/* What came back for one request. */
struct answer {
    struct buffer wire;
    struct buffer body; /* without framing */
    unsigned status;
    uint64_t pause_us; /* all pauses together */
    unsigned pieces;
    bool closed;
};

static void pump(struct demo *demo, struct answer *answer)
{
    for (;;) {
        uint64_t pause_us;
        enum err err = demo_next(demo, &answer->wire, &pause_us);
        answer->closed = err == ERR_CLOSED;
        if (err != OK)
            return assert_true(err == ERR_AGAIN || err == ERR_CLOSED);
        answer->pause_us += pause_us;
        answer->pieces++;
    }
}

static void assert_json(struct slice text)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, 8 << 20);
    struct json *json = json_create(&arena, NULL, NULL);
    enum err err = json_feed(json, text);
    if (err == OK)
        err = json_end(json);
    if (err != OK)
        fail_msg("%s: %.*s", json_fault_name(json_fault(json)), SLICE_ARG(text));
    arena_finish(&arena);
}

static void assert_event_json(void *context, struct slice name, struct slice content)
{
    (void)context;
    (void)name;
    if (!slice_equal(content, SLICE("[DONE]")))
        assert_json(content);
}

/* Reads one answer off the front of `*wire`. */
static void read_answer(struct slice *wire, enum http_method method, struct answer *answer)
{
    static const struct http_limits limits = {8192, 65536};
    struct response_head head;
    enum http_fault fault;
    size_t used;
    assert_int_equal(response_head_parse(*wire, &limits, method, &head, &used, &fault), OK);
    *wire = slice_from(*wire, used);
    answer->status = head.status;
    buffer_clear(&answer->body);
    if (head.chunked) {
        struct chunked chunked;
        struct slice content;
        chunked_init(&chunked);
        enum err err;
        while ((err = chunked_next(&chunked, wire, &content)) == OK)
            buffer_append(&answer->body, content);
        assert_int_equal(err, ERR_CLOSED);
    } else if (!head.no_body && head.content_length != HTTP_NO_LENGTH) {
        assert_true(head.content_length <= wire->len);
        buffer_append(&answer->body, slice_to(*wire, (size_t)head.content_length));
        *wire = slice_from(*wire, (size_t)head.content_length);
    } else if (!head.no_body) {
        buffer_append(&answer->body, *wire);
        *wire = slice_from(*wire, wire->len);
    }
    enum event_framing framing =
        slice_equal(head.content_type, SLICE("text/event-stream"))      ? FRAMING_SSE
        : slice_equal(head.content_type, SLICE("application/x-ndjson")) ? FRAMING_NDJSON
                                                                        : FRAMING_NONE;
    struct events events;
    events_init(&events, framing, 1 << 20, assert_event_json, NULL);
    events_feed(&events, buffer_slice(&answer->body));
    assert_true(events.at_boundary);
    events_finish(&events);
    if (framing == FRAMING_NONE && slice_equal(head.content_type, SLICE("application/json")) &&
        !head.no_body)
        assert_json(buffer_slice(&answer->body));
}

static void answer_init(struct answer *answer)
{
    *answer = (struct answer){0};
    buffer_init(&answer->wire, OUT_MAX);
    buffer_init(&answer->body, OUT_MAX);
}

static void answer_finish(struct answer *answer)
{
    buffer_finish(&answer->wire);
    buffer_finish(&answer->body);
}

/* Sends `request` in pieces of `size` bytes on a fresh connection and reads the one answer. */
static void ask(struct slice request, size_t size, enum http_method method, struct answer *answer)
{
    struct demo *demo = demo_create();
    assert_non_null(demo);
    answer_init(answer);
    while (request.len) {
        size_t n = request.len < size ? request.len : size;
        assert_int_equal(demo_receive(demo, slice_to(request, n)), OK);
        request = slice_from(request, n);
    }
    pump(demo, answer);
    struct slice wire = buffer_slice(&answer->wire);
    read_answer(&wire, method, answer);
    assert_int_equal(wire.len, 0);
    demo_destroy(demo);
}

static void post(struct buffer *out, const char *path, const char *body)
{
    buffer_printf(out,
                  "POST %s HTTP/1.1\r\nHost: demo\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n\r\n%s",
                  path, strlen(body), body);
}

#define HELLO "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
#define SAYS                                                                                       \
    "This is Sallyport's demo model. You said: \\\"Hello\\\". Put a real model server behind the " \
    "gate with --upstream."

static const struct {
    const char *path, *body;
    unsigned status;
    const char *holds[5];
} posts[] = {
  // clang-format off
    { "/v1/chat/completions", "{\"model\":\"any\"," HELLO "}", 200, { "\"object\":\"chat.completion\"", "\"model\":\"any\"", SAYS, "\"finish_reason\":\"stop\"", "\"total_tokens\":" } },
    { "/v1/chat/completions", "{\"model\":\"any\",\"max_tokens\":3," HELLO "}", 200, { "\"content\":\"This is Sallyport's\"", "\"finish_reason\":\"length\"", "\"completion_tokens\":3" } },
    { "/v1/chat/completions", "{\"model\":\"any\",\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}],\"role\":\"user\"},{\"role\":\"assistant\",\"content\":\"x\"}]}", 200, { SAYS } },
    { "/v1/chat/completions", "{\"model\":\"any\",\"stream\":true," HELLO "}", 200, { "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}", "\"delta\":{\"content\":\" is\"}", "\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"", "data: [DONE]\n\n" } },
    { "/v1/chat/completions", "{\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO "}", 200, { "\"usage\":null", "\"choices\":[],\"usage\":{\"prompt_tokens\":2,", "data: [DONE]\n\n" } },
    { "/v1/completions", "{\"prompt\":\"Hello\"}", 200, { "\"object\":\"text_completion\"", "\"text\":\"" SAYS } },
    { "/v1/completions", "{\"prompt\":[\"Hello\"],\"stream\":true}", 200, { "\"text\":\" is\"", "data: [DONE]\n\n" } },
    { "/v1/embeddings", "{\"input\":[\"a\",\"b\",\"a\"]}", 200, { "\"index\":2", "\"embedding\":[", "\"total_tokens\"" } },
    { "/v1/embeddings", "{\"input\":\"a\",\"encoding_format\":\"base64\"}", 200, { "\"index\":0", "\"embedding\":\"", "==\"}]" } },
    { "/v1/embeddings", "{\"input\":[[1,2],[3]]}", 200, { "\"index\":1" } },
    { "/v1/embeddings", "{\"input\":[1,2,3]}", 200, { "\"index\":0" } },
    { "/api/chat", "{\"model\":\"m\"," HELLO "}", 200, { "\"message\":{\"role\":\"assistant\",\"content\":\" is\"},\"done\":false}\n", "\"done_reason\":\"stop\",\"done\":true", "\"eval_count\":" } },
    { "/api/chat", "{\"model\":\"m\",\"stream\":false," HELLO "}", 200, { SAYS, "\"done\":true" } },
    { "/api/chat", "{\"model\":\"m\",\"stream\":false,\"options\":{\"num_predict\":2}," HELLO "}", 200, { "\"content\":\"This is\"", "\"done_reason\":\"length\"" } },
    { "/api/generate", "{\"model\":\"m\",\"prompt\":\"Hello\"}", 200, { "\"response\":\" is\",\"done\":false}\n", "\"response\":\"\",\"context\":[]" } },
    { "/api/embed", "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}", 200, { "\"embeddings\":[[", "],[" } },
    { "/api/embeddings", "{\"model\":\"m\",\"prompt\":\"a\"}", 200, { "{\"embedding\":[" } },
    { "/api/show", "{\"model\":\"m\"}", 200, { "\"capabilities\":[\"completion\"" } },
    { "/v1/messages", "{\"model\":\"m\",\"max_tokens\":100," HELLO "}", 200, { "\"type\":\"message\"", "\"content\":[{\"type\":\"text\",\"text\":\"" SAYS "\"}]", "\"stop_reason\":\"end_turn\"" } },
    { "/v1/messages", "{\"model\":\"m\",\"max_tokens\":2,\"stream\":true," HELLO "}", 200, { "event: message_start\n", "event: content_block_start\n", "{\"type\":\"text_delta\",\"text\":\" is\"}", "\"stop_reason\":\"max_tokens\"", "event: message_stop\n" } },
    { "/v1/messages/count_tokens", "{\"model\":\"m\"," HELLO "}", 200, { "{\"input_tokens\":2}" } },
    { "/v1/nothing", "{}", 404, { "\"type\":\"not_found_error\"" } },
    { "/v1/chat/completions", "{\"a\":1,\"a\":2}", 400, { "same key twice", "invalid_request_error" } },
    { "/v1/chat/completions", "", 400, { "ends too early" } },
  // clang-format on
};

static void posts_are_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(posts); i++)
        for (int cut = 0; cut < 2; cut++) {
            struct buffer request = BUFFER_MAX(1 << 16);
            struct answer answer;
            post(&request, posts[i].path, posts[i].body);
            ask(buffer_slice(&request), cut ? 1 : request.len, METHOD_POST, &answer);
            const char *body = buffer_text_of(&answer.body);
            if (answer.status != posts[i].status)
                fail_msg("%s %s: %u", posts[i].path, posts[i].body, answer.status);
            for (size_t h = 0; h < COUNT_OF(posts[i].holds) && posts[i].holds[h]; h++)
                if (!strstr(body, posts[i].holds[h]))
                    fail_msg("%s: no %s in %s", posts[i].path, posts[i].holds[h], body);
            buffer_finish(&request);
            answer_finish(&answer);
        }
}

static void gets_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *line, *holds;
        unsigned status;
        enum http_method method;
    } gets[] = {
        {"GET / HTTP/1.1",                "Ollama is running",                        200, METHOD_GET },
        {"HEAD / HTTP/1.1",               "",                                         200, METHOD_HEAD},
        {"GET /v1/models HTTP/1.1",       "\"id\":\"sallyport-demo\"",                200, METHOD_GET },
        {"GET /v1/models/other HTTP/1.1", "\"id\":\"other\"",                         200, METHOD_GET },
        {"GET /api/tags HTTP/1.1",        "\"models\":[{\"name\":\"sallyport-demo\"", 200, METHOD_GET },
        {"GET /api/ps HTTP/1.1",          "\"expires_at\"",                           200, METHOD_GET },
        {"GET /api/version HTTP/1.1",     "{\"version\":",                            200, METHOD_GET },
        {"GET /api/chat HTTP/1.1",        "NOT_FOUND",                                404, METHOD_GET },
    };
    for (size_t i = 0; i < COUNT_OF(gets); i++) {
        char request[200];
        struct answer answer;
        int n = snprintf(request, sizeof request, "%s\r\nHost: demo\r\n\r\n", gets[i].line);
        ask(slice_make(request, (size_t)n), (size_t)n, gets[i].method, &answer);
        assert_int_equal(answer.status, gets[i].status);
        assert_non_null(strstr(buffer_text_of(&answer.body), gets[i].holds));
        answer_finish(&answer);
    }
}

static void streams_come_word_by_word_with_pauses(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        uint64_t pause_us;
        unsigned words;
    } models[] = {
        {"any",                 20 * MS_US, 18   },
        {"sallyport-demo-slow", SECOND_US,  18   },
        {"sallyport-demo-long", 0,          10000}
    };
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        struct buffer request = BUFFER_MAX(4096);
        struct answer answer;
        char body[300];
        snprintf(body, sizeof body, "{\"model\":\"%s\",\"stream\":true," HELLO "}",
                 models[i].model);
        post(&request, "/v1/chat/completions", body);
        ask(buffer_slice(&request), request.len, METHOD_POST, &answer);
        assert_int_equal(answer.pieces, models[i].words + 2);
        assert_int_equal(answer.pause_us, models[i].words * models[i].pause_us);
        buffer_finish(&request);
        answer_finish(&answer);
    }
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct buffer requests = BUFFER_MAX(1 << 16);
    struct answer answer;
    answer_init(&answer);
    post(&requests, "/v1/chat/completions", "{\"model\":\"one\",\"stream\":true," HELLO "}");
    buffer_text(&requests,
                "POST /api/chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                "10\r\n{\"model\":\"two\",\"\r\n14\r\nstream\":false,\"x\":1}\r\n0\r\n\r\n");
    buffer_text(&requests, "GET /api/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET");
    struct demo *demo = demo_create();
    assert_int_equal(demo_receive(demo, buffer_slice(&requests)), OK);
    pump(demo, &answer);
    assert_true(answer.closed);
    struct slice wire = buffer_slice(&answer.wire);
    static const char *const holds[] = {"\"model\":\"one\"", "\"model\":\"two\"", "{\"version\":"};
    for (size_t i = 0; i < COUNT_OF(holds); i++) {
        read_answer(&wire, METHOD_POST, &answer);
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(buffer_text_of(&answer.body), holds[i]));
    }
    assert_int_equal(wire.len, 0);
    demo_destroy(demo);
    buffer_finish(&requests);
    answer_finish(&answer);
}

static void large_bodies_pass_without_being_kept(void **state)
{
    (void)state;
    static char filler[65536];
    memset(filler, 'A', sizeof filler);
    enum { PIECES = 256 };
    const char *before = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"";
    const char *after = "\"}]}";
    struct answer answer;
    answer_init(&answer);
    struct buffer head = BUFFER_MAX(1024);
    buffer_printf(&head,
                  "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
                  "Expect: 100-continue\r\n\r\n",
                  strlen(before) + strlen(after) + PIECES * sizeof filler);
    struct demo *demo = demo_create();
    assert_int_equal(demo_receive(demo, buffer_slice(&head)), OK);
    pump(demo, &answer);
    assert_string_equal(buffer_text_of(&answer.wire), "HTTP/1.1 100 Continue\r\n\r\n");
    buffer_clear(&answer.wire);
    assert_int_equal(demo_receive(demo, slice_of(before)), OK);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(demo_receive(demo, slice_make(filler, sizeof filler)), OK);
    assert_int_equal(demo_receive(demo, slice_of(after)), OK);
    pump(demo, &answer);
    struct slice wire = buffer_slice(&answer.wire);
    read_answer(&wire, METHOD_POST, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(buffer_text_of(&answer.body), "You said 16777216 characters."));
    demo_destroy(demo);
    buffer_finish(&head);
    answer_finish(&answer);
}

static void http_1_0_streams_end_with_the_connection(void **state)
{
    (void)state;
    struct answer answer;
    ask(SLICE(
            "POST /v1/completions HTTP/1.0\r\nContent-Length: 30\r\nConnection: keep-alive\r\n\r\n"
            "{\"prompt\":\"a\",  \"stream\":true}"),
        1000, METHOD_POST, &answer);
    assert_true(answer.closed);
    assert_non_null(strstr(buffer_text_of(&answer.body), "data: [DONE]"));
    answer_finish(&answer);
}

static void malformed_requests_end_the_connection(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /\r\n\r\n",
        "POST /api/chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct answer answer;
        answer_init(&answer);
        struct demo *demo = demo_create();
        assert_int_equal(demo_receive(demo, slice_of(requests[i])), ERR_SYNTAX);
        pump(demo, &answer);
        assert_true(answer.closed);
        struct slice wire = buffer_slice(&answer.wire);
        read_answer(&wire, METHOD_GET, &answer);
        assert_int_equal(answer.status, 400);
        demo_destroy(demo);
        answer_finish(&answer);
    }
}

static void waiting_requests_are_bounded(void **state)
{
    (void)state;
    static char filler[65536];
    struct buffer request = BUFFER_MAX(4096);
    post(&request, "/v1/completions", "{\"prompt\":\"a\",\"stream\":true}");
    struct demo *demo = demo_create();
    assert_int_equal(demo_receive(demo, buffer_slice(&request)), OK);
    enum err err = OK;
    for (int i = 0; i < 20 && err == OK; i++)
        err = demo_receive(demo, slice_make(filler, sizeof filler));
    assert_int_equal(err, ERR_LIMIT);
    demo_destroy(demo);
    buffer_finish(&request);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_are_answered),
        cmocka_unit_test(gets_are_answered),
        cmocka_unit_test(streams_come_word_by_word_with_pauses),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(large_bodies_pass_without_being_kept),
        cmocka_unit_test(http_1_0_streams_end_with_the_connection),
        cmocka_unit_test(malformed_requests_end_the_connection),
        cmocka_unit_test(waiting_requests_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
