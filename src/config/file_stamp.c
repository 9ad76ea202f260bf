#include "config/file_stamp.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/hash.h"

/* What changes about a file when its content may have: a new file in its place, or its change time,
 * which unlike the modification time nobody sets back, and which chmod moves too. */
uint64_t file_stamp(uint64_t stamp, const char *path)
{
    struct stat status;
    struct {
        uint64_t before, device, inode, size, change_s, change_ns;
    } facts = {.before = stamp};
    if (stat(path, &status) == 0) {
        facts.device = status.st_dev;
        facts.inode = status.st_ino;
        facts.size = (uint64_t)status.st_size;
        facts.change_s = (uint64_t)status.st_ctim.tv_sec;
        facts.change_ns = (uint64_t)status.st_ctim.tv_nsec;
    } else {
        facts.size = UINT64_MAX - (unsigned)errno;
    }
    return hash_bytes(slice_make((const char *)&facts, sizeof facts));
}
