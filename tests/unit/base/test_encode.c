/* Hexadecimal, base64, base64url, base62 and the CRC-32 of a key's checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"
#include <cmocka.h>

static void hexadecimal_there_and_back(void **state)
{
    (void)state;
    unsigned char bytes[256], back[256];
    char text[512];
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    hex_print(bytes, sizeof bytes, text);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_memory_equal(text + 506, "fdfeff", 6);
    assert_int_equal(hex_parse(slice_make(text, sizeof text), back, sizeof back), OK);
    assert_memory_equal(back, bytes, sizeof bytes);
    assert_int_equal(hex_parse(SLICE("aBcDeF"), back, 3), OK);
    assert_memory_equal(back, "\xab\xcd\xef", 3);
    assert_int_equal(hex_parse(SLICE(""), back, 0), OK);
}

static void only_exact_hexadecimal_is_read(void **state)
{
    (void)state;
    unsigned char out[2];
    assert_int_equal(hex_parse(SLICE("abc"), out, 2), ERR_SYNTAX);
    assert_int_equal(hex_parse(SLICE("abcde"), out, 2), ERR_SYNTAX);
    assert_int_equal(hex_parse(SLICE(""), out, 2), ERR_SYNTAX);
    for (unsigned c = 0; c < 256; c++) {
        char high[] = {(char)c, '0', '0', '0'}, low[] = {'0', '0', '0', (char)c};
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        assert_int_equal(hex_parse(slice_make(high, 4), out, 2), digit ? OK : ERR_SYNTAX);
        assert_int_equal(hex_parse(slice_make(low, 4), out, 2), digit ? OK : ERR_SYNTAX);
    }
}

/* RFC 4648, section 10, without the padding; RFC 7515, appendix C; the two digits of its own. */
static const struct {
    struct slice bytes;
    const char *text;
} base64url[] = {
    {SLICE(""),                     ""        },
    {SLICE("f"),                    "Zg"      },
    {SLICE("fo"),                   "Zm8"     },
    {SLICE("foo"),                  "Zm9v"    },
    {SLICE("foob"),                 "Zm9vYg"  },
    {SLICE("fooba"),                "Zm9vYmE" },
    {SLICE("foobar"),               "Zm9vYmFy"},
    {SLICE("\x03\xec\xff\xe0\xc1"), "A-z_4ME" },
    {SLICE("\xfb\xff\xfe"),         "-__-"    },
    {SLICE("\0\0\0\0"),             "AAAAAA"  },
};

static void base64url_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(base64url); i++) {
        struct slice bytes = base64url[i].bytes, text = slice_of(base64url[i].text);
        char out[9] = "########", back[6];
        size_t size;
        assert_int_equal(base64url_size(bytes.len), text.len);
        base64url_print(bytes.ptr, bytes.len, out);
        assert_memory_equal(out, text.ptr, text.len);
        assert_int_equal(out[text.len], text.len == 8 ? '\0' : '#');
        assert_int_equal(base64url_parse(text, back, bytes.len, &size), OK);
        assert_int_equal(size, bytes.len);
        assert_memory_equal(back, bytes.ptr, size);
        if (bytes.len)
            assert_int_equal(base64url_parse(text, back, bytes.len - 1, &size), ERR_LIMIT);
    }
}

/* For each length of what stands before, each last character: only what prints back is read. */
static void base64url_has_one_form(void **state)
{
    (void)state;
    static const unsigned expected[5] = {0, 0, 4, 16, 64};
    for (size_t len = 1; len <= 4; len++) {
        unsigned taken = 0;
        for (unsigned c = 0; c < 256; c++) {
            char text[4] = {'Z', 'm', '9', 'v'}, again[4];
            unsigned char bytes[3];
            size_t size;
            text[len - 1] = (char)c;
            enum err err = base64url_parse(slice_make(text, len), bytes, sizeof bytes, &size);
            assert_true(err == OK || err == ERR_SYNTAX);
            if (err != OK)
                continue;
            taken++;
            assert_int_equal(base64url_size(size), len);
            base64url_print(bytes, size, again);
            assert_memory_equal(again, text, len);
        }
        assert_int_equal(taken, expected[len]);
    }
}

static void only_canonical_base64url_is_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {"Zg==", "Zg=",      "Zm8=", "Z",    "Zm9vY",     "Zh",
                                        "Zm9",  "Zm-+",     "Zm/v", " Zg",  "Zg\n",      "Zm 9",
                                        "Z.m9", "Zm9v====", "=",    "====", "Zm\xc3\xa9"};
    unsigned char out[16];
    size_t size;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(base64url_parse(slice_of(wrong[i]), out, sizeof out, &size), ERR_SYNTAX);
    assert_int_equal(base64url_parse(SLICE("Zg\0\0"), out, sizeof out, &size), ERR_SYNTAX);
}

