/* The request target and the authority in it. Called by the head parser for every request, by
 * HTTP/2 for :path and :authority, and by the URL reader.
 *
 * The hard problem is that no server behind us may read another path than the one that was checked.
 * So nothing is normalised: a path that is not canonical already is refused (HOSTILE 2.9). */
#include "proto/target.h"

#include "proto/address.h"
#include "proto/octet.h"
#include "proto/path.h"

enum {
    NAME_BYTES_MAX = 253, /* RFC 1035, 2.3.4, without the final dot */
    LABEL_BYTES_MAX = 63,
};

bool path_canonical(struct slice path)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return false;
    char before = 0;
    for (size_t i = 0; i < path.len; i++) {
        char byte = path.ptr[i];
        if (!octet_is(byte, OCTET_PATH))
            return false;
        /* "//" is an empty segment; "." and "..", like any "x.", end in a dot. */
        if (byte == '/' && (before == '/' || before == '.'))
            return false;
        before = byte;
    }
    return before != '.';
}

static bool query_valid(struct slice query)
{
    for (size_t i = 0; i < query.len; i++)
        if (!octet_is(query.ptr[i], OCTET_VISIBLE) || query.ptr[i] == '#')
            return false;
    return true;
}

/* Takes scheme and authority off the front of an absolute-form target. */
static enum err take_authority(struct slice *rest, struct slice *authority)
{
    static const struct slice schemes[] = {SLICE("http://"), SLICE("https://")};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (!slice_starts_nocase(*rest, schemes[i]))
            continue;
        *rest = slice_from(*rest, schemes[i].len);
        *authority = slice_to(*rest, slice_find(*rest, '/'));
        *rest = slice_from(*rest, authority->len);
        struct slice host;
        unsigned port;
        return authority_parse(*authority, &host, &port);
    }
    return ERR_SYNTAX;
}

enum err target_parse(struct slice text, struct target *target)
{
    *target = (struct target){0};
    if (slice_equal(text, SLICE("*"))) {
        target->asterisk = true;
        target->path = text;
        return OK;
    }
    if (text.len && text.ptr[0] != '/')
        TRY(take_authority(&text, &target->authority));
    size_t question = slice_find(text, '?');
    target->path = slice_to(text, question);
    if (question < text.len)
        target->query = slice_from(text, question + 1);
    return path_canonical(target->path) && query_valid(target->query) ? OK : ERR_SYNTAX;
}

/* Would some reader take a name that ends in this label for an IPv4 address in a short, octal or
 * hexadecimal form (WHATWG URL, "ends in a number")? */
static bool label_numeric(struct slice label)
{
    uint64_t ignored;
    return slice_starts_nocase(label, SLICE("0x")) ||
           slice_number(slice_to(label, label.len < 18 ? label.len : 18), UINT64_MAX, &ignored);
}

static enum err name_check(struct slice name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return ERR_SYNTAX;
    struct slice label = {0}, rest = name;
    for (;;) {
        label = slice_to(rest, slice_find(rest, '.'));
        if (label.len == 0 || label.len > LABEL_BYTES_MAX || label.ptr[0] == '-' ||
            label.ptr[label.len - 1] == '-')
            return ERR_SYNTAX;
        for (size_t i = 0; i < label.len; i++)
            if (!octet_is(label.ptr[i], OCTET_HOST))
                return ERR_SYNTAX;
        if (label.len == rest.len)
            break;
        rest = slice_from(rest, label.len + 1);
    }
    struct address address;
    return label_numeric(label) ? address_parse(name, &address) : OK;
}

static enum err port_parse(struct slice text, unsigned *port)
{
    uint64_t number;
    if (text.len > 5 || !slice_number(text, 65535, &number) || text.ptr[0] == '0')
        return ERR_SYNTAX;
    *port = (unsigned)number;
    return OK;
}

enum err authority_parse(struct slice text, struct slice *host, unsigned *port)
{
    *port = 0;
    struct slice rest;
    if (text.len && text.ptr[0] == '[') {
        size_t close = slice_find(text, ']');
        if (close == text.len)
            return ERR_SYNTAX;
        *host = slice_from(slice_to(text, close), 1);
        rest = slice_from(text, close + 1);
        struct address address;
        if (slice_find(*host, ':') == host->len) /* IPv4 has no brackets */
            return ERR_SYNTAX;
        TRY(address_parse(*host, &address));
    } else {
        *host = slice_to(text, slice_find(text, ':'));
        rest = slice_from(text, host->len);
        TRY(name_check(*host));
    }
    if (rest.len == 0)
        return OK;
    return rest.ptr[0] == ':' ? port_parse(slice_from(rest, 1), port) : ERR_SYNTAX;
}

bool path_fits(struct slice path, struct slice pattern)
{
    if (slice_ends(pattern, SLICE("*")))
        return slice_starts(path, slice_to(pattern, pattern.len - 1));
    return slice_equal(path, pattern);
}
