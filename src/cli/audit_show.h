/* `sallyport audit show`: the last records that fit. */
#ifndef CLI_AUDIT_SHOW_H
#define CLI_AUDIT_SHOW_H

#include <stdio.h>

#include "record/audit_search.h"

enum { AUDIT_SHOW_LIMIT_MAX = 10000 };

struct audit_wish {
    struct audit_filter filter;
    uint64_t limit; /* 1 to AUDIT_SHOW_LIMIT_MAX; the last so many are shown, the oldest first */
    bool json;      /* one array, not a table */
};

/* Reads the files, named from the oldest to the newest, and prints. Returns the exit status; what
 * cannot be read is said on standard error, lines that are no records are counted there. */
int audit_show(const struct audit_wish *wish, char *const *paths, unsigned count, FILE *out);

#endif
