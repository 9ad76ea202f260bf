/* Every way to read text by vectors, also those that this processor would not choose: each passes
 * over valid text only, counts its characters, and stops where it says. Compared with a reader that
 * takes a byte at a time. The source itself is included, since the ways are its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* NOLINTNEXTLINE */
#include "../../../src/proto/json_text.c"

#include "base/err.h"

#if defined(__SSE2__)

enum { TEXT_MAX = 400, TEXTS = 60000, PIECES_SAME = 8 };

static uint64_t state = 1;

/* xorshift64 (Marsaglia, 2003): the same texts every time. */
static unsigned number(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % below;
}

// clang-format off
static const char *const pieces[] = {
    "a", " ", "plain text, of some length", "0123456789abcdef0123456789abcdef0123456789abcdef",
    "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", "\xe0\xa0\x80",
    "\\n", "\\\"", "\\\\", "\\/", "\\t\\b\\f\\r", "\\u0041", "\\u00e9\\u20aC",
    /* from here on text ends, or is broken */
    "\"", "\\", "\n", "\x1f", "\x7f", "\\x", "\\u12", "\\ud83d\\ude00", "\x80", "\xc3", "\xe2\x82", "\xf0\x9f",
    "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "",
};
// clang-format on
enum { GOOD = 17 };

struct text {
    uint8_t *bytes; /* ends where its memory does, so that reading on shows */
    size_t len;
};

static struct text make_text(void)
{
    uint8_t made[TEXT_MAX + 64];
    size_t len = 0, wanted = 1 + number(TEXT_MAX);
    unsigned bad = number(3) ? 0 : 1 + number(40);
    while (len < wanted) {
        const char *piece = pieces[number(bad && number(bad) == 0 ? COUNT_OF(pieces) : GOOD)];
        memcpy(made + len, piece, strlen(piece));
        len += strlen(piece);
    }
    struct text text = {malloc(len), len};
    assert_non_null(text.bytes);
    memcpy(text.bytes, made, len);
    return text;
}

/* The length of the escape sequence at `at`; 0: it is none that may be passed over. */
static size_t escape_length(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2 || !strchr("\"\\/bfnrt", at[1]) || at[1] == 0)
        return 0;
    return 2;
}

/* Reads as far as `to`, from which nothing may be cut. Returns the characters. */
static uint64_t read_slowly(const uint8_t *at, const uint8_t *to, bool escapes)
{
    struct text_sequence sequence = {0};
    uint64_t characters = 0;
    while (at < to) {
        size_t len = 1;
        characters += sequence.left == 0;
        if (*at >= 0x80 || sequence.left) {
            assert_true(text_next(&sequence, *at));
        } else if (*at == '\\') {
            len = escapes ? escape_length(at, to) : 0;
            assert_true(len);
        } else {
            assert_true(*at >= 0x20 && *at != '"');
        }
        at += len;
    }
    assert_ptr_equal(at, to);
    assert_int_equal(sequence.left, 0);
    return characters;
}

static void check_bulk(const struct way *way, const struct text *text, size_t from)
{
    uint64_t characters = 7;
    const uint8_t *at = text->bytes + from, *end = text->bytes + text->len;
    const uint8_t *stop = way->bulk(at, end, &characters);
    assert_true(stop >= at && stop <= end);
    assert_int_equal(characters - 7, read_slowly(at, stop, false));
}

static void check_stretches(const struct way *way, const struct text *text, size_t from)
{
    uint64_t characters = 7;
    const uint8_t *at = text->bytes + from, *end = text->bytes + text->len;
    const uint8_t *stop = way->stretches(at, end, &characters);
    assert_true(stop >= at && stop <= end);
    assert_int_equal(characters - 7, read_slowly(at, stop, true));
}

/* What can be read on is read: valid text but for its last bytes. */
static void check_reach(const struct way *way)
{
    uint8_t text[256];
    uint64_t characters = 0;
    for (size_t i = 0; i + 2 <= sizeof text; i += 2)
        memcpy(text + i, i % 6 ? "\xc3\xa9" : "ab", 2);
    assert_true(way->bulk(text, text + sizeof text, &characters) >= text + sizeof text - 32);
    assert_true(way->stretches(text, text + sizeof text, &characters) >= text + sizeof text - 64);
    text[100] = '"';
    text[101] = 'a';
    assert_ptr_equal(way->bulk(text, text + sizeof text, &characters), text + 100);
    assert_ptr_equal(way->stretches(text, text + sizeof text, &characters), text + 100);
}

static void check(const struct way *way)
{
    check_reach(way);
    for (unsigned i = 0; i < TEXTS; i++) {
        struct text text = make_text();
        for (unsigned n = 0; n < PIECES_SAME; n++) {
            size_t from = number((unsigned)text.len);
            while (from && text.bytes[from] >= 0x80)
                from--; /* a sequence's start */
            while (from && text.bytes[from - 1] == '\\')
                from--; /* and no escape's letter */
            check_bulk(way, &text, from);
            check_stretches(way, &text, from);
        }
        free(text.bytes);
    }
}

static void by_sixteen(void **unused)
{
    (void)unused;
    if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("popcnt"))
        skip();
    check(&narrow);
}

static void by_thirty_two(void **unused)
{
    (void)unused;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2"))
        skip();
    check(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_sixteen),
        cmocka_unit_test(by_thirty_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    return 77; /* meson: skipped; there is one way only */
}

#endif
