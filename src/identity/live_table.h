/* A table of entries that event loops look up without a lock, while one writer at a time adds and
 * removes: of keys, and of sessions. Open addressing over atomic pointers.
 *
 * Readers: live_table_find, on any thread that takes part in `grace`. All else is the writer's,
 * who holds a lock of its own and takes no part in `grace` (it would wait for itself). */
#ifndef IDENTITY_LIVE_TABLE_H
#define IDENTITY_LIVE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct live_slots;

struct live_table {
    _Atomic(struct live_slots *) current;
    uint64_t (*hash_of)(const void *entry);
    void (*grace)(void *context);
    void *context;
    size_t used;         /* slots that are not empty, tombstones included */
    atomic_size_t count; /* entries */
};

/* `hash_of` gives bits that nobody outside can steer. `grace` returns when every reader that could
 * have seen an unlinked entry is done; NULL: there are no readers. ERR_MEMORY. */
enum err live_table_init(struct live_table *table, uint64_t (*hash_of)(const void *entry),
                         void (*grace)(void *context), void *context) MUST_CHECK;
/* Frees the table, not the entries. */
void live_table_finish(struct live_table *table);

/* The entry of that hash that `is` the wanted one, or NULL. It stays valid until the thread's turn
 * ends: take a reference to keep it. */
void *live_table_find(const struct live_table *table, uint64_t hash,
                      bool (*is)(const void *entry, const void *wanted), const void *wanted);
/* How many entries there are; any thread. */
size_t live_table_count(const struct live_table *table);

/* Room for as many more, so that the live_table_put of each cannot fail. ERR_MEMORY. */
enum err live_table_reserve(struct live_table *table, size_t more) MUST_CHECK;
/* Shows the entry to readers. */
void live_table_put(struct live_table *table, void *entry);
/* Shows `entry`, of the same hash, in the place of `old`; there is no moment without either. */
void live_table_replace(struct live_table *table, const void *old, void *entry);
/* From here on nobody finds it who did not already. */
void live_table_unlink(struct live_table *table, const void *entry);
/* Waits until nobody holds what was unlinked without a reference. */
void live_table_wait(const struct live_table *table);
/* Walks all entries: start with *at = 0; NULL at the end. */
void *live_table_next(const struct live_table *table, size_t *at);

#endif
