/* Seeded hashing, so that nobody outside can choose colliding keys: SipHash-1-3 (Aumasson and
 * Bernstein) under a key drawn once per process. Not for secrets that must be compared or stored.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

/* Differs from process to process. Thread-safe after hash_seed. */
uint64_t hash_bytes(struct slice s);
/* Draws the process's key; called once, before any thread and any hash. */
void hash_seed(void);

#endif
