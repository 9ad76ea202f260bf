/* The grammar of JSON numbers, byte by byte, and their range. Called by the JSON scanner only. */
#ifndef PROTO_JSON_NUMBER_H
#define PROTO_JSON_NUMBER_H

#include "base/slice.h"

enum { JSON_NUMBER_MAX = 64, JSON_EXPONENT_MAX = 999 };

enum number_state {
    NUMBER_BEGIN,
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_DIGITS,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT,
    NUMBER_GOING_ON, /* those above; below: what one more byte ended */
    NUMBER_END = NUMBER_GOING_ON,
    NUMBER_BAD,
};

/* Reads on from `*state` until a byte is not part of the number (NUMBER_END, or NUMBER_BAD where
 * the number may not end) or until `limit`. Returns that byte's place, or `limit`. */
const uint8_t *number_run(enum number_state *state, const uint8_t *at, const uint8_t *limit);

/* Does a well-formed number become a finite double? An exponent of more than JSON_EXPONENT_MAX
 * either way is refused whatever it stands on: readers with exact arithmetic choke on it. */
bool number_fits_double(struct slice text);

#endif
