/* Heads of HTTP/2 requests: what is well formed is read like its HTTP/1.1 twin, what is not never
 * reaches the parser, and nothing can be smuggled into the spelled text (HOSTILE H2-06, H2-08 to
 * H2-13). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/http2_head.h"

static const struct http_limits limits = {.line_bytes = 8192, .head_bytes = 65536};

struct line {
    struct slice name, value;
};

enum { LINES_MAX = 12 };

#define F(name, value)                                                                             \
    {                                                                                              \
        SLICE(name), SLICE(value)                                                                  \
    }
#define METHOD F(":method", "POST")
#define SCHEME F(":scheme", "https")
#define PATH F(":path", "/v1/chat")
#define AUTHORITY F(":authority", "a")
#define BASE METHOD, SCHEME, PATH, AUTHORITY

static struct request_head head;
static struct slice text;
static enum http_fault fault;

static enum http2_outcome read_lines(struct http2_head *h, const struct line *lines, size_t count,
                                     bool ends)
{
    http2_head_begin(h, &limits, false);
    for (size_t i = 0; i < count && lines[i].name.ptr; i++)
        assert_true(http2_head_field(h, lines[i].name, lines[i].value));
    return http2_head_end(h, ends, &head, &text, &fault);
}

static void assert_slice(struct slice s, const char *expected)
{
    if (!slice_equal(s, slice_of(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
}

struct rule {
    enum http2_outcome outcome;
    enum http_fault fault;
    struct line lines[LINES_MAX];
    bool ends;
};

#define READ HTTP2_HEAD_READ, HTTP_FINE
#define BROKEN_FIELD HTTP2_HEAD_MALFORMED, HTTP_BAD_FIELD
#define BROKEN_LINE HTTP2_HEAD_MALFORMED, HTTP_BAD_REQUEST_LINE
#define BROKEN_LENGTH HTTP2_HEAD_MALFORMED, HTTP_BAD_LENGTH
#define REFUSED HTTP2_HEAD_REFUSED

static void assert_rules(const struct rule *rules, size_t count)
{
    struct http2_head h = {0};
    for (size_t i = 0; i < count; i++) {
        enum http2_outcome outcome = read_lines(&h, rules[i].lines, LINES_MAX, rules[i].ends);
        if (outcome != rules[i].outcome || fault != rules[i].fault)
            fail_msg("rule %zu: outcome %d, %s, not %d, %s; \"%.*s\"", i, (int)outcome,
                     http_fault_name(fault), (int)rules[i].outcome, http_fault_name(rules[i].fault),
                     SLICE_ARG(text));
    }
    http2_head_finish(&h);
}

// clang-format off
static const struct rule good[] = {
    {READ, {BASE}},
    {READ, {BASE}, .ends = true},
    {READ, {AUTHORITY, PATH, SCHEME, METHOD}},
    {READ, {METHOD, SCHEME, PATH, F("host", "a")}},
    {READ, {BASE, F("host", "A")}},
    {READ, {METHOD, F(":scheme", "http"), PATH, AUTHORITY}},
    {READ, {BASE, F("te", "trailers")}},
    {READ, {BASE, F("x", "")}},
    {READ, {BASE, F("x", "a\tb")}},
    {READ, {BASE, F("content-length", "5")}},
    {READ, {BASE, F("content-length", "0")}, .ends = true},
    {READ, {BASE, F("expect", "100-continue")}},
    {READ, {F(":method", "OPTIONS"), SCHEME, F(":path", "*"), AUTHORITY}, .ends = true},
    {READ, {F(":method", "GET"), SCHEME, PATH, AUTHORITY}, .ends = true},
};

static const struct rule pseudo_fields[] = {
    {BROKEN_LINE, {SCHEME, PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, AUTHORITY}},
    {BROKEN_LINE, {{{0}, {0}}}},
    {BROKEN_LINE, {F("x", "y")}},
    {BROKEN_LINE, {METHOD, BASE}},
    {BROKEN_LINE, {BASE, AUTHORITY}},
    {BROKEN_LINE, {BASE, PATH}},
    {BROKEN_LINE, {BASE, F("x", "y"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, PATH, F("x", "y"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, PATH, F("cookie", "y"), AUTHORITY}},
    {BROKEN_LINE, {BASE, F(":status", "200")}},
    {BROKEN_LINE, {BASE, F(":x", "y")}},
    {BROKEN_LINE, {BASE, F(":", "y")}},
    {BROKEN_LINE, {BASE, F(":Path", "/")}},
    {BROKEN_LINE, {BASE, F(":protocol", "websocket")}},
    {BROKEN_LINE, {F(":method", "CONNECT"), F(":protocol", "websocket"), SCHEME, PATH, AUTHORITY}},
    {BROKEN_LINE, {F(":method", "CONNECT"), SCHEME, PATH, AUTHORITY}},
    {REFUSED, HTTP_BAD_METHOD, {F(":method", "CONNECT"), F(":authority", "a:80")}},
    {REFUSED, HTTP_BAD_METHOD, {F(":method", "TRACE"), SCHEME, PATH, AUTHORITY}},
    {REFUSED, HTTP_BAD_METHOD, {F(":method", "post"), SCHEME, PATH, AUTHORITY}},
    {BROKEN_LINE, {F(":method", ""), SCHEME, PATH, AUTHORITY}},
    {BROKEN_LINE, {F(":method", "GET "), SCHEME, PATH, AUTHORITY}},
    {BROKEN_LINE, {F(":method", "GET / HTTP/1.1\r\nHost: b\r\n\r\nGET"), SCHEME, PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, F(":scheme", ""), PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, F(":scheme", "HTTPS"), PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, F(":scheme", "http://evil/"), PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, F(":scheme", "ftp"), PATH, AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", ""), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", "v1"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", "http://b/"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", "/a b"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", "/a\r\nx: y"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", "/\0"), AUTHORITY}},
    {BROKEN_LINE, {METHOD, SCHEME, F(":path", "/x HTTP/1.1\r\nHost: b\r\n\r\nGET /admin"), AUTHORITY}},
    {REFUSED, HTTP_BAD_TARGET, {METHOD, SCHEME, F(":path", "*"), AUTHORITY}},
    {REFUSED, HTTP_BAD_TARGET, {METHOD, SCHEME, F(":path", "/#f"), AUTHORITY}},
    {REFUSED, HTTP_BAD_TARGET, {METHOD, SCHEME, F(":path", "/a/../b"), AUTHORITY}},
    {REFUSED, HTTP_BAD_TARGET, {METHOD, SCHEME, F(":path", "//admin"), AUTHORITY}},
};

static const struct rule hosts[] = {
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F(":authority", "")}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F("host", "")}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F("host", "a"), F("host", "a")}},
    {REFUSED, HTTP_BAD_HOST, {BASE, F("host", "b")}},
    {REFUSED, HTTP_BAD_HOST, {BASE, F("host", "")}},
    {REFUSED, HTTP_BAD_HOST, {BASE, F("host", "a:443")}},
    {REFUSED, HTTP_BAD_HOST, {BASE, F("host", "a"), F("host", "a")}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F(":authority", "u:p@a")}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F("host", "u@a")}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F(":authority", "a/b")}},
    {REFUSED, HTTP_BAD_HOST, {METHOD, SCHEME, PATH, F(":authority", "a:99999")}},
    {BROKEN_LINE, {METHOD, SCHEME, PATH, F(":authority", "a\r\nx: y")}},
    {BROKEN_LINE, {METHOD, SCHEME, PATH, F(":authority", "a b")}},
};

static const struct rule fields[] = {
    {BROKEN_FIELD, {BASE, F("X", "y")}},
    {BROKEN_FIELD, {BASE, F("content-Length", "5")}},
    {BROKEN_FIELD, {BASE, F("", "y")}},
    {BROKEN_FIELD, {BASE, F("x:", "y")}},
    {BROKEN_FIELD, {BASE, F("x: y\r\nz", "y")}},
    {BROKEN_FIELD, {BASE, F("x ", "y")}},
    {BROKEN_FIELD, {BASE, F(" x", "y")}},
    {BROKEN_FIELD, {BASE, F("x\0", "y")}},
    {BROKEN_FIELD, {BASE, F("x\xff", "y")}},
    {BROKEN_FIELD, {BASE, F("x", "y\r\nTransfer-Encoding: chunked")}},
    {BROKEN_FIELD, {BASE, F("x", "y\n")}},
    {BROKEN_FIELD, {BASE, F("x", "y\r")}},
    {BROKEN_FIELD, {BASE, F("x", "a\0b")}},
    {BROKEN_FIELD, {BASE, F("x", " y")}},
    {BROKEN_FIELD, {BASE, F("x", "y ")}},
    {BROKEN_FIELD, {BASE, F("x", "\ty")}},
    {BROKEN_FIELD, {BASE, F("x", " ")}},
    {BROKEN_FIELD, {BASE, F("cookie", "a=b\r\nx: y")}},
    {BROKEN_FIELD, {BASE, F("connection", "close")}},
    {BROKEN_FIELD, {BASE, F("connection", "")}},
    {BROKEN_FIELD, {BASE, F("keep-alive", "timeout=5")}},
    {BROKEN_FIELD, {BASE, F("proxy-connection", "close")}},
    {BROKEN_FIELD, {BASE, F("transfer-encoding", "chunked")}},
    {BROKEN_FIELD, {BASE, F("transfer-encoding", "identity")}},
    {BROKEN_FIELD, {BASE, F("upgrade", "h2c")}},
    {BROKEN_FIELD, {BASE, F("te", "gzip")}},
    {BROKEN_FIELD, {BASE, F("te", "trailers, gzip")}},
    {BROKEN_FIELD, {BASE, F("te", "")}},
    {BROKEN_LENGTH, {BASE, F("content-length", "-1")}},
    {BROKEN_LENGTH, {BASE, F("content-length", "5,5")}},
    {BROKEN_LENGTH, {BASE, F("content-length", "")}},
    {BROKEN_LENGTH, {BASE, F("content-length", "5"), F("content-length", "6")}},
    {BROKEN_LENGTH, {BASE, F("content-length", "5"), F("content-length", "5")}},
    {BROKEN_LENGTH, {BASE, F("content-length", "5")}, .ends = true},
    {REFUSED, HTTP_BAD_FIELD, {BASE, F("x_y", "z")}},
    {REFUSED, HTTP_BAD_FIELD, {BASE, F("x", "\x01")}},
    {REFUSED, HTTP_BAD_FIELD, {BASE, F("x", "\xc3\xa9")}},
    {REFUSED, HTTP_DUPLICATE_FIELD, {BASE, F("authorization", "a"), F("authorization", "b")}},
    {REFUSED, HTTP_BAD_EXPECT, {BASE, F("expect", "x")}},
    {REFUSED, HTTP_UNEXPECTED_BODY, {F(":method", "GET"), SCHEME, PATH, AUTHORITY}},
    {REFUSED, HTTP_UNEXPECTED_BODY, {F(":method", "HEAD"), SCHEME, PATH, AUTHORITY, F("content-length", "1")}},
};
// clang-format on

static void well_formed_heads_are_read(void **state)
{
    (void)state;
    assert_rules(good, COUNT_OF(good));
}

static void pseudo_fields_are_all_there_once_in_front_and_hold_nothing_else(void **state)
{
    (void)state;
    assert_rules(pseudo_fields, COUNT_OF(pseudo_fields));
}

static void there_is_one_host(void **state)
{
    (void)state;
    assert_rules(hosts, COUNT_OF(hosts));
}

static void fields_that_mean_something_else_in_a_line_are_refused(void **state)
{
    (void)state;
    assert_rules(fields, COUNT_OF(fields));
}

static void a_head_reads_like_its_twin_on_http1(void **state)
{
    (void)state;
    static const struct line lines[] = {METHOD,
                                        SCHEME,
                                        F(":path", "/v1/chat?a=b"),
                                        F(":authority", "h:8080"),
                                        F("cookie", "a=b"),
                                        F("authorization", "Bearer x"),
                                        F("host", "h:8080"),
                                        F("cookie", "c=d"),
                                        F("content-length", "10"),
                                        F("expect", "100-continue")};
    struct http2_head h = {0};
    assert_int_equal(read_lines(&h, lines, COUNT_OF(lines), false), HTTP2_HEAD_READ);
    assert_slice(text, "POST /v1/chat?a=b HTTP/2.0\r\nhost: h:8080\r\nauthorization: Bearer x\r\n"
                       "content-length: 10\r\nexpect: 100-continue\r\ncookie: a=b; c=d\r\n\r\n");
    assert_slice(head.line, "POST /v1/chat?a=b HTTP/2.0");
    assert_int_equal(head.method, METHOD_POST);
    assert_int_equal(head.major_version, 2);
    assert_int_equal(head.minor_version, 1);
    assert_slice(head.path, "/v1/chat");
    assert_slice(head.query, "a=b");
    assert_slice(head.host, "h:8080");
    assert_slice(head.authorization, "Bearer x");
    assert_int_equal(head.content_length, 10);
    assert_true(head.expect_continue && request_has_body(&head));
    assert_false(head.streamed || head.chunked);
    http2_head_finish(&h);
}

static void a_body_without_a_length_is_streamed(void **state)
{
    (void)state;
    static const struct line lines[] = {BASE};
    struct http2_head h = {0};
    assert_int_equal(read_lines(&h, lines, COUNT_OF(lines), false), HTTP2_HEAD_READ);
    assert_true(head.streamed && request_has_body(&head));
    assert_int_equal(read_lines(&h, lines, COUNT_OF(lines), true), HTTP2_HEAD_READ);
    assert_false(head.streamed || request_has_body(&head));
    http2_head_finish(&h);
}

/* Every byte in every kind of place: what is taken is one head with these fields and no more. */
static void no_byte_can_end_the_place_it_stands_in(void **state)
{
    (void)state;
    static const char *const names[] = {":method", ":scheme", ":path", ":authority", "x", NULL};
    struct http2_head h = {0};
    for (size_t place = 0; place < COUNT_OF(names); place++) {
        for (int byte = 0; byte < 256; byte++) {
            struct line lines[] = {BASE, F("x", "v")};
            char odd[4] = {'/', 'a', (char)byte, 'b'};
            struct line *line = &lines[place < 5 ? place : 4];
            if (names[place])
                line->value = slice_make(odd, 4);
            else
                line->name = slice_make(odd + 1, 3);
            if (read_lines(&h, lines, COUNT_OF(lines), true) != HTTP2_HEAD_READ)
                continue;
            unsigned ends = 0;
            for (size_t i = 0; i < text.len; i++)
                ends += text.ptr[i] == '\n';
            assert_int_equal(ends, 4);
            assert_int_equal(head.field_count, 2);
            assert_true(slice_equal(slice_from(text, text.len - 4), SLICE("\r\n\r\n")));
        }
    }
    http2_head_finish(&h);
}

