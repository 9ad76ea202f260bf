#include "io/inherited.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

/* A variable's number; `max` + 1 when there is none, or a greater one. */
static unsigned long number_of(const char *name, unsigned long max)
{
    const char *text = getenv(name);
    if (!text || *text < '0' || *text > '9')
        return max + 1;
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    return *end || number > max ? max + 1 : number;
}

static bool is_listening(int fd)
{
    int type = 0, listening = 0;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
        return false;
    len = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

void inherited_take(struct inherited *inherited)
{
    *inherited = (struct inherited){0};
    unsigned long count = number_of("LISTEN_FDS", INHERITED_MAX);
    bool ours = number_of("LISTEN_PID", 0x7fffffff) == (unsigned long)getpid();
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    if (!ours || count > INHERITED_MAX)
        return;
    for (unsigned long i = 0; i < count; i++) {
        int fd = FIRST_FD + (int)i;
        if (!is_listening(fd)) {
            close(fd);
            continue;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        inherited->fds[inherited->count++] = fd;
    }
}

/* By what people would write: two sockets of one text are one place. */
static bool same_place(const struct endpoint_address *a, const struct endpoint_address *b)
{
    char memory[2][160];
    struct buffer text[2] = {BUFFER_OVER(memory[0], sizeof memory[0]),
                             BUFFER_OVER(memory[1], sizeof memory[1])};
    endpoint_print(&text[0], a);
    endpoint_print(&text[1], b);
    return slice_equal(buffer_slice(&text[0]), buffer_slice(&text[1]));
}

int inherited_find(struct inherited *inherited, const struct endpoint_address *endpoint)
{
    for (unsigned i = 0; i < inherited->count; i++) {
        struct endpoint_address local;
        int fd = inherited->fds[i];
        if (fd < 0 || socket_local(fd, &local) != OK || !same_place(&local, endpoint))
            continue;
        inherited->fds[i] = -1;
        return fd;
    }
    return -1;
}

void inherited_close_rest(struct inherited *inherited,
                          void (*each)(void *context, const struct endpoint_address *endpoint),
                          void *context)
{
    for (unsigned i = 0; i < inherited->count; i++) {
        struct endpoint_address local;
        if (inherited->fds[i] < 0)
            continue;
        if (socket_local(inherited->fds[i], &local) == OK)
            each(context, &local);
        close(inherited->fds[i]);
        inherited->fds[i] = -1;
    }
}
