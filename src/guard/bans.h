/* Who is banned, as every request asks it: addresses, ranges and keys, each with the moment at
 * which its ban is over. Looked up without a lock; what is in here is never evicted. The truth is
 * the deny-list (guard/denylist.h), of which this is made anew when it changes. */
#ifndef GUARD_BANS_H
#define GUARD_BANS_H

#include "base/err.h"
#include "proto/address.h"

#define BAN_FOREVER UINT64_MAX /* until somebody lifts it */

struct ban {
    uint64_t identity;          /* ban_of_range, or key_ban_identity */
    uint64_t until_us;          /* monotonic */
    enum address_family family; /* of a range; ADDRESS_NONE: a key */
    uint8_t bits;               /* of its prefix */
    uint16_t begins;            /* with these 16 bits */
};
/* A single client (address_identity) is the range whose identity is its address_hash. */
struct ban ban_of_range(const struct cidr *range, uint64_t until_us);

struct bans;

/* `grace` returns when every reader that could have seen an old table is done; NULL: there is one
 * thread. NULL: no memory. */
struct bans *bans_create(void (*grace)(void *context), void *context);
void bans_destroy(struct bans *bans);

/* Is this address banned, itself or by a range? `hash` is its address_hash. Any thread that takes
 * part in `grace`. Without any ban it is one relaxed load. */
bool bans_hold(const struct bans *bans, const struct address *address, uint64_t hash,
               uint64_t now_us);
/* The same for key_ban_identity. */
bool bans_hold_key(const struct bans *bans, uint64_t identity, uint64_t now_us);

/* One more, of a client or a key, at once and without waiting; lasts until the next bans_swap.
 * False: no room. Threads as above. */
bool bans_add(struct bans *bans, uint64_t identity, uint64_t until_us);

/* A table that takes the place of the one that holds. One thread at a time, which takes no part in
 * `grace`. What is to be in it and came by bans_add meanwhile is put in, and the table swapped,
 * with a lock that whoever adds has taken before: then none falls between the two. */
struct ban_table;
/* Empty, with room for so many. NULL: no memory. */
struct ban_table *bans_make(size_t room);
/* Of one that is there twice, the later end holds. */
void bans_put(struct ban_table *table, const struct ban *ban);
/* These and no others hold from now on. Returns those before, for bans_drop, which waits for their
 * readers. */
struct ban_table *bans_swap(struct bans *bans, struct ban_table *table);
void bans_drop(struct bans *bans, struct ban_table *old);
/* Moves whenever there may be a new one. Any thread. */
unsigned bans_generation(const struct bans *bans);

#endif
