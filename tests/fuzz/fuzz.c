/* See fuzz.h. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void fuzz_broken(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, condition);
    abort();
}

void fuzz_equal(struct slice a, struct slice b, const char *what, const char *file, int line)
{
    if (slice_equal(a, b))
        return;
    fprintf(stderr, "--- one (%zu bytes):\n%.*s\n--- other (%zu bytes):\n%.*s\n---\n", a.len,
            SLICE_ARG(a), b.len, SLICE_ARG(b));
    fuzz_broken(what, file, line);
}

uint64_t fuzz_row(struct slice input)
{
    uint64_t row = 0xcbf29ce484222325; /* FNV-1a: quick, and the same everywhere */
    for (size_t i = 0; i < input.len; i++)
        row = (row ^ (unsigned char)input.ptr[i]) * 0x100000001b3;
    return row | 1;
}

uint64_t fuzz_next(uint64_t *row)
{
    *row ^= *row << 13;
    *row ^= *row >> 7;
    *row ^= *row << 17;
    return *row >> 11;
}

char *fuzz_copy(struct slice s)
{
    char *copy = malloc(s.len ? s.len : 1);
    must(copy);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

void fuzz_cut(struct slice input, unsigned cut, fuzz_take_fn *take, void *context)
{
    /* Short pieces find what goes wrong inside a token, long ones what goes wrong behind it. */
    static const size_t longest[FUZZ_CUTS] = {[2] = 3, [3] = 8, [4] = 40, [5] = 300};
    uint64_t row = fuzz_row(input) + cut;
    bool more = true;
    while (more && input.len) {
        size_t n = cut == 0 ? input.len : cut == 1 ? 1 : 1 + fuzz_next(&row) % longest[cut];
        struct slice piece = slice_to(input, n < input.len ? n : input.len);
        char *copy = fuzz_copy(piece);
        more = take(context, slice_make(copy, piece.len));
        free(copy);
        input = slice_from(input, piece.len);
    }
}
