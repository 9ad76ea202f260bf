/* Time. Deadlines and limits run on the monotonic clock, which is passed in as `now_us` so that
 * tests own it; wall-clock time is only for people, records and expiry dates. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/buffer.h"

#define MS_US UINT64_C(1000)
#define SECOND_US UINT64_C(1000000)

enum { CLOCK_SKEW_S = 60 }; /* between the clocks of two gateways */

/* Microseconds since some start; never goes back. */
uint64_t clock_now_us(void);
/* Microseconds since 1970-01-01 UTC. */
uint64_t clock_wall_us(void);
/* Seconds since 1970-01-01 UTC by which credentials are made and judged: the wall clock's, but
 * never fewer than the monotonic clock has counted since the process first asked. So a clock that
 * is set back prolongs nothing; one that is set ahead ends things early, and may be set right
 * again. */
uint64_t clock_credential_s(void);
/* Was it made later than now, by more than the clocks of two gateways may differ? Then the clock
 * was ahead, and how long that is good for is anybody's guess. */
bool clock_is_ahead(uint64_t made_epoch_s, uint64_t now_epoch_s);

/* "2025-11-03T10:30:00Z", and with milliseconds "2025-11-03T10:30:00.123Z". */
void clock_print_rfc3339(struct buffer *out, uint64_t wall_us);
void clock_print_rfc3339_ms(struct buffer *out, uint64_t wall_us);
/* "2025-11-03 10:30:00", UTC: the application log's form. */
void clock_print_plain(struct buffer *out, uint64_t wall_us);
/* "Mon, 03 Nov 2025 10:30:00 GMT": RFC 9110, section 5.6.7. */
void clock_print_http(struct buffer *out, uint64_t wall_us);
/* Reads "2025-11-03T10:30:00Z" (fraction of a second and "+hh:mm" allowed). ERR_SYNTAX. */
enum err clock_parse_rfc3339(struct slice text, uint64_t *epoch_s) MUST_CHECK;

#endif
