/* Chunked bodies: each vector is decoded whole, byte by byte and split at every offset, and comes
 * out the same (HOSTILE H1-16 to H1-19). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "proto/chunked.h"

/* Feeds one piece; the content is appended to `out`. `*rest` is what was not read. */
static enum err feed(struct chunked *chunked, struct slice bytes, struct buffer *out,
                     struct slice *rest)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    struct slice input = slice_make(copy, bytes.len), content;
    enum err err;
    while ((err = chunked_next(chunked, &input, &content)) == OK) {
        assert_true(content.len > 0);
        buffer_append(out, content);
    }
    if (err == ERR_AGAIN)
        assert_int_equal(input.len, 0);
    *rest = slice_from(bytes, bytes.len - input.len);
    free(copy);
    return err;
}

/* Decodes in pieces that end at `first` and then every `step` bytes. */
static enum err decode(struct slice bytes, size_t first, size_t step, struct buffer *out,
                       struct slice *rest, enum http_fault *fault)
{
    struct chunked chunked;
    chunked_init(&chunked);
    buffer_clear(out);
    out->len = 0;
    enum err err = ERR_AGAIN;
    for (size_t at = 0, len = first; err == ERR_AGAIN && at < bytes.len; at += len, len = step) {
        if (len > bytes.len - at)
            len = bytes.len - at;
        err = feed(&chunked, slice_to(slice_from(bytes, at), len), out, rest);
        *rest = slice_from(bytes, (size_t)(rest->ptr - bytes.ptr));
    }
    *fault = chunked.fault;
    struct slice more = SLICE("0\r\n\r\n"), content;
    if (err != ERR_AGAIN) { /* the end is the end */
        assert_int_equal(chunked_next(&chunked, &more, &content), err);
        assert_int_equal(more.len, 5);
    }
    return err;
}

static void assert_decodes(struct slice bytes, enum err expected, enum http_fault expected_fault,
                           struct slice content, struct slice left)
{
    struct buffer out = BUFFER_MAX(4096);
    for (size_t first = 0; first <= bytes.len; first++) {
        for (int by_byte = 0; by_byte < 2; by_byte++) {
            struct slice rest = bytes;
            enum http_fault fault;
            enum err err = decode(bytes, first, by_byte ? 1 : bytes.len, &out, &rest, &fault);
            if (err != expected || fault != expected_fault)
                fail_msg("\"%.*s\" split at %zu: %s, %s", SLICE_ARG(bytes), first, err_name(err),
                         http_fault_name(fault));
            if (expected != ERR_SYNTAX) {
                assert_true(slice_equal(buffer_slice(&out), content));
                assert_true(slice_equal(rest, left));
            }
        }
    }
    buffer_finish(&out);
}

static void strict_bodies_are_decoded(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct slice content, left, bytes;
    } cases[] = {
        {SLICE(""), SLICE(""), SLICE("0\r\n\r\n")},
        {SLICE("hello"), SLICE(""), SLICE("5\r\nhello\r\n0\r\n\r\n")},
        {SLICE("hello"), SLICE("GET /"), SLICE("5\r\nhello\r\n0\r\n\r\nGET /")},
        {SLICE("\r\r\n"), SLICE(""), SLICE("1\r\n\r\r\n2\r\n\r\n\r\n000\r\n\r\n")},
        {SLICE("01234567890123456789a"), SLICE(""), SLICE("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n")},
        {SLICE("x"), SLICE(""), SLICE("0000000000000001\r\nx\r\n0\r\n\r\n")},
        {SLICE("x"), SLICE(""), SLICE("1;a=b\r\nx\r\n0;c\r\n\r\n")},
        {SLICE("x"), SLICE(""), SLICE("1;a;b=\"q \\\" ;\t\";c=d\r\nx\r\n0\r\n\r\n")},
        {SLICE("x"), SLICE("Z"), SLICE("1\r\nx\r\n0\r\nX-Sum: abc\r\nY:\r\n\r\nZ")},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_decodes(cases[i].bytes, ERR_CLOSED, HTTP_FINE, cases[i].content, cases[i].left);
    assert_decodes(SLICE("5\r\nhel"), ERR_AGAIN, HTTP_FINE, SLICE("hel"), SLICE(""));
}