/* RFC 4648, section 10, and the two digits that base64url has not. */
static void base64_is_read_with_its_padding(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct slice bytes;
    } good[] = {
        {"",         SLICE("")                    },
        {"Zg==",     SLICE("f")                   },
        {"Zm8=",     SLICE("fo")                  },
        {"Zm9v",     SLICE("foo")                 },
        {"Zm9vYg==", SLICE("foob")                },
        {"Zm9vYmE=", SLICE("fooba")               },
        {"A+z/4ME=", SLICE("\x03\xec\xff\xe0\xc1")},
        {"+//+",     SLICE("\xfb\xff\xfe")        },
    };
    unsigned char out[16];
    size_t size;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct slice text = slice_of(good[i].text), bytes = good[i].bytes;
        assert_int_equal(base64_parse(text, out, bytes.len, &size), OK);
        assert_true(slice_equal(slice_make((char *)out, size), bytes));
        if (bytes.len)
            assert_int_equal(base64_parse(text, out, bytes.len - 1, &size), ERR_LIMIT);
    }
    static const char *const wrong[] = {
        "Zg",       "Zg=",  "Zm8",   "Zm8==", "Zm9v=", "Zm9v==", "Zm9v====",  "====",
        "===",      "=",    "Z===",  "Zh==",  "Zm9=",  "Z=m9",   "Zg==Zg==",  "-__-",
        "A-z_4ME=", " Zg=", "Zg=\n", "Zm9\n", "Zm 8",  "Zm9.",   "Zm\xc3\xa9"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(base64_parse(slice_of(wrong[i]), out, sizeof out, &size), ERR_SYNTAX);
    assert_int_equal(base64_parse(SLICE("Zg\0="), out, sizeof out, &size), ERR_SYNTAX);
}

static void crc_has_its_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32_of(SLICE("123456789")), 0xcbf43926);
    assert_int_equal(crc32_of(SLICE("")), 0);
    assert_int_equal(crc32_of(SLICE("\0")), 0xd202ef8d);
    assert_int_equal(crc32_of(SLICE("\xff\xff\xff\xff")), 0xffffffff);
    assert_int_equal(crc32_of(SLICE("The quick brown fox jumps over the lazy dog")), 0x414fa339);
}

static void numbers_are_printed_in_base62(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        const char *text;
    } rows[] = {
        {0,                     "000000"},
        {9,                     "000009"},
        {10,                    "00000A"},
        {35,                    "00000Z"},
        {36,                    "00000a"},
        {61,                    "00000z"},
        {62,                    "000010"},
        {0xcbf43926,            "3jZRME"},
        {3843,                  "0000zz"},
        {UINT64_C(56800235583), "zzzzzz"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[6];
        base62_print(rows[i].number, out, sizeof out);
        assert_memory_equal(out, rows[i].text, 6);
    }
}

static void base62_is_letters_and_digits(void **state)
{
    (void)state;
    assert_true(base62_valid(SLICE("")));
    assert_true(base62_valid(SLICE("09AZaz")));
    unsigned valid = 0;
    for (unsigned c = 0; c < 256; c++) {
        char one = (char)c;
        valid += base62_valid(slice_make(&one, 1));
    }
    assert_int_equal(valid, 62);
    static const char others[] = "/:@[`{-_+= ~";
    for (size_t i = 0; i < sizeof others; i++) /* the NUL too */
        assert_false(base62_valid(slice_make(&others[i], 1)));
    assert_false(base62_valid(SLICE("abc-def")));
}

/* 62,000 characters: each is expected 1,000 times with a deviation of about 31. Were bytes taken
 * modulo 62, the first eight would come 1,211 times. The bounds are more than six deviations wide.
 */
static void random_base62_favours_nobody(void **state)
{
    (void)state;
    static char text[62000];
    unsigned counts[256] = {0};
    base62_random(text, sizeof text);
    assert_true(base62_valid(slice_make(text, sizeof text)));
    for (size_t i = 0; i < sizeof text; i++)
        counts[(unsigned char)text[i]]++;
    for (unsigned c = 0; c < 256; c++)
        if (counts[c])
            assert_in_range(counts[c], 800, 1200);
    char beside[3] = "##";
    base62_random(beside, 1);
    assert_int_equal(beside[1], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hexadecimal_there_and_back),
        cmocka_unit_test(only_exact_hexadecimal_is_read),
        cmocka_unit_test(base64url_there_and_back),
        cmocka_unit_test(base64url_has_one_form),
        cmocka_unit_test(only_canonical_base64url_is_read),
        cmocka_unit_test(base64_is_read_with_its_padding),
        cmocka_unit_test(crc_has_its_check_value),
        cmocka_unit_test(numbers_are_printed_in_base62),
        cmocka_unit_test(base62_is_letters_and_digits),
        cmocka_unit_test(random_base62_favours_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
