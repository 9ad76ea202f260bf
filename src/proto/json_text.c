/* String bodies and white space, 16 or 32 bytes at a time where the processor is an x86-64 (SSE2
 * always, SSSE3 or AVX2 when they are there), in plain C elsewhere. Called by json.c for every
 * string, so it is the scanner's speed. Nothing here reads outside [at, end): a body may end where
 * its page ends. */
#include "proto/json_text.h"

#include <stddef.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

bool text_next(struct text_sequence *sequence, uint8_t byte)
{
    if (sequence->left) {
        if (byte < sequence->low || byte > sequence->high)
            return false;
        sequence->left--;
        sequence->low = 0x80;
        sequence->high = 0xbf;
        return true;
    }
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    sequence->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    /* The second byte's range is narrower after four lead bytes: RFC 3629, section 4. */
    sequence->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    sequence->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return true;
}

/* A hexadecimal digit's value plus 1; 0 for every other byte. */
static const uint8_t hex_digit[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int text_hex(uint8_t byte)
{
    return hex_digit[byte] - 1;
}

int32_t text_code_unit(const uint8_t *at)
{
    int32_t a = text_hex(at[0]), b = text_hex(at[1]), c = text_hex(at[2]), d = text_hex(at[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

static inline bool plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static inline bool space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

#if defined(__SSE2__)

enum { STEP = 16 };

static inline __m128i load(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* 0xff in every byte that is not plain. The comparison is signed: 0x80 and up are negative. */
static inline __m128i not_plain(__m128i block)
{
    __m128i control = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    return _mm_or_si128(control, _mm_or_si128(quote, backslash));
}

const uint8_t *text_plain(const uint8_t *at, const uint8_t *end)
{
    /* Most strings are short: look at one block before going for four. */
    for (unsigned blocks = 0; end - at >= STEP; at += STEP, blocks++) {
        unsigned hits = (unsigned)_mm_movemask_epi8(not_plain(load(at)));
        if (hits)
            return at + __builtin_ctz(hits);
        if (blocks < 2)
            continue;
        for (at += STEP; end - at >= 4 * STEP; at += 4 * STEP) {
            __m128i a = not_plain(load(at)), b = not_plain(load(at + STEP));
            __m128i c = not_plain(load(at + 2 * STEP)), d = not_plain(load(at + 3 * STEP));
            if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))))
                break;
        }
        at -= STEP;
    }
    while (at < end && plain(*at))
        at++;
    return at;
}

const uint8_t *text_skip_space(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= STEP; at += STEP) {
        __m128i block = load(at);
        __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8(' ')),
                                     _mm_cmpeq_epi8(block, _mm_set1_epi8('\t')));
        __m128i line = _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('\n')),
                                    _mm_cmpeq_epi8(block, _mm_set1_epi8('\r')));
        unsigned others = (unsigned)_mm_movemask_epi8(_mm_or_si128(blank, line)) ^ 0xffff;
        if (others)
            return at + __builtin_ctz(others);
    }
    while (at < end && space(*at))
        at++;
    return at;
}

/* --- UTF-8 by vectors ---------------------------------------------------------------------------
 * The check is Keiser and Lemire's ("Validating UTF-8 in less than one instruction per byte", arXiv
 * 2010.03090): three table look-ups on the four-bit halves of two neighbouring bytes give the
 * mistakes each half allows; what all three allow is one.
 *
 * Text whose escapes need only be valid is read in stretches of 64 bytes, with one bit for each
 * byte: how often a stretch is interrupted then hardly matters. */

enum { STRETCH = 64 };

enum mistake {
    TOO_SHORT = 1 << 0,  /* a lead byte without its continuation */
    TOO_LONG = 1 << 1,   /* a continuation after ASCII */
    OVERLONG_3 = 1 << 2, /* E0 80..9F */
    TOO_LARGE = 1 << 3,  /* F4 90 and up */
    SURROGATE = 1 << 4,  /* ED A0 and up */
    OVERLONG_2 = 1 << 5, /* C0, C1 */
    OVERLONG_4 = 1 << 6, /* F0 80..8F; also F5 and up before 80..8F */
    TWO_MORE = 1 << 7,   /* two continuations: a mistake unless a longer sequence wants them */
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_MORE
};

#define LARGE_LOW (ANY_LOW | TOO_LARGE | OVERLONG_4)
#define TABLE(...) _mm_setr_epi8(__VA_ARGS__)
#define M(bits) ((char)(bits))

static inline __m128i first_upper(void)
{
    return TABLE(TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
                 M(TWO_MORE), M(TWO_MORE), M(TWO_MORE), M(TWO_MORE), TOO_SHORT | OVERLONG_2,
                 TOO_SHORT, TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | OVERLONG_4);
}

