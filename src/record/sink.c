/* Called by the writer thread alone (recorder.c), and before it starts and after it has ended. The
 * hard problem is what to do when a write fails half-way: the lines that were not written whole are
 * lost and counted, and the next ones begin on a fresh line as soon as there is room again. */
#include "record/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/* A pipe whose reader sleeps holds all logs up for so long, once; after that only while it takes
 * lines. Pieces of PIPE_BUF bytes do not block once poll says that the pipe is writable. */
enum { STREAM_WAIT_MS = 100 };

/* mkdir -p for what stands before the last '/'. Errors show when the file is opened. */
static void make_directories(const char *path)
{
    char directory[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof directory)
        return;
    memcpy(directory, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (directory[i] != '/')
            continue;
        directory[i] = '\0';
        (void)mkdir(directory, 0750);
        directory[i] = '/';
    }
}

/* O_NONBLOCK: a pipe in the file system that nobody reads is an error and not a start that hangs.
 */
static int open_file(const char *path)
{
    make_directories(path);
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void use(struct sink *sink, int fd, bool owned)
{
    struct stat status;
    sink->fd = fd;
    sink->owned = owned;
    sink->stream = fstat(fd, &status) == 0 && !S_ISREG(status.st_mode);
    sink->torn = false;
}

enum err sink_open(struct sink *sink, const char *path)
{
    *sink = (struct sink){.fd = -1};
    sink->batch = malloc(SINK_BATCH_BYTES);
    sink->path = path ? strdup(path) : NULL; /* the settings may go before the sink does */
    if (!sink->batch || (path && !sink->path)) {
        sink_finish(sink);
        return ERR_MEMORY;
    }
    if (!path) {
        use(sink, STDERR_FILENO, false);
        return OK;
    }
    if (strcmp(path, "-") == 0) {
        use(sink, STDOUT_FILENO, false);
        return OK;
    }
    int fd = open_file(path);
    if (fd >= 0) {
        use(sink, fd, true);
        return OK;
    }
    log_warning("log %s: %s; its lines go to standard error", path, strerror(errno));
    use(sink, STDERR_FILENO, false);
    return OK;
}

void sink_finish(struct sink *sink)
{
    if (sink->batch)
        sink_flush(sink);
    if (sink->owned)
        (void)close(sink->fd);
    free(sink->batch);
    free(sink->path);
    sink->batch = sink->path = NULL;
    sink->owned = false;
    sink->fd = -1;
}

void sink_reopen(struct sink *sink)
{
    if (!sink->path || strcmp(sink->path, "-") == 0)
        return;
    sink_flush(sink);
    int fd = open_file(sink->path);
    if (fd < 0) {
        log_warning("log %s: not reopened: %s; the old one stays in use", sink->path,
                    strerror(errno));
        return;
    }
    if (sink->owned)
        (void)close(sink->fd);
    use(sink, fd, true);
}

void sink_add(struct sink *sink, struct slice line)
{
    if (line.len > SINK_BATCH_BYTES - sink->len)
        sink_flush(sink);
    invariant(line.len <= SINK_BATCH_BYTES - sink->len);
    memcpy(sink->batch + sink->len, line.ptr, line.len);
    sink->len += line.len;
}

/* Writes all of it, or as much as goes; errno says why the rest did not. */
static size_t write_all(struct sink *sink, struct slice s)
{
    size_t done = 0;
    while (done < s.len) {
        size_t piece = s.len - done;
        if (sink->stream) {
            struct pollfd wait = {.fd = sink->fd, .events = POLLOUT};
            if (poll(&wait, 1, sink->failing ? 0 : STREAM_WAIT_MS) == 0) {
                errno = EAGAIN;
                break;
            }
            piece = piece < PIPE_BUF ? piece : PIPE_BUF;
        }
        ssize_t n = write(sink->fd, s.ptr + done, piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static uint64_t count_lines(struct slice s)
{
    uint64_t lines = 0;
    for (size_t end; s.len; s = slice_from(s, end + (end < s.len))) {
        end = slice_find(s, '\n');
        lines++;
    }
    return lines;
}

static void say(struct sink *sink, const char *name, int why)
{
    if (sink->failing)
        return;
    sink->failing = true;
    log_warning("log %s: %s; lines are dropped until it can be written again", name, strerror(why));
}

void sink_flush(struct sink *sink)
{
    const char *name = sink->path ? sink->path : "(standard error)";
    struct slice rest = slice_make(sink->batch, sink->len);
    if (rest.len == 0)
        return;
    sink->len = 0;
    if (sink->torn && write_all(sink, SLICE("\n")) == 1)
        sink->torn = false;
    if (!sink->torn) {
        size_t done = write_all(sink, rest);
        if (done)
            sink->torn = rest.ptr[done - 1] != '\n';
        rest = slice_from(rest, done);
    }
    if (rest.len == 0) {
        if (sink->failing)
            log_warning("log %s: written again; %llu lines were lost", name,
                        (unsigned long long)sink->lost_now);
        sink->failing = false;
        sink->lost_now = 0;
        return;
    }
    int why = errno;
    uint64_t lines = count_lines(rest);
    sink->lost_now += lines;
    atomic_fetch_add_explicit(&sink->lost, lines, memory_order_relaxed);
    say(sink, name, why);
}
