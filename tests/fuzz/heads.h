/* What the targets for request and response heads have in common: limits so small that inputs reach
 * them, and the promise that a head is judged from left to right, whatever has arrived of it. */
#ifndef FUZZ_HEADS_H
#define FUZZ_HEADS_H

#include "fuzz.h"
#include "proto/http.h"

static const struct http_limits head_limits = {.line_bytes = 1024, .head_bytes = 4096};

struct head_outcome {
    enum err err;
    enum http_fault fault;
    size_t used;
};
typedef struct head_outcome head_parse_fn(struct slice bytes);

/* Checks the outcome of `input` by itself and against those of its beginnings: no beginning is
 * judged otherwise, and what was judged stays so. Returns the outcome of the whole. */
struct head_outcome heads_check(struct slice input, head_parse_fn *parse);

/* Every field can be written into a message again without saying something else there. */
void heads_check_fields(const struct field *fields, unsigned count, bool obs_text);

#endif
