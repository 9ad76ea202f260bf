/* Request targets and authorities: an accepted path means itself to every reader, however much it
 * decodes and tidies; an accepted host is no address in disguise. */
#include "proto/target.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "proto/address.h"

enum { TEXT_BYTES_MAX = 64 * 1024 };

/* What the most obliging server would make of a path: percent-decoded twice, '\' taken for '/',
 * what follows ';' left out of a segment, dot segments resolved, empty segments and dots at the end
 * of segments dropped. */
static size_t decode(char *text, size_t len)
{
    size_t out = 0;
    for (size_t in = 0; in < len; in++) {
        char hex[3] = {0};
        if (text[in] == '%' && in + 2 < len && isxdigit((unsigned char)text[in + 1]) &&
            isxdigit((unsigned char)text[in + 2])) {
            memcpy(hex, text + in + 1, 2);
            text[out++] = (char)strtoul(hex, NULL, 16);
            in += 2;
        } else {
            text[out++] = text[in] == '\\' ? '/' : text[in];
        }
    }
    return out;
}

static void oblige(struct slice path, struct buffer *out)
{
    char *text = fuzz_copy(path);
    struct slice rest = slice_make(text, decode(text, decode(text, path.len)));
    bool folder = slice_ends(rest, SLICE("/"));
    while (rest.len) {
        struct slice segment = slice_cut(&rest, '/');
        segment = slice_to(segment, slice_find(segment, ';'));
        if (slice_equal(segment, SLICE("..")))
            while (out->len && out->bytes[--out->len] != '/')
                ;
        while (slice_ends(segment, SLICE(".")) || slice_ends(segment, SLICE(" ")))
            segment.len--;
        if (segment.len == 0)
            continue;
        buffer_text(out, "/");
        buffer_append(out, segment);
    }
    if (folder || out->len == 0)
        buffer_text(out, "/");
    free(text);
}

static void check_target(struct slice input)
{
    struct target target, again;
    if (target_parse(input, &target) != OK)
        return;
    for (size_t i = 0; i < input.len; i++)
        must(input.ptr[i] > 0x20 && input.ptr[i] < 0x7f && input.ptr[i] != '#');
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(buffer) obliged = BUFFER_MAX(TEXT_BYTES_MAX);
    buffer_append(&text, target.path);
    if (target.query.ptr) {
        buffer_text(&text, "?");
        buffer_append(&text, target.query);
    }
    must(target_parse(buffer_slice(&text), &again) == OK);
    must(again.asterisk == target.asterisk && again.authority.len == 0);
    must_equal(target.path, again.path);
    must_equal(target.query, again.query);
    if (target.asterisk)
        return;
    oblige(target.path, &obliged);
    must_equal(target.path, buffer_slice(&obliged));
}

static void check_authority(struct slice input)
{
    struct slice host, again;
    unsigned port, port_again;
    if (authority_parse(input, &host, &port) != OK)
        return;
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    bool brackets = slice_find(host, ':') < host.len;
    buffer_printf(&text, brackets ? "[%.*s]" : "%.*s", SLICE_ARG(host));
    if (port)
        buffer_printf(&text, ":%u", port);
    must(port <= 65535);
    must_equal(buffer_slice(&text), input);
    must(authority_parse(buffer_slice(&text), &again, &port_again) == OK && port == port_again);
    must_equal(host, again);

    /* What the C library would connect to, in any of its short, octal and hexadecimal forms, is an
     * address to us too, and the same one. */
    AUTO(buffer) name = BUFFER_MAX(TEXT_BYTES_MAX);
    buffer_append(&name, host);
    struct in_addr theirs;
    struct address ours;
    if (inet_aton(buffer_text_of(&name), &theirs)) {
        must(address_parse(host, &ours) == OK && ours.family == ADDRESS_V4);
        must(memcmp(ours.bytes, &theirs, sizeof theirs) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    check_target(input);
    check_authority(input);
    return 0;
}
