/* The set behind the scanner's duplicate check. The hard problem: an object of a hundred thousand
 * keys must cost no more per key than one of three, no single key may cost much more than the
 * others (the loop waits for it), and nothing can be given back to an arena. */
#include "proto/json_keys.h"

#include "base/hash.h"

/* The arena keeps every outgrown part, so steps are wide: 2.8 MB in all for JSON_MEMBERS_MAX. */
enum { PART_FIRST = 8, PART_GROWTH = 4 };

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
    set->stack_len = set->members = set->serials = 0;
    set->parts = NULL;
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
static uint64_t *part_place(const struct key_part *part, uint64_t value)
{
    uint32_t at = (uint32_t)value & (part->size - 1);
    while (part->places[at] && part->places[at] != value)
        at = (at + 1) & (part->size - 1);
    return &part->places[at];
}

static bool part_grow(struct key_part *part, struct arena *arena)
{
    struct key_part larger = {.len = part->len,
                              .size = part->size ? PART_GROWTH * part->size : PART_FIRST};
    larger.places = arena_alloc(arena, sizeof *larger.places * larger.size);
    if (!larger.places)
        return false;
    for (uint32_t i = 0; i < part->size; i++)
        if (part->places[i])
            *part_place(&larger, part->places[i]) = part->places[i];
    *part = larger;
    return true;
}

static enum json_fault table_add(struct key_set *set, uint32_t serial, uint64_t hash)
{
    if (!set->parts && !(set->parts = arena_alloc(set->arena, KEY_PARTS * sizeof *set->parts)))
        return JSON_MEMORY;
    /* Multiplied so that serials differ in high bits too, which choose the part. */
    uint64_t value = hash ^ serial * UINT64_C(0x9e3779b97f4a7c15);
    value += value == 0;
    struct key_part *part = &set->parts[value >> (64 - KEY_PARTS_BITS)];
    if (2 * part->len >= part->size && !part_grow(part, set->arena))
        return JSON_MEMORY;
    uint64_t *place = part_place(part, value);
    if (*place)
        return JSON_DUPLICATE_KEY;
    *place = value;
    part->len++;
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
