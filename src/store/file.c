/* Opening the data folder's own files; used by the writer lock and by the making of a database. */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(int fd, int why)
{
    close(fd);
    errno = why;
    return -1;
}

int file_open_private(int directory_fd, const char *name, int flags)
{
    int fd = openat(directory_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
    if (fd < 0)
        return -1;
    struct stat file, directory;
    if (fstat(fd, &file) < 0 || fstat(directory_fd, &directory) < 0)
        return refuse(fd, errno);
    if (!S_ISREG(file.st_mode))
        return refuse(fd, EINVAL);
    if ((flags & O_CREAT) && geteuid() == 0 && file.st_uid == 0 && directory.st_uid != 0 &&
        fchown(fd, directory.st_uid, directory.st_gid) < 0)
        return refuse(fd, errno);
    return fd;
}
