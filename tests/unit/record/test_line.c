/* Log lines: the promised members in their order, and one line of valid JSON whatever the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "record/line.h"

#define WALL_US UINT64_C(1762165800000000) /* 2025-11-03 10:30:00 */
#define KEY                                                                                        \
    "sp_abcDEF012345_"                                                                             \
    "0123456789abcdefghijABCDEFGHIJ0123456789xyzABCDEF"

static struct exchange_record sample(void)
{
    return (struct exchange_record){
        .wall_us = WALL_US - 1000,
        .duration_us = 12345,
        .overhead_us = 87,
        .upstream_us = 12000,
        .client = {.family = ADDRESS_V4, .bytes = {192, 168, 1, 10}},
        .request_line = SLICE("POST /v1/chat/completions HTTP/1.1"),
        .method = SLICE("POST"),
        .path = SLICE("/v1/chat/completions"),
        .request_id = SLICE("id-1"),
        .key_id = SLICE("abcDEF012345"),
        .user = SLICE("notebook"),
        .model = SLICE("llama3"),
        .upstream = SLICE("ollama"),
        .handler = "chat_completions",
        .status = 200,
        .body_bytes_sent = 1234,
        .tokens_in = UINT64_MAX,
        .tokens_out = UINT64_MAX,
        .decision = "pass",
    };
}

typedef void line_print_fn(struct buffer *out, const struct exchange_record *record,
                           struct second_text *second);
static line_print_fn *const formats[] = {line_print_access, line_print_app};

static void assert_line(line_print_fn *print, const struct exchange_record *record,
                        const char *wanted)
{
    struct second_text second = {0};
    AUTO(buffer) out = BUFFER_MAX(LINE_MAX_BYTES);
    print(&out, record, &second);
    assert_string_equal(buffer_text_of(&out), wanted);
}

static void access_line_is_document_003s_and_then_ours(void **state)
{
    (void)state;
    struct exchange_record record = sample();
    assert_line(line_print_access, &record,
                "{\"time\":\"2025-11-03T10:30:00Z\",\"remote_addr\":\"192.168.1.10\","
                "\"request\":\"POST /v1/chat/completions HTTP/1.1\",\"status\":\"200\","
                "\"body_bytes_sent\":\"1234\",\"request_time\":\"0.012\",\"user\":\"notebook\","
                "\"request_id\":\"id-1\",\"key\":\"abcDEF012345\",\"model\":\"llama3\","
                "\"upstream\":\"ollama\",\"upstream_ms\":12.000,\"overhead_us\":87,"
                "\"decision\":\"pass\"}\n");
    record.correlation_id = SLICE("trace-7");
    record.queue_us = 5;
    record.tokens_in = 11;
    record.tokens_out = 0;
    record.streamed = record.incomplete = true;
    record.status = 0;
    assert_line(line_print_access, &record,
                "{\"time\":\"2025-11-03T10:30:00Z\",\"remote_addr\":\"192.168.1.10\","
                "\"request\":\"POST /v1/chat/completions HTTP/1.1\",\"status\":\"499\","
                "\"body_bytes_sent\":\"1234\",\"request_time\":\"0.012\",\"user\":\"notebook\","
                "\"request_id\":\"id-1\",\"correlation_id\":\"trace-7\",\"key\":\"abcDEF012345\","
                "\"model\":\"llama3\",\"upstream\":\"ollama\",\"queue_ms\":0.005,"
                "\"upstream_ms\":12.000,\"overhead_us\":87,\"tokens_in\":11,\"tokens_out\":0,"
                "\"streamed\":true,\"incomplete\":true,\"decision\":\"pass\"}\n");
}

static void app_line_has_document_004s_members(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *level, *number;
    } rows[] = {
        {200, "INFO",    "200"},
        {404, "WARNING", "404"},
        {429, "WARNING", "429"},
        {0,   "WARNING", "499"},
        {500, "ERROR",   "500"},
        {503, "ERROR",   "503"}
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct exchange_record record = sample();
        record.status = rows[i].status;
        record.user = i ? record.user : SLICE("");
        AUTO(buffer) wanted = BUFFER_MAX(4096);
        buffer_printf(&wanted,
                      "{\"timestamp\":\"2025-11-03 10:30:00\",\"level\":\"%s\",\"message\":"
                      "\"POST /v1/chat/completions -> %s\",\"request_id\":\"id-1\","
                      "\"method\":\"POST\",\"path\":\"/v1/chat/completions\","
                      "\"ip\":\"192.168.1.10\",\"user\":%s,\"status\":%s,\"latency_ms\":12.34}\n",
                      rows[i].level, rows[i].number, i ? "\"notebook\"" : "null", rows[i].number);
        assert_line(line_print_app, &record, buffer_text_of(&wanted));
    }
}

static void second_is_printed_anew_when_it_changes(void **state)
{
    (void)state;
    struct second_text second = {0};
    struct exchange_record record = sample();
    for (unsigned i = 0; i < 3; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "{\"time\":\"2025-11-03T10:30:0%uZ\"", i);
        AUTO(buffer) out = BUFFER_MAX(LINE_MAX_BYTES);
        line_print_access(&out, &record, &second);
        assert_true(slice_starts(buffer_slice(&out), slice_of(wanted)));
        record.wall_us += 1000000;
    }
}

/* Puts the same bytes into every field a client can reach. */
static struct exchange_record poisoned(struct slice bytes)
{
    struct exchange_record record = sample();
    record.request_line = record.method = record.path = record.request_id = record.correlation_id =
        record.key_id = record.user = record.model = record.upstream = bytes;
    return record;
}

