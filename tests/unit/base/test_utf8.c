/* UTF-8: every code point there and back, every short sequence of bytes counted, every known trick
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/utf8.h"
#include <cmocka.h>

static void every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        char out[4];
        size_t len = utf8_encode(c, out);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        size_t expected = surrogate || c > 0x10ffff ? 0
                          : c < 0x80                ? 1
                          : c < 0x800               ? 2
                          : c < 0x10000             ? 3
                                                    : 4;
        if (len != expected)
            fail_msg("U+%04X has length %zu", c, len);
        if (len == 0)
            continue;
        uint32_t back = (unsigned char)out[0];
        if (len > 1)
            back &= 0x7fu >> len;
        for (size_t i = 1; i < len; i++)
            back = back << 6 | ((unsigned char)out[i] & 0x3f);
        if (back != c || utf8_sequence(slice_make(out, len)) != len)
            fail_msg("U+%04X comes back as U+%04X", c, back);
        if (len > 1 && utf8_sequence(slice_make(out, len - 1)) != 0)
            fail_msg("U+%04X is valid when cut", c);
    }
    char out[4];
    assert_int_equal(utf8_encode(UINT32_MAX, out), 0);
}

/* All strings of three bytes: as many are a valid sequence of three as there are such code points;
 * the same for two. With the walk above this proves the two the same set. */
static void nothing_else_is_valid(void **state)
{
    (void)state;
    unsigned counts[5] = {0};
    for (uint32_t n = 0; n < 1u << 24; n++) {
        if ((n >> 16) < 0x80) /* one byte, whatever follows */
            continue;
        char s[] = {(char)(n >> 16), (char)(n >> 8), (char)n};
        counts[utf8_sequence(slice_make(s, 3))]++;
    }
    assert_int_equal(counts[1], 0);
    assert_int_equal(counts[2], (0x800 - 0x80) * 256);
    assert_int_equal(counts[3], 0x10000 - 0x800 - 0x800);
    assert_int_equal(counts[4], 0); /* cut short */

    unsigned four = 0;
    for (uint32_t n = 0; n < 1u << 24; n++) { /* the last two always continue */
        char s[] = {(char)(0xf0 | (n >> 20)), (char)(n >> 12), (char)(n >> 6 & 0x3f),
                    (char)(n & 0x3f)};
        s[2] = (char)(s[2] | 0x80);
        s[3] = (char)(s[3] | 0x80);
        four += utf8_sequence(slice_make(s, 4)) == 4;
    }
    assert_int_equal(four, 0x110000 - 0x10000);
}

static void invalid_forms_are_refused(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE("\x80"),                     /* a continuation alone */
        SLICE("\xbf"),                     /**/
        SLICE("\xc0\x80"),                 /* overlong NUL */
        SLICE("\xc0\xaf"),                 /* overlong '/' */
        SLICE("\xc1\xbf"),                 /**/
        SLICE("\xe0\x80\xaf"),             /**/
        SLICE("\xe0\x9f\xbf"),             /**/
        SLICE("\xf0\x80\x80\xaf"),         /**/
        SLICE("\xf0\x8f\xbf\xbf"),         /**/
        SLICE("\xed\xa0\x80"),             /* the first surrogate */
        SLICE("\xed\xbf\xbf"),             /* the last one */
        SLICE("\xed\xa0\xbd\xed\xb8\x80"), /* a pair of them: CESU-8 */
        SLICE("\xf4\x90\x80\x80"),         /* U+110000 */
        SLICE("\xf5\x80\x80\x80"),
        SLICE("\xf8\x88\x80\x80\x80"),
        SLICE("\xfc\x84\x80\x80\x80\x80"),
        SLICE("\xfe"),
        SLICE("\xff"),
        SLICE("\xc3"),
        SLICE("\xe2\x82"),
        SLICE("\xf0\x9f\x98"), /* cut */
        SLICE("\xc3"
              "a"),
        SLICE("\xe2\x28\xa1"),
        SLICE("\xe2\x82\x28"),
        SLICE("\xf0\x28\x8c\xbc"),
        SLICE("\xf0\x90\x28\xbc"),
        SLICE("\xf0\x90\x8c\x28"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char around[16] = "ok";
        memcpy(around + 2, rows[i].ptr, rows[i].len);
        if (utf8_sequence(rows[i]) || utf8_valid(rows[i]) ||
            utf8_valid(slice_make(around, rows[i].len + 2)))
            fail_msg("row %zu is taken for valid", i);
    }
}

static void valid_texts_are_taken(void **state)
{
    (void)state;
    assert_true(utf8_valid(slice_make(NULL, 0)));
    assert_int_equal(utf8_sequence(slice_make(NULL, 0)), 0);
    assert_true(utf8_valid(SLICE("a\0b")));
    assert_true(
        utf8_valid(SLICE("\xef\xbb\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf")));
    assert_int_equal(utf8_sequence(SLICE("\xc3\xa4\xc3\xa4")), 2);
    assert_int_equal(utf8_sequence(SLICE("a\xff")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(nothing_else_is_valid),
        cmocka_unit_test(invalid_forms_are_refused),
        cmocka_unit_test(valid_texts_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
