/* A tiny upstream for measurements: answers every HTTP/1.1 request on a kept-alive connection with
 * one fixed chat completion, from one epoll loop. It owns its sockets and nothing else, is built
 * and called by bench/run, and is no part of the product. It trusts its peers: it reads
 * Content-Length and skips that many bytes, no more.
 *
 * usage: upstream PORT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 4096, HEAD_BYTES_MAX = 16 * 1024, EVENTS = 128 };

static const char content[] =
    "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":"
    "\"bench\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The quick brown "
    "fox jumps "
    "over the lazy dog, and the gate lets the answer through as it "
    "came.\"},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":21,\"total_tokens\":45}}";

struct connection {
    char head[HEAD_BYTES_MAX];
    size_t len;       /* bytes of `head` in use */
    size_t body_left; /* bytes of the request's body still to come */
    bool in_body;
};

static struct connection *connections[DESCRIPTORS_MAX];
static char answer[2048];
static size_t answer_len;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* The body's length that a complete head of `len` bytes announces. */
static size_t content_length(const char *head, size_t len)
{
    static const char name[] = "\ncontent-length:";
    for (size_t i = 0; i + sizeof(name) < len; i++)
        if (head[i] == '\n' && strncasecmp(head + i, name, sizeof(name) - 1) == 0)
            return strtoul(head + i + sizeof(name) - 1, NULL, 10);
    return 0;
}

static bool answer_write(int descriptor)
{
    return write(descriptor, answer, answer_len) == (ssize_t)answer_len;
}

/* Takes what was read; answers each request whose last byte has come. False: close the connection.
 */
static bool connection_take(struct connection *c, int descriptor)
{
    for (;;) {
        if (!c->in_body) {
            const char *end = memmem(c->head, c->len, "\r\n\r\n", 4);
            if (!end)
                return c->len < HEAD_BYTES_MAX;
            size_t head_len = (size_t)(end - c->head) + 4;
            c->body_left = content_length(c->head, head_len);
            c->in_body = true;
            c->len -= head_len;
            memmove(c->head, c->head + head_len, c->len);
        }
        size_t skipped = c->len < c->body_left ? c->len : c->body_left;
        c->body_left -= skipped;
        c->len -= skipped;
        memmove(c->head, c->head + skipped, c->len);
        if (c->body_left > 0)
            return true;
        c->in_body = false;
        if (!answer_write(descriptor))
            return false;
        if (c->len == 0)
            return true;
    }
}

static bool connection_read(struct connection *c, int descriptor)
{
    ssize_t n = read(descriptor, c->head + c->len, HEAD_BYTES_MAX - c->len);
    if (n < 0)
        return errno == EAGAIN;
    c->len += (size_t)n;
    return n > 0 && connection_take(c, descriptor);
}

static void connection_accept(int loop, int listener)
{
    int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0)
        return;
    if (descriptor >= DESCRIPTORS_MAX) {
        close(descriptor);
        return;
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    connections[descriptor] = calloc(1, sizeof(struct connection));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (!connections[descriptor] || epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event) < 0)
        fail("accept");
}

static void answer_print(void)
{
    int n = snprintf(
        answer, sizeof(answer),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        sizeof(content) - 1, content);
    answer_len = (size_t)n;
}

static int listen_on(unsigned port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 1024) < 0)
        fail("listen");
    return listener;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    answer_print();
    int listener = listen_on((unsigned)strtoul(argv[1], NULL, 10));
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll");
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int descriptor = events[i].data.fd;
            if (descriptor == listener) {
                connection_accept(loop, listener);
            } else if (!connection_read(connections[descriptor], descriptor)) {
                free(connections[descriptor]);
                connections[descriptor] = NULL;
                close(descriptor);
            }
        }
    }
}
