/* Finding the end of the chain after whatever ended the last run. Called once, by audit_open. The
 * hard problem is to tell a crash, which is mended, from a hand in the file, which is not: a crash
 * leaves at most half a line, at the end, behind the checkpoint. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/audit_file.h"
#include "record/audit_files.h"
#include "record/audit_verify.h"

enum { RECORDS = 1000, READ_BYTES = 64 * 1024 };
#define MINUTE_US UINT64_C(60000000)

static const struct audit_disk system_disk = {write, fsync};

#define ANEW                                                                                       \
    "look into it with `sallyport audit verify`; to begin a new chain, move the log, audit.key "   \
    "and audit.checkpoint away together"

static enum err refuse(struct faults *faults, const char *path, const char *sentence)
{
    faults_add(faults, path, 0, "log.audit", "%s; " ANEW, sentence);
    return ERR_STORE;
}

static enum err refuse_io(struct faults *faults, const char *path, const char *what, enum err err)
{
    faults_add(faults, path, 0, "log.audit", "%s: %s", what,
               err == ERR_IO ? strerror(errno) : err_name(err));
    return err;
}

static enum err refuse_open(struct faults *faults, const char *path)
{
    faults_add(faults, path, 0, "log.audit",
               "cannot be opened: %s; nothing starts without its audit log, unless "
               "security.audit_logging_enabled is false",
               errno == EINVAL ? "it is no regular file" : strerror(errno));
    return ERR_IO;
}

/* A line of this chain? */
static bool genuine(const struct audit_file *file, struct slice line, struct audit_parts *parts)
{
    char hash[AUDIT_HASH_LEN];
    return audit_line_parse(line, parts) == OK &&
           audit_key_seal(&file->key, parts->sealed, hash) == OK &&
           digest_equal(hash, parts->hash.ptr, sizeof hash);
}

/* Is the record of the checkpoint where it was, so that the rest can be read from there? */
static bool checkpoint_stands(const struct audit_file *file, int fd,
                              const struct audit_checkpoint *checkpoint)
{
    char block[AUDIT_LINE_MAX + 1];
    uint64_t end = checkpoint->offset_bytes;
    size_t size = end < sizeof block ? (size_t)end : sizeof block;
    if (size < 2 || pread(fd, block, size, (off_t)(end - size)) != (ssize_t)size ||
        block[size - 1] != '\n')
        return false;
    const char *before = memrchr(block, '\n', size - 1);
    if (!before && end > size)
        return false;
    const char *start = before ? before + 1 : block;
    struct audit_parts parts;
    return genuine(file, slice_make(start, (size_t)(block + size - 1 - start)), &parts) &&
           parts.seq == checkpoint->link.seq &&
           digest_equal(parts.hash.ptr, checkpoint->link.hash, AUDIT_HASH_LEN);
}

/* Is its first record the one behind the checkpoint? */
static bool begins_behind(const struct audit_file *file, int fd,
                          const struct audit_checkpoint *checkpoint)
{
    char block[AUDIT_LINE_MAX];
    ssize_t n = pread(fd, block, sizeof block, 0);
    struct slice line = slice_make(block, n > 0 ? (size_t)n : 0);
    struct audit_parts parts;
    return genuine(file, slice_to(line, slice_find(line, '\n')), &parts) &&
           parts.seq == checkpoint->link.seq + 1 &&
           digest_equal(parts.prev.ptr, checkpoint->link.hash, AUDIT_HASH_LEN);
}

