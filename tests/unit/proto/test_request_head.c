/* Request heads: what is strict HTTP/1.1 is read, everything else is refused with one reason, which
 * does not depend on how the bytes arrived (HOSTILE 2.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/http.h"

static const struct http_limits limits = {.line_bytes = 8192, .head_bytes = 65536};

#define POST "POST /v1/chat HTTP/1.1\r\nHost: a\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define HOSTED(authority) "GET / HTTP/1.1\r\nHost: " authority "\r\n\r\n"

static struct request_head head;

/* From memory of just that size, so that reading too far shows. */
static enum err parse(struct slice bytes, const struct http_limits *with, size_t *used,
                      enum http_fault *fault)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    enum err err = request_head_parse(slice_make(copy, bytes.len), with, &head, used, fault);
    if (err == OK)
        request_head_rebase(&head, copy, bytes.ptr);
    free(copy);
    return err;
}

/* Every prefix is either incomplete or has the whole's fault, and once wrong stays wrong. */
static void assert_fault(struct slice bytes, const struct http_limits *with,
                         enum http_fault expected)
{
    bool failed = false;
    for (size_t len = 0; len <= bytes.len; len++) {
        size_t used;
        enum http_fault fault;
        enum err err = parse(slice_to(bytes, len), with, &used, &fault);
        bool complete = len == bytes.len;
        if (err == ERR_AGAIN && !failed && !complete)
            continue;
        if (err != ERR_SYNTAX || fault != expected)
            fail_msg("%zu of %zu bytes of \"%.*s\": %s, %s, not %s", len, bytes.len,
                     SLICE_ARG(slice_to(bytes, bytes.len < 200 ? bytes.len : 200)), err_name(err),
                     http_fault_name(fault), http_fault_name(expected));
        failed = true;
    }
}

/* The whole is read, each prefix is incomplete, and what follows is left alone. */
static void assert_read(struct slice bytes)
{
    size_t used;
    enum http_fault fault;
    for (size_t len = 0; len < bytes.len; len++)
        if (parse(slice_to(bytes, len), &limits, &used, &fault) != ERR_AGAIN)
            fail_msg("%zu bytes of \"%.*s\": %s", len, SLICE_ARG(bytes), http_fault_name(fault));
    if (parse(bytes, &limits, &used, &fault) != OK)
        fail_msg("\"%.*s\": %s", SLICE_ARG(bytes), http_fault_name(fault));
    assert_int_equal(used, bytes.len);
    assert_int_equal(fault, HTTP_FINE);
}

