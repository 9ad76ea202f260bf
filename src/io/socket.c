#include "io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool endpoint_equal(const struct endpoint_address *a, const struct endpoint_address *b)
{
    return a->len == b->len && memcmp(&a->storage, &b->storage, a->len) == 0;
}

struct endpoint_address endpoint_of_address(const struct address *address, unsigned port)
{
    struct endpoint_address endpoint = {0};
    if (address->family == ADDRESS_V6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&endpoint.storage;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        memcpy(&in6->sin6_addr, address->bytes, 16);
        endpoint.len = sizeof *in6;
    } else {
        struct sockaddr_in *in = (struct sockaddr_in *)&endpoint.storage;
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        memcpy(&in->sin_addr, address->bytes, 4);
        endpoint.len = sizeof *in;
    }
    return endpoint;
}

enum err endpoint_of_path(struct slice path, struct endpoint_address *endpoint)
{
    *endpoint = (struct endpoint_address){0};
    if (path.len == 0 || path.len >= sizeof endpoint->unix_path.sun_path)
        return ERR_LIMIT;
    endpoint->unix_path.sun_family = AF_UNIX;
    memcpy(endpoint->unix_path.sun_path, path.ptr, path.len);
    endpoint->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return OK;
}

enum err endpoint_parse(struct slice text, struct endpoint_address *endpoint)
{
    if (slice_starts(text, SLICE("http://")))
        text = slice_from(text, 7);
    else if (slice_starts(text, SLICE("https://")))
        text = slice_from(text, 8);
    if (slice_starts(text, SLICE("unix:")))
        return endpoint_of_path(slice_from(text, 5), endpoint);
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || !slice_number(slice_from(text, colon), 65535, &port))
        return ERR_SYNTAX;
    struct slice host = slice_to(text, colon - 1);
    struct address address = {.family = ADDRESS_V6}; /* "::", which takes IPv4 too */
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        TRY(address_parse(slice_make(host.ptr + 1, host.len - 2), &address));
        if (address.family != ADDRESS_V6)
            return ERR_SYNTAX;
    } else if (slice_equal(host, SLICE("localhost"))) {
        TRY(address_parse(SLICE("127.0.0.1"), &address));
    } else if (host.len) {
        TRY(address_parse(host, &address));
        if (address.family != ADDRESS_V4)
            return ERR_SYNTAX;
    }
    *endpoint = endpoint_of_address(&address, (unsigned)port);
    return OK;
}

/* The address and port of a socket address; Unix peers have neither. */
static struct address address_of(const struct sockaddr_storage *storage)
{
    struct address address = {.family = ADDRESS_UNIX};
    if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)storage;
        address.family = ADDRESS_V4;
        address.port = ntohs(in->sin_port);
        memcpy(address.bytes, &in->sin_addr, 4);
    } else if (storage->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
        address.port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) { /* one caller, one identity */
            address.family = ADDRESS_V4;
            memcpy(address.bytes, &in6->sin6_addr.s6_addr[12], 4);
        } else {
            address.family = ADDRESS_V6;
            memcpy(address.bytes, &in6->sin6_addr, 16);
        }
    }
    return address;
}

void endpoint_print(struct buffer *out, const struct endpoint_address *endpoint)
{
    if (endpoint->any.sa_family == AF_UNIX) {
        buffer_printf(out, "unix:%s", endpoint->unix_path.sun_path);
        return;
    }
    struct address address = address_of(&endpoint->storage);
    bool brackets = address.family == ADDRESS_V6;
    buffer_text(out, brackets ? "[" : "");
    address_print(out, &address);
    buffer_printf(out, "%s:%u", brackets ? "]" : "", address.port);
}

/* A Unix socket left behind by a process that is gone: nobody accepts on it. */
static void remove_stale(const struct endpoint_address *endpoint)
{
    struct stat stat_of;
    if (stat(endpoint->unix_path.sun_path, &stat_of) != 0 || !S_ISSOCK(stat_of.st_mode))
        return;
    /* Non-blocking: a live server whose backlog is full would hold up the start for ever. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &endpoint->any, endpoint->len) != 0 && errno == ECONNREFUSED)
        unlink(endpoint->unix_path.sun_path);
    if (fd >= 0)
        close(fd);
}

static enum err give_up(int fd)
{
    int why = errno;
    close(fd);
    errno = why;
    return ERR_IO;
}

enum err socket_listen(const struct endpoint_address *endpoint, int *fd)
{
    int family = endpoint->any.sa_family, on = 1, off = 0;
    int opened = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0)
        return ERR_IO;
    if (family == AF_UNIX)
        remove_stale(endpoint);
    else
        setsockopt(opened, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(opened, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(opened, &endpoint->any, endpoint->len) != 0 || listen(opened, 4096) != 0)
        return give_up(opened);
    *fd = opened;
    return OK;
}

enum err socket_accept(int listening, int *fd, struct address *peer)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof storage;
    int accepted =
        accept4(listening, (struct sockaddr *)&storage, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) {
        if (errno == EAGAIN)
            return ERR_AGAIN;
        bool exhausted = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        return exhausted ? ERR_LIMIT : ERR_IO;
    }
    int on = 1;
    if (storage.ss_family != AF_UNIX)
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *fd = accepted;
    *peer = address_of(&storage);
    return OK;
}

enum err socket_connect(const struct endpoint_address *endpoint, int *fd)
{
    int on = 1;
    int opened = socket(endpoint->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0)
        return ERR_IO;
    if (endpoint->any.sa_family != AF_UNIX)
        setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(opened, &endpoint->any, endpoint->len) != 0 && errno != EINPROGRESS &&
        errno != EINTR) { /* an interrupted one goes on */
        bool full = errno == EAGAIN && endpoint->any.sa_family == AF_UNIX; /* its queue, unix(7) */
        return full ? (close(opened), ERR_AGAIN) : give_up(opened);
    }
    *fd = opened;
    return OK;
}

enum err socket_connected(int fd)
{
    int why = 0;
    socklen_t len = sizeof why;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0)
        return OK;
    errno = why;
    return ERR_IO;
}

enum err socket_local(int fd, struct endpoint_address *endpoint)
{
    *endpoint = (struct endpoint_address){.len = sizeof endpoint->storage};
    return getsockname(fd, &endpoint->any, &endpoint->len) == 0 ? OK : ERR_IO;
}
