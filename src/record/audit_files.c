/* Called when a log is verified, shown or continued. The hard problem is that every tool names what
 * it rotates in its own way; so the order comes from the records, not from the names. */
#include "record/audit_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/audit_line.h"

struct found {
    uint64_t seq; /* of the first record */
    char *path;
};

/* The number of the first record within the first lines, 0: none. */
static uint64_t first_seq(const char *path)
{
    char block[4 * AUDIT_LINE_MAX];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return 0;
    ssize_t n = -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        n = read(fd, block, sizeof block);
    close(fd);
    struct slice rest = slice_make(block, n > 0 ? (size_t)n : 0);
    while (rest.len) {
        struct audit_parts parts;
        if (audit_line_parse(slice_cut(&rest, '\n'), &parts) == OK)
            return parts.seq;
    }
    return 0;
}

static int by_seq(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* "audit.log.1" and "audit.log-20251103" for "audit.log"; half lines are kept in
 * "audit.log.broken".
 */
static bool rotated_name(struct slice name, struct slice base)
{
    return name.len > base.len + 1 && slice_starts(name, base) &&
           (name.ptr[base.len] == '.' || name.ptr[base.len] == '-') &&
           !slice_ends(name, SLICE(".broken"));
}

static enum err add(struct found *found, unsigned *count, char *path, uint64_t seq)
{
    if (path && *count < AUDIT_FILES_MAX) {
        found[(*count)++] = (struct found){seq, path};
        return OK;
    }
    free(path);
    return path ? ERR_LIMIT : ERR_MEMORY;
}

static enum err search(DIR *folder, struct slice directory, struct slice base, struct found *found,
                       unsigned *count)
{
    for (const struct dirent *entry; (entry = readdir(folder));) {
        char *path = NULL;
        if (!rotated_name(slice_of(entry->d_name), base))
            continue;
        if (asprintf(&path, "%.*s%s", SLICE_ARG(directory), entry->d_name) < 0)
            return ERR_MEMORY;
        uint64_t seq = first_seq(path);
        if (seq)
            TRY(add(found, count, path, seq));
        else
            free(path);
    }
    return OK;
}

static enum err find_all(struct found *found, unsigned *count, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct slice base = slice_of(slash ? slash + 1 : path);
    struct slice directory = slice_make(path, slash ? (size_t)(slash + 1 - path) : 0);
    char *name = slash ? strndup(path, directory.len) : strdup(".");
    DIR *folder = name ? opendir(name) : NULL;
    enum err err = !name ? ERR_MEMORY : folder ? OK : ERR_IO;
    free(name);
    if (err == OK)
        err = search(folder, directory, base, found, count);
    if (folder)
        closedir(folder);
    uint64_t seq = first_seq(path);
    if (err == OK)
        err = add(found, count, strdup(path), seq ? seq : UINT64_MAX);
    return err;
}

enum err audit_files_find(struct audit_files *files, const char *path)
{
    *files = (struct audit_files){0};
    struct found *found = calloc(AUDIT_FILES_MAX, sizeof *found);
    files->paths = calloc(AUDIT_FILES_MAX, sizeof *files->paths);
    if (!found || !files->paths) {
        free(found);
        audit_files_finish(files);
        return ERR_MEMORY;
    }
    enum err err = find_all(found, &files->count, path);
    int why = errno;
    qsort(found, files->count, sizeof *found, by_seq);
    for (unsigned i = 0; i < files->count; i++)
        files->paths[i] = found[i].path;
    free(found);
    if (err != OK)
        audit_files_finish(files);
    errno = why;
    return err;
}

void audit_files_finish(struct audit_files *files)
{
    for (unsigned i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct audit_files){0};
}
