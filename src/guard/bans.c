/* One open-addressing table for everything. The hard problem is ranges: an address may be in many
 * of them. A range is looked up as its prefix, and an address once for each length of prefix that
 * is in use: of the 162 there could be, an operator uses a handful. Most addresses are spared even
 * that, since no range begins as they do. A table only ever gains cells, so that a probe in
 * progress never stops short; what goes, goes with the whole table. */
#include "guard/bans.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    CELLS_MIN = 1024,
    LENGTHS_MAX = 33 + 129,
    BEGIN_BITS = 16,
    WORD_BITS = 64,
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
    uint64_t
        begins[(1 << BEGIN_BITS) / WORD_BITS]; /* a bit for each that such a range begins with */
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

static unsigned begin_of(const struct address *address)
{
    return (unsigned)address->bytes[0] << 8 | address->bytes[1];
}

struct ban ban_of_range(const struct cidr *range, uint64_t until_us)
{
    return (struct ban){.identity = address_prefix_hash(&range->network, range->bits),
                        .until_us = until_us,
                        .family = range->network.family,
                        .bits = (uint8_t)range->bits,
                        .begins = (uint16_t)begin_of(&range->network)};
}

/* --- a table ------------------------------------------------------------------------------------
 */

struct ban_table *bans_make(size_t room)
{
    size_t cells = CELLS_MIN;
    while (cells < room * 2)
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

static void note_begin(struct ban_table *table, const struct ban *ban)
{
    unsigned count = ban->bits < BEGIN_BITS ? 1U << (BEGIN_BITS - ban->bits) : 1;
    for (unsigned begin = ban->begins; count; begin++, count--)
        table->begins[begin / WORD_BITS] |= UINT64_C(1) << begin % WORD_BITS;
}

static void note_length(struct ban_table *table, const struct ban *ban)
{
    for (unsigned i = 0; i < table->length_count; i++)
        if (table->lengths[i].family == ban->family && table->lengths[i].bits == ban->bits)
            return;
    table->lengths[table->length_count++] = (struct ban_length){ban->family, ban->bits};
}

static void note_range(struct ban_table *table, const struct ban *ban)
{
    if (ban->family == ADDRESS_NONE || ban->bits == address_identity_bits(ban->family))
        return;
    note_begin(table, ban);
    note_length(table, ban);
}

/* Is the address in a range? */
static bool range_holds(const struct ban_table *table, const struct address *address,
                        uint64_t now_us)
{
    unsigned begin = begin_of(address);
    if (!(table->begins[begin / WORD_BITS] >> begin % WORD_BITS & 1))
        return false;
    for (unsigned i = 0; i < table->length_count; i++) {
        if (table->lengths[i].family != address->family)
            continue;
        uint64_t identity = address_prefix_hash(address, table->lengths[i].bits);
        if (holds(table, not_zero(identity), now_us))
            return true;
    }
    return false;
}

/* --- all of them --------------------------------------------------------------------------------
 */

struct bans *bans_create(void (*grace)(void *context), void *context)
{
    struct bans *bans = calloc(1, sizeof *bans);
    struct ban_table *table = bans_make(0);
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
    return holds(table, not_zero(hash), now_us) || range_holds(table, address, now_us);
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

void bans_put(struct ban_table *table, const struct ban *ban)
{
    note_range(table, ban);
    invariant(put(table, not_zero(ban->identity), ban->until_us));
}

struct ban_table *bans_swap(struct bans *bans, struct ban_table *table)
{
    bool any = atomic_load_explicit(&table->used, memory_order_relaxed) > 0;
    struct ban_table *old = atomic_load(&bans->table);
    atomic_store_explicit(&bans->table, table, memory_order_release);
    atomic_store_explicit(&bans->any, any, memory_order_relaxed);
    atomic_fetch_add_explicit(&bans->generation, 1, memory_order_release);
    return old;
}

void bans_drop(struct bans *bans, struct ban_table *old)
{
    if (bans->grace)
        bans->grace(bans->context);
    free(old);
}

unsigned bans_generation(const struct bans *bans)
{
    return atomic_load_explicit(&bans->generation, memory_order_acquire);
}
