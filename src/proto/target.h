/* The request target, in one canonical form that policy and forwarding both use (HOSTILE 2.9). */
#ifndef PROTO_TARGET_H
#define PROTO_TARGET_H

#include "base/err.h"
#include "base/slice.h"

struct target {
    struct slice path;      /* begins with '/' */
    struct slice query;     /* without '?' */
    struct slice authority; /* of an absolute-form target; empty otherwise */
    bool asterisk;          /* "*", for OPTIONS */
};

/* Accepts origin-form, absolute-form (http, https) and "*". The path is accepted only if it is
 * already canonical: bytes of [A-Za-z0-9/_.~:@!$&'()+,=-] and no other, no '%', no "//", no "." or
 * ".." segment, no trailing '.' in a segment. A '#' or a byte outside visible ASCII anywhere is
 * refused. ERR_SYNTAX. */
enum err target_parse(struct slice text, struct target *target) MUST_CHECK;

/* Does the path fit a pattern of settings or of a key: the same, or a prefix that ends in '*',
 * behind which there may be nothing? */
bool path_fits(struct slice path, struct slice pattern);

/* host[:port] as in Host: a name, an IPv4 address or a bracketed IPv6 address; port 1 to 65535 or
 * none. ERR_SYNTAX. `*host` is without port and brackets. */
enum err authority_parse(struct slice text, struct slice *host, unsigned *port) MUST_CHECK;

#endif
