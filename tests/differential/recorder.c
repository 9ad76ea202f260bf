/* The recording upstream; see recorder.h. It never mends and never waits for more than it was
 * promised: a byte behind a request, before the request is answered, is a finding. */
#include "recorder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"

enum { READ_BYTES = 64 * 1024, RECORDS_MAX = 1 << 16 };

/* A connection from the gateway. */
struct peer {
    struct watch watch;
    struct recorder *recorder;
    int descriptor;
    size_t len;
    char bytes[READ_BYTES];
};

static struct record records[RECORDS_MAX]; /* by serial number, modulo their count */

static void peer_close(struct peer *peer)
{
    close(peer->descriptor);
    free(peer);
}

/* A finding about a request as far as it came; the connection ends with it. */
static void broken(struct peer *peer, const char *rule)
{
    peer->recorder->complain(rule, peer->bytes, peer->len);
    peer_close(peer);
}

static bool keep(struct recorder *recorder, const struct peer *peer, size_t head_len)
{
    struct record *record = &records[recorder->request_count % RECORDS_MAX];
    if (record->bytes)
        return false;
    *record = (struct record){recorder->request_count, malloc(peer->len), head_len, peer->len};
    if (!record->bytes)
        return false;
    memcpy(record->bytes, peer->bytes, peer->len);
    recorder->open_count++;
    return true;
}

static bool answer(struct peer *peer, const struct canonical *request)
{
    struct recorder *recorder = peer->recorder;
    bool tags = request->target.len == strlen("/api/tags");
    bool head = request->method.at[0] == 'H';
    char text[512], body[64];
    int body_len = request->list
                       ? snprintf(body, sizeof(body), tags ? "{\"models\":[]}" : "{\"data\":[]}")
                       : snprintf(body, sizeof(body), "{\"serial\":%llu}",
                                  (unsigned long long)recorder->request_count);
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" ANSWER_SERIAL
                       ": %llu\r\nContent-Length: %d\r\n\r\n%s",
                       (unsigned long long)recorder->request_count, body_len, head ? "" : body);
    return send(peer->descriptor, text, (size_t)len, MSG_NOSIGNAL) == len;
}

static void request_complete(struct peer *peer, const struct canonical *request)
{
    struct recorder *recorder = peer->recorder;
    if (request->list)
        recorder->list_count++;
    else if (!keep(recorder, peer, request->head_len)) {
        broken(peer, "requests are recorded that no client is told of");
        return;
    }
    bool answered = answer(peer, request);
    recorder->request_count++;
    peer->len = 0;
    if (!answered)
        peer_close(peer);
}

static void peer_ready(struct watch *watch)
{
    struct peer *peer = (struct peer *)(void *)watch;
    ssize_t n = recv(peer->descriptor, peer->bytes + peer->len, sizeof(peer->bytes) - peer->len,
                     MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (peer->len)
            broken(peer, "the gateway closed within a request");
        else
            peer_close(peer);
        return;
    }
    peer->len += (size_t)n;
    struct canonical request;
    if (!memmem(peer->bytes, peer->len, "\r\n\r\n", 4)) {
        if (peer->len == sizeof(peer->bytes))
            broken(peer, "a head without an end");
        return;
    }
    const char *rule = canonical_read(peer->bytes, peer->len, &peer->recorder->own, &request);
    if (rule)
        broken(peer, rule);
    else if (peer->len > request.head_len + request.length)
        broken(peer, "bytes behind a request");
    else if (peer->len == request.head_len + request.length)
        request_complete(peer, &request);
    else if (peer->len == sizeof(peer->bytes))
        broken(peer, "a body larger than any that was sent");
}

static void watch_add(struct recorder *recorder, int descriptor, struct watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    if (epoll_ctl(recorder->loop, EPOLL_CTL_ADD, descriptor, &event) < 0)
        recorder->complain("no room in the event loop", "", 0);
}

static void recorder_ready(struct watch *watch)
{
    struct recorder *recorder = (struct recorder *)(void *)watch;
    struct peer *peer = malloc(sizeof(*peer));
    int descriptor = accept4(recorder->descriptor, NULL, NULL, SOCK_CLOEXEC);
    if (!peer || descriptor < 0) {
        recorder->complain("a connection could not be accepted", "", 0);
        free(peer);
        return;
    }
    peer->watch.ready = peer_ready;
    peer->recorder = recorder;
    peer->descriptor = descriptor;
    peer->len = 0;
    watch_add(recorder, descriptor, &peer->watch);
}

bool recorder_start(struct recorder *recorder, int loop, const char *key)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    recorder->watch.ready = recorder_ready;
    recorder->loop = loop;
    recorder->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (recorder->descriptor < 0 ||
        bind(recorder->descriptor, (struct sockaddr *)&address, len) < 0 ||
        listen(recorder->descriptor, 1024) < 0 ||
        getsockname(recorder->descriptor, (struct sockaddr *)&address, &len) < 0)
        return false;
    recorder->port = ntohs(address.sin_port);
    snprintf(recorder->authority, sizeof(recorder->authority), "127.0.0.1:%u", recorder->port);
    snprintf(recorder->authorization, sizeof(recorder->authorization), "Bearer %s", key);
    recorder->own = (struct canonical_own){recorder->authority, recorder->authorization};
    watch_add(recorder, recorder->descriptor, &recorder->watch);
    return true;
}

bool recorder_claim(struct recorder *recorder, uint64_t serial, struct record *record)
{
    struct record *place = &records[serial % RECORDS_MAX];
    if (!place->bytes || place->serial != serial)
        return false;
    *record = *place;
    *place = (struct record){0};
    recorder->open_count--;
    return true;
}