static enum http2_outcome read_many(struct http2_head *h, struct slice name, struct slice value,
                                    unsigned count)
{
    static const struct line lines[] = {BASE};
    http2_head_begin(h, &limits, false);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_true(http2_head_field(h, lines[i].name, lines[i].value));
    for (unsigned i = 0; i < count; i++)
        assert_true(http2_head_field(h, name, value));
    return http2_head_end(h, true, &head, &text, &fault);
}

static void heads_over_the_limits_are_refused_and_not_kept(void **state)
{
    (void)state;
    static char large[9000];
    memset(large, 'v', sizeof large);
    struct http2_head h = {0};
    assert_int_equal(read_many(&h, SLICE("x"), SLICE("y"), 99), HTTP2_HEAD_READ);
    assert_int_equal(head.field_count, 100);
    assert_int_equal(read_many(&h, SLICE("x"), SLICE("y"), 100), HTTP2_HEAD_REFUSED);
    assert_int_equal(fault, HTTP_TOO_MANY_FIELDS);
    assert_int_equal(read_many(&h, SLICE("x"), slice_make(large, 9000), 1), HTTP2_HEAD_REFUSED);
    assert_int_equal(fault, HTTP_LINE_TOO_LONG);
    assert_int_equal(read_many(&h, SLICE("x"), slice_make(large, 8000), 99), HTTP2_HEAD_REFUSED);
    assert_int_equal(fault, HTTP_HEAD_TOO_LONG);
    assert_true(h.text.size <= limits.head_bytes);
    http2_head_finish(&h);
}

