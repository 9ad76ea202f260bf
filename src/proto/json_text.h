/* The bodies of JSON strings: skipping over text that needs no attention, as fast as the machine
 * can, and checking UTF-8. Called by the JSON scanner only. The hard problem: text comes in pieces
 * cut anywhere, so a bulk check works from sequence to sequence and a byte-wise check carries the
 * rest. */
#ifndef PROTO_JSON_TEXT_H
#define PROTO_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* A UTF-8 sequence that is not complete yet. All zero: between two sequences. */
struct text_sequence {
    uint8_t left;      /* continuation bytes still to come */
    uint8_t low, high; /* what the next of them may be */
};

/* The first byte that is not plain: a quote, a backslash, a control byte, anything from 0x80 up; or
 * `end`. Never reads past `end`. */
const uint8_t *text_plain(const uint8_t *at, const uint8_t *end);

/* Checks UTF-8 in bulk from a sequence's start up to the next quote, backslash or control byte, or
 * up to a sequence's start shortly before `end`; adds the characters passed. Returns how far the
 * text is valid: `at` itself when the machine has no fast way, too little is left, or a mistake
 * lies ahead, which text_next then finds byte by byte. */
const uint8_t *text_bulk(const uint8_t *at, const uint8_t *end, uint64_t *characters);

/* The same, faster for text that is long, and it passes over escape sequences too (a character
 * each), except those of surrogates; nobody gets to see what they stand for. Stops at most 63 bytes
 * short of a mistake. */
const uint8_t *text_long(const uint8_t *at, const uint8_t *end, uint64_t *characters);

/* Takes one more byte, inside a sequence or from 0x80 up. False when it may not stand here. */
bool text_next(struct text_sequence *sequence, uint8_t byte);

/* A hexadecimal digit's value, or -1. */
int text_hex(uint8_t byte);
/* The code unit of the four hexadecimal digits at `at`, or -1. */
int32_t text_code_unit(const uint8_t *at);

/* The first byte that is not JSON white space, or `end`. */
const uint8_t *text_skip_space(const uint8_t *at, const uint8_t *end);

#endif
