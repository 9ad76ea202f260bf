/* The table behind keyring.c and sessions.c. Its one hard problem is that readers take no lock. A
 * slot is an atomic pointer that goes from empty to an entry, to another one or the tombstone, and
 * so on, never back to empty, so that a probe in progress never stops short. What a writer
 * unlinks, entry or whole array, is freed after `grace`: when every loop has passed a turn, no
 * reader holds a pointer it did not count. */
#include "identity/live_table.h"

#include <stdlib.h>

enum { SLOTS_MIN = 64 };

struct live_slots {
    size_t mask; /* their number, a power of two, less one */
    _Atomic(void *) slots[];
};

static char tombstone; /* its address is no entry's */

static struct live_slots *slots_create(size_t count)
{
    struct live_slots *slots = calloc(1, sizeof *slots + count * sizeof slots->slots[0]);
    if (slots)
        slots->mask = count - 1;
    return slots;
}

enum err live_table_init(struct live_table *table, uint64_t (*hash_of)(const void *entry),
                         void (*grace)(void *context), void *context)
{
    struct live_slots *slots = slots_create(SLOTS_MIN);
    if (!slots)
        return ERR_MEMORY;
    *table = (struct live_table){.hash_of = hash_of, .grace = grace, .context = context};
    atomic_init(&table->current, slots);
    return OK;
}

void live_table_finish(struct live_table *table)
{
    free(atomic_load(&table->current));
    atomic_store(&table->current, NULL);
}

void *live_table_find(const struct live_table *table, uint64_t hash,
                      bool (*is)(const void *entry, const void *wanted), const void *wanted)
{
    struct live_slots *slots = atomic_load_explicit(&table->current, memory_order_acquire);
    for (size_t at = (size_t)hash & slots->mask;; at = (at + 1) & slots->mask) {
        void *entry = atomic_load_explicit(&slots->slots[at], memory_order_acquire);
        if (!entry)
            return NULL;
        if (entry != &tombstone && is(entry, wanted))
            return entry;
    }
}

size_t live_table_count(const struct live_table *table)
{
    return atomic_load_explicit(&table->count, memory_order_relaxed);
}

/* The slot of `entry`, or with NULL the first one on the hash's way that is free to take. */
static _Atomic(void *) *slot_of(struct live_slots *slots, uint64_t hash, const void *entry)
{
    for (size_t at = (size_t)hash & slots->mask;; at = (at + 1) & slots->mask) {
        void *here = atomic_load_explicit(&slots->slots[at], memory_order_relaxed);
        if (entry ? here == entry : !here || here == &tombstone)
            return &slots->slots[at];
    }
}

/* Release: a reader that sees the pointer sees the entry behind it. */
static void put(const struct live_table *table, struct live_slots *slots, void *entry)
{
    atomic_store_explicit(slot_of(slots, table->hash_of(entry), NULL), entry, memory_order_release);
}

void live_table_wait(const struct live_table *table)
{
    if (table->grace)
        table->grace(table->context);
}

/* The array stays at least half empty. */
enum err live_table_reserve(struct live_table *table, size_t more)
{
    struct live_slots *old = atomic_load(&table->current);
    if ((table->used + more) * 2 <= old->mask + 1)
        return OK;
    /* Four times the entries: until it is half full again, as many have to come. */
    size_t entries = live_table_count(table), size = SLOTS_MIN;
    while (size < (entries + more) * 4)
        size *= 2;
    struct live_slots *grown = slots_create(size);
    if (!grown)
        return ERR_MEMORY;
    size_t at = 0;
    for (void *entry; (entry = live_table_next(table, &at));)
        put(table, grown, entry);
    table->used = entries;
    atomic_store_explicit(&table->current, grown, memory_order_release);
    live_table_wait(table);
    free(old);
    return OK;
}

void live_table_put(struct live_table *table, void *entry)
{
    struct live_slots *slots = atomic_load(&table->current);
    table->used += atomic_load(slot_of(slots, table->hash_of(entry), NULL)) == NULL;
    invariant(table->used * 2 <=
              slots->mask + 1); /* a full one would have every look go on for ever */
    put(table, slots, entry);
    atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);
}

void live_table_replace(struct live_table *table, const void *old, void *entry)
{
    struct live_slots *slots = atomic_load(&table->current);
    atomic_store_explicit(slot_of(slots, table->hash_of(old), old), entry, memory_order_release);
}

void live_table_unlink(struct live_table *table, const void *entry)
{
    struct live_slots *slots = atomic_load(&table->current);
    atomic_store_explicit(slot_of(slots, table->hash_of(entry), entry), &tombstone,
                          memory_order_release);
    atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
}

void *live_table_next(const struct live_table *table, size_t *at)
{
    struct live_slots *slots = atomic_load(&table->current);
    while (*at <= slots->mask) {
        void *entry = atomic_load_explicit(&slots->slots[(*at)++], memory_order_relaxed);
        if (entry && entry != &tombstone)
            return entry;
    }
    return NULL;
}
