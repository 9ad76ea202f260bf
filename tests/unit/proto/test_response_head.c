/* Answers of an upstream that is not trusted: clear framing or none at all (HOSTILE 2.17). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proto/http.h"

static const struct http_limits limits = {.line_bytes = 8192, .head_bytes = 65536};
static struct response_head head;

#define OK_200 "HTTP/1.1 200 OK\r\n"

/* From memory of just that size, so that reading too far shows. */
static enum err parse(struct slice bytes, enum http_method method, size_t *used,
                      enum http_fault *fault)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    enum err err =
        response_head_parse(slice_make(copy, bytes.len), &limits, method, &head, used, fault);
    free(copy);
    return err;
}

static void assert_read(struct slice bytes, enum http_method method)
{
    size_t used;
    enum http_fault fault;
    for (size_t len = 0; len < bytes.len; len++)
        if (parse(slice_to(bytes, len), method, &used, &fault) != ERR_AGAIN)
            fail_msg("%zu bytes of \"%.*s\"", len, SLICE_ARG(bytes));
    if (response_head_parse(bytes, &limits, method, &head, &used, &fault) != OK)
        fail_msg("\"%.*s\": %s", SLICE_ARG(bytes), http_fault_name(fault));
    assert_int_equal(used, bytes.len);
}

static void a_whole_answer_is_taken_apart(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 429 Too  Many \xe4\r\nContent-Type: text/plain\r\n"
                               "content-encoding: gzip\r\nRetry-After: 7\r\nX_Name: \xff\r\n"
                               "Keep-Alive: max=3, timeout=15\r\nContent-Length: 12\r\n\r\n";
    assert_read(slice_of(text), METHOD_POST);
    assert_int_equal(head.status, 429);
    assert_int_equal(head.minor_version, 1);
    assert_true(slice_equal(head.reason, SLICE("Too  Many \xe4")));
    assert_true(slice_equal(head.content_type, SLICE("text/plain")));
    assert_true(slice_equal(head.content_encoding, SLICE("gzip")));
    assert_true(slice_equal(head.retry_after, SLICE("7")));
    assert_int_equal(head.idle_seconds, 15);
    assert_int_equal(head.content_length, 12);
    assert_int_equal(head.field_count, 6);
    assert_true(head.keep_alive);
    assert_false(head.no_body || head.chunked);
    /* nothing of it is left for the next */
    assert_read(SLICE("HTTP/1.0 200\r\n\r\n"), METHOD_GET);
    assert_null(head.content_type.ptr);
    assert_null(head.retry_after.ptr);
    assert_int_equal(head.idle_seconds, 0);
    assert_int_equal(head.field_count, 0);
    assert_int_equal(head.reason.len, 0);
}