static void crumbs_are_one_field_within_the_limits(void **state)
{
    (void)state;
    struct http2_head h = {0};
    assert_int_equal(read_many(&h, SLICE("cookie"), SLICE("a=b"), 900), HTTP2_HEAD_READ);
    assert_int_equal(head.field_count, 2);
    assert_int_equal(head.fields[1].value.len, 900 * 5 - 2);
    assert_int_equal(read_many(&h, SLICE("cookie"), SLICE("aaaaaa=b"), 900), HTTP2_HEAD_REFUSED);
    assert_int_equal(fault, HTTP_LINE_TOO_LONG);
    http2_head_finish(&h);
}

/* 16,000 references to one large entry: 64 MiB of fields in 16 KiB. */
static void a_list_beyond_all_bounds_is_not_read_to_its_end(void **state)
{
    (void)state;
    static char large[4000];
    memset(large, 'v', sizeof large);
    struct http2_head h = {0};
    http2_head_begin(&h, &limits, false);
    unsigned taken = 0;
    while (taken < 16000 && http2_head_field(&h, SLICE("x"), slice_make(large, sizeof large)))
        taken++;
    assert_true(taken < 500);
    assert_true(h.text.size + h.pseudo.size + h.cookie.size <= limits.head_bytes);
    http2_head_begin(&h, &limits, false);
    for (taken = 0; taken < 16000 && http2_head_field(&h, SLICE("cookie"), SLICE("a")); taken++)
        ;
    assert_int_equal(taken, 1000);
    http2_head_finish(&h);
}

