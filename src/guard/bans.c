/* One open-addressing table for everything. The hard problem is ranges: an address may be in many
 * of them. A range is looked up as its prefix, and an address once for each length of prefix that
 * is in use: of the 162 there could be, an operator uses a handful. A table only ever gains cells,
 * so that a probe in progress never stops short; what goes, goes with the whole table. */
#include "guard/bans.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"

enum {
    CELLS_MIN = 1024,
    LENGTHS_MAX = 33 + 129,
};

struct cell {
    _Atomic uint64_t identity; /* 0: free */
    _Atomic uint64_t until_us;
};

struct ban_length {
    enum address_family family;
    uint8_t bits;
};

struct ban_table {
    size_t mask; /* the number of cells, a power of two, less one */
    atomic_size_t used;
    unsigned length_count;
    struct ban_length lengths[LENGTHS_MAX]; /* but for those of address_identity */
    struct cell cells[];
};

struct bans {
    atomic_bool any;
    atomic_uint generation;
    _Atomic(struct ban_table *) table;
    void (*grace)(void *context);
    void *context;
};

/* --- identities ---------------------------------------------------------------------------------
 */

static uint64_t not_zero(uint64_t identity)
{
    return identity ? identity : 1;
}

/* `prefix` has no bits behind its length. The length is hashed too: 10.0.0.0/8 is not 10.0.0.0/16.
 */
static uint64_t range_identity(const struct address *prefix, unsigned bits)
{
    if (bits == address_identity_bits(prefix->family))
        return not_zero(address_hash(prefix));
    char text[2 + sizeof prefix->bytes] = {(char)prefix->family, (char)bits};
    memcpy(text + 2, prefix->bytes, sizeof prefix->bytes);
    return not_zero(hash_bytes(slice_make(text, sizeof text)));
}

struct ban ban_of_range(const struct cidr *range, uint64_t until_us)
{
    struct address prefix = address_prefix(&range->network, range->bits);
    return (struct ban){.identity = range_identity(&prefix, range->bits),
                        .until_us = until_us,
                        .family = prefix.family,
                        .bits = (uint8_t)range->bits};
}

/* --- a table ------------------------------------------------------------------------------------
 */

static struct ban_table *table_create(size_t bans)
{
    size_t cells = CELLS_MIN;
    while (cells < bans * 2)
        cells *= 2;
    struct ban_table *table = calloc(1, sizeof *table + cells * sizeof table->cells[0]);
    if (table)
        table->mask = cells - 1;
    return table;
}

static void raise_end(struct cell *cell, uint64_t until_us)
{
    uint64_t now = atomic_load_explicit(&cell->until_us, memory_order_relaxed);
    while (now < until_us && !atomic_compare_exchange_weak(&cell->until_us, &now, until_us))
        ;
}

/* An eighth always stays free, more than there are threads that could be in here at once: every
 * probe ends. */
static bool put(struct ban_table *table, uint64_t identity, uint64_t until_us)
{
    if (atomic_load_explicit(&table->used, memory_order_relaxed) > table->mask / 8 * 7)
        return false;
    for (size_t at = (size_t)identity & table->mask;; at = (at + 1) & table->mask) {
        struct cell *cell = &table->cells[at];
        uint64_t here = atomic_load_explicit(&cell->identity, memory_order_relaxed);
        if (here == 0 && atomic_compare_exchange_strong(&cell->identity, &here, identity)) {
            atomic_fetch_add_explicit(&table->used, 1, memory_order_relaxed);
            here = identity;
        }
        if (here == identity) { /* a free cell that was lost to another thread may be the same */
            raise_end(cell, until_us);
            return true;
        }
    }
}

static bool holds(const struct ban_table *table, uint64_t identity, uint64_t now_us)
{
    for (size_t at = (size_t)identity & table->mask;; at = (at + 1) & table->mask) {
        const struct cell *cell = &table->cells[at];
        uint64_t here = atomic_load_explicit(&cell->identity, memory_order_relaxed);
        if (here == identity)
            return now_us < atomic_load_explicit(&cell->until_us, memory_order_relaxed);
        if (here == 0)
            return false;
    }
}

static void note_length(struct ban_table *table, const struct ban *ban)
{
    if (ban->family == ADDRESS_NONE || ban->bits == address_identity_bits(ban->family))
        return;
    for (unsigned i = 0; i < table->length_count; i++)
        if (table->lengths[i].family == ban->family && table->lengths[i].bits == ban->bits)
            return;
    table->lengths[table->length_count++] = (struct ban_length){ban->family, ban->bits};
}

/* --- all of them --------------------------------------------------------------------------------
 */

struct bans *bans_create(void (*grace)(void *context), void *context)
{
    struct bans *bans = calloc(1, sizeof *bans);
    struct ban_table *table = table_create(0);
    if (!bans || !table) {
        free(bans);
        free(table);
        return NULL;
    }
    bans->grace = grace;
    bans->context = context;
    atomic_init(&bans->table, table);
    return bans;
}

void bans_destroy(struct bans *bans)
{
    if (!bans)
        return;
    free(atomic_load(&bans->table));
    free(bans);
}

static const struct ban_table *table_of(const struct bans *bans)
{
    return atomic_load_explicit(&bans->table, memory_order_acquire);
}

bool bans_hold(const struct bans *bans, const struct address *address, uint64_t hash,
               uint64_t now_us)
{
    if (!atomic_load_explicit(&bans->any, memory_order_relaxed))
        return false;
    const struct ban_table *table = table_of(bans);
    if (holds(table, not_zero(hash), now_us))
        return true;
    for (unsigned i = 0; i < table->length_count; i++) {
        if (table->lengths[i].family != address->family)
            continue;
        struct address prefix = address_prefix(address, table->lengths[i].bits);
        if (holds(table, range_identity(&prefix, table->lengths[i].bits), now_us))
            return true;
    }
    return false;
}

bool bans_hold_key(const struct bans *bans, uint64_t identity, uint64_t now_us)
{
    return atomic_load_explicit(&bans->any, memory_order_relaxed) &&
           holds(table_of(bans), not_zero(identity), now_us);
}

bool bans_add(struct bans *bans, uint64_t identity, uint64_t until_us)
{
    struct ban_table *table = atomic_load_explicit(&bans->table, memory_order_acquire);
    if (!put(table, not_zero(identity), until_us))
        return false;
    atomic_store_explicit(&bans->any, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&bans->generation, 1, memory_order_release);
    return true;
}

enum err bans_show(struct bans *bans, const struct ban *list, size_t count)
{
    struct ban_table *table = table_create(count), *old = atomic_load(&bans->table);
    if (!table)
        return ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        note_length(table, &list[i]);
        invariant(put(table, not_zero(list[i].identity), list[i].until_us));
    }
    atomic_store_explicit(&bans->table, table, memory_order_release);
    atomic_store_explicit(&bans->any, count > 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&bans->generation, 1, memory_order_release);
    if (bans->grace)
        bans->grace(bans->context);
    free(old);
    return OK;
}

unsigned bans_generation(const struct bans *bans)
{
    return atomic_load_explicit(&bans->generation, memory_order_acquire);
}
