/* String bodies and white space, 16 bytes at a time where the processor is an x86-64 (SSE2 always,
 * SSSE3 and POPCNT when they are there), in plain C elsewhere. Called by json.c for every string,
 * so it is the scanner's speed. Nothing here reads outside [at, end): a body may end where its page
 * ends. */
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

/* The bulk check is Keiser and Lemire's ("Validating UTF-8 in less than one instruction per byte",
 * arXiv 2010.03090): three table look-ups on the four-bit halves of two neighbouring bytes give the
 * mistakes each half allows; what all three allow is one. */
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

__attribute__((target("ssse3"))) static inline __m128i mistakes(__m128i block, __m128i before)
{
    const __m128i first_high =
        TABLE(TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
              M(TWO_MORE), M(TWO_MORE), M(TWO_MORE), M(TWO_MORE), TOO_SHORT | OVERLONG_2, TOO_SHORT,
              TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | OVERLONG_4);
    const __m128i first_low =
        TABLE(M(ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4), M(ANY_LOW | OVERLONG_2),
              M(ANY_LOW), M(ANY_LOW), M(ANY_LOW | TOO_LARGE), M(LARGE_LOW), M(LARGE_LOW),
              M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW), M(LARGE_LOW),
              M(LARGE_LOW | SURROGATE), M(LARGE_LOW), M(LARGE_LOW));
    const __m128i second_high =
        TABLE(TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
              TOO_SHORT, M(TOO_LONG | OVERLONG_2 | TWO_MORE | OVERLONG_3 | OVERLONG_4),
              M(TOO_LONG | OVERLONG_2 | TWO_MORE | OVERLONG_3 | TOO_LARGE),
              M(TOO_LONG | OVERLONG_2 | TWO_MORE | SURROGATE | TOO_LARGE),
              M(TOO_LONG | OVERLONG_2 | TWO_MORE | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT,
              TOO_SHORT, TOO_SHORT);
    const __m128i half = _mm_set1_epi8(0x0f);
    __m128i first = _mm_alignr_epi8(block, before, 15);
    __m128i found = _mm_and_si128(
        _mm_and_si128(_mm_shuffle_epi8(first_high, _mm_and_si128(_mm_srli_epi16(first, 4), half)),
                      _mm_shuffle_epi8(first_low, _mm_and_si128(first, half))),
        _mm_shuffle_epi8(second_high, _mm_and_si128(_mm_srli_epi16(block, 4), half)));
    /* The third byte after E0 and up and the fourth after F0 and up must be the second of TWO_MORE.
     */
    __m128i third = _mm_subs_epu8(_mm_alignr_epi8(block, before, 14), _mm_set1_epi8(0xe0 - 0x80));
    __m128i fourth = _mm_subs_epu8(_mm_alignr_epi8(block, before, 13), _mm_set1_epi8(0xf0 - 0x80));
    __m128i wanted = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8(M(0x80)));
    return _mm_xor_si128(found, wanted);
}

static inline bool any_set(__m128i bits)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(bits, _mm_setzero_si128())) != 0xffff;
}

/* Every byte that is not a continuation begins a character. */
static inline uint64_t count_characters(__m128i block)
{
    __m128i begins = _mm_cmpgt_epi8(block, _mm_set1_epi8((char)0xbf));
    __m128i sums = _mm_sad_epu8(_mm_sub_epi8(_mm_setzero_si128(), begins), _mm_setzero_si128());
    return (uint64_t)(_mm_cvtsi128_si64(sums) + _mm_cvtsi128_si64(_mm_srli_si128(sums, 8)));
}

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

__attribute__((target("ssse3"))) static const uint8_t *bulk(const uint8_t *from, const uint8_t *end,
                                                            uint64_t *characters)
{
    static const uint8_t low_bytes[2 * STEP] = {[0 ... STEP - 1] = 0xff};
    __m128i before = _mm_setzero_si128(), wrong = _mm_setzero_si128();
    uint64_t counted = 0;
    const uint8_t *at = from;
    for (; end - at >= STEP; at += STEP) {
        __m128i block = load(at);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('"')),
                                    _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
        stop = _mm_or_si128(stop, _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block));
        unsigned stops = (unsigned)_mm_movemask_epi8(stop);
        if (stops) {
            /* All behind the byte that stops becomes NUL; that byte is ASCII and so shows a cut
             * sequence. */
            unsigned keep = (unsigned)__builtin_ctz(stops);
            block = _mm_and_si128(block, load(low_bytes + STEP - 1 - keep));
            wrong = _mm_or_si128(wrong, mistakes(block, before));
            if (any_set(wrong))
                return from;
            *characters += counted + count_characters(block) - (STEP - keep);
            return at + keep;
        }
        wrong = _mm_or_si128(wrong, mistakes(block, before));
        counted += count_characters(block);
        before = block;
    }
    if (at == from || any_set(wrong))
        return from;
    at = sequence_start(at, &counted);
    *characters += counted;
    return at;
}