static void body_and_connection_follow_from_the_head(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        enum http_method method;
        bool no_body, keep_alive, chunked;
        struct slice bytes;
    } cases[] = {
        {METHOD_GET,  false, true,  false, SLICE("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")},
        {METHOD_GET,  false, true,  false, SLICE("HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n")},
        {METHOD_GET,  false, true,  true,  SLICE(OK_200 "Transfer-Encoding: Chunked\r\n\r\n")},
        /* ends with the connection */
        {METHOD_GET,  false, false, false, SLICE(OK_200 "\r\n")},
        {METHOD_GET,  false, false, false, SLICE(OK_200 "Connection: close\r\nContent-Length: 5\r\n\r\n")},
        {METHOD_HEAD, true,  true,  false, SLICE(OK_200 "Content-Length: 5\r\n\r\n")},
        {METHOD_HEAD, true,  true,  true,  SLICE(OK_200 "Transfer-Encoding: chunked\r\n\r\n")},
        {METHOD_HEAD, true,  true,  false, SLICE(OK_200 "\r\n")},
        {METHOD_POST, true,  true,  false, SLICE("HTTP/1.1 204 No Content\r\n\r\n")},
        {METHOD_POST, true,  false, false, SLICE("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")},
        {METHOD_POST, true,  false, true,  SLICE("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {METHOD_GET,  true,  true,  false, SLICE("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")},
        {METHOD_POST, true,  true,  false, SLICE("HTTP/1.1 100 Continue\r\n\r\n")},
        {METHOD_POST, true,  true,  false, SLICE("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")},
        {METHOD_GET,  false, false, false, SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n")},
        {METHOD_GET,  false, true,  false, SLICE("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n"
                                           "Connection: keep-alive\r\n\r\n")},
        {METHOD_GET,  false, false, false, SLICE("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n")},
        {METHOD_GET,  false, true,  false, SLICE("HTTP/1.1 599 x\r\nContent-Length: 1\r\nKeep-Alive: timeout=x\r\n\r\n")},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_read(cases[i].bytes, cases[i].method);
        if (head.no_body != cases[i].no_body || head.keep_alive != cases[i].keep_alive ||
            head.chunked != cases[i].chunked)
            fail_msg("\"%.*s\": %d %d %d", SLICE_ARG(cases[i].bytes), head.no_body, head.keep_alive,
                     head.chunked);
    }
}

static void unclear_answers_are_refused(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        enum http_fault fault;
        struct slice bytes;
    } cases[] = {
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1 099 x\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1 600 x\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1 2000\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1 20\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1  200 OK\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1 200\tOK\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/1.1 200 O\0K\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("HTTP/2 200\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("ICY 200 OK\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n")},
        {HTTP_BAD_STATUS_LINE, SLICE("<html>")},
        {HTTP_BAD_STATUS_LINE, SLICE("Content-Type: a\r\n\r\n")},
        {HTTP_BAD_VERSION, SLICE("HTTP/2.0 200 OK\r\n\r\n")},
        {HTTP_BAD_VERSION, SLICE("HTTP/1.2 200 OK\r\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("HTTP/1.1 200 OK\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE("HTTP/1.1 200 OK\r \r\n")},
        {HTTP_BAD_LINE_END, SLICE(OK_200 "X: y\n\r\n")},
        {HTTP_BAD_LINE_END, SLICE(OK_200 "X: y\r\n\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 "X: y\r\n z\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 "X : y\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 ": y\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 "X\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 "X: a\0\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 "X: a\x7f\r\n\r\n")},
        {HTTP_BAD_FIELD, SLICE(OK_200 "X\xff: a\r\n\r\n")},
        {HTTP_BAD_CODING, SLICE(OK_200 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {HTTP_BAD_CODING, SLICE("HTTP/1.1 204 x\r\nContent-Length: 1\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n")},
        {HTTP_BAD_CODING, SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {HTTP_BAD_CODING, SLICE(OK_200 "Transfer-Encoding: gzip, chunked\r\n\r\n")},
        {HTTP_UNKNOWN_CODING, SLICE(OK_200 "Transfer-Encoding: gzip\r\n\r\n")},
        {HTTP_BAD_LENGTH, SLICE(OK_200 "Content-Length: 1\r\nContent-Length: 2\r\n\r\n")},
        {HTTP_BAD_LENGTH, SLICE(OK_200 "Content-Length: -1\r\n\r\n")},
        {HTTP_BAD_LENGTH, SLICE(OK_200 "Content-Length: 1, 1\r\n\r\n")},
        {HTTP_DUPLICATE_FIELD, SLICE(OK_200 "Content-Type: a\r\nContent-Type: a\r\n\r\n")},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool failed = false;
        for (size_t len = 0; len <= cases[i].bytes.len; len++) {
            size_t used;
            enum http_fault fault;
            enum err err = parse(slice_to(cases[i].bytes, len), METHOD_GET, &used, &fault);
            if (err == ERR_AGAIN && !failed && len < cases[i].bytes.len)
                continue;
            if (err != ERR_SYNTAX || fault != cases[i].fault)
                fail_msg("%zu bytes of \"%.*s\": %s, %s", len, SLICE_ARG(cases[i].bytes),
                         err_name(err), http_fault_name(fault));
            failed = true;
        }
    }
}

static void a_status_line_without_end_is_not_waited_for(void **state)
{
    (void)state;
    static char text[65536];
    memset(text, 'x', sizeof(text));
    memcpy(text, "HTTP/1.1 200 ", 13);
    size_t used;
    enum http_fault fault;
    assert_int_equal(parse(slice_make(text, 8192), METHOD_GET, &used, &fault), ERR_AGAIN);
    assert_int_equal(parse(slice_make(text, 8193), METHOD_GET, &used, &fault), ERR_SYNTAX);
    assert_int_equal(fault, HTTP_LINE_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_is_taken_apart),
        cmocka_unit_test(body_and_connection_follow_from_the_head),
        cmocka_unit_test(unclear_answers_are_refused),
        cmocka_unit_test(a_status_line_without_end_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
