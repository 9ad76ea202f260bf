/* What clients do wrong, for the count that bans them (guard/abuse.h). On the event loop; never
 * waits. */
#ifndef GATEWAY_NOTE_ABUSE_H
#define GATEWAY_NOTE_ABUSE_H

#include "gateway/exchange.h"

/* The exchange is over, refused or not. */
void note_refused(struct exchange *x);
/* It is known whose it is. */
void note_caller(struct exchange *x);

#endif
