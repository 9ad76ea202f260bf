/* /.well-known/acme-challenge/TOKEN (RFC 8555, section 8.3): the files that a client such as
 * certbot puts into server.acme_directory, so that a certificate can be renewed while the gateway
 * runs. The file is read on a job's thread; the hard problem is that the client may go meanwhile,
 * while the job cannot be stopped: the reading then forgets its exchange and outlives it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/routes.h"

enum { TOKEN_MAX = 128, FILE_BYTES_MAX = 4096 };

struct reading {
    struct job job;
    struct exchange *x;        /* NULL: the client is gone */
    struct settings *settings; /* a reference: names the folder */
    char token[TOKEN_MAX + 1];
    char bytes[FILE_BYTES_MAX + 1];
    ssize_t len; /* negative: there is no such file */
};

/* The letters of base64url (RFC 8555, section 8.3): no dot, no slash, nothing that leads out. */
static bool token_valid(struct slice token)
{
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return token.len > 0 && token.len <= TOKEN_MAX;
}

static ssize_t read_regular(int fd, char *bytes, size_t size)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return -1;
    size_t len = 0;
    ssize_t n;
    while (len < size && (n = read(fd, bytes + len, size - len)) != 0) {
        if (n < 0 && errno != EINTR)
            return -1;
        len += n > 0 ? (size_t)n : 0;
    }
    return len < size ? (ssize_t)len : -1; /* a full buffer: it is larger than allowed */
}

static void run(struct job *job)
{
    struct reading *reading = CONTAINER_OF(job, struct reading, job);
    reading->len = -1;
    int folder = open(reading->settings->server.acme_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    int fd = openat(folder, reading->token, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(folder);
    if (fd < 0)
        return;
    reading->len = read_regular(fd, reading->bytes, sizeof reading->bytes);
    close(fd);
}

static void refuse_now(struct exchange *x, enum refusal refusal)
{
    refuse(x, refusal);
    exchange_refuse(x);
}

static void done(struct job *job)
{
    struct reading *reading = CONTAINER_OF(job, struct reading, job);
    struct exchange *x = reading->x;
    if (x)
        x->native_cancel = NULL;
    if (x && reading->len >= 0)
        exchange_answer(x, 200, "text/plain", slice_make(reading->bytes, (size_t)reading->len));
    else if (x)
        refuse_now(x, REFUSE_NOT_FOUND);
    settings_unref(reading->settings);
    free(reading);
}

static void cancel(struct exchange *x)
{
    struct reading *reading = x->native_state;
    reading->x = NULL;
}

void answer_acme(struct exchange *x)
{
    struct settings *settings = exchange_settings(x);
    if (!settings->server.acme_directory) {
        refuse_with(x, REFUSE_NOT_FOUND, NULL, "server.acme_directory is not set.");
        exchange_refuse(x);
        return;
    }
    if (!token_valid(x->path_rest)) {
        refuse_now(x, REFUSE_NOT_FOUND);
        return;
    }
    struct reading *reading = malloc(sizeof *reading);
    if (!reading) {
        refuse_now(x, REFUSE_OVERLOADED);
        return;
    }
    reading->job = (struct job){.run = run, .done = done, .home = &x->worker->loop};
    reading->x = x;
    reading->len = -1; /* also when the pool ends before it is run */
    reading->settings = settings;
    settings_ref(settings);
    memcpy(reading->token, x->path_rest.ptr, x->path_rest.len);
    reading->token[x->path_rest.len] = '\0';
    x->native_state = reading;
    x->native_cancel = cancel;
    if (jobs_submit(x->worker->shared->jobs, LANE_CHALLENGE, &reading->job) == OK)
        return;
    x->native_cancel = NULL;
    settings_unref(settings);
    free(reading);
    refuse_now(x, REFUSE_OVERLOADED);
}
