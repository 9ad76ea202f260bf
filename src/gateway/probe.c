#include "gateway/probe.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/socket.h"
#include "proto/http.h"

enum { TIMEOUT_MS = 1500, ANSWER_BYTES = 16 * 1024 };

static enum err connect_to(const struct endpoint_address *endpoint, int timeout_ms, int *fd)
{
    TRY(socket_connect(endpoint, fd));
    struct pollfd writable = {*fd, POLLOUT, 0};
    if (poll(&writable, 1, timeout_ms) == 1 && socket_connected(*fd) == OK)
        return OK;
    close(*fd);
    return ERR_IO;
}

/* To the first of its addresses that takes us; each has its share of the time. */
static enum err connect_by_name(const struct url *url, int *fd)
{
    char host[256], port[8];
    struct buffer port_text = BUFFER_OVER(port, sizeof port);
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found;
    if (url->host.len >= sizeof host)
        return ERR_LIMIT;
    memcpy(host, url->host.ptr, url->host.len);
    host[url->host.len] = '\0';
    buffer_number(&port_text, url->port);
    if (getaddrinfo(host, buffer_text_of(&port_text), &wanted, &found) != 0)
        return ERR_NOT_FOUND;
    enum err err = ERR_IO;
    int count = 0;
    for (struct addrinfo *one = found; one; one = one->ai_next)
        count++;
    for (struct addrinfo *one = found; err && one; one = one->ai_next) {
        struct endpoint_address endpoint = {.len = one->ai_addrlen};
        memcpy(&endpoint.storage, one->ai_addr, one->ai_addrlen);
        err = connect_to(&endpoint, TIMEOUT_MS / count, fd);
    }
    freeaddrinfo(found);
    return err;
}

static enum err connect_to_upstream(const struct url *url, int *fd)
{
    if (!url->unix_socket)
        return connect_by_name(url, fd);
    struct endpoint_address endpoint;
    TRY(endpoint_of_path(url->host, &endpoint));
    return connect_to(&endpoint, TIMEOUT_MS, fd);
}

/* Reads until the head is complete; what follows it is of no interest but for its first bytes. */
static unsigned read_status(int fd, char *bytes, size_t size, size_t *len)
{
    static const struct http_limits limits = {8 * 1024, ANSWER_BYTES};
    uint64_t end_us = clock_now_us() + TIMEOUT_MS * MS_US;
    for (*len = 0; *len < size && clock_now_us() < end_us;) {
        struct pollfd readable = {fd, POLLIN, 0};
        ssize_t n = poll(&readable, 1, TIMEOUT_MS) == 1 ? read(fd, bytes + *len, size - *len) : -1;
        if (n <= 0)
            break;
        *len += (size_t)n;
        struct response_head head;
        size_t used;
        enum http_fault fault;
        enum err err =
            response_head_parse(slice_make(bytes, *len), &limits, METHOD_GET, &head, &used, &fault);
        if (err == OK)
            return head.status;
        if (err != ERR_AGAIN)
            break;
    }
    return 0;
}

/* The status of GET path, 0 when there is no answer. */
static unsigned ask(const struct upstream_settings *upstream, const char *path)
{
    int fd;
    if (connect_to_upstream(&upstream->url, &fd) != OK)
        return 0;
    char memory[1024], answer[ANSWER_BYTES];
    struct buffer request = BUFFER_OVER(memory, sizeof memory);
    buffer_printf(&request, "GET %.*s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                  SLICE_ARG(upstream->url.base), path);
    size_t len;
    unsigned status = 0;
    if (!request.failed && write(fd, request.bytes, request.len) == (ssize_t)request.len)
        status = read_status(fd, answer, sizeof answer, &len);
    close(fd);
    return status;
}

enum upstream_kind probe_kind(const struct upstream_settings *upstream)
{
    static const struct {
        const char *path;
        enum upstream_kind kind;
    } questions[] = {
        {"/api/version", KIND_OLLAMA   },
        {"/props",       KIND_LLAMA_CPP},
        {"/v1/models",   KIND_OPENAI   },
    };
    if (upstream->kind != KIND_ASK)
        return upstream->kind;
    if (upstream->url.tls)
        return KIND_OPENAI;
    bool answered = false;
    for (unsigned i = 0; i < COUNT_OF(questions); i++) {
        unsigned status = ask(upstream, questions[i].path);
        if (status == 200)
            return questions[i].kind;
        if (status == 0 && !answered)
            return KIND_ASK;
        answered |= status != 0;
    }
    return KIND_OPENAI;
}