static void assert_slice(struct slice s, const char *expected)
{
    if (!slice_equal(s, slice_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
}

static void a_whole_head_is_taken_apart(void **state)
{
    (void)state;
    static const char text[] = "\r\nPOST /v1/chat?a=b HTTP/1.1\r\nhOST: h:8080\r\n"
                               "Authorization: \t Bearer  x \t\r\nX-API-Key:k\r\napi-key: z\r\n"
                               "Content-Type: application/json\r\nContent-Length: 010\r\n"
                               "Accept: */*\r\nAccept: text/plain\r\nEmpty:\r\n"
                               "X-Correlation-ID: c\r\nOrigin: o\r\ntraceparent: t\r\n"
                               "Content-Encoding: gzip\r\nExpect: 100-Continue\r\n\r\n";
    assert_read(slice_of(text));
    assert_int_equal(head.method, METHOD_POST);
    assert_int_equal(head.minor_version, 1);
    assert_slice(head.line, "POST /v1/chat?a=b HTTP/1.1");
    assert_slice(head.target, "/v1/chat?a=b");
    assert_slice(head.path, "/v1/chat");
    assert_slice(head.query, "a=b");
    assert_slice(head.host, "h:8080");
    assert_slice(head.authorization, "Bearer  x");
    assert_slice(head.x_api_key, "k");
    assert_slice(head.api_key, "z");
    assert_slice(head.content_type, "application/json");
    assert_slice(head.content_encoding, "gzip");
    assert_slice(head.accept, "*/*");
    assert_slice(head.correlation_id, "c");
    assert_slice(head.origin, "o");
    assert_slice(head.traceparent, "t");
    assert_int_equal(head.content_length, 10);
    assert_false(head.chunked);
    assert_true(head.keep_alive);
    assert_true(head.expect_continue);
    assert_int_equal(head.field_count, 14);
    assert_slice(head.fields[0].name, "hOST");
    assert_slice(head.fields[8].name, "Empty");
    assert_slice(head.fields[8].value, "");
    assert_null(head.fields[8].row);
    assert_int_equal(head.fields[13].row->id, FIELD_EXPECT);
}

static void nothing_of_one_request_is_left_for_the_next(void **state)
{
    (void)state;
    assert_read(SLICE(POST "Authorization: a\r\nX-API-Key: k\r\napi-key: z\r\nOrigin: o\r\n"
                           "Content-Type: c\r\nTransfer-Encoding: chunked\r\nAccept: a\r\n"
                           "Expect: 100-continue\r\nConnection: close\r\n\r\n"));
    assert_true(head.chunked && head.expect_continue && !head.keep_alive);
    assert_read(SLICE("GET / HTTP/1.0\r\n\r\n"));
    assert_null(head.authorization.ptr);
    assert_null(head.x_api_key.ptr);
    assert_null(head.api_key.ptr);
    assert_null(head.origin.ptr);
    assert_null(head.content_type.ptr);
    assert_null(head.accept.ptr);
    assert_null(head.host.ptr);
    assert_null(head.query.ptr);
    assert_int_equal(head.field_count, 0);
    assert_true(head.content_length == HTTP_NO_LENGTH);
    assert_false(head.chunked || head.expect_continue || head.keep_alive);
}

static void strict_heads_are_read(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        SLICE(GET "\r\n"),
        SLICE("GET / HTTP/1.0\r\n\r\n"),
        SLICE("GET http://b/x HTTP/1.0\r\n\r\n"),
        SLICE("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        SLICE("GET http://A:80/ HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        SLICE(GET "Content-Length: 0\r\n\r\n"),
        SLICE(POST "Transfer-Encoding: CHUNKED\r\n\r\n"),
        SLICE("DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"),
        SLICE(POST "Content-Length: 9223372036854775807\r\n\r\n"),
        SLICE(GET "X: a\tb \x21\x7e\r\n\r\n"),
        SLICE(GET "X!#$%&'*+-.^`|~9: 1234567890123456789\t1234567890\r\n\r\n"),
        SLICE(GET "X:\r\nY: \t\r\n\r\n"),
        SLICE("GET / HTTP/1.0\r\nExpect: nonsense\r\n\r\n"),
        SLICE(GET "Connection: close, X-Request-ID, Authorization, Content-Length\r\n\r\n"),
        SLICE(POST "Content-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_read(cases[i]);
    assert_read(SLICE("GET http://b/x HTTP/1.0\r\n\r\n"));
    assert_slice(head.host, "b"); /* the gate sees the only host there is */
}

struct fault_case {
    enum http_fault fault;
    struct slice bytes;
};

static void assert_faults(const struct fault_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_fault(cases[i].bytes, &limits, cases[i].fault);
}

static void wrong_request_lines_are_refused(void **state)
{
    (void)state;
    // clang-format off
    static const struct fault_case cases[] = {
        {HTTP_BAD_REQUEST_LINE, SLICE("GET /\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("\r\n\r\nGET / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE(" GET / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET  / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET\t/ HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET /\tHTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET /  HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / HTTP/1.1 \r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / HTTP/1.1.\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / HTTP/01.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / HTTP/1.10\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / http/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / HTTP/1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / HTTP 1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / RTSP/1.0\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GET / ICE/1.0\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("G=\":/ HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("GE\0T / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_REQUEST_LINE, SLICE("\x16\x03\x01\x02")},
        {HTTP_BAD_REQUEST_LINE, SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_METHOD, SLICE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_METHOD, SLICE("get / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_METHOD, SLICE("BREW / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_METHOD, SLICE("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_METHOD, SLICE("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_METHOD, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
        {HTTP_BAD_VERSION, SLICE("GET / HTTP/2.0\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_VERSION, SLICE("GET / HTTP/1.2\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_VERSION, SLICE("GET / HTTP/0.9\r\n\r\n")},
        {HTTP_BAD_TARGET, SLICE("GET * HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_TARGET, SLICE("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_TARGET, SLICE("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_TARGET, SLICE("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_TARGET, SLICE("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_TARGET, SLICE("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("\nGET / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("\rGET / HTTP/1.1\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("GET / HTTP/1.1\nHost: a\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("GET / HTTP/1.1\rHost: a\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("GET /\n")},
        {HTTP_BAD_LINE_END, SLICE("GET\n")},
        {HTTP_BAD_LINE_END, SLICE("GET / HTT\n")},
    };
    // clang-format on
    assert_faults(cases, COUNT_OF(cases));
}

static void wrong_fields_are_refused(void **state)
{
    (void)state;
    // clang-format off
    static const struct fault_case cases[] = {
        {HTTP_BAD_LINE_END, SLICE(GET "X: a\nY: b\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE(GET "X: a\rY: b\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE(GET "X: a\r\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE(GET "X: a\r\n\n")},
        {HTTP_BAD_LINE_END, SLICE(GET "X: a\r\n\rG")},
        {HTTP_BAD_LINE_END, SLICE(GET "X\n: a\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE(GET "X: 0123456789abcdef0123\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X: a\r\n b\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X: a\r\n\tb\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X : a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X\t: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X y: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET ": a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET ":\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Content-Length 10\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Content-Length\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Te\rst: x\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Content_Length: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X-User_: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Content\xc2\xadLength: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Transfer--Encoding: chunked\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Content---Length: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "-Content-Length: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Content-Length-: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "Host-: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X-Forwarded--For: a\r\n\r\n")}, /* of a family */
        {HTTP_BAD_FIELD, SLICE(GET "Remote-User-: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X--: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "-: a\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "\0X: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X: \xff\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(GET "X: a\0b\r\n\r\n")},
        {HTTP_DUPLICATE_FIELD, SLICE(GET "Authorization: a\r\nauthorization: a\r\n\r\n")},
        {HTTP_DUPLICATE_FIELD, SLICE(GET "X-API-Key: a\r\nx-api-key: b\r\n\r\n")},
        {HTTP_DUPLICATE_FIELD, SLICE(GET "api-key: a\r\nAPI-KEY: b\r\n\r\n")},
        {HTTP_DUPLICATE_FIELD, SLICE(POST "Content-Type: a\r\nContent-Type: a\r\n\r\n")},
        {HTTP_DUPLICATE_FIELD, SLICE(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n")},
        {HTTP_BAD_EXPECT, SLICE(POST "Expect: x\r\n\r\n")},
        {HTTP_BAD_EXPECT, SLICE(POST "Expect: y 100-continue\r\n\r\n")},
        {HTTP_BAD_EXPECT, SLICE(POST "Expect:\r\n\r\n")},
    };
    // clang-format on
    assert_faults(cases, COUNT_OF(cases));
}

static void every_byte_of_a_value_is_taken_or_refused_at_every_place(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        if (byte == '\r')
            continue;
        bool wanted = byte == '\t' || (byte >= 0x20 && byte < 0x7f);
        for (size_t at = 0; at < 40; at++) {
            char text[128];
            size_t begin = sizeof(GET) - 1;
            memcpy(text, GET "X: ", begin + 3);
            memset(text + begin + 3, 'v', 40);
            text[begin + 3 + at] = (char)byte;
            memcpy(text + begin + 43, "\r\n\r\n", 4);
            size_t used;
            enum http_fault fault;
            enum err err = parse(slice_make(text, begin + 47), &limits, &used, &fault);
            assert_int_equal(err, wanted ? OK : ERR_SYNTAX);
            /* and a hopeless head is not waited for */
            err = parse(slice_make(text, begin + 4 + at), &limits, &used, &fault);
            assert_int_equal(err, wanted ? ERR_AGAIN : ERR_SYNTAX);
        }
    }
}

static void wrong_hosts_are_refused(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        SLICE("GET / HTTP/1.1\r\n\r\n"),
        SLICE("GET / HTTP/1.1\r\nX: Host\r\n\r\n"),
        SLICE(GET "Host: a\r\n\r\n"),
        SLICE("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        SLICE(HOSTED("")),
        SLICE(HOSTED("a,b")),
        SLICE(HOSTED("a b")),
        SLICE(HOSTED("a@b")),
        SLICE(HOSTED("a#b")),
        SLICE(HOSTED("a:99999")),
        SLICE(HOSTED("a:")),
        SLICE(HOSTED("[::1")),
        SLICE(HOSTED("u:p@a")),
        SLICE(HOSTED("http://a")),
        SLICE("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"),
        SLICE("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        SLICE("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        SLICE("GET http://a/ HTTP/1.1\r\n\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_fault(cases[i], &limits, HTTP_BAD_HOST);
}

static void unclear_framing_is_refused(void **state)
{
    (void)state;
    static const char *const lengths[] = {
        "+5",
        "-1",
        "0x10",
        "1_0",
        "5 5",
        "5,5",
        "5, 6",
        "",
        " ",
        "5;",
        "1e1",
        "5.0",
        "18446744073709551616",
        "9223372036854775808",
        "000000000000000000005",
        "5\r\nContent-Length: 5",
        "5\r\ncontent-length: 6",
    };
    static const char *const codings[] = {
        "chunked, chunked",
        "chunked, identity",
        ",chunked",
        "gzip, chunked",
        "chunked;x=y",
        "\"chunked\"",
        "chunked\r\nTransfer-Encoding: chunked",
        "",
        "chunked,",
        "chunked chunked",
        "chunked\r\nContent-Length: 6",
    };
    static const char *const unknown[] = {"identity", "gzip", "xchunked", "chunke", "compress"};
    char text[256];
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        int len = snprintf(text, sizeof(text), POST "Content-Length: %s\r\n\r\n", lengths[i]);
        assert_fault(slice_make(text, (size_t)len), &limits, HTTP_BAD_LENGTH);
    }
    for (size_t i = 0; i < COUNT_OF(codings); i++) {
        int len = snprintf(text, sizeof(text), POST "Transfer-Encoding: %s\r\n\r\n", codings[i]);
        assert_fault(slice_make(text, (size_t)len), &limits, HTTP_BAD_CODING);
    }
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        int len = snprintf(text, sizeof(text), POST "Transfer-Encoding: %s\r\n\r\n", unknown[i]);
        assert_fault(slice_make(text, (size_t)len), &limits, HTTP_UNKNOWN_CODING);
    }
    // clang-format off
    static const struct fault_case cases[] = {
        {HTTP_BAD_CODING, SLICE(POST "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {HTTP_BAD_CODING, SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {HTTP_UNEXPECTED_BODY, SLICE(GET "Content-Length: 1\r\n\r\n")},
        {HTTP_UNEXPECTED_BODY, SLICE(GET "Transfer-Encoding: chunked\r\n\r\n")},
        {HTTP_UNEXPECTED_BODY, SLICE("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(POST "Transfer-Encoding\t: chunked\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(POST "Transfer-Encoding:\x0b" "chunked\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(POST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE(POST "X: X\rTransfer-Encoding: chunked\r\n\r\n")},
    };
    // clang-format on
    assert_faults(cases, COUNT_OF(cases));
}

static void keep_alive_is_what_version_and_connection_say(void **state)
{
    (void)state;
    static const struct {
        int minor;
        const char *connection;
        bool keep_alive;
    } cases[] = {
        {1, "x",                               true },
        {1, "close",                           false},
        {1, "a, CLOSE ,b",                     false},
        {1, "keep-alive, close",               false},
        {1, "keep-alive\r\nConnection: close", false},
        {1, "closed",                          true },
        {0, "x",                               false},
        {0, "Keep-Alive",                      true },
        {0, "keep-alive, close",               false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[256];
        int len =
            snprintf(text, sizeof(text), "GET / HTTP/1.%d\r\nHost: a\r\nConnection: %s\r\n\r\n",
                     cases[i].minor, cases[i].connection);
        assert_read(slice_make(text, (size_t)len));
        assert_int_equal(head.keep_alive, cases[i].keep_alive);
    }
}

/* At each limit a head is read; one byte or field more and it is refused, complete or not. */
static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    static const struct http_limits small = {.line_bytes = 40, .head_bytes = 99};
    static const char fine[] = "GET /aaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n" /* 40 */
                               "Host: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
                               "X: 12345678\r\n\r\n";
    size_t used;
    enum http_fault fault;
    assert_int_equal(sizeof(fine) - 1, 99);
    assert_int_equal(parse(slice_of(fine), &small, &used, &fault), OK);
    // clang-format off
    static const struct fault_case cases[] = {
        {HTTP_TARGET_TOO_LONG, SLICE("GET /aaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n")},
        {HTTP_TARGET_TOO_LONG, SLICE("GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
        {HTTP_LINE_TOO_LONG, SLICE(GET "X: 12345678901234567890123456789012345678\r\n\r\n")},
        {HTTP_LINE_TOO_LONG, SLICE(GET "X1234567890123456789012345678901234567890")},
        {HTTP_LINE_TOO_LONG, SLICE(GET "X1234567890123456789012345678901234567890: a\r\n\r\n")},
        {HTTP_HEAD_TOO_LONG, SLICE(GET "X: 12345678901234567890\r\nY: 12345678901234567890\r\n"
                                       "Z: 123456789012345678\r\n\r\n")},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_fault(cases[i].bytes, &small, cases[i].fault);

    static char many[8192];
    size_t len = (size_t)snprintf(many, sizeof(many), GET);
    for (int i = 0; i < FIELDS_MAX - 1; i++)
        len += (size_t)snprintf(many + len, sizeof(many) - len, "X-%d: y\r\n", i);
    memcpy(many + len, "\r\n", 2);
    assert_int_equal(parse(slice_make(many, len + 2), &limits, &used, &fault), OK);
    assert_int_equal(head.field_count, FIELDS_MAX);
    memcpy(many + len, "Z: y\r\n\r\n", 8);
    assert_fault(slice_make(many, len + 8), &limits, HTTP_TOO_MANY_FIELDS);

    /* and what a Connection may ask the forwarder to look for */
    len = (size_t)snprintf(many, sizeof(many), GET "Connection: %01024d\r\n", 0);
    memcpy(many + len, "\r\n", 2);
    assert_int_equal(parse(slice_make(many, len + 2), &limits, &used, &fault), OK);
    memcpy(many + len, "Connection: x\r\n\r\n", 17);
    assert_fault(slice_make(many, len + 17), &limits, HTTP_BAD_FIELD);
}

static void connection_names_hop_by_hop_fields(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool hop;
    } cases[] = {
        {"Connection", true },
        {"X-A",        true },
        {"x-b",        true },
        {"X-C",        false},
        {"TE",         true }
    };
    assert_read(SLICE("GET / HTTP/1.0\r\nConnection: close , x-a\r\nX-A: 1\r\nx-b: 2\r\nX-C: 3\r\n"
                      "TE: x\r\nConnection: ,X-B\r\n\r\n"));
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(http_hop_by_hop(head.fields, head.field_count, &head.fields[i]),
                         cases[i].hop);
    assert_true(http_list_has(SLICE("a, Upgrade\t,b"), SLICE("upgrade")));
    assert_false(http_list_has(SLICE("a, Upgraded,b"), SLICE("upgrade")));
    assert_false(http_list_has(SLICE(""), SLICE("upgrade")));
}

static void names_are_there_for_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HTTP_FAULT_COUNT; i++)
        assert_non_null(http_fault_name(i));
    for (unsigned i = 0; i < METHOD_COUNT; i++) {
        char text[64];
        int len =
            snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: a\r\n\r\n", http_method_name(i));
        assert_read(slice_make(text, (size_t)len));
        assert_int_equal(head.method, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_head_is_taken_apart),
        cmocka_unit_test(nothing_of_one_request_is_left_for_the_next),
        cmocka_unit_test(strict_heads_are_read),
        cmocka_unit_test(wrong_request_lines_are_refused),
        cmocka_unit_test(wrong_fields_are_refused),
        cmocka_unit_test(every_byte_of_a_value_is_taken_or_refused_at_every_place),
        cmocka_unit_test(wrong_hosts_are_refused),
        cmocka_unit_test(unclear_framing_is_refused),
        cmocka_unit_test(keep_alive_is_what_version_and_connection_say),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(connection_names_hop_by_hop_fields),
        cmocka_unit_test(names_are_there_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
