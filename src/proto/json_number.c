/* Numbers are judged as text: no conversion, so no locale, no rounding and no surprise (HOSTILE:
 * numbers that two readers understand differently). Called by json.c. */
#include "proto/json_number.h"

enum number_class { OTHER, ZERO, DIGIT, MINUS, PLUS, POINT, EXPONENT, CLASS_COUNT };

static const uint8_t class_of[256] = {
    ['0'] = ZERO,  ['1' ... '9'] = DIGIT, ['-'] = MINUS,    ['+'] = PLUS,
    ['.'] = POINT, ['e'] = EXPONENT,      ['E'] = EXPONENT,
};

// clang-format off
#define BAD NUMBER_BAD
#define END NUMBER_END
static const uint8_t next_state[NUMBER_GOING_ON][CLASS_COUNT] = {
    /* OTHER, ZERO, DIGIT, MINUS, PLUS, POINT, EXPONENT */
    [NUMBER_BEGIN] = {BAD, NUMBER_ZERO, NUMBER_DIGITS, NUMBER_MINUS, BAD, BAD, BAD},
    [NUMBER_MINUS] = {BAD, NUMBER_ZERO, NUMBER_DIGITS, BAD, BAD, BAD, BAD},
    [NUMBER_ZERO] = {END, BAD, BAD, BAD, BAD, NUMBER_POINT, NUMBER_E},
    [NUMBER_DIGITS] = {END, NUMBER_DIGITS, NUMBER_DIGITS, BAD, BAD, NUMBER_POINT, NUMBER_E},
    [NUMBER_POINT] = {BAD, NUMBER_FRACTION, NUMBER_FRACTION, BAD, BAD, BAD, BAD},
    [NUMBER_FRACTION] = {END, NUMBER_FRACTION, NUMBER_FRACTION, BAD, BAD, BAD, NUMBER_E},
    [NUMBER_E] = {BAD, NUMBER_EXPONENT, NUMBER_EXPONENT, NUMBER_SIGN, NUMBER_SIGN, BAD, BAD},
    [NUMBER_SIGN] = {BAD, NUMBER_EXPONENT, NUMBER_EXPONENT, BAD, BAD, BAD, BAD},
    [NUMBER_EXPONENT] = {END, NUMBER_EXPONENT, NUMBER_EXPONENT, BAD, BAD, BAD, BAD},
};
// clang-format on

const uint8_t *number_run(enum number_state *state, const uint8_t *at, const uint8_t *limit)
{
    unsigned now = *state;
    for (; at < limit; at++) {
        now = next_state[now][class_of[*at]];
        if (now >= NUMBER_GOING_ON)
            break;
        /* Where a digit leads back to the same state, digits are passed over without the table. */
        if (next_state[now][DIGIT] == now)
            while (at + 1 < limit && (uint8_t)(at[1] - '0') < 10)
                at++;
    }
    *state = (enum number_state)now;
    return at;
}

/* The digits of 2^1024 - 2^970, from which on a number rounds to infinity, as 0.d1d2d3... times 10
 * to the 309; longer than any number that gets here, so that no tie is possible. */
static const char infinity_digits[] =
    "1797693134862315807937289714053034150799341327100378269361737789804449";

/* Is 0.d1d2d3... made of `digits` (a point may stand among them) as large as that? */
static bool reaches_infinity(struct slice digits)
{
    const char *limit = infinity_digits;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] == '.')
            continue;
        if (digits.ptr[i] != *limit)
            return digits.ptr[i] > *limit;
        limit++;
    }
    return false;
}

bool number_fits_double(struct slice text)
{
    size_t e = 0, point = text.len;
    while (e < text.len && (text.ptr[e] | 0x20) != 'e')
        e++;
    if (e == text.len)
        return true; /* at most JSON_NUMBER_MAX digits */
    struct slice power = slice_from(text, e + 1), digits = slice_to(text, e);
    bool negative = power.ptr[0] == '-';
    if (power.ptr[0] == '-' || power.ptr[0] == '+')
        power = slice_from(power, 1);
    while (power.len > 1 && power.ptr[0] == '0')
        power = slice_from(power, 1);
    uint64_t exponent;
    if (!slice_number(power, JSON_EXPONENT_MAX, &exponent))
        return false;
    if (digits.ptr[0] == '-')
        digits = slice_from(digits, 1);
    point = slice_find(digits, '.');
    size_t first = 0;
    while (first < digits.len && (digits.ptr[first] == '0' || digits.ptr[first] == '.'))
        first++;
    if (first == digits.len || negative)
        return true;
    /* The number is 0.d1d2d3... times 10 to the `scale`, d1 being the digit at `first`. */
    int scale =
        (int)exponent + (first < point ? (int)(point - first) : (int)point - (int)first + 1);
    return scale < 309 || (scale == 309 && !reaches_infinity(slice_from(digits, first)));
}
