/* `sallyport audit show`: the last records that fit. */
#ifndef CLI_AUDIT_SHOW_H
#define CLI_AUDIT_SHOW_H

#include <stdio.h>

#include "base/slice.h"

enum { AUDIT_SHOW_LIMIT_MAX = 10000 };

struct audit_filter {
    uint64_t since_epoch_s;         /* 0: from the first */
    const char *event, *actor, *ip; /* NULL: any */
    uint64_t limit;                 /* 1 to AUDIT_SHOW_LIMIT_MAX; the last so many are shown */
    bool json;                      /* one array, not a table */
};

/* Reads the files in this order and prints. Returns the exit status; what cannot be read is said on
 * standard error, lines that are no records are counted there. */
int audit_show(const struct audit_filter *filter, char *const *paths, unsigned count, FILE *out);

#endif
