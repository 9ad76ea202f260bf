/* The nearest known word to one that is unknown, for "did you mean". */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include "base/slice.h"

struct nearest {
    struct slice wanted;
    const char *word;  /* the best so far, or NULL when none is near enough */
    unsigned distance; /* only words with a smaller one are taken */
};

struct nearest nearest_to(struct slice wanted);
void nearest_try(struct nearest *nearest, const char *word);

/* How many insertions, deletions, changes and swaps of neighbours lie between two words (Damerau
 * and Levenshtein, each place edited once), without case; words of more than 64 bytes are far
 * apart. */
unsigned nearest_distance(struct slice a, struct slice b);

#endif
