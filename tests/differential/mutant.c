/* Mutants, their random numbers and the one edit that all mutations are made of; see mutant.h. */
#include "mutant.h"

#include <string.h>

/* splitmix64, by its published constants: small, and any two seeds give unrelated rows. */
uint64_t mutant_random(struct mutant *m)
{
    uint64_t z = m->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t mutant_below(struct mutant *m, size_t bound)
{
    return bound ? (size_t)(mutant_random(m) % bound) : 0;
}

void mutant_replace(struct mutant *m, size_t at, size_t gone, const char *with, size_t len)
{
    if (at > m->len)
        at = m->len;
    if (gone > m->len - at)
        gone = m->len - at;
    if (m->len - gone + len > sizeof(m->bytes))
        return;
    char kept[MUTANT_BYTES_MAX]; /* `with` may lie in the mutant itself */
    memcpy(kept, with, len);
    memmove(m->bytes + at + len, m->bytes + at + gone, m->len - at - gone);
    memcpy(m->bytes + at, kept, len);
    m->len = m->len - gone + len;
}

/* Most mutants are changed once or twice: the more changes, the fewer pass. One in 32 is left as it
 * is. */
static unsigned mutation_count(struct mutant *m)
{
    if (mutant_below(m, 32) == 0)
        return 0;
    unsigned count = 1;
    while (count < MUTATIONS_MAX && mutant_below(m, 2))
        count++;
    return count;
}

void mutant_make(struct mutant *m, uint64_t seed, uint64_t number)
{
    m->random = seed;
    m->random = mutant_random(m) + number * UINT64_C(0xd1342543de82ef95);
    m->mutation_count = 0;
    bool gentle = mutant_below(m, 2);
    mutant_plant(m, mutant_below(m, mutant_seed_count(gentle)), number);
    mutant_mutate(m, mutation_count(m), gentle, number);
}

static const char mark[] = MUTANT_KEY_MARK;
enum { MARK_BYTES = sizeof(mark) - 1 };

size_t mutant_printed_len(const char *bytes, size_t len)
{
    size_t printed = len;
    const char *end = bytes + len, *at = bytes;
    while ((at = memmem(at, (size_t)(end - at), mark, MARK_BYTES))) {
        printed += MUTANT_KEY_BYTES - MARK_BYTES;
        at += MARK_BYTES;
    }
    return printed;
}

size_t mutant_print(const struct mutant *m, const char *key, char *to, size_t room)
{
    const char *at = m->bytes, *end = m->bytes + m->len, *next;
    size_t len = 0;
    if (mutant_printed_len(m->bytes, m->len) > room)
        return 0;
    for (; (next = memmem(at, (size_t)(end - at), mark, MARK_BYTES)); at = next + MARK_BYTES) {
        memcpy(to + len, at, (size_t)(next - at));
        len += (size_t)(next - at);
        memcpy(to + len, key, MUTANT_KEY_BYTES);
        len += MUTANT_KEY_BYTES;
    }
    memcpy(to + len, at, (size_t)(end - at));
    return len + (size_t)(end - at);
}
