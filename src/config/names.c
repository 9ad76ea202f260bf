/* Names in lists: web origins, hosts, methods and header fields, each brought into the one form
 * that requests are compared with byte by byte, so that no comparison at run time has to be clever.
 * Called while the configuration is read. */
#include <stdio.h>

#include "config/settings.h"
#include "config/value.h"
#include "proto/http.h"
#include "proto/octet.h"
#include "proto/target.h"

enum { NAME_BYTES_MAX = 512 };

static enum err explain(struct assignment *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    return ERR_SYNTAX;
}

/* Into the arena, letters in lower case. */
static enum err keep_lower(struct assignment *a, struct slice text, struct slice *out)
{
    char memory[NAME_BYTES_MAX];
    if (text.len > sizeof memory)
        return explain(a, "it is too long");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        memory[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    *out = arena_copy(a->arena, slice_make(memory, text.len));
    return out->ptr ? OK : ERR_MEMORY;
}

/* RFC 3986, 3.1: a letter, then letters, digits, '+', '-' and '.'. */
static bool scheme_valid(struct slice scheme)
{
    for (size_t i = 0; i < scheme.len; i++) {
        char c = (char)(scheme.ptr[i] | 0x20);
        bool letter = c >= 'a' && c <= 'z';
        bool other = (c >= '0' && c <= '9') || memchr("+-.", scheme.ptr[i], 3);
        if (!letter && !(i && other))
            return false;
    }
    return scheme.len > 0;
}

/* An origin as a browser writes it (RFC 6454, 6.2), since nothing but those very bytes will match.
 * A scheme need not be http: apps and extensions have their own. */
enum err origin_parse(struct assignment *a, struct slice text, struct slice *out)
{
    static const struct slice mark = SLICE("://");
    if (slice_equal(text, SLICE("*")))
        return keep_lower(a, text, out);
    if (slice_equal_nocase(text, SLICE("null")))
        return explain(a, "\"null\" is what every page without an origin sends; it names nobody");
    const char *at = memmem(text.ptr, text.len, mark.ptr, mark.len);
    struct slice scheme = slice_to(text, at ? (size_t)(at - text.ptr) : 0);
    if (!at || !scheme_valid(scheme))
        return explain(a, "an origin begins with its scheme, as in https://chat.example.org");
    struct slice authority = slice_from(text, scheme.len + mark.len), host;
    unsigned port;
    if (slice_find(authority, '/') < authority.len)
        return explain(a, "an origin ends after host or port: no '/' and no path");
    if (slice_find(authority, '*') < authority.len)
        return explain(a, "origins are compared exactly: name each one, without '*'");
    if (authority_parse(authority, &host, &port) != OK)
        return ERR_SYNTAX;
    if ((port == 443 && slice_equal_nocase(scheme, SLICE("https"))) ||
        (port == 80 && slice_equal_nocase(scheme, SLICE("http"))))
        return explain(a, "browsers leave out the port that belongs to the scheme; do so too");
    return keep_lower(a, text, out);
}

/* An address in its canonical spelling; ERR_SYNTAX: it is none. Brackets are optional. */
static enum err keep_address(struct assignment *a, struct slice text, struct slice *out)
{
    char memory[64];
    struct buffer printed = BUFFER_OVER(memory, sizeof memory);
    struct address address;
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = slice_make(text.ptr + 1, text.len - 2);
    TRY(address_parse(text, &address));
    address_print(&printed, &address);
    *out = arena_copy(a->arena, buffer_slice(&printed));
    return out->ptr ? OK : ERR_MEMORY;
}

enum err host_parse(struct assignment *a, struct slice text, struct slice *out)
{
    if (slice_equal(text, SLICE("*")))
        return keep_lower(a, text, out);
    enum err err = keep_address(a, text, out);
    if (err != ERR_SYNTAX)
        return err;
    if (slice_ends(text, SLICE(".")))
        text.len--;
    struct slice name = slice_starts(text, SLICE("*.")) ? slice_from(text, 2) : text, host;
    unsigned port;
    if (authority_parse(name, &host, &port) != OK)
        return ERR_SYNTAX;
    if (port)
        return explain(a, "hosts are compared without their port; leave it out");
    return keep_lower(a, text, out);
}

enum err method_parse(struct assignment *a, struct slice text, struct slice *out)
{
    for (enum http_method method = 0; method < METHOD_COUNT; method++)
        if (slice_equal(text, slice_of(http_method_name(method)))) {
            *out = text;
            return OK;
        }
    return explain(a, "the methods are GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS");
}

enum err field_name_parse(struct assignment *a, struct slice text, struct slice *out)
{
    if (slice_equal(text, SLICE("*")))
        return explain(a, "browsers do not take '*' for Authorization; name each field");
    for (size_t i = 0; i < text.len; i++)
        if (!octet_is(text.ptr[i], OCTET_NAME))
            return ERR_SYNTAX;
    *out = text;
    return OK;
}

/* Loopback, RFC 1918 and RFC 4193: where a proxy of one's own is. */
const char *range_word(struct slice text)
{
    return slice_equal(text, SLICE("private"))
               ? "127.0.0.0/8, ::1/128, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7"
               : NULL;
}
