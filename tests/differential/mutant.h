/* A mutant: a request, valid or hostile, that was changed in a few places. Seed and number alone
 * decide every byte of it, so a finding can be made again from two numbers. */
#ifndef DIFFERENTIAL_MUTANT_H
#define DIFFERENTIAL_MUTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MUTANT_BYTES_MAX = 4096, MUTATIONS_MAX = 8 };

struct mutant {
    uint64_t random; /* the state of its own row of random numbers */
    size_t len;
    char bytes[MUTANT_BYTES_MAX];
    const char *seed; /* what it was made from */
    unsigned mutation_count;
    const char *mutations[MUTATIONS_MAX]; /* their names, in order */
};

/* The caller's key stands in a mutant as this mark and is put in when all mutations are done:
 * no mutation is spent on a key that would only be unknown, and none depends on a random key. */
#define MUTANT_KEY_MARK "@KEY@"
enum { MUTANT_KEY_BYTES = 65 };

void mutant_make(struct mutant *m, uint64_t seed, uint64_t number);
/* Writes the mutant with `key` (MUTANT_KEY_BYTES long) in place of its marks; returns its length, 0
 * when it does not fit. */
size_t mutant_print(const struct mutant *m, const char *key, char *to, size_t room);
/* How long these bytes are once the keys are in. */
size_t mutant_printed_len(const char *bytes, size_t len);

/* The next random number of the mutant's row, and one below `bound` (0 when that is 0). */
uint64_t mutant_random(struct mutant *m);
size_t mutant_below(struct mutant *m, size_t bound);
/* Puts `with` in the place of `gone` bytes at `at`. What would grow too large stays as it is. */
void mutant_replace(struct mutant *m, size_t at, size_t gone, const char *with, size_t len);

/* seeds.c: what mutants are made from. Writes seed `index` over the mutant; the first
 * mutant_seed_count(true) are well formed. */
void mutant_plant(struct mutant *m, size_t index, uint64_t number);
size_t mutant_seed_count(bool gentle);

/* mutate.c: mutations picked by the mutant's own row; gentle ones often leave it well formed. */
void mutant_mutate(struct mutant *m, unsigned count, bool gentle, uint64_t number);

#endif
