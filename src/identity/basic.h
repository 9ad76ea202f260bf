/* What Basic carries (RFC 7617): base64 of a name, a colon and a password. */
#ifndef IDENTITY_BASIC_H
#define IDENTITY_BASIC_H

#include "base/err.h"
#include "base/slice.h"

/* Of a name and a password together, which is more than any account's. */
enum { BASIC_BYTES_MAX = 2048 };

struct basic {
    struct slice text;           /* name, colon, password */
    struct slice name, password; /* parts of it; either may be empty */
};

/* Reads what follows the scheme's name. `memory` is where the parts lie: the caller wipes it, also
 * after an error. Only the first colon divides. ERR_SYNTAX: not the one form of base64 with its
 * padding, not UTF-8, a control character, no colon; ERR_LIMIT: too long. */
enum err basic_parse(struct slice encoded, char memory[BASIC_BYTES_MAX],
                     struct basic *basic) MUST_CHECK;

#endif
