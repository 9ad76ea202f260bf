/* The gateway's answers, read by the strictest grammar. */
#ifndef DIFFERENTIAL_ANSWER_H
#define DIFFERENTIAL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What our upstream puts into its answers, so that they are known again. */
#define ANSWER_SERIAL "X-Serial"

struct answer {
    unsigned status;
    bool closes;     /* Connection: close */
    bool has_serial; /* it comes from our upstream */
    uint64_t serial;
};

/* Reads the answer at `*at` and passes over it; one to HEAD has no body. NULL, or what is wrong. */
const char *answer_read(const char **at, const char *end, bool to_head, struct answer *answer);

#endif
