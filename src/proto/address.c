/* IPv4 and IPv6 addresses and ranges. Called for every connection (identity), for every Host that
 * is an address, and at start for the configured ranges. The text forms are the C library's, which
 * refuses octal, short and zoned forms; what it leaves open, mapped IPv4, is decided here once: a
 * mapped address is IPv4 everywhere, so that a deny-list cannot be passed by writing it the other
 * way. */
#include "proto/address.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <endian.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static size_t family_bytes(enum address_family family)
{
    return family == ADDRESS_V4 ? 4 : family == ADDRESS_V6 ? 16 : 0;
}

/* The `bits` in front of a word in network order: at most 64. */
static uint64_t first_bits(uint64_t word, unsigned bits)
{
    return bits >= 64 ? word : word & htobe64(~(UINT64_MAX >> bits));
}

/* The bytes of a prefix: all of them at once, since this is asked for every request. */
struct prefix {
    uint64_t words[2];
};

static struct prefix prefix_of(const struct address *address, unsigned bits)
{
    struct prefix prefix;
    _Static_assert(sizeof prefix == sizeof address->bytes, "they are the same bytes");
    memcpy(&prefix, address->bytes, sizeof prefix);
    prefix.words[0] = first_bits(prefix.words[0], bits);
    prefix.words[1] = first_bits(prefix.words[1], bits > 64 ? bits - 64 : 0);
    return prefix;
}

struct address address_prefix(const struct address *address, unsigned bits)
{
    struct address cut = {.family = address->family};
    const struct prefix prefix = prefix_of(address, bits);
    memcpy(cut.bytes, &prefix, sizeof prefix);
    return cut;
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
    return address_prefix_hash(address, address_identity_bits(address->family));
}

uint64_t address_prefix_hash(const struct address *address, unsigned bits)
{
    const struct prefix prefix = prefix_of(address, bits);
    const uint64_t words[] = {prefix.words[0], prefix.words[1],
                              (uint64_t)address->family << 8 | bits};
    return hash_bytes(slice_make((const char *)words, sizeof words));
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
    const struct prefix prefix = prefix_of(&cidr->network, cidr->bits);
    return memcmp(&prefix, cidr->network.bytes, sizeof prefix) == 0 ? OK : ERR_SYNTAX;
}

bool cidr_contains(const struct cidr *cidr, const struct address *address)
{
    if (cidr->network.family == ADDRESS_UNIX) /* made by hand; it has no text form */
        return address->family == ADDRESS_UNIX;
    if (cidr->network.family == ADDRESS_NONE || cidr->network.family != address->family)
        return false;
    const struct prefix prefix = prefix_of(address, cidr->bits);
    return memcmp(&prefix, cidr->network.bytes, sizeof prefix) == 0;
}

bool cidrs_contain(const struct cidr *cidrs, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&cidrs[i], address))
            return true;
    return false;
}
