/* The control socket, both ends. The server is one thread of its own with plain calls: it may wait
 * for the disk and for the event loops' grace without holding anything up. One conversation at a
 * time; the file mode and the peer's user id say who may have one.
 *
 * Its one hard problem is time: a peer that sends half a line, or takes its answer a byte at a
 * time, must not hold the socket, so each conversation has one deadline for everything that waits
 * for the peer. */
#include "cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/verb.h"
#include "base/clock.h"

enum {
    LINE_MAX_BYTES = VERB_FILE_LINE_MAX,
    BACKLOG = 16,
    /* A client sends at once; a silent one may not use up the time of those that wait behind it. */
    REQUEST_MS = 2000,
    ANSWER_MS = 5000,
    BYTES_A_SECOND = 4096,
};

#define SOCKET_NAME "control.sock"

struct control_server {
    struct desk desk;
    int directory_fd, listen_fd, stop_fd;
    pthread_t thread;
    char line[LINE_MAX_BYTES]; /* the request, then the response; wiped after each conversation */
};

/* The socket's address by way of the open folder: the path fits however deep the folder is, and it
 * is the folder that was opened, whatever is renamed meanwhile. */
static void address_of(int directory_fd, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" SOCKET_NAME,
             directory_fd);
}

static void close_keeping_errno(int fd)
{
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
}

/* Waits for `events` on `fd`. ERR_TIMEOUT; ERR_CLOSED when `stop_fd` (may be -1) says to end. */
static enum err wait_for(int fd, short events, int stop_fd, uint64_t deadline_us)
{
    struct pollfd fds[] = {
        {fd,      events, 0},
        {stop_fd, POLLIN, 0}
    };
    for (;;) {
        uint64_t now_us = clock_now_us();
        if (now_us >= deadline_us)
            return ERR_TIMEOUT;
        int ready = poll(fds, 2, (int)((deadline_us - now_us) / MS_US) + 1);
        if (ready < 0 && errno != EINTR)
            return ERR_IO;
        if (ready > 0 && fds[1].revents)
            return ERR_CLOSED;
        if (ready > 0)
            return OK;
    }
}

/* One line; `*len` is without its newline. What follows the newline is an error: one object a line,
 * one line a conversation. */
static enum err receive_line(int fd, char *line, size_t max, int stop_fd, uint64_t deadline_us,
                             size_t *len)
{
    size_t have = 0;
    for (;;) {
        if (have == max)
            return ERR_LIMIT;
        TRY(wait_for(fd, POLLIN, stop_fd, deadline_us));
        ssize_t n = recv(fd, line + have, max - have, MSG_DONTWAIT);
        if (n == 0)
            return ERR_CLOSED;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return errno == ECONNRESET ? ERR_CLOSED : ERR_IO;
        if (n <= 0)
            continue;
        char *newline = memchr(line + have, '\n', (size_t)n);
        have += (size_t)n;
        if (newline) {
            *len = (size_t)(newline - line);
            return *len + 1 == have ? OK : ERR_SYNTAX;
        }
    }
}

static enum err send_all(int fd, const char *bytes, size_t size, int stop_fd, uint64_t deadline_us)
{
    while (size) {
        TRY(wait_for(fd, POLLOUT, stop_fd, deadline_us));
        ssize_t n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_IO;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return OK;
}

static enum err print_line(const json_t *document, char *line, size_t max, size_t *len)
{
    size_t size = json_dumpb(document, line, max - 1, JSON_COMPACT);
    if (size == 0 || size > max - 1)
        return ERR_LIMIT;
    line[size] = '\n';
    *len = size + 1;
    return OK;
}

static bool peer_uid(int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    *uid = peer.uid;
    return true;
}

/* The server */

static json_t *answer(struct control_server *server, enum err received, size_t len)
{
    if (received == ERR_LIMIT)
        return verb_refusal("usage", NULL, "a request has at most %d bytes", LINE_MAX_BYTES);
    if (received != OK)
        return verb_refusal("usage", NULL, "a request is one JSON object on one line");
    json_t *request, *response;
    enum err err = json_read(slice_make(server->line, len), &request, NULL);
    if (err == ERR_MEMORY)
        return NULL;
    if (json_is_object(request))
        response = verb_run(&server->desk, &local_caller, request);
    else
        response = verb_refusal("usage", NULL, "a request is one JSON object on one line");
    json_decref(request);
    return response;
}

static void converse(struct control_server *server, int fd)
{
    uid_t uid;
    if (!peer_uid(fd, &uid) || (uid != geteuid() && uid != 0))
        return;
    size_t len = 0;
    enum err err = receive_line(fd, server->line, sizeof server->line, server->stop_fd,
                                clock_now_us() + REQUEST_MS * MS_US, &len);
    /* Nobody is there to be answered, or the gateway ends. */
    if (err == ERR_CLOSED || err == ERR_IO)
        return;
    json_t *response = answer(server, err, len);
    if (json_is_object(response) &&
        print_line(response, server->line, sizeof server->line, &len) == OK)
        /* A client that leaves before its answer has no part in what was done; it is done. */
        err = send_all(fd, server->line, len, server->stop_fd, clock_now_us() + ANSWER_MS * MS_US);
    json_decref(response);
}

static void *serve(void *memory)
{
    struct control_server *server = memory;
    struct pollfd fds[] = {
        {server->listen_fd, POLLIN, 0},
        {server->stop_fd,   POLLIN, 0}
    };
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue; /* EINTR at most */
        if (fds[1].revents)
            return NULL;
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors: the connection stays in the queue; wait a little for one. */
            poll(&fds[1], 1, errno == EMFILE || errno == ENFILE ? 100 : 0);
            continue;
        }
        converse(server, fd);
        explicit_bzero(server->line, sizeof server->line);
        close(fd);
    }
}

