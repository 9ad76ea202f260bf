#include "config/file_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_BYTES = 4096 };

/* Not realloc: that may leave a copy of a secret behind. */
static enum err grow(struct file_text *text)
{
    size_t size = text->size ? text->size * 2 : FIRST_BYTES;
    char *larger = malloc(size);
    if (!larger)
        return ERR_MEMORY;
    if (text->len)
        memcpy(larger, text->bytes, text->len);
    size_t len = text->len;
    file_text_finish(text);
    *text = (struct file_text){.bytes = larger, .len = len, .size = size};
    return OK;
}

static enum err read_all(struct file_text *text, int fd, size_t max_bytes)
{
    for (;;) {
        if (text->len == text->size)
            TRY(grow(text));
        ssize_t n = read(fd, text->bytes + text->len, text->size - text->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            return OK;
        text->len += (size_t)n;
        if (text->len > max_bytes)
            return ERR_LIMIT;
    }
}

enum err file_text_read(struct file_text *text, const char *path, size_t max_bytes)
{
    *text = (struct file_text){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    enum err err = read_all(text, fd, max_bytes);
    int saved = errno;
    close(fd);
    if (err != OK)
        file_text_finish(text);
    errno = saved;
    return err;
}

void file_text_finish(struct file_text *text)
{
    if (text->bytes)
        explicit_bzero(text->bytes, text->size);
    free(text->bytes);
    *text = (struct file_text){0};
}

struct slice file_text_line(const struct file_text *text)
{
    struct slice line = slice_make(text->bytes, text->len);
    if (slice_ends(line, SLICE("\n")))
        line.len--;
    if (slice_ends(line, SLICE("\r")))
        line.len--;
    return line;
}

const char *file_text_why(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND:
        return "it does not exist";
    case ERR_LIMIT:
        return "it is too large";
    case ERR_IO:
        return strerror(errno);
    default:
        return "out of memory";
    }
}
