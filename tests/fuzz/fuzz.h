/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput and an oracle in
 * it: not "it did not crash" but "what was read is what another reader reads". Built with clang it
 * is a libFuzzer program (`make fuzz`); built with replay.c it reads its corpus once, in every test
 * run. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A promise that was broken: says which one and ends the program, so that the input is kept. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_broken(#condition, __FILE__, __LINE__);                                           \
    } while (0)
_Noreturn void fuzz_broken(const char *condition, const char *file, int line);
/* The same for two texts that must be equal; shows both. */
#define must_equal(a, b) fuzz_equal((a), (b), #a " = " #b, __FILE__, __LINE__)
void fuzz_equal(struct slice a, struct slice b, const char *what, const char *file, int line);

/* Hands `input` over in pieces, each in memory of just its size, so that a read beyond its end
 * shows. Cut 0 is the whole in one piece, 1 is byte by byte, the others are drawn from the input
 * itself: the same input is always cut the same ways. `take` returns false when it wants no more.
 */
enum { FUZZ_CUTS = 6 };
typedef bool fuzz_take_fn(void *context, struct slice piece);
void fuzz_cut(struct slice input, unsigned cut, fuzz_take_fn *take, void *context);

/* The next of a row of numbers drawn from the input; `*row` begins with fuzz_row. */
uint64_t fuzz_row(struct slice input);
uint64_t fuzz_next(uint64_t *row);

/* A copy of just its size on the heap (1 byte when empty); the caller frees it. */
char *fuzz_copy(struct slice s);

#endif
