/* What clients do wrong, for the count that bans them. */
#include "gateway/note_abuse.h"

void note_refused(struct exchange *x)
{
    (void)x;
}

void note_caller(struct exchange *x)
{
    (void)x;
}
