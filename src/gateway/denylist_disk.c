/* See denylist_disk.h. */
#include "gateway/denylist_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file_stamp.h"

enum { FILE_MODE = 0640, FOLDER_MODE = 0750 };

static enum err write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return ERR_IO;
        bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
    }
    return OK;
}

static enum err close_after(int fd, enum err err)
{
    int why = errno;
    if (close(fd) < 0 && err == OK)
        return ERR_IO;
    errno = why;
    return err;
}

/* --- behind what is there -----------------------------------------------------------------------
 */

static enum err append_to(int fd, struct slice lines, size_t expected_len, bool *as_expected)
{
    struct stat st;
    char last = '\n';
    if (fstat(fd, &st) < 0)
        return ERR_IO;
    off_t before = st.st_size;
    if (before > 0 && pread(fd, &last, 1, before - 1) < 0)
        return ERR_IO;
    enum err err = last == '\n' ? OK : write_all(fd, SLICE("\n"));
    if (err == OK)
        err = write_all(fd, lines);
    if (err == OK && fsync(fd) < 0)
        err = ERR_IO;
    if (err) { /* half a line would be somebody else's entry */
        int why = errno;
        if (ftruncate(fd, before) < 0)
            why = errno;
        errno = why;
        return err;
    }
    *as_expected = fstat(fd, &st) == 0 && (size_t)st.st_size == expected_len;
    return OK;
}

enum err deny_disk_append(const char *path, struct slice lines, size_t expected_len,
                          bool *as_expected)
{
    *as_expected = false;
    int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    return close_after(fd, append_to(fd, lines, expected_len, as_expected));
}

/* --- a new one in its place ---------------------------------------------------------------------
 */

/* All folders above it that are missing. */
static enum err make_folders(const char *path)
{
    char folder[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder) {
        errno = ENAMETOOLONG;
        return ERR_IO;
    }
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST && access(folder, X_OK) < 0)
            return ERR_IO;
        *slash = '/';
    }
    return OK;
}

static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* the rename is done; without this a crash may undo it, which loses no ban */
    close(fd);
}

/* With the mode and, where we may, the owner that the file had. */
static enum err write_beside(const char *path, const char *beside, struct slice bytes)
{
    struct stat st = {.st_mode = FILE_MODE, .st_uid = geteuid(), .st_gid = getegid()};
    if (stat(path, &st) < 0 && errno != ENOENT)
        return ERR_IO;
    if (unlink(beside) < 0 && errno != ENOENT) /* what a crash left */
        return ERR_IO;
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    enum err err = write_all(fd, bytes);
    if (err == OK && fchown(fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
        err = ERR_IO;
    if (err == OK && (fchmod(fd, st.st_mode & 0777) < 0 || fsync(fd) < 0))
        err = ERR_IO;
    return close_after(fd, err);
}

/* A single file that is mounted into a container, or a folder that is not ours. */
static enum err overwrite(const char *path, struct slice bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ERR_IO;
    enum err err = write_all(fd, bytes);
    if (err == OK && (ftruncate(fd, (off_t)bytes.len) < 0 || fsync(fd) < 0))
        err = ERR_IO;
    return close_after(fd, err);
}

static bool folder_refuses(int why)
{
    return why == EBUSY || why == EXDEV || why == EACCES || why == EPERM || why == EROFS;
}

enum err deny_disk_replace(const char *path, struct slice bytes, uint64_t stamp)
{
    char target[PATH_MAX], beside[PATH_MAX + 8];
    TRY(make_folders(path));
    if (!realpath(path, target)) { /* there is none yet */
        if (errno != ENOENT)
            return ERR_IO;
        snprintf(target, sizeof target, "%s", path);
    }
    snprintf(beside, sizeof beside, "%s.new", target);
    enum err err = write_beside(target, beside, bytes);
    if (err == OK && file_stamp(0, path) != stamp)
        err = ERR_AGAIN;
    if (err == OK && rename(beside, target) < 0)
        err = ERR_IO;
    int why = errno;
    if (err)
        unlink(beside);
    if (err == OK)
        sync_folder(target);
    errno = why;
    if (err != ERR_IO || !folder_refuses(why))
        return err;
    return file_stamp(0, path) == stamp ? overwrite(target, bytes) : ERR_AGAIN;
}
