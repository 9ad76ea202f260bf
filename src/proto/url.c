/* The URL of an upstream, as an operator writes it. Read at start, with the same grammar for host
 * and path as requests have, so that what is joined to it stays canonical. */
#include "proto/address.h"
#include "proto/octet.h"
#include "proto/path.h"
#include "proto/target.h"

/* sun_path with its NUL. */
enum { SOCKET_PATH_MAX = 107 };

static enum err socket_parse(struct slice path, struct url *url)
{
    if (path.len < 2 || path.len > SOCKET_PATH_MAX || path.ptr[0] != '/')
        return ERR_SYNTAX;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f)
            return ERR_SYNTAX;
    url->unix_socket = true;
    url->host = path;
    return OK;
}

enum err url_parse(struct slice text, struct url *url)
{
    *url = (struct url){0};
    if (slice_starts_nocase(text, SLICE("unix:")))
        return socket_parse(slice_from(text, 5), url);
    if (slice_starts_nocase(text, SLICE("https://")))
        url->tls = true;
    else if (!slice_starts_nocase(text, SLICE("http://")))
        return ERR_SYNTAX;
    text = slice_from(text, url->tls ? 8 : 7);
    struct slice authority = slice_to(text, slice_find(text, '/'));
    TRY(authority_parse(authority, &url->host, &url->port));
    if (url->port == 0)
        url->port = url->tls ? 443 : 80;
    struct slice base = slice_from(text, authority.len);
    if (base.len && !path_canonical(base))
        return ERR_SYNTAX;
    if (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    url->base = base;
    return OK;
}
