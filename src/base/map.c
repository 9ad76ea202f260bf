#include "base/map.h"

#include <stdlib.h>

#include "base/hash.h"

void map_init(struct map *map, size_t max)
{
    *map = (struct map){.max = max};
}

void map_finish(struct map *map)
{
    free(map->entries);
    map_init(map, map->max);
}

/* The place of `key`, or the free place where it would go. The table is never full. */
static struct map_entry *place_of(const struct map *map, uint64_t hash, struct slice key)
{
    for (size_t i = hash & (map->size - 1);; i = (i + 1) & (map->size - 1)) {
        struct map_entry *entry = &map->entries[i];
        if (!entry->value || (entry->hash == hash && slice_equal(entry->key, key)))
            return entry;
    }
}

static enum err resize(struct map *map, size_t size)
{
    struct map larger = {.entries = calloc(size, sizeof *larger.entries), .size = size};
    if (!larger.entries)
        return ERR_MEMORY;
    for (size_t i = 0; i < map->size; i++)
        if (map->entries[i].value)
            *place_of(&larger, map->entries[i].hash, map->entries[i].key) = map->entries[i];
    free(map->entries);
    map->entries = larger.entries;
    map->size = size;
    return OK;
}

void *map_find(const struct map *map, struct slice key)
{
    return map->count ? place_of(map, hash_bytes(key), key)->value : NULL;
}

enum err map_add(struct map *map, struct slice key, void *value)
{
    invariant(value);
    if (map->count == map->max)
        return ERR_LIMIT;
    if (map->count * 3 >= map->size * 2)
        TRY(resize(map, map->size ? map->size * 2 : 16));
    uint64_t hash = hash_bytes(key);
    struct map_entry *entry = place_of(map, hash, key);
    if (entry->value)
        return ERR_EXISTS;
    *entry = (struct map_entry){hash, key, value};
    map->count++;
    return OK;
}

void *map_remove(struct map *map, struct slice key)
{
    if (!map->count)
        return NULL;
    struct map_entry *entry = place_of(map, hash_bytes(key), key);
    void *value = entry->value;
    if (!value)
        return NULL;
    entry->value = NULL;
    map->count--;
    /* Entries behind the hole may have been pushed past it: put the rest of the run in again. */
    size_t hole = (size_t)(entry - map->entries);
    for (size_t i = (hole + 1) & (map->size - 1); map->entries[i].value;
         i = (i + 1) & (map->size - 1)) {
        struct map_entry moved = map->entries[i];
        map->entries[i].value = NULL;
        *place_of(map, moved.hash, moved.key) = moved;
    }
    return value;
}

bool map_next(const struct map *map, size_t *at, struct map_entry *entry)
{
    while (*at < map->size) {
        struct map_entry *candidate = &map->entries[(*at)++];
        if (candidate->value) {
            *entry = *candidate;
            return true;
        }
    }
    return false;
}
