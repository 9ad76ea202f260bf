/* Addresses, ranges and upstream URLs: what was read is printed and read again to the same, and a
 * range holds just what its bits say. */
#include "proto/address.h"

#include "fuzz.h"

enum { TEXT_BYTES_MAX = 64 * 1024 };

static bool same(const struct address *a, const struct address *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void check_address(struct slice input)
{
    struct address address, again;
    if (address_parse(input, &address) != OK)
        return;
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    address_print(&text, &address);
    must(address_parse(buffer_slice(&text), &again) == OK);
    must(same(&address, &again) && address_equal(&address, &again));
    struct address identity = address_identity(&address), twice = address_identity(&identity);
    must(same(&identity, &twice) && identity.family == address.family);
    (void)address_loopback(&address);
}

static void flip(struct address *address, unsigned bit)
{
    address->bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
}

static void check_range(struct slice input)
{
    struct cidr cidr, again;
    if (cidr_parse(input, &cidr) != OK)
        return;
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    address_print(&text, &cidr.network);
    buffer_printf(&text, "/%u", cidr.bits);
    must(cidr_parse(buffer_slice(&text), &again) == OK);
    must(same(&cidr.network, &again.network) && cidr.bits == again.bits);

    /* What is written as a range of mapped addresses is one of IPv4 addresses. */
    struct slice network = slice_to(input, slice_find(input, '/'));
    uint64_t written;
    if (network.len < input.len) {
        bool mapped = cidr.network.family == ADDRESS_V4 && slice_find(network, ':') < network.len;
        must(slice_number(slice_from(input, network.len + 1), 128, &written));
        must(cidr.bits + (mapped ? 96 : 0) == written);
    }

    unsigned all = cidr.network.family == ADDRESS_V4 ? 32 : 128;
    must(cidr.bits <= all);
    must(cidr_contains(&cidr, &cidr.network));
    for (unsigned bit = 0; bit < all; bit++) {
        struct address other = cidr.network;
        flip(&other, bit);
        must(cidr_contains(&cidr, &other) == (bit >= cidr.bits));
    }
    struct address other_family = cidr.network;
    other_family.family = all == 32 ? ADDRESS_V6 : ADDRESS_V4;
    must(!cidr_contains(&cidr, &other_family));
}

static void print_url(struct buffer *out, const struct url *url)
{
    bool brackets = slice_find(url->host, ':') < url->host.len;
    if (url->unix_socket) {
        buffer_text(out, "unix:");
        buffer_append(out, url->host);
        return;
    }
    buffer_text(out, url->tls ? "https://" : "http://");
    buffer_printf(out, brackets ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARG(url->host), url->port);
    buffer_append(out, url->base);
}

static void check_url(struct slice input)
{
    struct url url, again;
    if (url_parse(input, &url) != OK)
        return;
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    print_url(&text, &url);
    must(url_parse(buffer_slice(&text), &again) == OK);
    must(url.tls == again.tls && url.unix_socket == again.unix_socket && url.port == again.port);
    must_equal(url.host, again.host);
    must_equal(url.base, again.base);
    must(url.unix_socket || (url.port >= 1 && url.port <= 65535));
    must(url.host.len > 0 && !slice_ends(url.base, SLICE("/")));
    for (size_t i = 0; i < url.host.len; i++)
        must((unsigned char)url.host.ptr[i] >= 0x20 && url.host.ptr[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    check_address(input);
    check_range(input);
    check_url(input);
    return 0;
}
