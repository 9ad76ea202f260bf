/* The table behind octet.h. Every visible byte has exactly one row. */
#include "proto/octet.h"

#define V OCTET_VISIBLE
#define VP (V | OCTET_PATH)
#define VT (V | OCTET_TOKEN | OCTET_NAME)
#define VTP (VT | OCTET_PATH)
#define LETTER (VTP | OCTET_HOST)
#define DIGIT (LETTER | OCTET_HEX)

// clang-format off
const uint8_t octet_classes[256] = {
    ['0' ... '9'] = DIGIT,
    ['A' ... 'F'] = DIGIT, ['G' ... 'Z'] = LETTER,
    ['a' ... 'f'] = DIGIT, ['g' ... 'z'] = LETTER,
    ['-'] = LETTER, ['.'] = LETTER,
    ['_'] = V | OCTET_TOKEN | OCTET_PATH | OCTET_HOST,
    ['!'] = VTP, ['$'] = VTP, ['&'] = VTP, ['\''] = VTP, ['+'] = VTP, ['~'] = VTP,
    ['#'] = VT, ['%'] = VT, ['*'] = VT, ['^'] = VT, ['`'] = VT, ['|'] = VT,
    ['/'] = VP, [':'] = VP, ['@'] = VP, ['('] = VP, [')'] = VP, [','] = VP, ['='] = VP,
    ['"'] = V, [';'] = V, ['<'] = V, ['>'] = V, ['?'] = V, ['['] = V, ['\\'] = V, [']'] = V,
    ['{'] = V, ['}'] = V,
};
// clang-format on
