/* Addresses to listen on, brought into one of three forms that the listener takes without thinking:
 * "1.2.3.4:port", "[v6]:port", "unix:PATH". Port 0 lets the kernel choose. A scheme before them
 * stays: it says whether TLS is spoken there. */
#include <stdio.h>

#include "config/settings.h"
#include "config/value.h"

/* sun_path of a Unix address holds this many bytes with its NUL. */
enum { SOCKET_PATH_MAX = 108 };

static enum err explain(struct assignment *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    return ERR_SYNTAX;
}

static enum err keep(struct assignment *a, struct slice *out, const char *before, struct slice host,
                     const char *between, struct slice rest)
{
    char memory[256];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    buffer_text(&text, before);
    buffer_append(&text, host);
    buffer_text(&text, between);
    buffer_append(&text, rest);
    if (text.failed)
        return explain(a, "it is too long");
    *out = arena_copy(a->arena, buffer_slice(&text));
    return out->ptr ? OK : ERR_MEMORY;
}

static enum err parse_unix(struct assignment *a, const char *scheme, struct slice path,
                           struct slice *out)
{
    char *resolved;
    TRY(path_resolve(a, path, &resolved));
    if (!resolved)
        return explain(a, "a Unix socket needs a path: unix:PATH");
    if (strlen(resolved) >= SOCKET_PATH_MAX)
        return explain(a, "the path of a Unix socket has at most 107 bytes");
    return keep(a, out, scheme, SLICE("unix:"), resolved, SLICE(""));
}

/* The position of the colon before the port; text.len when there is none. */
static size_t port_colon(struct slice text)
{
    for (size_t i = text.len; i > 0 && text.ptr[i - 1] != ']'; i--)
        if (text.ptr[i - 1] == ':')
            return i - 1;
    return text.len;
}

/* Cuts the scheme off. "" when there is none. */
static const char *cut_scheme(struct slice *text)
{
    static const char *const schemes[] = {"https://", "http://"};
    for (unsigned i = 0; i < COUNT_OF(schemes); i++) {
        if (slice_starts_nocase(*text, slice_of(schemes[i]))) {
            *text = slice_from(*text, strlen(schemes[i]));
            return schemes[i];
        }
    }
    return "";
}

enum err listen_parse(struct assignment *a, struct slice text, struct slice *out)
{
    const char *scheme = cut_scheme(&text);
    if (slice_starts(text, SLICE("unix:")))
        return parse_unix(a, scheme, slice_from(text, 5), out);
    size_t colon = port_colon(text);
    if (colon == text.len)
        return explain(a, "it needs a port, as in 127.0.0.1:8080 or [::1]:8080");
    struct slice host = slice_to(text, colon), port = slice_from(text, colon + 1);
    uint64_t number;
    if (!slice_number(port, 65535, &number))
        return explain(a, "the port must be a number from 0 to 65535");
    if (host.len == 0 || slice_equal(host, SLICE("*")))
        host = SLICE("0.0.0.0");
    if (slice_equal_nocase(host, SLICE("localhost")))
        host = SLICE("127.0.0.1");
    bool bracketed = host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed)
        host = slice_make(host.ptr + 1, host.len - 2);
    struct address address;
    if (address_parse(host, &address) != OK)
        return explain(
            a, "the part before the port must be an address such as 127.0.0.1, 0.0.0.0 or [::1]");
    if (bracketed != (slice_find(host, ':') < host.len))
        return explain(a, "an IPv6 address, and only that, stands in brackets: [::1]:8080");
    char before[16];
    snprintf(before, sizeof before, "%s%s", scheme, bracketed ? "[" : "");
    return keep(a, out, before, host, bracketed ? "]:" : ":", port);
}
