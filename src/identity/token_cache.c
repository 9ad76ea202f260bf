/* See token_cache.h. Called by one event loop. The entries are one block, so that whatever callers
 * present, memory has its bound from the start; the map finds them by digest, which an attacker
 * cannot steer, and a list keeps the order of their last use. */
#include "identity/token_cache.h"

#include <stdlib.h>

struct token_entry {
    struct list link; /* in `used` or `unused` */
    uint8_t digest[SHA256_BYTES];
    struct token_claims claims;
};

static struct slice key_of(const uint8_t digest[SHA256_BYTES])
{
    return slice_make((const char *)digest, SHA256_BYTES);
}

static struct token_entry *entry_of(struct list *link)
{
    return LIST_OF(link, struct token_entry, link);
}

static void drop(struct token_cache *cache, struct token_entry *entry)
{
    map_remove(&cache->by_digest, key_of(entry->digest));
    list_remove(&entry->link);
    list_append(&cache->unused, &entry->link);
}

/* One that was given back, else one that was never used, else the one longest unused. In no list.
 */
static struct token_entry *take_entry(struct token_cache *cache)
{
    if (list_empty(&cache->unused) && cache->begun < cache->max) {
        struct token_entry *entry = &cache->entries[cache->begun++];
        list_init(&entry->link);
        return entry;
    }
    if (list_empty(&cache->unused))
        drop(cache, entry_of(cache->used.next));
    return entry_of(list_pop(&cache->unused));
}

enum err token_cache_init(struct token_cache *cache, unsigned max)
{
    invariant(max >= 1);
    *cache = (struct token_cache){.max = max, .entries = calloc(max, sizeof *cache->entries)};
    map_init(&cache->by_digest, max);
    list_init(&cache->used);
    list_init(&cache->unused);
    return cache->entries ? OK : ERR_MEMORY;
}

void token_cache_finish(struct token_cache *cache)
{
    map_finish(&cache->by_digest);
    free(cache->entries);
    *cache = (struct token_cache){0};
}

const struct token_claims *token_cache_find(struct token_cache *cache,
                                            const uint8_t digest[SHA256_BYTES],
                                            uint64_t now_epoch_s)
{
    struct token_entry *entry = map_find(&cache->by_digest, key_of(digest));
    if (!entry)
        return NULL;
    if (token_time_fault(&entry->claims, now_epoch_s)) {
        drop(cache, entry);
        return NULL;
    }
    list_remove(&entry->link);
    list_append(&cache->used, &entry->link);
    return &entry->claims;
}

void token_cache_add(struct token_cache *cache, const uint8_t digest[SHA256_BYTES],
                     const struct token_claims *claims)
{
    struct token_entry *entry = map_find(&cache->by_digest, key_of(digest));
    if (entry)
        drop(cache, entry);
    entry = take_entry(cache);
    /* They may be the cache's own: an entry that had to go still holds them. */
    entry->claims = *claims;
    memcpy(entry->digest, digest, SHA256_BYTES);
    bool added = map_add(&cache->by_digest, key_of(entry->digest), entry) == OK;
    list_append(added ? &cache->used : &cache->unused, &entry->link);
}

void token_cache_clear(struct token_cache *cache)
{
    while (!list_empty(&cache->used))
        drop(cache, entry_of(cache->used.next));
}
