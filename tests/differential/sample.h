/* What is kept for the other servers: of requests that differ only in their words one, and of those
 * that are left a bounded sample in which each has the same chance. */
#ifndef DIFFERENTIAL_SAMPLE_H
#define DIFFERENTIAL_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHAPES_MAX = 1 << 21 };

struct sampled {
    uint64_t mutant;
    char *bytes; /* head and body */
    size_t len;
};

struct sample {
    uint64_t *shapes; /* open addressing, 0 is free */
    uint64_t shape_count, random;
    struct sampled *kept;
    size_t count, max;
};

bool sample_init(struct sample *sample, size_t max, uint64_t seed);
/* Copies the bytes when their shape is new and the draw falls on them. */
void sample_offer(struct sample *sample, uint64_t mutant, const char *bytes, size_t head_len,
                  size_t len);
/* Writes "MUTANT LENGTH\n" and the bytes of each. */
bool sample_write(const struct sample *sample, const char *path);

#endif
