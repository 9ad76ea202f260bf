/* Addresses: IPv4, IPv6 (a mapped IPv4 address is IPv4), ranges in CIDR form, and the text forms.
 */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

#include "base/buffer.h"
#include "base/err.h"

enum address_family { ADDRESS_NONE, ADDRESS_V4, ADDRESS_V6, ADDRESS_UNIX };

struct address {
    enum address_family family;
    uint8_t bytes[16]; /* network order; IPv4 uses the first four, the others are zero */
    uint16_t port;
};

/* One rate-limit and abuse identity: IPv4 whole, IPv6 by its /64, so that a subnet is one caller.
 */
struct address address_identity(const struct address *address);
/* How many bits of an address that is: 32 or 64. */
unsigned address_identity_bits(enum address_family family);
/* The first `bits` of it, all others zero; no port. */
struct address address_prefix(const struct address *address, unsigned bits);
/* Of that, seeded: what limits and caps go by. */
uint64_t address_hash(const struct address *address);
/* The same of a prefix of any length: of 10.0.0.0/8 it is not that of 10.0.0.0/16. */
uint64_t address_prefix_hash(const struct address *address, unsigned bits);
bool address_equal(const struct address *a, const struct address *b); /* without port */
/* An address without port or brackets; strict (no octal, no short forms, no zone). ERR_SYNTAX. */
enum err address_parse(struct slice text, struct address *address) MUST_CHECK;
/* Without port: "127.0.0.1", "::1", "unix". */
void address_print(struct buffer *out, const struct address *address);
bool address_loopback(const struct address *address);

struct cidr {
    struct address network;
    unsigned bits;
};
/* "10.0.0.0/8", "::1", "192.168.1.4"; bits beyond the prefix must be zero. ERR_SYNTAX. */
enum err cidr_parse(struct slice text, struct cidr *cidr) MUST_CHECK;
bool cidr_contains(const struct cidr *cidr, const struct address *address);
/* Does one of them? */
bool cidrs_contain(const struct cidr *cidrs, size_t count, const struct address *address);

/* An upstream's URL: http://host[:port][/base], https://..., unix:/path. */
struct url {
    bool tls, unix_socket;
    struct slice host; /* without brackets; the socket's path for unix */
    unsigned port;     /* 80 or 443 when not given */
    struct slice base; /* path prefix without trailing '/'; empty or "/x" */
};
/* No user information, no query, no fragment. ERR_SYNTAX. */
enum err url_parse(struct slice text, struct url *url) MUST_CHECK;

#endif
