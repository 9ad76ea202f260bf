/* The buffer: never past its maximum, a failure that sticks, and JSON strings that are always
 * valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/utf8.h"

static void all_that_fits_is_kept(void **state)
{
    (void)state;
    AUTO(buffer) b = BUFFER_MAX(1000);
    buffer_text(&b, "a");
    buffer_byte(&b, 'b');
    buffer_number(&b, 0);
    buffer_number(&b, UINT64_MAX);
    buffer_append(&b, SLICE("\0z"));
    buffer_append(&b, slice_make(NULL, 0));
    buffer_text(&b, NULL);
    buffer_printf(&b, "<%s|%d>", "text", -5);
    assert_int_equal(b.failed, OK);
    assert_true(slice_equal(buffer_slice(&b), SLICE("ab018446744073709551615\0z<text|-5>")));
    assert_memory_equal(buffer_text_of(&b), "ab018446744073709551615\0z<text|-5>", 35);
}

/* For every maximum: exactly that many bytes, one by one or at once. */
static void maximum_holds_exactly(void **state)
{
    (void)state;
    static const size_t maxima[] = {0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 5000};
    static char bytes[6000];
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < COUNT_OF(maxima); i++) {
        AUTO(buffer) single = BUFFER_MAX(maxima[i]);
        for (size_t n = 0; n < maxima[i]; n++)
            buffer_byte(&single, 'x');
        assert_int_equal(single.failed, OK);
        assert_int_equal(single.len, maxima[i]);
        assert_true(single.size <= maxima[i]);
        buffer_byte(&single, 'x');
        assert_int_equal(single.failed, ERR_LIMIT);
        assert_int_equal(single.len, maxima[i]);

        AUTO(buffer) whole = BUFFER_MAX(maxima[i]);
        buffer_append(&whole, slice_make(bytes, maxima[i]));
        assert_int_equal(whole.failed, OK);
        buffer_clear(&whole);
        buffer_append(&whole, slice_make(bytes, maxima[i] + 1));
        assert_int_equal(whole.failed, ERR_LIMIT);
        assert_int_equal(whole.len, 0);
    }
}

static void failure_sticks_until_cleared(void **state)
{
    (void)state;
    AUTO(buffer) b = BUFFER_MAX(4);
    buffer_text(&b, "ab");
    buffer_text(&b, "cde");
    assert_int_equal(b.failed, ERR_LIMIT);
    buffer_text(&b, "c"); /* would fit, but the text would have a hole */
    buffer_byte(&b, 'c');
    buffer_number(&b, 1);
    buffer_printf(&b, "%d", 1);
    buffer_json_string(&b, SLICE(""));
    assert_null(buffer_reserve(&b, 1));
    assert_true(slice_equal(buffer_slice(&b), SLICE("ab")));
    assert_string_equal(buffer_text_of(&b), "");
    buffer_clear(&b);
    assert_int_equal(b.failed, OK);
    buffer_text(&b, "cde");
    assert_string_equal(buffer_text_of(&b), "cde");
    buffer_finish(&b);
    assert_int_equal(b.max, 4);
    buffer_text(&b, "xyz");
    assert_true(slice_equal(buffer_slice(&b), SLICE("xyz")));
}

static void sizes_cannot_wrap(void **state)
{
    (void)state;
    AUTO(buffer) b = BUFFER_MAX(SIZE_MAX / 4);
    buffer_text(&b, "abc");
    assert_null(buffer_reserve(&b, SIZE_MAX));
    assert_int_equal(b.failed, ERR_LIMIT);
    buffer_clear(&b);
    buffer_text(&b, "abc");
    assert_null(buffer_reserve(&b, SIZE_MAX - 2));
    assert_int_equal(b.failed, ERR_LIMIT);
}

static void borrowed_memory_is_not_left(void **state)
{
    (void)state;
    char memory[8];
    memset(memory, '#', sizeof memory);
    struct buffer b = BUFFER_OVER(memory, 6);
    buffer_text(&b, "abcdef");
    assert_int_equal(b.failed, OK);
    buffer_byte(&b, 'g');
    assert_int_equal(b.failed, ERR_LIMIT);
    assert_memory_equal(memory, "abcdef##", 8);
    assert_ptr_equal(b.bytes, memory);
    buffer_finish(&b); /* frees nothing */
}

static void formatted_text_of_any_length(void **state)
{
    (void)state;
    static char text[1025];
    for (size_t n = 250; n < 1024; n += n < 260 ? 1 : 97) {
        memset(text, 'a', n);
        text[n] = '\0';
        AUTO(buffer) b = BUFFER_MAX(2000);
        buffer_printf(&b, "%s!", text);
        assert_int_equal(b.failed, OK);
        assert_int_equal(b.len, n + 1);
        assert_int_equal(b.bytes[n], '!');
        AUTO(buffer) small = BUFFER_MAX(n);
        buffer_printf(&small, "%s!", text);
        assert_int_equal(small.failed, ERR_LIMIT);
        assert_int_equal(small.len, 0);
    }
}

static void consuming_moves_the_rest_forward(void **state)
{
    (void)state;
    AUTO(buffer) b = BUFFER_MAX(100);
    buffer_consume(&b, 0);
    buffer_text(&b, "abcdef");
    buffer_consume(&b, 2);
    assert_string_equal(buffer_text_of(&b), "cdef");
    buffer_consume(&b, 0);
    buffer_consume(&b, 4);
    assert_int_equal(b.len, 0);
    char *room = buffer_reserve(&b, 3);
    assert_non_null(room);
    memcpy(room, "xyz", 3);
    assert_int_equal(b.len, 0);
    buffer_grow(&b, 2);
    assert_string_equal(buffer_text_of(&b), "xy");
}

