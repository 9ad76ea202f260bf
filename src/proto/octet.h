/* What a byte may be part of: one lookup in a table of 256 instead of a row of comparisons. */
#ifndef PROTO_OCTET_H
#define PROTO_OCTET_H

#include <stdbool.h>
#include <stdint.h>

enum octet_class {
    OCTET_TOKEN = 1 << 0,   /* RFC 9110, 5.6.2 */
    OCTET_NAME = 1 << 1,    /* a token byte other than '_', which CGI-like servers read as '-' */
    OCTET_VISIBLE = 1 << 2, /* 0x21 to 0x7e */
    OCTET_PATH = 1 << 3,    /* of a canonical path; see target.h */
    OCTET_HOST = 1 << 4,    /* of a registered name: letters, digits, '-', '_' and '.' */
    OCTET_HEX = 1 << 5,
};

extern const uint8_t octet_classes[256];

static inline bool octet_is(char byte, unsigned classes)
{
    return (octet_classes[(unsigned char)byte] & classes) != 0;
}

#endif
