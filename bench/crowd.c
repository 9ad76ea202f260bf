/* A crowd that a gateway is to remember: one request without a credential from each of so many
 * addresses, which a trusted proxy would name in X-Forwarded-For. All of them are refused, and each
 * leaves its address a running limit. Pipelined over one connection; built and called by bench/run,
 * no part of the product.
 *
 * usage: crowd PORT ADDRESSES      the first is 11.0.0.0 */
#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 256, REQUEST_BYTES = 128, READ_BYTES = 64 * 1024 };

static const char status[] = "HTTP/1.1 401";

static int connect_to(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&to, sizeof(to)) < 0)
        fail("crowd: connect: %s", strerror(errno));
    return descriptor;
}

static void send_requests(int descriptor, unsigned first, unsigned count)
{
    static char text[AT_ONCE * REQUEST_BYTES];
    size_t len = 0;
    for (unsigned i = first; i < first + count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                "X-Forwarded-For: 11.%u.%u.%u\r\n\r\n",
                                i >> 16, i >> 8 & 255, i & 255);
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(descriptor, text + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            fail("crowd: send: %s", strerror(errno));
        sent += (size_t)n;
    }
}

/* Reads so many answers. What is kept between two reads is too short for a whole status line. */
static void read_answers(int descriptor, unsigned count)
{
    static char text[READ_BYTES + sizeof(status)];
    size_t kept = 0;
    while (count) {
        ssize_t n = recv(descriptor, text + kept, READ_BYTES, 0);
        if (n <= 0)
            fail("crowd: %u answers are missing: %s", count, n < 0 ? strerror(errno) : "closed");
        char *at = text, *end = text + kept + n, *found;
        while ((found = memmem(at, (size_t)(end - at), "HTTP/1.1 ", 9)) &&
               found + strlen(status) <= end) {
            if (memcmp(found, status, strlen(status)) != 0)
                fail("crowd: expected %s, got %.12s", status, found);
            at = found + strlen(status);
            count--;
        }
        kept = (size_t)(end - at) < strlen(status) ? (size_t)(end - at) : strlen(status) - 1;
        memmove(text, end - kept, kept);
    }
}

int main(int argc, char **argv)
{
    unsigned port = argc == 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned addresses = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (!port || !addresses || addresses > 1U << 24)
        fail("usage: crowd PORT ADDRESSES (at most 16777216)");
    int descriptor = connect_to(port);
    for (unsigned first = 0; first < addresses; first += AT_ONCE) {
        unsigned left = addresses - first, count = left < AT_ONCE ? left : AT_ONCE;
        send_requests(descriptor, first, count);
        read_answers(descriptor, count);
    }
    return 0;
}