static inline __m128i first_lower(void)
{
    return TABLE(M(ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4), M(ANY_LOW | OVERLONG_2),
                 M(ANY_LOW), M(ANY_LOW), M(ANY_LOW | TOO_LARGE), M(LARGE_LOW), M(LARGE_LOW),
                 M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW),
                 M(LARGE_LOW | SURROGATE), M(LARGE_LOW), M(LARGE_LOW));
}

static inline __m128i second_upper(void)
{
    return TABLE(TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
                 TOO_SHORT, M(TOO_LONG | OVERLONG_2 | TWO_MORE | OVERLONG_3 | OVERLONG_4),
                 M(TOO_LONG | OVERLONG_2 | TWO_MORE | OVERLONG_3 | TOO_LARGE),
                 M(TOO_LONG | OVERLONG_2 | TWO_MORE | SURROGATE | TOO_LARGE),
                 M(TOO_LONG | OVERLONG_2 | TWO_MORE | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT,
                 TOO_SHORT, TOO_SHORT);
}

/* From `STRETCH - n` on: n bytes that keep, then those that clear. */
static const uint8_t low_bytes[2 * STRETCH] = {[0 ... STRETCH - 1] = 0xff};

/* Where the sequence begins that is cut by `at`, or `at`. The text before is at least 3 bytes long.
 */
static const uint8_t *sequence_start(const uint8_t *at, uint64_t *characters)
{
    for (int back = 1; back <= 3; back++)
        if (at[-back] >= 0xc0) {
            int length = at[-back] < 0xe0 ? 2 : at[-back] < 0xf0 ? 3 : 4;
            if (length <= back)
                break;
            --*characters;
            return at - back;
        }
    return at;
}

/* Which backslashes begin an escape sequence, if the first one does: of a run every other one. */
static inline uint64_t escape_starts(uint64_t backslashes)
{
    uint64_t starts = 0;
    if (!(backslashes & backslashes << 1))
        return backslashes;
    while (backslashes) {
        uint64_t first = backslashes & -backslashes;
        starts |= first;
        backslashes &= ~(first | first << 1);
    }
    return starts;
}

#define WIDTH 16
#define NAME(function) function##_16
#define TARGET "ssse3,popcnt"
#include "proto/json_stretch.h"
#undef WIDTH
#undef NAME
#undef TARGET

#define WIDTH 32
#define NAME(function) function##_32
#define TARGET "avx2,popcnt,bmi,bmi2,lzcnt"
#include "proto/json_stretch.h"
#undef WIDTH
#undef NAME
#undef TARGET

/* Whose processor is too old for one way takes the next. */
static const struct way {
    const uint8_t *(*bulk)(const uint8_t *at, const uint8_t *end, uint64_t *characters);
    const uint8_t *(*stretches)(const uint8_t *at, const uint8_t *end, uint64_t *characters);
} slow, narrow = {bulk_16, stretches_16}, wide = {bulk_32, stretches_32};

static inline const struct way *way(void)
{
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return &wide;
    return __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt") ? &narrow : &slow;
}

const uint8_t *text_bulk(const uint8_t *at, const uint8_t *end, uint64_t *characters)
{
    const struct way *by = way();
    return by->bulk ? by->bulk(at, end, characters) : at;
}

/* Passes over \u sequences, except those of surrogates. */
static const uint8_t *code_units(const uint8_t *at, const uint8_t *end, uint64_t *characters)
{
    for (; end - at >= 6 && at[0] == '\\' && at[1] == 'u'; at += 6, ++*characters) {
        int32_t unit = text_code_unit(at + 2);
        if (unit < 0 || (unit >= 0xd800 && unit <= 0xdfff))
            break;
    }
    return at;
}

const uint8_t *text_long(const uint8_t *at, const uint8_t *end, uint64_t *characters)
{
    const struct way *by = way();
    for (const uint8_t *stop = by->stretches ? NULL : at; stop != at;) {
        stop = by->stretches(at, end, characters);
        at = code_units(stop, end, characters);
    }
    return at;
}

#else

/* Eight bytes at a time: a byte's high bit is set in the result when it is not plain. Exact for the
 * lowest such byte or not at all, which is enough to stop here and look at bytes one by one. */
static inline uint64_t not_plain(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    return (word | (word - ones * 0x20) | ((quote - ones) & ~quote) |
            ((backslash - ones) & ~backslash)) &
           highs;
}

const uint8_t *text_plain(const uint8_t *at, const uint8_t *end)
{
    uint64_t word;
    for (; end - at >= 8; at += 8) {
        memcpy(&word, at, 8);
        if (not_plain(word))
            break;
    }
    while (at < end && plain(*at))
        at++;
    return at;
}

const uint8_t *text_skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && space(*at))
        at++;
    return at;
}

const uint8_t *text_bulk(const uint8_t *at, const uint8_t *end, uint64_t *characters)
{
    (void)end;
    (void)characters;
    return at;
}

const uint8_t *text_long(const uint8_t *at, const uint8_t *end, uint64_t *characters)
{
    return text_bulk(at, end, characters);
}

#endif
