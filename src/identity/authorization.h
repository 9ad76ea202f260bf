/* The Authorization field (RFC 9110, section 11.6.2): a scheme, and what is presented under it. */
#ifndef IDENTITY_AUTHORIZATION_H
#define IDENTITY_AUTHORIZATION_H

#include "base/err.h"
#include "base/slice.h"

/* What a request presents. */
struct presented {
    struct slice text; /* may be empty */
    bool basic;        /* a name and a password, as Basic has them; else a key or a token */
};

/* The credential of a field's value, a part of it: Bearer's, and with `basic_taken` Basic's.
 * ERR_UNSUPPORTED: a scheme that is not taken, or a scheme alone. */
enum err authorization_parse(struct slice field, bool basic_taken,
                             struct presented *presented) MUST_CHECK;

#endif
