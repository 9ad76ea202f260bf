/* Duplicate keys, found through 64-bit seeded hashes of the unescaped keys. Called by the JSON
 * scanner only. A sender cannot choose colliding keys because the hash is keyed per process; by
 * chance one object of 100,000 different keys is refused with probability 2^-31, one of a thousand
 * with 2^-45. */
#ifndef PROTO_JSON_KEYS_H
#define PROTO_JSON_KEYS_H

#include "proto/json.h"

/* One key as it comes, in pieces: hashed in blocks, so that a key of any length costs no memory. */
struct key_text {
    unsigned char block[JSON_KEY_KEPT];
    unsigned len;
    bool chained; /* blocks before this one are in `chain` */
    uint64_t chain;
};

void key_text_clear(struct key_text *key);
void key_text_append(struct key_text *key, struct slice bytes);
/* The same for the same bytes, however they were cut. */
uint64_t key_text_hash(const struct key_text *key);
/* The same for a key that is there as a whole. */
uint64_t key_hash(struct slice key);

/* Up to this many members an object's hashes are compared one by one, beyond it they are in a
 * table. */
enum { KEYS_LINEAR = 16, KEYS_INLINE = 128 };

/* The keys of one open object. */
struct key_level {
    uint32_t first;  /* of its hashes on the stack */
    uint32_t count;  /* there, at most KEYS_LINEAR */
    uint32_t serial; /* distinguishes objects in the table; 0 while it is not in there */
};

/* A part of the table of large objects' keys, by the hash's highest bits. Each part grows by
 * itself: a single large table would hold up the loop for two milliseconds when it grows last. */
enum { KEY_PARTS_BITS = 5, KEY_PARTS = 1 << KEY_PARTS_BITS };
struct key_part {
    uint64_t *places;   /* open addressing; 0 is free */
    uint32_t len, size; /* a power of two, at most half full */
};

/* Keys of all open objects. Small objects keep theirs on a stack and take them down when they
 * close; large ones share one table from which nothing is removed, bounded by the members in total.
 */
struct key_set {
    struct arena *arena;
    uint64_t *stack; /* `initial`, or from the arena */
    uint32_t stack_len, stack_size;
    struct key_part *parts; /* KEY_PARTS; NULL: there has been no large object */
    uint32_t members;       /* seen in the whole text */
    uint32_t serials;
    struct key_level levels[JSON_DEPTH_MAX];
    uint64_t initial[KEYS_INLINE];
};

void keys_init(struct key_set *set, struct arena *arena);
static inline void keys_open(struct key_set *set, unsigned level)
{
    set->levels[level] = (struct key_level){.first = set->stack_len};
}
static inline void keys_close(struct key_set *set, unsigned level)
{
    set->stack_len = set->levels[level].first;
}
/* JSON_FINE, JSON_DUPLICATE_KEY, JSON_TOO_MANY_MEMBERS or JSON_MEMORY. Constant time, amortised. */
enum json_fault keys_add(struct key_set *set, unsigned level, uint64_t hash);

#endif
