/* Writing. Called by audit.c under its lock. The hard problem is a write that fails half-way: a
 * record is in the log whole and on disk, or it is not in the log; so what was written of it is cut
 * off again, and as long as that does not succeed nothing else is written. */
#include "record/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

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

/* The file's name is in its folder on disk too: else a record that is on disk cannot be found. */
static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(name);
    if (fd < 0)
        return -1;
    int result = fsync(fd), why = errno;
    close(fd);
    errno = why;
    return result;
}

int audit_file_open_path(const char *path)
{
    struct stat status;
    make_directories(path);
    /* O_NONBLOCK: a pipe that nobody reads is an error and not a start that hangs. */
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return -1;
    int why = fstat(fd, &status) < 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
    if (!why && sync_folder(path) < 0)
        why = errno;
    if (!why)
        return fd;
    close(fd);
    errno = why;
    return -1;
}

void audit_file_finish(struct audit_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    audit_key_finish(&file->key);
    buffer_finish(&file->lines);
    free(file->path);
    free(file->directory);
    file->path = file->directory = NULL;
}

/* Cuts off what was written since `end_bytes`. Keeps errno. */
static void take_back(struct audit_file *file)
{
    int why = errno;
    file->torn = ftruncate(file->fd, (off_t)file->end_bytes) < 0;
    if (!file->torn)
        (void)file->disk->sync(file->fd);
    errno = why;
}

static enum err write_once(struct audit_file *file, struct slice s)
{
    ssize_t n;
    do
        n = file->disk->write(file->fd, s.ptr, s.len);
    while (n < 0 && errno == EINTR);
    if (n >= 0 && (size_t)n < s.len) {
        errno = ENOSPC; /* what the next write would have said */
        n = -1;
    }
    if (n >= 0 && file->disk->sync(file->fd) == 0)
        return OK;
    take_back(file);
    return ERR_IO;
}

/* The end as it is: somebody may have cut the file or put something behind it. We go on where it
 * ends, so that taking back never fills a hole or removes what is not ours; verifying shows it. */
static enum err find_end(struct audit_file *file)
{
    struct stat status;
    if (file->torn)
        take_back(file);
    if (file->torn || fstat(file->fd, &status) < 0)
        return ERR_IO;
    file->end_bytes = (uint64_t)status.st_size;
    return OK;
}

enum err audit_file_write(struct audit_file *file, const struct audit_entry *entries,
                          unsigned count)
{
    struct audit_link link = file->link;
    invariant(count <= AUDIT_WRITE_RECORDS);
    TRY(find_end(file));
    buffer_clear(&file->lines);
    for (unsigned i = 0; i < count; i++)
        TRY(audit_line_print(&file->lines, &entries[i], &file->key, &link));
    TRY(write_once(file, buffer_slice(&file->lines)));
    file->link = link;
    file->end_bytes += file->lines.len;
    return OK;
}

bool audit_file_checkpoint_due(const struct audit_file *file, uint64_t now_us)
{
    uint64_t records = file->link.seq - file->saved_seq;
    return records >= file->checkpoint_records ||
           (records && now_us >= file->saved_us + file->checkpoint_us);
}

enum err audit_file_checkpoint(struct audit_file *file, uint64_t now_us)
{
    const struct audit_checkpoint checkpoint = {
        .link = file->link, .offset_bytes = file->end_bytes, .wall_us = clock_wall_us()};
    TRY(audit_checkpoint_save(&checkpoint, &file->key, file->directory, file->disk->sync));
    file->saved_seq = file->link.seq;
    file->saved_us = now_us;
    return OK;
}

enum err audit_file_reopen(struct audit_file *file)
{
    struct stat old, fresh;
    int fd = audit_file_open_path(file->path);
    if (fd < 0)
        return ERR_IO;
    if (fstat(file->fd, &old) < 0 || fstat(fd, &fresh) < 0 ||
        (old.st_dev == fresh.st_dev && old.st_ino == fresh.st_ino)) {
        close(fd);
        return OK; /* not renamed: nothing to do */
    }
    if (fresh.st_size > 0) {
        close(fd);
        errno = EEXIST; /* somebody else's lines: the chain does not go on behind those */
        return ERR_IO;
    }
    uint64_t end_bytes = file->end_bytes;
    file->end_bytes = 0;
    enum err err = file->torn ? ERR_IO : audit_file_checkpoint(file, file->saved_us);
    if (err != OK) {
        int why = errno;
        file->end_bytes = end_bytes;
        close(fd);
        errno = why;
        return err;
    }
    close(file->fd);
    file->fd = fd;
    return OK;
}
