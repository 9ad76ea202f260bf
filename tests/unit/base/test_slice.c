/* Slices: comparing, cutting, and numbers that never wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include <cmocka.h>

static void comparing_looks_at_all_bytes(void **state)
{
    (void)state;
    struct slice none = slice_make(NULL, 0);
    assert_true(slice_equal(none, SLICE("")));
    assert_true(slice_equal(slice_of(NULL), slice_of("")));
    assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
    assert_false(slice_equal(SLICE("ab"), SLICE("abc")));
    assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
    assert_true(slice_starts(SLICE("abc"), none));
    assert_true(slice_starts(none, none));
    assert_false(slice_starts(SLICE("ab"), SLICE("abc")));
    assert_false(slice_starts(SLICE("abc"), SLICE("bc")));
    assert_true(slice_ends(SLICE("abc"), SLICE("bc")));
    assert_true(slice_ends(none, none));
    assert_false(slice_ends(SLICE("bc"), SLICE("abc")));
    assert_false(slice_ends(SLICE("abc"), SLICE("ab")));
}

/* Only the 26 letters fold: '@' and '[', which lie beside them, do not, and nor does any byte above
 * ASCII. */
static void case_is_that_of_ascii_letters(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char x[] = {'k', (char)a}, y[] = {'K', (char)b};
            bool letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z' && a < 128;
            bool same = a == b || (letter && (a ^ b) == 0x20);
            assert_int_equal(slice_equal_nocase(slice_make(x, 2), slice_make(y, 2)), same);
        }
    }
    assert_true(slice_starts_nocase(SLICE("BEARER x"), SLICE("Bearer ")));
    assert_false(slice_starts_nocase(SLICE("Bear"), SLICE("Bearer")));
    assert_false(slice_equal_nocase(SLICE("ab"), SLICE("abc")));
    assert_false(slice_equal_nocase(SLICE("abc"), SLICE("ab")));
}

static void bytes_are_found_and_space_trimmed(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("a:b:c"), ':'), 1);
    assert_int_equal(slice_find(SLICE("abc"), ':'), 3);
    assert_int_equal(slice_find(SLICE("ab\0"), '\0'), 2);
    assert_int_equal(slice_find(SLICE("a\xff"), (char)0xff), 1);
    assert_int_equal(slice_find(slice_make(NULL, 0), 'a'), 0);
    assert_true(slice_equal(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    assert_true(slice_equal(slice_trim(SLICE("\r\na\v")), SLICE("\r\na\v")));
    assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
    assert_int_equal(slice_trim(slice_make(NULL, 0)).len, 0);
}

static void cutting_goes_from_separator_to_separator(void **state)
{
    (void)state;
    struct slice rest = SLICE("one,,three,");
    assert_true(slice_equal(slice_cut(&rest, ','), SLICE("one")));
    assert_true(slice_equal(slice_cut(&rest, ','), SLICE("")));
    assert_true(slice_equal(rest, SLICE("three,")));
    assert_true(slice_equal(slice_cut(&rest, ','), SLICE("three")));
    assert_int_equal(rest.len, 0);
    assert_int_equal(slice_cut(&rest, ',').len, 0);
    assert_int_equal(slice_cut(&rest, ',').len, 0);
    rest = SLICE("whole");
    assert_true(slice_equal(slice_cut(&rest, ','), SLICE("whole")));
    assert_int_equal(rest.len, 0);
}

static void numbers_never_wrap_or_pass_their_maximum(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct slice text;
        uint64_t max;
        bool valid;
        uint64_t number;
    } rows[] = {
        {SLICE("0"),                     UINT64_MAX, true,  0},
        {SLICE("00012"),                 12,         true,  12},
        {SLICE("18446744073709551615"),  UINT64_MAX, true,  UINT64_MAX},
        {SLICE("18446744073709551616"),  UINT64_MAX, false, 0},
        {SLICE("28446744073709551615"),  UINT64_MAX, false, 0},
        {SLICE("184467440737095516150"), UINT64_MAX, false, 0},
        {SLICE("99999999999999999999999999"), UINT64_MAX, false, 0},
        {SLICE("65535"),                 65535,      true,  65535},
        {SLICE("65536"),                 65535,      false, 0},
        {SLICE("655350"),                65535,      false, 0},
        {SLICE("0"),                     0,          true,  0},
        {SLICE("1"),                     0,          false, 0},
        {SLICE("3"),                     3,          true,  3},
        {SLICE("4"),                     3,          false, 0}, /* maxima of one digit */
        {SLICE("9"),                     8,          false, 0},
        {SLICE("99"),                    5,          false, 0},
        {SLICE("10"),                    9,          false, 0},
        {SLICE(""),                      9,          false, 0},
        {SLICE("+1"),                    9,          false, 0},
        {SLICE("-1"),                    9,          false, 0},
        {SLICE(" 1"),                    9,          false, 0},
        {SLICE("1 "),                    9,          false, 0},
        {SLICE("1.0"),                   9,          false, 0},
        {SLICE("0x1"),                   9,          false, 0},
        {SLICE("1\0"),                   9,          false, 0},
        {SLICE("\xb2"),                  9,          false, 0},
        {SLICE("/"),                     99,         false, 0},
        {SLICE(":"),                     99,         false, 0},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t number = 77;
        if (slice_number(rows[i].text, rows[i].max, &number) != rows[i].valid)
            fail_msg("row %zu", i);
        assert_int_equal(number, rows[i].valid ? rows[i].number : 77);
    }
}

/* Every number up to 300 against every maximum up to 300. */
static void every_small_maximum_holds(void **state)
{
    (void)state;
    for (unsigned n = 0; n <= 300; n++) {
        char text[] = {(char)('0' + n / 100), (char)('0' + n / 10 % 10), (char)('0' + n % 10)};
        for (unsigned max = 0; max <= 300; max++) {
            uint64_t number = 0;
            assert_int_equal(slice_number(slice_make(text, 3), max, &number), n <= max);
            if (n <= max)
                assert_int_equal(number, n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing_looks_at_all_bytes),
        cmocka_unit_test(case_is_that_of_ascii_letters),
        cmocka_unit_test(bytes_are_found_and_space_trimmed),
        cmocka_unit_test(cutting_goes_from_separator_to_separator),
        cmocka_unit_test(numbers_never_wrap_or_pass_their_maximum),
        cmocka_unit_test(every_small_maximum_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
