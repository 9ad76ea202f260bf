/* The writer lock: an flock on DIRECTORY/lock, which the kernel drops with its holder, however that
 * ends. Its one hard problem is trust: in a folder that others can write to, they could put another
 * file in the lock's place, and two writers would each hold "the" lock. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/file.h"
#include "store/store.h"

/* Ours (root may work in a service's folder), and nobody else can change what is in it. */
static bool trusted(const struct stat *st)
{
    uid_t self = geteuid();
    bool ours = self == 0 || st->st_uid == self;
    return ours && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int open_directory(const char *directory)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return -1;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct stat st;
    int why = fstat(fd, &st) < 0 ? errno : trusted(&st) ? 0 : EPERM;
    if (!why)
        return fd;
    close(fd);
    errno = why;
    return -1;
}

enum err writer_lock_take(struct writer_lock *lock, const char *directory)
{
    lock->fd = -1;
    int directory_fd = open_directory(directory);
    if (directory_fd < 0)
        return ERR_IO;
    int fd = file_open_private(directory_fd, "lock", O_CREAT);
    int why = errno;
    close(directory_fd);
    errno = why;
    if (fd < 0)
        return ERR_IO;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        why = errno;
        close(fd);
        errno = why;
        return why == EWOULDBLOCK ? ERR_BUSY : ERR_IO;
    }
    lock->fd = fd;
    return OK;
}

void writer_lock_release(struct writer_lock *lock)
{
    /* The file stays: removing it would let a third party lock a new file while a second one still
     * waits on the old. */
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}
