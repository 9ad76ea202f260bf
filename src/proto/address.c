/* IPv4 and IPv6 addresses and ranges. Called for every connection (identity), for every Host that
 * is an address, and at start for the configured ranges. The text forms are the C library's, which
 * refuses octal, short and zoned forms; what it leaves open, mapped IPv4, is decided here once: a
 * mapped address is IPv4 everywhere, so that a deny-list cannot be passed by writing it the other
 * way. */
#include "proto/address.h"

#include "base/hash.h"

#include <arpa/inet.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static size_t family_bytes(enum address_family family)
{
    return family == ADDRESS_V4 ? 4 : family == ADDRESS_V6 ? 16 : 0;
}

/* The mask byte at `at` of a prefix of `bits`. */
static uint8_t mask_byte(unsigned bits, size_t at)
{
    unsigned before = (unsigned)at * 8;
    if (bits >= before + 8)
        return 0xff;
    return bits <= before ? 0 : (uint8_t)(0xff00 >> (bits - before));
}

struct address address_prefix(const struct address *address, unsigned bits)
{
    struct address prefix = {.family = address->family};
    for (size_t i = 0; i < family_bytes(address->family); i++)
        prefix.bytes[i] = address->bytes[i] & mask_byte(bits, i);
    return prefix;
}

unsigned address_identity_bits(enum address_family family)
{
    return family == ADDRESS_V4 ? 32 : family == ADDRESS_V6 ? 64 : 0;
}

struct address address_identity(const struct address *address)
{
    return address_prefix(address, address_identity_bits(address->family));
}

uint64_t address_hash(const struct address *address)
{
    struct address identity = address_identity(address);
    unsigned char text[1 + sizeof identity.bytes] = {(unsigned char)identity.family};
    memcpy(text + 1, identity.bytes, sizeof identity.bytes);
    return hash_bytes(slice_make((const char *)text, sizeof text));
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, family_bytes(a->family)) == 0;
}

enum err address_parse(struct slice text, struct address *address)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
        return ERR_SYNTAX;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    *address = (struct address){0};
    if (inet_pton(AF_INET, copy, address->bytes) == 1) {
        address->family = ADDRESS_V4;
        return OK;
    }
    if (inet_pton(AF_INET6, copy, address->bytes) != 1)
        return ERR_SYNTAX;
    address->family = ADDRESS_V6;
    if (memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        address->family = ADDRESS_V4;
        memmove(address->bytes, address->bytes + 12, 4);
        memset(address->bytes + 4, 0, 12);
    }
    return OK;
}

void address_print(struct buffer *out, const struct address *address)
{
    char text[INET6_ADDRSTRLEN] = "-";
    if (address->family == ADDRESS_UNIX)
        buffer_text(out, "unix");
    else if (address->family == ADDRESS_NONE)
        buffer_text(out, text);
    else
        buffer_text(out, inet_ntop(address->family == ADDRESS_V4 ? AF_INET : AF_INET6,
                                   address->bytes, text, sizeof(text)));
}

bool address_loopback(const struct address *address)
{
    static const uint8_t one[16] = {[15] = 1};
    switch (address->family) {
    case ADDRESS_V4:
        return address->bytes[0] == 127;
    case ADDRESS_V6:
        return memcmp(address->bytes, one, sizeof(one)) == 0;
    case ADDRESS_UNIX:
        return true; /* the peer is on this machine */
    case ADDRESS_NONE:
        break;
    }
    return false;
}

enum err cidr_parse(struct slice text, struct cidr *cidr)
{
    size_t slash = slice_find(text, '/');
    struct slice network = slice_to(text, slash);
    TRY(address_parse(network, &cidr->network));
    unsigned bytes = (unsigned)family_bytes(cidr->network.family);
    cidr->bits = bytes * 8;
    if (slash == text.len)
        return OK;
    struct slice digits = slice_from(text, slash + 1);
    uint64_t bits;
    if (digits.len > 3 || !slice_number(digits, 128, &bits) ||
        (digits.len > 1 && digits.ptr[0] == '0'))
        return ERR_SYNTAX;
    bool written_as_v6 = slice_find(network, ':') < network.len;
    if (cidr->network.family == ADDRESS_V4 && written_as_v6) {
        if (bits < 96) /* wider than all mapped addresses: half of it would be lost */
            return ERR_SYNTAX;
        bits -= 96;
    }
    if (bits > bytes * 8)
        return ERR_SYNTAX;
    cidr->bits = (unsigned)bits;
    for (size_t i = 0; i < bytes; i++)
        if (cidr->network.bytes[i] & ~mask_byte(cidr->bits, i))
            return ERR_SYNTAX;
    return OK;
}

bool cidr_contains(const struct cidr *cidr, const struct address *address)
{
    size_t bytes = family_bytes(cidr->network.family);
    if (cidr->network.family == ADDRESS_UNIX) /* made by hand; it has no text form */
        return address->family == ADDRESS_UNIX;
    if (bytes == 0 || cidr->network.family != address->family)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((cidr->network.bytes[i] ^ address->bytes[i]) & mask_byte(cidr->bits, i))
            return false;
    return true;
}

bool cidrs_contain(const struct cidr *cidrs, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&cidrs[i], address))
            return true;
    return false;
}
