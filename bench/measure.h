/* What the programs that make load have in common: the clock, requests as they are sent, and
 * latencies. Used by the other programs here; no part of the product. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECOND_NS UINT64_C(1000000000)

/* Says why on standard error and ends the program with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

/* Monotonic. */
uint64_t now_ns(void);
/* Processor time of the process. */
uint64_t cpu_ns(void);
/* Sorts them. */
double median(double *values, unsigned count);

/* The whole file with a NUL behind it, to be freed by the caller; `*len` (may be NULL) is without
 * it. */
char *file_read(const char *path, size_t *len);

/* Requests that are the same but for the key: one for each line of the keys file, or a single one
 * without a credential when that is "-". They live as long as the program. */
struct requests {
    char **bytes;
    size_t *lens, count;
};
void requests_make(struct requests *requests, const char *body_path, const char *keys_path);

/* Latencies, in nanoseconds; those beyond `max` are left out. */
struct samples {
    uint32_t *ns;
    size_t count, max;
    uint64_t worst_ns; /* of all, also of those that are left out or too long for `ns` */
};
void samples_init(struct samples *samples, size_t max);
void samples_clear(struct samples *samples);
void samples_add(struct samples *samples, uint64_t ns);
void samples_sort(struct samples *samples);
/* Of sorted ones: the value that `percent` of them do not exceed, in microseconds. */
double samples_us(const struct samples *samples, unsigned percent);

#endif
