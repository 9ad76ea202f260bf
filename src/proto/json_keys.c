/* The set behind the scanner's duplicate check. The hard problem: an object of a hundred thousand
 * keys must cost no more per key than one of three, and nothing can be given back to an arena. */
#include "proto/json_keys.h"

#include "base/hash.h"

/* The arena keeps every outgrown table, so steps are wide: 2.8 MB in all for JSON_MEMBERS_MAX. */
enum { TABLE_FIRST = 256, TABLE_GROWTH = 4 };

void key_text_clear(struct key_text *key)
{
    key->len = 0;
    key->chained = false;
    key->chain = 0;
}

uint64_t key_text_hash(const struct key_text *key)
{
    if (!key->chained)
        return hash_bytes(slice_make((const char *)key->block, key->len));
    char linked[sizeof key->chain + sizeof key->block];
    memcpy(linked, &key->chain, sizeof key->chain);
    memcpy(linked + sizeof key->chain, key->block, key->len);
    return hash_bytes(slice_make(linked, sizeof key->chain + key->len));
}

void key_text_append(struct key_text *key, struct slice bytes)
{
    while (bytes.len) {
        if (key->len == sizeof key->block) {
            key->chain = key_text_hash(key);
            key->chained = true;
            key->len = 0;
        }
        size_t room = sizeof key->block - key->len;
        size_t n = bytes.len < room ? bytes.len : room;
        memcpy(key->block + key->len, bytes.ptr, n);
        key->len += (unsigned)n;
        bytes = slice_from(bytes, n);
    }
}

uint64_t key_hash(struct slice key)
{
    if (key.len <= JSON_KEY_KEPT)
        return hash_bytes(key);
    struct key_text text;
    key_text_clear(&text);
    key_text_append(&text, key);
    return key_text_hash(&text);
}

void keys_init(struct key_set *set, struct arena *arena)
{
    set->arena = arena;
    set->stack = set->initial;
    set->stack_size = KEYS_INLINE;
    set->stack_len = set->table_len = set->table_size = set->members = set->serials = 0;
    set->table = NULL;
}

static bool stack_push(struct key_set *set, uint64_t hash)
{
    if (set->stack_len == set->stack_size) {
        /* At most KEYS_LINEAR for each of JSON_DEPTH_MAX levels, so this ends. */
        uint64_t *larger = arena_alloc(set->arena, 2 * sizeof *larger * set->stack_size);
        if (!larger)
            return false;
        memcpy(larger, set->stack, sizeof *larger * set->stack_len);
        set->stack = larger;
        set->stack_size *= 2;
    }
    set->stack[set->stack_len++] = hash;
    return true;
}

/* The place of `value`, or the free place where it belongs. */
static uint64_t *table_place(uint64_t *table, uint32_t size, uint64_t value)
{
    uint32_t at = (uint32_t)value & (size - 1);
    while (table[at] && table[at] != value)
        at = (at + 1) & (size - 1);
    return &table[at];
}

static bool table_grow(struct key_set *set)
{
    uint32_t size = set->table_size ? TABLE_GROWTH * set->table_size : TABLE_FIRST;
    uint64_t *larger = arena_alloc(set->arena, sizeof *larger * size);
    if (!larger)
        return false;
    for (uint32_t i = 0; i < set->table_size; i++)
        if (set->table[i])
            *table_place(larger, size, set->table[i]) = set->table[i];
    set->table = larger;
    set->table_size = size;
    return true;
}

static enum json_fault table_add(struct key_set *set, uint32_t serial, uint64_t hash)
{
    if (2 * set->table_len >= set->table_size && !table_grow(set))
        return JSON_MEMORY;
    /* Multiplied so that serials differ in high bits, which do not choose the place. */
    uint64_t value = hash ^ serial * UINT64_C(0x9e3779b97f4a7c15);
    value += value == 0;
    uint64_t *place = table_place(set->table, set->table_size, value);
    if (*place)
        return JSON_DUPLICATE_KEY;
    *place = value;
    set->table_len++;
    return JSON_FINE;
}

static enum json_fault level_move_to_table(struct key_set *set, struct key_level *level)
{
    level->serial = ++set->serials;
    for (uint32_t i = 0; i < level->count; i++) {
        enum json_fault fault = table_add(set, level->serial, set->stack[level->first + i]);
        if (fault)
            return fault;
    }
    return JSON_FINE;
}

enum json_fault keys_add(struct key_set *set, unsigned at, uint64_t hash)
{
    struct key_level *level = &set->levels[at];
    if (set->members == JSON_MEMBERS_MAX)
        return JSON_TOO_MANY_MEMBERS;
    set->members++;
    if (level->count < KEYS_LINEAR) {
        const uint64_t *hashes = set->stack + level->first;
        for (uint32_t i = 0; i < level->count; i++)
            if (hashes[i] == hash)
                return JSON_DUPLICATE_KEY;
        level->count++;
        return stack_push(set, hash) ? JSON_FINE : JSON_MEMORY;
    }
    if (level->serial == 0) {
        enum json_fault fault = level_move_to_table(set, level);
        if (fault)
            return fault;
    }
    return table_add(set, level->serial, hash);
}
