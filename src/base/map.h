/* A hash map from bytes to pointers: open addressing, linear probing, seeded hash, bounded. The map
 * owns neither keys nor values; both must outlive their entry. One thread, or read-only. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/err.h"
#include "base/slice.h"

struct map_entry {
    uint64_t hash;
    struct slice key;
    void *value; /* NULL marks a free place */
};

struct map {
    struct map_entry *entries;
    size_t size; /* a power of two, or 0 */
    size_t count;
    size_t max; /* entries at most */
};

void map_init(struct map *map, size_t max);
void map_finish(struct map *map);

/* NULL when there is none. */
void *map_find(const struct map *map, struct slice key);
/* `value` is not NULL. ERR_EXISTS, ERR_LIMIT, ERR_MEMORY. */
enum err map_add(struct map *map, struct slice key, void *value) MUST_CHECK;
/* The value that was there, or NULL. */
void *map_remove(struct map *map, struct slice key);
/* Walks all entries: start with *at = 0; false at the end. Not while entries come or go. */
bool map_next(const struct map *map, size_t *at, struct map_entry *entry);

#endif
