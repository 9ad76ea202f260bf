/* Oracle O2: the one shape in which a request may leave the gateway, read by a reader that shares
 * nothing with the gateway's own. */
#ifndef DIFFERENTIAL_CANONICAL_H
#define DIFFERENTIAL_CANONICAL_H

#include "part.h"

enum { CANONICAL_FIELDS_MAX = 128 };

struct canonical {
    struct part method, target;
    struct part_field fields[CANONICAL_FIELDS_MAX];
    unsigned field_count;
    size_t head_len;
    bool has_body;   /* its endpoint takes one */
    uint64_t length; /* of the body; 0 without Content-Length */
    bool list;       /* the gateway's own question for a list of models */
};

/* What the gateway must have put in: its upstream's authority and key. */
struct canonical_own {
    const char *authority, *authorization;
};

/* Reads the head at the start of the bytes, which hold its end (an empty line). NULL, or the rule
 * that it breaks. */
const char *canonical_read(const char *bytes, size_t len, const struct canonical_own *own,
                           struct canonical *request);

/* Does the gateway say this field itself, whatever the client said? */
bool canonical_is_own(struct part name);

#endif