static void assert_one_line_of_json(struct slice bytes)
{
    struct exchange_record record = poisoned(bytes);
    struct second_text second = {0};
    for (size_t f = 0; f < COUNT_OF(formats); f++) {
        AUTO(buffer) out = BUFFER_MAX(LINE_MAX_BYTES);
        formats[f](&out, &record, &second);
        assert_int_equal(out.failed, OK);
        assert_int_equal(slice_find(buffer_slice(&out), '\n'), out.len - 1);
        bool control = false;
        for (size_t i = 0; i < out.len - 1; i++)
            control |= (unsigned char)out.bytes[i] < 0x20 || out.bytes[i] == 0x7f;
        assert_false(control);
        json_error_t error;
        json_t *line =
            json_loadb(out.bytes, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        assert_non_null(line);
        json_decref(line);
    }
}

static void any_bytes_make_one_line_of_json(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE(""),
        SLICE("\r\n{\"time\":\"forged\"}\r\n"),
        SLICE("\x1b[2J\x1b]0;title\x07"),
        SLICE("a\0b"),
        SLICE("\"\\\"\\"),
        SLICE("%s%n%x"),
        SLICE("\xe2\x80\xa8\xe2\x80\xa9"),
        SLICE("\xff\xfe\xc0\xaf\xed\xa0\x80\xf5"),
        SLICE("\x7f\x80\x9b"),
        SLICE("caf\xc3\xa9 \xf0\x9f\x98\x80"),
        SLICE("sp_"),
        SLICE("sp_sp_sp_abcDEF012345_sp_"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_one_line_of_json(rows[i]);
    /* Each byte, filling every field beyond its bound: the longest lines there are. */
    char many[5000];
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(many, (int)byte, sizeof many);
        assert_one_line_of_json(slice_make(many, sizeof many));
    }
    for (size_t i = 0; i + 3 <= sizeof many; i += 3)
        memcpy(many + i, "\xe2\x80\xa8", 3);
    assert_one_line_of_json(slice_make(many, sizeof many));
}

static void cut_does_not_split_a_character(void **state)
{
    (void)state;
    char model[300];
    for (size_t offset = 0; offset < 4; offset++) {
        memset(model, 'x', sizeof model);
        for (size_t i = offset; i + 4 <= sizeof model; i += 4)
            memcpy(model + i, "\xf0\x9f\x98\x80", 4);
        struct exchange_record record = sample();
        record.model = slice_make(model, sizeof model);
        struct second_text second = {0};
        AUTO(buffer) out = BUFFER_MAX(LINE_MAX_BYTES);
        line_print_access(&out, &record, &second);
        assert_null(strstr(buffer_text_of(&out), "fffd"));
        assert_true(out.len < 900);
    }
}

/* The id alone is no secret. */
static void api_key_never_shows(void **state)
{
    (void)state;
    static const struct {
        const char *field, *shown;
    } rows[] = {
        {KEY,                                   "[REDACTED]"                            },
        {"GET /v1/models?key=" KEY " HTTP/1.1", "GET /v1/models?key=[REDACTED] HTTP/1.1"},
        {KEY KEY,                               "[REDACTED]"                            },
        {"sp_" KEY "," KEY ".",                 "sp_[REDACTED],[REDACTED]."             },
        {"sp_abcDEF012345_0",                   "[REDACTED]"                            },
        {"sp_abcDEF012345",                     "sp_abcDEF012345"                       },
        {"sp_not_a_key_at_all",                 "sp_not_a_key_at_all"                   },
        {"wisp_lamp",                           "wisp_lamp"                             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct exchange_record record = poisoned(slice_of(rows[i].field));
        struct second_text second = {0};
        for (size_t f = 0; f < COUNT_OF(formats); f++) {
            AUTO(buffer) out = BUFFER_MAX(LINE_MAX_BYTES);
            AUTO(buffer) wanted = BUFFER_MAX(4096);
            formats[f](&out, &record, &second);
            assert_null(strstr(buffer_text_of(&out), "0123456789"));
            buffer_printf(&wanted, "\"%s\"", rows[i].shown);
            assert_non_null(strstr(buffer_text_of(&out), buffer_text_of(&wanted)));
        }
    }
}

/* A key that lies across the bound of its field loses its tail first; the rest must not show
 * either. */
static void api_key_at_the_cut_never_shows(void **state)
{
    (void)state;
    char line[4096];
    for (size_t before = 2048 - sizeof KEY; before <= 2048; before++) {
        memset(line, 'x', sizeof line);
        line[before - 1] = '=';
        memcpy(line + before, KEY, sizeof KEY - 1);
        struct exchange_record record = sample();
        record.request_line = slice_make(line, sizeof line);
        struct second_text second = {0};
        AUTO(buffer) out = BUFFER_MAX(LINE_MAX_BYTES);
        line_print_access(&out, &record, &second);
        assert_null(strstr(buffer_text_of(&out), "sp_abcDEF012345_"));
    }
}

static void line_without_room_is_not_torn(void **state)
{
    (void)state;
    char memory[512];
    struct exchange_record record = sample();
    struct second_text second = {0};
    for (size_t f = 0; f < COUNT_OF(formats); f++) {
        for (size_t size = 0; size < 200; size++) {
            struct buffer out = BUFFER_OVER(memory, size);
            formats[f](&out, &record, &second);
            assert_int_equal(out.failed, ERR_LIMIT);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(access_line_is_document_003s_and_then_ours),
        cmocka_unit_test(app_line_has_document_004s_members),
        cmocka_unit_test(second_is_printed_anew_when_it_changes),
        cmocka_unit_test(any_bytes_make_one_line_of_json),
        cmocka_unit_test(cut_does_not_split_a_character),
        cmocka_unit_test(api_key_never_shows),
        cmocka_unit_test(api_key_at_the_cut_never_shows),
        cmocka_unit_test(line_without_room_is_not_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