static void json_strings_are_as_expected(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct slice raw;
        const char *json;
    } rows[] = {
        {SLICE(""),                          "\"\""},
        {SLICE("plain text"),                "\"plain text\""},
        {SLICE("\"\\/"),                    "\"\\\"\\\\/\""},
        {SLICE("a\nb"),                      "\"a\\nb\""},
        {SLICE("\r\t\b\f"),                  "\"\\u000d\\u0009\\u0008\\u000c\""},
        {SLICE("\0\x01\x1f\x7f"),            "\"\\u0000\\u0001\\u001f\\u007f\""},
        {SLICE("\xc3\xa4\xe2\x82\xac"),      "\"\xc3\xa4\xe2\x82\xac\""},
        {SLICE("\xf0\x9f\x98\x80"),          "\"\xf0\x9f\x98\x80\""},
        {SLICE("\xc2\x80\xc2\x9f\xc2\xa0"), "\"\\u0080\\u009f\xc2\xa0\""},
        {SLICE("\xd8\x9b\xd8\x9c\xd8\x9d"), "\"\xd8\x9b\\u061c\xd8\x9d\""},
        {SLICE("\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90"), "\"\xe2\x80\x8d\\u200e\\u200f\xe2\x80\x90\""},
        {SLICE("\xe2\x80\xa7\xe2\x80\xae\xe2\x80\xaf"), "\"\xe2\x80\xa7\\u202e\xe2\x80\xaf\""},
        {SLICE("\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa"), "\"\xe2\x81\xa5\\u2066\\u2069\xe2\x81\xaa\""},
        {SLICE("\xe2\x80\xa8|\xe2\x80\xa9"), "\"\\u2028|\\u2029\""},
        {SLICE("\xff" "a\x80"),              "\"\\ufffd" "a\\ufffd\""},
        {SLICE("\xe2\x80"),                  "\"\\ufffd\\ufffd\""},
        {SLICE("\xe2\x80\""),                "\"\\ufffd\\ufffd\\\"\""},
        {SLICE("\xed\xa0\x80"),              "\"\\ufffd\\ufffd\\ufffd\""},
        {SLICE("\xc0\xaf"),                  "\"\\ufffd\\ufffd\""},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buffer) b = BUFFER_MAX(1000);
        buffer_json_string(&b, rows[i].raw);
        assert_string_equal(buffer_text_of(&b), rows[i].json);
    }
}

/* One line of printable, valid JSON for every pair of bytes; where the pair is valid UTF-8 another
 * reader gets back the very bytes. */
static void json_strings_hold_for_every_pair_of_bytes(void **state)
{
    (void)state;
    AUTO(buffer) b = BUFFER_MAX(1000);
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        char raw[] = {'a', (char)(pair >> 8), (char)(pair & 0xff)};
        struct slice s = slice_make(raw, sizeof raw);
        buffer_clear(&b);
        buffer_json_string(&b, s);
        assert_int_equal(b.failed, OK);
        assert_true(utf8_valid(buffer_slice(&b)));
        for (size_t i = 0; i < b.len; i++)
            assert_true((unsigned char)b.bytes[i] >= 0x20 && b.bytes[i] != 0x7f);
        if (pair % 7 && pair >> 8 && pair >> 8 != 0xc3)
            continue; /* the other reader is slow */
        json_t *read = json_loadb(b.bytes, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(read);
        struct slice back = slice_make(json_string_value(read), json_string_length(read));
        assert_int_equal(slice_equal(back, s), utf8_valid(s));
        json_decref(read);
    }
}

/* Plain text is copied eight bytes at a time; a byte that is not reads the same among it. */
static void json_strings_hold_for_every_byte_at_every_place(void **state)
{
    (void)state;
    AUTO(buffer) alone = BUFFER_MAX(100);
    AUTO(buffer) among = BUFFER_MAX(100);
    for (unsigned byte = 0; byte < 0x100; byte++)
        for (unsigned place = 0; place < 20; place++) {
            char raw[20], expected[100];
            memset(raw, 'x', sizeof raw);
            raw[place] = (char)byte;
            buffer_clear(&alone);
            buffer_json_string(&alone, slice_make(&raw[place], 1));
            buffer_clear(&among);
            buffer_json_string(&among, slice_make(raw, sizeof raw));
            snprintf(expected, sizeof expected, "\"%.*s%.*s%.*s\"", (int)place,
                     "xxxxxxxxxxxxxxxxxxxx", (int)alone.len - 2, alone.bytes + 1, 19 - (int)place,
                     "xxxxxxxxxxxxxxxxxxxx");
            assert_string_equal(buffer_text_of(&among), expected);
        }
}

static void json_strings_fail_whole(void **state)
{
    (void)state;
    const struct slice raw = SLICE("a\"\n\xe2\x80\xa8\xff");
    for (size_t max = 0; max < 40; max++) {
        AUTO(buffer) b = BUFFER_MAX(max);
        buffer_json_string(&b, raw);
        assert_true(b.len <= max);
        assert_int_equal(b.failed, max < 19 ? ERR_LIMIT : OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_fits_is_kept),
        cmocka_unit_test(maximum_holds_exactly),
        cmocka_unit_test(failure_sticks_until_cleared),
        cmocka_unit_test(sizes_cannot_wrap),
        cmocka_unit_test(borrowed_memory_is_not_left),
        cmocka_unit_test(formatted_text_of_any_length),
        cmocka_unit_test(consuming_moves_the_rest_forward),
        cmocka_unit_test(json_strings_are_as_expected),
        cmocka_unit_test(json_strings_hold_for_every_pair_of_bytes),
        cmocka_unit_test(json_strings_hold_for_every_byte_at_every_place),
        cmocka_unit_test(json_strings_fail_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
