/* Sockets: IPv4, IPv6 and Unix; listening, accepting, connecting. All non-blocking and
 * close-on-exec. */
#ifndef IO_SOCKET_H
#define IO_SOCKET_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buffer.h"
#include "proto/address.h"

/* Where a socket can be bound or connected to. */
struct endpoint_address {
    union {
        struct sockaddr any;
        struct sockaddr_un unix_path;
        struct sockaddr_storage storage;
    };
    socklen_t len;
};

/* The same address and port? */
bool endpoint_equal(const struct endpoint_address *a, const struct endpoint_address *b);
/* From a numeric address and a port. */
struct endpoint_address endpoint_of_address(const struct address *address, unsigned port);
/* From a Unix socket's path. ERR_LIMIT when it is too long for the kernel. */
enum err endpoint_of_path(struct slice path, struct endpoint_address *endpoint) MUST_CHECK;
/* "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses), "localhost:8080", "unix:/run/x.sock";
 * an "http://" or "https://" before it changes nothing here. ERR_SYNTAX, ERR_LIMIT. */
enum err endpoint_parse(struct slice text, struct endpoint_address *endpoint) MUST_CHECK;
/* "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock". */
void endpoint_print(struct buffer *out, const struct endpoint_address *endpoint);

/* Binds and listens; a stale Unix socket nobody answers on is replaced. ERR_IO with errno. */
enum err socket_listen(const struct endpoint_address *endpoint, int *fd) MUST_CHECK;
/* ERR_AGAIN: nobody is waiting. ERR_LIMIT: no descriptors or no memory just now. ERR_IO: this one
 * connection failed. */
enum err socket_accept(int listening, int *fd, struct address *peer) MUST_CHECK;
/* Begins to connect; the descriptor becomes writable when it has. ERR_IO with errno. */
enum err socket_connect(const struct endpoint_address *endpoint, int *fd) MUST_CHECK;
/* What became of a connect: OK or ERR_IO with errno. */
enum err socket_connected(int fd) MUST_CHECK;
/* The address a listening socket really got (port 0). */
enum err socket_local(int fd, struct endpoint_address *endpoint) MUST_CHECK;

#endif
