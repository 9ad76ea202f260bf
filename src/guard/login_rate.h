/* How often somebody may try passwords: for each account, by each address (CONTRACT 10), whether
 * they sign in or send name and password along. A stranger locks nobody out but themselves. */
#ifndef GUARD_LOGIN_RATE_H
#define GUARD_LOGIN_RATE_H

#include "base/slice.h"
#include "guard/rate.h"

/* `from` is the caller's address_hash. One try. */
struct rate_verdict login_charge(struct rate_table *table, uint64_t from, struct slice name,
                                 uint64_t now_us);
/* What a charge would say. */
struct rate_verdict login_peek(struct rate_table *table, uint64_t from, struct slice name,
                               uint64_t now_us);
/* Gives a try back that was a good one. */
void login_refund(struct rate_table *table, uint64_t from, struct slice name, uint64_t now_us);

#endif
