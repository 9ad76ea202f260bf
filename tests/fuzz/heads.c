/* See heads.h. */
#include "heads.h"

#include <stdlib.h>

/* Up to here every beginning is tried, beyond it some drawn from the input. */
enum { ALL_BEGINNINGS_BYTES = 300, DRAWN_BEGINNINGS = 48 };

static struct head_outcome parse_beginning(struct slice input, size_t n, head_parse_fn *parse)
{
    char *copy = fuzz_copy(slice_to(input, n));
    struct head_outcome outcome = parse(slice_make(copy, n));
    free(copy);
    must(outcome.err == OK || outcome.err == ERR_AGAIN || outcome.err == ERR_SYNTAX);
    must((outcome.err == ERR_SYNTAX) == (outcome.fault != HTTP_FINE));
    must((unsigned)outcome.fault < HTTP_FAULT_COUNT);
    must(outcome.err == OK ? outcome.used > 0 && outcome.used <= n : outcome.used == 0);
    must(outcome.used <= head_limits.head_bytes);
    must(outcome.err != ERR_AGAIN || n < head_limits.head_bytes);
    return outcome;
}

static void check_beginning(struct slice input, size_t n, struct head_outcome whole,
                            head_parse_fn *parse)
{
    struct head_outcome part = parse_beginning(input, n, parse);
    if (part.err != ERR_AGAIN) {
        must(part.err == whole.err);
        must(part.fault == whole.fault);
        must(part.used == whole.used);
    }
    if (whole.err == OK)
        must((part.err == OK) == (n >= whole.used));
}

struct head_outcome heads_check(struct slice input, head_parse_fn *parse)
{
    struct head_outcome whole = parse_beginning(input, input.len, parse);
    uint64_t row = fuzz_row(input);
    if (input.len <= ALL_BEGINNINGS_BYTES)
        for (size_t n = 0; n < input.len; n++)
            check_beginning(input, n, whole, parse);
    else
        for (unsigned i = 0; i < DRAWN_BEGINNINGS; i++)
            check_beginning(input, fuzz_next(&row) % input.len, whole, parse);
    if (whole.err == OK) {
        check_beginning(input, whole.used - 1, whole, parse);
        check_beginning(input, whole.used, whole, parse);
    }
    return whole;
}

static bool token_byte(char byte)
{
    return byte > 0x20 && byte < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", byte);
}

void heads_check_fields(const struct field *fields, unsigned count, bool obs_text)
{
    for (unsigned i = 0; i < count; i++) {
        struct slice name = fields[i].name, value = fields[i].value;
        must(name.len > 0);
        for (size_t n = 0; n < name.len; n++)
            must(token_byte(name.ptr[n]));
        for (size_t n = 0; n < value.len; n++) {
            unsigned char byte = (unsigned char)value.ptr[n];
            must(byte == '\t' || (byte >= 0x20 && byte < 0x7f) || (obs_text && byte >= 0x80));
        }
        must(slice_equal(slice_trim(value), value));
        must(fields[i].row == field_find(name));
    }
}
