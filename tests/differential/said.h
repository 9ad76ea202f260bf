/* What a client said: its bytes as a row of requests, by a strict reader that shares nothing with
 * the gateway's. It knows one reading; whatever has none, or could have two, is no request. */
#ifndef DIFFERENTIAL_SAID_H
#define DIFFERENTIAL_SAID_H

#include "canonical.h"

enum { SAID_BYTES_MAX = 128 * 1024, SAID_FIELDS_MAX = 128 };

struct said {
    struct part method, target;
    unsigned minor_version;
    unsigned field_count;
    struct part_field fields[SAID_FIELDS_MAX];
    size_t body_len;
    char body[SAID_BYTES_MAX]; /* without chunk framing */
};

/* Reads the request at the start of `rest` and passes over it. False: there is none. */
bool said_read(struct part *rest, struct said *said);

/* Is this what has to become of it: its method, its target, a choice of its fields in their order,
 * its body? NULL, or what is different. */
const char *said_compare(const struct said *said, const struct canonical *forwarded,
                         const char *body);

#endif