static void wrong_bodies_are_refused(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        SLICE("0x5\r\nhello\r\n0\r\n\r\n"),
        SLICE("+5\r\nhello\r\n0\r\n\r\n"),
        SLICE("-0\r\n\r\n"),
        SLICE(" 5\r\nhello\r\n0\r\n\r\n"),
        SLICE("5 \r\nhello\r\n0\r\n\r\n"),
        SLICE("5\t\r\nhello\r\n0\r\n\r\n"),
        SLICE("\r\nhello\r\n0\r\n\r\n"),
        SLICE("5_\r\nhello\r\n0\r\n\r\n"),
        SLICE("g\r\n"),
        SLICE(";a\r\n"),
        SLICE("00000000000000005\r\nhello\r\n0\r\n\r\n"),
        SLICE("FFFFFFFFFFFFFFFF\r\n"),
        SLICE("8000000000000000\r\n"),
        SLICE("1\r\nx\r\n7FFFFFFFFFFFFFFF\r\n"),
        SLICE("5\nhello\r\n0\r\n\r\n"),
        SLICE("5\rhello\r\n0\r\n\r\n"),
        SLICE("5\r\nhello\n0\r\n\r\n"),
        SLICE("5\r\nhello\r0\r\n\r\n"),
        SLICE("5\r\nhello0\r\n\r\n"),
        SLICE("5\r\nhelloo\r\n0\r\n\r\n"),
        SLICE("0\n\r\n"),
        SLICE("0\r\n\n"),
        SLICE("0\r\n\rx"),
        SLICE("1;\r\nx\r\n0\r\n\r\n"),
        SLICE("1;a\rb\r\n"),
        SLICE("1;a\nb\r\n"),
        SLICE("1;a=\r\n"),
        SLICE("1;a=b=c\r\n"),
        SLICE("1;a=\"b\r\n\"\r\n"),
        SLICE("1;a=\"b\"c\r\n"),
        SLICE("1;a=\"\\\r\"\r\n"),
        SLICE("1 ;a\r\n"),
        SLICE("1; a\r\n"),
        SLICE("1;a =b\r\n"),
        SLICE("1;a\xff\r\n"),
        SLICE("0\r\nHost: a\r\n\r\n"),
        SLICE("0\r\ncontent-length: 1\r\n\r\n"),
        SLICE("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE("0\r\nAUTHORIZATION: x\r\n\r\n"),
        SLICE("0\r\nX-Auth-User: x\r\n\r\n"),
        SLICE("0\r\nX: y\r\nConnection: close\r\n\r\n"),
        SLICE("0\r\nX\r\n\r\n"),
        SLICE("0\r\n: y\r\n\r\n"),
        SLICE("0\r\nX : y\r\n\r\n"),
        SLICE("0\r\nX: y\r\n z\r\n\r\n"),
        SLICE("0\r\nX: y\n\r\n"),
        SLICE("0\r\nX: y\rZ\r\n"),
        SLICE("0\r\nX: \0\r\n\r\n"),
        SLICE("0\r\nX: \xff\r\n\r\n"),
        SLICE("0\r\nX_Y: y\r\n\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_decodes(cases[i], ERR_SYNTAX, HTTP_BAD_CHUNK, SLICE(""), SLICE(""));
}

/* Decodes `count` times `piece`, then `end`. */
static enum err repeat(struct slice piece, size_t count, struct slice end, enum http_fault *fault)
{
    struct chunked chunked;
    struct slice content;
    chunked_init(&chunked);
    enum err err = ERR_AGAIN;
    for (size_t i = 0; err == ERR_AGAIN && i <= count; i++) {
        struct slice bytes = i < count ? piece : end;
        while ((err = chunked_next(&chunked, &bytes, &content)) == OK)
            ;
    }
    *fault = chunked.fault;
    return err;
}

static void bounds_hold(void **state)
{
    (void)state;
    static char long_name[300] = "1;";
    memset(long_name + 2, 'a', 256);
    memcpy(long_name + 258, "\r\nx\r\n", 5);
    struct slice extension_fits = slice_make(long_name, 263);
    static const struct slice last = SLICE("0\r\n\r\n"), trailers_end = SLICE("\r\n");
    static const struct slice short_trailer = SLICE("X: y\r\n");
    static char trailer[1024];
    memset(trailer, 'a', sizeof(trailer));
    memcpy(trailer, "0\r\n", 3);
    enum http_fault fault;

    assert_int_equal(repeat(extension_fits, 1, last, &fault), ERR_CLOSED);
    assert_int_equal(repeat(extension_fits, 2, last, &fault), ERR_SYNTAX);
    assert_int_equal(fault, HTTP_BAD_CHUNK);
    /* leading zeros */
    assert_int_equal(repeat(SLICE("0"), 10000, last, &fault), ERR_SYNTAX);
    /* framing against content: HOSTILE H1-18 */
    assert_int_equal(repeat(SLICE("1\r\nx\r\n"), 100000, last, &fault), ERR_SYNTAX);
    assert_int_equal(fault, HTTP_CHUNK_OVERHEAD);
    assert_int_equal(repeat(SLICE("1\r\nx\r\n"), 10000, last, &fault), ERR_CLOSED);
    assert_int_equal(repeat(SLICE("2\r\nxy\r\n"), 100000, last, &fault), ERR_CLOSED);
    assert_int_equal(repeat(SLICE("a\r\n0123456789\r\n"), 100000, last, &fault), ERR_CLOSED);
    /* trailers: lines and bytes */
    struct chunked chunked;
    for (int extra = 0; extra < 2; extra++) {
        struct slice bytes = SLICE("0\r\n"), content;
        chunked_init(&chunked);
        assert_int_equal(chunked_next(&chunked, &bytes, &content), ERR_AGAIN);
        for (int i = 0; i < 32 + extra; i++) {
            bytes = short_trailer;
            assert_int_equal(chunked_next(&chunked, &bytes, &content),
                             i < 32 ? ERR_AGAIN : ERR_SYNTAX);
        }
        bytes = trailers_end;
        assert_int_equal(chunked_next(&chunked, &bytes, &content), extra ? ERR_SYNTAX : ERR_CLOSED);
    }
    struct slice bytes = slice_make(trailer, sizeof(trailer)), content;
    size_t fed = 0;
    chunked_init(&chunked);
    while (chunked_next(&chunked, &bytes, &content) == ERR_AGAIN && fed < 100) {
        fed++;
        bytes = slice_make(trailer + 3, sizeof(trailer) - 3);
    }
    assert_in_range(fed, 8, 9); /* 8 KiB of a name without end */
}

static void content_is_a_slice_of_the_input(void **state)
{
    (void)state;
    static char input[100000];
    size_t len = (size_t)snprintf(input, sizeof(input), "%x\r\n", 90000);
    struct chunked chunked;
    struct slice bytes = slice_make(input, len + 90000), content;
    chunked_init(&chunked);
    assert_int_equal(chunked_next(&chunked, &bytes, &content), OK);
    assert_ptr_equal(content.ptr, input + len);
    assert_int_equal(content.len, 90000);
    assert_int_equal(chunked.content_bytes, 90000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_bodies_are_decoded),
        cmocka_unit_test(wrong_bodies_are_refused),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(content_is_a_slice_of_the_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