/* The mode is set on the socket before it has a name, so that it never stands there with a wider
 * one; umask belongs to all threads. */
static int listen_at(int directory_fd)
{
    struct sockaddr_un address;
    struct stat st;
    address_of(directory_fd, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (unlinkat(directory_fd, SOCKET_NAME, 0) < 0 && errno != ENOENT) {
        close_keeping_errno(fd);
        return -1;
    }
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        fstatat(directory_fd, SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        listen(fd, BACKLOG) < 0) {
        close_keeping_errno(fd);
        return -1;
    }
    if (st.st_mode & 077) {
        unlinkat(directory_fd, SOCKET_NAME, 0);
        errno = EPERM;
        close_keeping_errno(fd);
        return -1;
    }
    return fd;
}

static void destroy(struct control_server *server)
{
    int why = errno;
    if (server->listen_fd >= 0) {
        unlinkat(server->directory_fd, SOCKET_NAME, 0);
        close(server->listen_fd);
    }
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    if (server->directory_fd >= 0)
        close(server->directory_fd);
    explicit_bzero(server->line, sizeof server->line);
    free(server);
    errno = why;
}

/* Signals are the main thread's. */
static int start_thread(struct control_server *server)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int why = pthread_create(&server->thread, NULL, serve, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return why;
}

struct control_server *control_serve(const char *directory, const struct desk *desk)
{
    struct control_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->desk = *desk;
    server->listen_fd = server->stop_fd = -1;
    server->directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server->directory_fd >= 0)
        server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->stop_fd >= 0)
        server->listen_fd = listen_at(server->directory_fd);
    if (server->listen_fd >= 0) {
        errno = start_thread(server);
        if (errno == 0)
            return server;
    }
    destroy(server);
    return NULL;
}

void control_stop(struct control_server *server)
{
    if (!server)
        return;
    eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    destroy(server);
}

/* The client */

static enum err connect_at(const char *directory, int *connected)
{
    struct sockaddr_un address;
    int directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    address_of(directory_fd, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* On a full queue of waiting clients connect() itself waits, by this time. */
    struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    int why = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        why = errno;
    close(directory_fd);
    uid_t uid = 0;
    if (why == 0 && (!peer_uid(fd, &uid) || (uid != 0 && uid != geteuid() && geteuid() != 0)))
        why = EACCES;
    if (why == 0) {
        *connected = fd;
        return OK;
    }
    close_keeping_errno(fd);
    errno = why;
    return why == ENOENT || why == ECONNREFUSED ? ERR_NOT_FOUND
           : why == EAGAIN || why == ETIMEDOUT  ? ERR_TIMEOUT
           : why == EACCES || why == EPERM      ? ERR_DENIED
                                                : ERR_IO;
}

static enum err exchange(int fd, const json_t *request, char *line, json_t **response)
{
    size_t len;
    TRY(print_line(request, line, LINE_MAX_BYTES, &len));
    /* There is much to be written down for a whole file of keys. */
    uint64_t deadline_us = clock_now_us() + (ANSWER_MS + len / BYTES_A_SECOND * 1000) * MS_US;
    TRY(send_all(fd, line, len, -1, deadline_us));
    TRY(receive_line(fd, line, LINE_MAX_BYTES, -1, deadline_us, &len));
    TRY(json_read(slice_make(line, len), response, NULL));
    if (json_is_object(*response))
        return OK;
    json_decref(*response);
    *response = NULL;
    return ERR_SYNTAX;
}

enum err control_call(const char *directory, const json_t *request, json_t **response)
{
    int fd;
    *response = NULL;
    TRY(connect_at(directory, &fd));
    char *line = malloc(LINE_MAX_BYTES);
    enum err err = line ? exchange(fd, request, line, response) : ERR_MEMORY;
    if (line)
        explicit_bzero(line, LINE_MAX_BYTES);
    free(line);
    close(fd);
    return err;
}
