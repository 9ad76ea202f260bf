/* Caps: how many connections an address holds and how many of its requests are in flight. One
 * bounded table for all loops, in stripes with a short lock each; touched only when a cap is set.
 */
#ifndef GUARD_CAPS_H
#define GUARD_CAPS_H

#include "base/err.h"
#include "base/slice.h"

enum cap { CAP_CONNECTIONS, CAP_REQUESTS, CAP_COUNT };

struct caps;
struct caps *caps_create(void); /* NULL: no memory */
void caps_destroy(struct caps *caps);

/* Counts one more for the identity; false when that would be more than `max`, or when the
 * identity's place in the table is full of others (which fails closed). */
bool caps_take(struct caps *caps, enum cap cap, uint64_t identity_hash, uint64_t max);
/* Counts one less; every caps_take that was true is given back once. */
void caps_give(struct caps *caps, enum cap cap, uint64_t identity_hash);

#endif
