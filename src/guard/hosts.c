#include "guard/hosts.h"

#include "proto/target.h"

/* An address has many spellings; the list holds the canonical one. */
static struct slice canonical(struct slice host, char *memory, size_t size)
{
    struct address address;
    bool may_be_address =
        slice_find(host, ':') < host.len || (host.len && host.ptr[0] >= '0' && host.ptr[0] <= '9');
    if (!may_be_address || address_parse(host, &address) != OK)
        return host;
    struct buffer out = BUFFER_OVER(memory, size);
    address_print(&out, &address);
    return buffer_slice(&out);
}

/* "*.example.org" is everything below example.org, at any depth, and not example.org itself. */
static bool matches(struct slice item, struct slice host)
{
    if (!slice_starts(item, SLICE("*.")))
        return slice_equal_nocase(item, host);
    struct slice suffix = slice_from(item, 1);
    return host.len > suffix.len &&
           slice_equal_nocase(slice_from(host, host.len - suffix.len), suffix);
}

bool hosts_allow(const struct text_list *hosts, struct slice authority)
{
    char memory[64];
    struct slice host;
    unsigned port;
    if (hosts->count == 0 || slice_equal(slice_of(hosts->items[0]), SLICE("*")))
        return true;
    if (authority_parse(authority, &host, &port) != OK)
        return false;
    host = canonical(host, memory, sizeof memory);
    for (unsigned i = 0; i < hosts->count; i++)
        if (matches(slice_of(hosts->items[i]), host))
            return true;
    return false;
}

struct slice host_without_port(struct slice authority, struct slice port)
{
    bool ends = slice_ends(authority, port);
    return ends ? slice_to(authority, authority.len - port.len) : authority;
}
