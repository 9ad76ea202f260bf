/* Random bytes from the kernel (getrandom), a few at a time out of a per-thread store, so that a
 * request id costs no system call. Good enough for keys: each byte is used once and wiped. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out`. A kernel that gives no random bytes ends the program. */
void random_bytes(void *out, size_t size);
uint64_t random_number(void);

#endif
