/* The keys of TLS session tickets, shared by all workers so that a client may resume on any of
 * them. Tickets are stateless: whoever holds the key reads them all, so a key is made at random,
 * never leaves this process, seals for one period, opens for one more, and is wiped. */
#ifndef IO_TLS_TICKETS_H
#define IO_TLS_TICKETS_H

#include <stdint.h>

#include "base/err.h"

/* How long a key seals new tickets; a ticket can be used for no longer. */
#define TICKET_PERIOD_US (UINT64_C(12) * 3600 * 1000000)

struct tls_tickets;
struct ssl_ctx_st;

/* NULL: no memory. */
struct tls_tickets *tls_tickets_create(uint64_t now_us);
void tls_tickets_destroy(struct tls_tickets *tickets); /* NULL is fine */
/* From time to time, from any thread: a new key when the period is over. */
void tls_tickets_turn(struct tls_tickets *tickets, uint64_t now_us);
/* Sessions of this context are put into tickets, one per handshake; `tickets` outlives them. For
 * tls_server.c. */
void tls_tickets_serve(struct tls_tickets *tickets, struct ssl_ctx_st *context);

#endif
