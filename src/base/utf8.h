/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* The length (1 to 4) of the valid sequence at the start of `s`, or 0 when there is none. */
size_t utf8_sequence(struct slice s);
bool utf8_valid(struct slice s);
/* Writes `code_point` to out[4]; returns its length, 0 for a surrogate or a number out of range. */
size_t utf8_encode(uint32_t code_point, char out[4]);

#endif