const uint8_t *text_bulk(const uint8_t *at, const uint8_t *end, uint64_t *characters)
{
    return __builtin_cpu_supports("ssse3") ? bulk(at, end, characters) : at;
}

/* --- long text ----------------------------------------------------------------------------------
 * Text whose escapes need only be valid is read in stretches of 64 bytes, with one bit for each
 * byte: how often a stretch is interrupted then hardly matters. */

enum { BLOCKS = 4, STRETCH = BLOCKS * STEP };

/* The first byte's bit is the lowest. */
static inline uint64_t bits_of(const __m128i set[BLOCKS])
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        bits |= (uint64_t)(unsigned)_mm_movemask_epi8(set[i]) << i * STEP;
    return bits;
}

/* 0 in every byte that is no escape sequence together with a backslash: in all but quote, slash,
 * backslash, b, f, n, r and t. Bytes with the same upper half are a class; a lower half knows the
 * classes it is good in. */
__attribute__((target("ssse3"))) static inline __m128i escape_letters(__m128i block)
{
    const __m128i class_of_upper = TABLE(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i good_in = TABLE(0, 0, 1 | 4 | 8, 0, 8, 0, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1);
    const __m128i half = _mm_set1_epi8(0x0f);
    __m128i upper = _mm_and_si128(_mm_srli_epi16(block, 4), half);
    return _mm_and_si128(_mm_shuffle_epi8(class_of_upper, upper),
                         _mm_shuffle_epi8(good_in, _mm_and_si128(block, half)));
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

/* Where the text ends or takes a closer look, and in `*starts` the escape sequences before that. A
 * backslash that is the last byte counts among them and is not judged. */
__attribute__((target("ssse3"))) static inline uint64_t stops_of(const __m128i block[BLOCKS],
                                                                 uint64_t *starts)
{
    __m128i backslash[BLOCKS], ending[BLOCKS], no_letter[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block[i], _mm_set1_epi8(0x1f)), block[i]);
        backslash[i] = _mm_cmpeq_epi8(block[i], _mm_set1_epi8('\\'));
        ending[i] = _mm_or_si128(control, _mm_cmpeq_epi8(block[i], _mm_set1_epi8('"')));
        no_letter[i] = _mm_cmpeq_epi8(escape_letters(block[i]), _mm_setzero_si128());
    }
    *starts = escape_starts(bits_of(backslash));
    uint64_t letters = *starts << 1;
    return (bits_of(ending) & ~letters) | (bits_of(no_letter) & letters) >> 1;
}

__attribute__((target("ssse3"))) static inline bool any_mistake(const __m128i block[BLOCKS],
                                                                __m128i before)
{
    __m128i high = _mm_or_si128(_mm_or_si128(block[0], block[1]), _mm_or_si128(block[2], block[3]));
    __m128i wrong = mistakes(block[0], before); /* also what `before` left open */
    if (_mm_movemask_epi8(high))
        for (unsigned i = 1; i < BLOCKS; i++)
            wrong = _mm_or_si128(wrong, mistakes(block[i], block[i - 1]));
    return any_set(wrong);
}

/* Every byte that is not a continuation begins a character. */
static inline uint64_t begins_of(const __m128i block[BLOCKS])
{
    __m128i begins[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        begins[i] = _mm_cmpgt_epi8(block[i], _mm_set1_epi8((char)0xbf));
    return bits_of(begins);
}

__attribute__((target("ssse3,popcnt"))) static const uint8_t *
stretches(const uint8_t *from, const uint8_t *end, uint64_t *characters)
{
    static const uint8_t low_bytes[2 * STRETCH] = {[0 ... STRETCH - 1] = 0xff};
    __m128i block[BLOCKS], before = _mm_setzero_si128();
    const uint8_t *at = from;
    while (end - at >= STRETCH) {
        for (unsigned i = 0; i < BLOCKS; i++)
            block[i] = load(at + i * STEP);
        uint64_t starts, stops = stops_of(block, &starts), counted = ~starts;
        unsigned keep = STRETCH;
        if (stops) {
            /* All from the byte on that stops becomes NUL: ASCII, and so shows a cut sequence. */
            keep = (unsigned)__builtin_ctzll(stops);
            counted &= (UINT64_C(1) << keep) - 1;
            for (unsigned i = 0; i < BLOCKS; i++)
                block[i] = _mm_and_si128(block[i], load(low_bytes + STRETCH - keep + i * STEP));
        }
        if (any_mistake(block, before))
            break;
        *characters += (unsigned)__builtin_popcountll(begins_of(block) & counted);
        at += keep;
        if (stops)
            return at;
        at -= starts >> (STRETCH - 1); /* its letter is in the next stretch, and so is it */
        before = load(at - STEP);
    }
    return at == from ? from : sequence_start(at, characters);
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
    if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("popcnt"))
        return at;
    for (const uint8_t *stop = NULL; stop != at;) {
        stop = stretches(at, end, characters);
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
