/* See folder.h. */
#include "folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { PATH_BYTES = 256 };

static char home[PATH_BYTES - 32], empty[PATH_BYTES], paths[FOLDER_FILES][PATH_BYTES];

static void leave(void)
{
    for (unsigned i = 0; i < FOLDER_FILES && paths[i][0]; i++)
        unlink(paths[i]);
    rmdir(empty);
    rmdir(home);
}

static void enter(void)
{
    if (home[0])
        return;
    const char *parent = getenv("TMPDIR");
    int len = snprintf(home, sizeof home, "%s/sallyport-fuzz-XXXXXX", parent ? parent : "/tmp");
    must(len > 0 && (size_t)len < sizeof home);
    must(mkdtemp(home));
    snprintf(empty, sizeof empty, "%s/empty", home);
    must(mkdir(empty, 0700) == 0);
    atexit(leave);
}

const char *folder_write(const char *name, struct slice bytes)
{
    char path[PATH_BYTES];
    enter();
    snprintf(path, sizeof path, "%s/%s", home, name);
    unsigned i = 0;
    while (i < FOLDER_FILES && paths[i][0] && strcmp(paths[i], path) != 0)
        i++;
    must(i < FOLDER_FILES);
    memcpy(paths[i], path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0);
    must(write(fd, bytes.len ? bytes.ptr : "", bytes.len) == (ssize_t)bytes.len);
    close(fd);
    return paths[i];
}

const char *folder_empty(void)
{
    enter();
    return empty;
}
