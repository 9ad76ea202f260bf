#include "config/nearest.h"

#include <ctype.h>
#include <limits.h>

enum { LONGEST = 64 };

struct nearest nearest_to(struct slice wanted)
{
    /* A third of the letters may be wrong, and two in a short word: more is guessing. */
    size_t allowed = wanted.len / 3 > 2 ? wanted.len / 3 : 2;
    if (allowed >= wanted.len)
        allowed = wanted.len ? wanted.len - 1 : 0;
    return (struct nearest){.wanted = wanted, .distance = (unsigned)allowed + 1};
}

void nearest_try(struct nearest *nearest, const char *word)
{
    struct slice tried = slice_of(word);
    size_t a = nearest->wanted.len, b = tried.len;
    if ((a < b ? b - a : a - b) >=
        nearest->distance) /* as many bytes must be put in or taken out */
        return;
    unsigned distance = nearest_distance(nearest->wanted, tried);
    if (distance < nearest->distance) {
        nearest->word = word;
        nearest->distance = distance;
    }
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(struct slice a, size_t i, struct slice b, size_t j)
{
    return tolower((unsigned char)a.ptr[i]) == tolower((unsigned char)b.ptr[j]);
}

unsigned nearest_distance(struct slice a, struct slice b)
{
    if (a.len > LONGEST || b.len > LONGEST)
        return UINT_MAX;
    /* at[i][j]: from the first i bytes of a to the first j bytes of b. */
    unsigned at[LONGEST + 1][LONGEST + 1];
    for (unsigned i = 0; i <= a.len; i++)
        at[i][0] = i;
    for (unsigned j = 0; j <= b.len; j++)
        at[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        for (size_t j = 1; j <= b.len; j++) {
            unsigned best = least(at[i - 1][j], at[i][j - 1]) + 1;
            best = least(best, at[i - 1][j - 1] + !same(a, i - 1, b, j - 1));
            if (i > 1 && j > 1 && same(a, i - 1, b, j - 2) && same(a, i - 2, b, j - 1))
                best = least(best, at[i - 2][j - 2] + 1);
            at[i][j] = best;
        }
    }
    return at[a.len][b.len];
}