static void trailers_are_checked_and_dropped(void **state)
{
    (void)state;
    static const struct {
        enum http2_outcome outcome;
        struct line line;
        bool ends;
        unsigned times;
    } cases[] = {
        {HTTP2_HEAD_READ,      F("x",                 "y"),     true,  1  },
        {HTTP2_HEAD_READ,      F("content-length",    "5"),     true,  1  },
        {HTTP2_HEAD_READ,      F("x",                 "y"),     true,  100},
        {HTTP2_HEAD_REFUSED,   F("x",                 "y"),     true,  101},
        {HTTP2_HEAD_MALFORMED, F("x",                 "y"),     false, 1  },
        {HTTP2_HEAD_MALFORMED, F(":path",             "/"),     true,  1  },
        {HTTP2_HEAD_MALFORMED, F("X",                 "y"),     true,  1  },
        {HTTP2_HEAD_MALFORMED, F("x",                 "y\r\n"), true,  1  },
        {HTTP2_HEAD_MALFORMED, F("transfer-encoding", ""),      true,  1  },
    };
    struct http2_head h = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        http2_head_begin(&h, &limits, true);
        for (unsigned n = 0; n < cases[i].times; n++)
            assert_true(http2_head_field(&h, cases[i].line.name, cases[i].line.value));
        assert_int_equal(http2_head_end(&h, cases[i].ends, &head, &text, &fault), cases[i].outcome);
        assert_int_equal(h.text.len, 0);
    }
    http2_head_finish(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_heads_are_read),
        cmocka_unit_test(pseudo_fields_are_all_there_once_in_front_and_hold_nothing_else),
        cmocka_unit_test(there_is_one_host),
        cmocka_unit_test(fields_that_mean_something_else_in_a_line_are_refused),
        cmocka_unit_test(a_head_reads_like_its_twin_on_http1),
        cmocka_unit_test(a_body_without_a_length_is_streamed),
        cmocka_unit_test(no_byte_can_end_the_place_it_stands_in),
        cmocka_unit_test(heads_over_the_limits_are_refused_and_not_kept),
        cmocka_unit_test(crumbs_are_one_field_within_the_limits),
        cmocka_unit_test(a_list_beyond_all_bounds_is_not_read_to_its_end),
        cmocka_unit_test(trailers_are_checked_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