/* Feeds the file from the checkpoint on. */
static enum err read_tail(int fd, uint64_t offset, struct audit_verifier *verifier)
{
    char block[READ_BYTES];
    for (;;) {
        ssize_t n = pread(fd, block, sizeof block, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            return OK;
        TRY(audit_verifier_feed(verifier, slice_make(block, (size_t)n)));
        offset += (uint64_t)n;
    }
}

/* Adds the half line to PATH.broken, on disk. */
static enum err keep_broken(const struct audit_file *file, struct slice half)
{
    char *path = NULL;
    if (asprintf(&path, "%s.broken", file->path) < 0)
        return ERR_MEMORY;
    int fd = audit_file_open_path(path);
    free(path);
    if (fd < 0)
        return ERR_IO;
    bool good = file->disk->write(fd, half.ptr, half.len) == (ssize_t)half.len &&
                file->disk->write(fd, "\n", 1) == 1 && file->disk->sync(fd) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return good ? OK : ERR_IO;
}

static enum err mend(const struct audit_file *file, int fd, struct audit_verifier *verifier,
                     size_t *broken_bytes)
{
    struct stat status;
    size_t half = verifier->len;
    if (fstat(fd, &status) < 0)
        return ERR_IO;
    TRY(keep_broken(file, slice_make(verifier->bytes, half)));
    if (ftruncate(fd, status.st_size - (off_t)half) < 0 || file->disk->sync(fd) < 0)
        return ERR_IO;
    *broken_bytes = half;
    verifier->len = 0;
    return OK;
}

/* Verifies what came after the checkpoint in `fd`, which is the file itself or an older one. */
static enum err follow(struct audit_file *file, int fd, const struct audit_checkpoint *checkpoint,
                       size_t *broken_bytes, struct faults *faults)
{
    struct audit_verifier verifier;
    audit_verifier_init(&verifier, &file->key, &checkpoint->link, checkpoint);
    enum err err = read_tail(fd, checkpoint->offset_bytes, &verifier);
    if (err == OK && verifier.len && !verifier.overlong && !verifier.verdict.fault)
        err = mend(file, fd, &verifier, broken_bytes);
    if (err != OK)
        return refuse_io(faults, file->path, "cannot be continued", err);
    const struct audit_verdict *verdict = audit_verifier_end(&verifier);
    if (verdict->fault) {
        faults_add(faults, file->path, 0, "log.audit", "record %llu %s; " ANEW,
                   (unsigned long long)verdict->seq, audit_fault_sentence(verdict->fault));
        return ERR_STORE;
    }
    file->link = verifier.link;
    return OK;
}

/* The file was renamed and the new one has nothing yet: the chain's end is in one of those beside
 * it. */
static enum err follow_rotated(struct audit_file *file, const struct audit_checkpoint *checkpoint,
                               size_t *broken_bytes, struct faults *faults)
{
    AUTO(audit_files) files = {0};
    enum err err = audit_files_find(&files, file->path);
    if (err != OK)
        return refuse_io(faults, file->path, "its folder cannot be read", err);
    for (unsigned i = 0; i < files.count; i++) {
        int fd = open(files.paths[i], O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
            continue;
        bool found = checkpoint->offset_bytes ? checkpoint_stands(file, fd, checkpoint)
                                              : begins_behind(file, fd, checkpoint);
        if (found)
            err = follow(file, fd, checkpoint, broken_bytes, faults);
        close(fd);
        if (found)
            return err;
    }
    file->link = checkpoint->link;
    if (checkpoint->offset_bytes == 0)
        return OK; /* nothing was written since the last rotation, or the first start */
    return refuse(faults, file->path,
                  file->path[0] == '/'
                      ? "the log is empty or missing, and none beside it has the record that the "
                        "signed checkpoint names: put the renamed file back beside it"
                      : "the log is empty or missing, and none beside it has the record that the "
                        "signed checkpoint names: put the renamed file back beside it, or start in "
                        "the folder that this path counts from (an absolute one in log.audit "
                        "counts from none)");
}

static enum err continue_chain(struct audit_file *file, size_t *broken_bytes, struct faults *faults)
{
    struct audit_checkpoint checkpoint;
    struct stat status;
    enum err err = audit_checkpoint_load(&checkpoint, &file->key, file->directory, faults);
    if (err == ERR_NOT_FOUND)
        return refuse(faults, file->path,
                      "audit.checkpoint is missing from the data folder, so that nobody can tell "
                      "whether the end of the log is");
    if (err != OK)
        return err;
    if (fstat(file->fd, &status) < 0)
        return refuse_io(faults, file->path, "cannot be looked at", ERR_IO);
    if (status.st_size == 0)
        TRY(follow_rotated(file, &checkpoint, broken_bytes, faults));
    else if (checkpoint.offset_bytes == 0 || checkpoint_stands(file, file->fd, &checkpoint))
        TRY(follow(file, file->fd, &checkpoint, broken_bytes, faults));
    else
        return refuse(faults, file->path,
                      "the record that the signed checkpoint names does not stand where it was");
    file->saved_seq = checkpoint.link.seq;
    return OK;
}

/* The first start: nothing of a chain may be there. */
static enum err begin_chain(struct audit_file *file, struct faults *faults)
{
    struct stat status;
    if (fstat(file->fd, &status) < 0)
        return refuse_io(faults, file->path, "cannot be looked at", ERR_IO);
    if (status.st_size > 0 || audit_chain_begun(file->directory))
        return refuse(faults, file->path, "audit.key is missing from the data folder");
    audit_link_init(&file->link);
    enum err err = audit_key_make(&file->key, file->directory);
    if (err == OK)
        err = audit_file_checkpoint(file, 0);
    if (err == OK)
        err = audit_key_publish(file->directory);
    return err == OK ? OK : refuse_io(faults, file->directory, "audit.key cannot be made", err);
}

static enum err set_up(struct audit_file *file, const struct audit_options *options)
{
    *file = (struct audit_file){
        .fd = -1,
        .path = strdup(options->path),
        .directory = strdup(options->directory),
        .disk = options->disk ? options->disk : &system_disk,
        .checkpoint_records = options->checkpoint_records ? options->checkpoint_records : RECORDS,
        .checkpoint_us = options->checkpoint_us ? options->checkpoint_us : MINUTE_US,
        .lines = BUFFER_MAX(AUDIT_WRITE_BYTES),
    };
    return file->path && file->directory ? OK : ERR_MEMORY;
}

enum err audit_file_open(struct audit_file *file, const struct audit_options *options,
                         size_t *broken_bytes, struct faults *faults)
{
    struct stat status;
    *broken_bytes = 0;
    *file = (struct audit_file){.fd = -1};
    if (!options->path || !options->path[0] || strcmp(options->path, "-") == 0) {
        faults_add(faults, NULL, 0, "log.audit",
                   "the audit log must be a file: what goes to a stream cannot be proved");
        return ERR_CONFIG;
    }
    enum err err = set_up(file, options);
    if (err != OK)
        return refuse_io(faults, options->path, "cannot be opened", err);
    file->fd = audit_file_open_path(file->path);
    if (file->fd < 0)
        return refuse_open(faults, file->path);
    err = audit_key_load(&file->key, file->directory, faults);
    if (err == ERR_NOT_FOUND)
        err = begin_chain(file, faults);
    else if (err == OK)
        err = continue_chain(file, broken_bytes, faults);
    if (err == OK && fstat(file->fd, &status) == 0)
        file->end_bytes = (uint64_t)status.st_size;
    return err;
}
