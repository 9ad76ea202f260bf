/* The chain's key and its checkpoint, two small files beside the store. Called by audit.c (writing)
 * and by whoever verifies. The hard problem is a crash at any moment: each file is made under
 * another name, brought to disk, and only then given its own, so that half a key or half a
 * checkpoint never stands where a whole one is looked for. */
#include "record/audit_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/random.h"
#include "identity/json_read.h"
#include "store/file.h"

#define KEY_NAME "audit.key"
#define CHECKPOINT_NAME "audit.checkpoint"

enum { CHECKPOINT_MAX = 1024 };

void audit_link_init(struct audit_link *link)
{
    link->seq = 0;
    memset(link->hash, '0', sizeof link->hash);
}

enum err audit_key_init(struct audit_key *key, struct slice bytes)
{
    invariant(bytes.len == AUDIT_KEY_BYTES);
    *key = (struct audit_key){0};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    key->context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    OSSL_PARAM digest[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end()};
    if (key->context && EVP_MAC_CTX_set_params(key->context, digest) &&
        secret_set(&key->bytes, bytes) == OK)
        return OK;
    audit_key_finish(key);
    return ERR_MEMORY;
}

void audit_key_finish(struct audit_key *key)
{
    EVP_MAC_CTX_free(key->context);
    secret_finish(&key->bytes);
    key->context = NULL;
}

enum err audit_key_seal(const struct audit_key *key, struct slice s, char hash[AUDIT_HASH_LEN])
{
    struct slice secret = secret_reveal(&key->bytes);
    unsigned char digest[AUDIT_HASH_LEN / 2];
    size_t size = 0;
    if (!EVP_MAC_init(key->context, (const unsigned char *)secret.ptr, secret.len, NULL) ||
        !EVP_MAC_update(key->context, (const unsigned char *)s.ptr, s.len) ||
        !EVP_MAC_final(key->context, digest, &size, sizeof digest) || size != sizeof digest)
        return ERR_MEMORY;
    hex_print(digest, sizeof digest, hash);
    return OK;
}

static enum err close_with(int fd, enum err err)
{
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return err;
}

static int open_directory(const char *directory)
{
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum err write_whole(int fd, struct slice s, int (*sync)(int fd))
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        s = slice_from(s, (size_t)n);
    }
    return sync(fd) == 0 ? OK : ERR_IO;
}

/* `bytes` as the file `name`.new, on disk. */
static enum err write_beside(int directory_fd, const char *beside, struct slice bytes,
                             int (*sync)(int fd))
{
    if (unlinkat(directory_fd, beside, 0) < 0 && errno != ENOENT)
        return ERR_IO;
    int fd = file_open_private(directory_fd, beside, O_CREAT | O_EXCL);
    if (fd < 0)
        return ERR_IO;
    return close_with(fd, write_whole(fd, bytes, sync));
}

/* At most `size` bytes of a file that only its owner may read or change. */
static enum err read_private(const char *directory, const char *name, char *bytes, size_t size,
                             size_t *len)
{
    int directory_fd = open_directory(directory);
    if (directory_fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    (void)close_with(directory_fd, OK);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    struct stat status;
    ssize_t n = -1;
    if (fstat(fd, &status) < 0)
        return close_with(fd, ERR_IO);
    if (!S_ISREG(status.st_mode) || (status.st_mode & (S_IRWXG | S_IRWXO)))
        return close_with(fd, ERR_DENIED);
    do
        n = read(fd, bytes, size);
    while (n < 0 && errno == EINTR);
    *len = n < 0 ? 0 : (size_t)n;
    return close_with(fd, n < 0 ? ERR_IO : OK);
}

/* The sentence for what read_private returned. */
static enum err explain(enum err err, const char *directory, const char *name,
                        struct faults *faults)
{
    if (err == OK || err == ERR_NOT_FOUND)
        return err;
    if (err == ERR_DENIED) {
        faults_add(
            faults, directory, 0, NULL,
            "%s must be a plain file that only its owner may read: chmod 600 it, and ask who "
            "could have read it",
            name);
        return ERR_STORE;
    }
    faults_add(faults, directory, 0, NULL, "%s cannot be read: %s", name, strerror(errno));
    return err;
}

enum err audit_key_load(struct audit_key *key, const char *directory, struct faults *faults)
{
    char bytes[AUDIT_KEY_BYTES + 1];
    size_t len = 0;
    enum err err = read_private(directory, KEY_NAME, bytes, sizeof bytes, &len);
    if (err == OK && len == AUDIT_KEY_BYTES) {
        err = audit_key_init(key, slice_make(bytes, len));
        if (err != OK)
            faults_add(faults, directory, 0, NULL, "out of memory");
    } else if (err == OK) {
        faults_add(faults, directory, 0, NULL, KEY_NAME " is damaged: it must have %d bytes",
                   AUDIT_KEY_BYTES);
        err = ERR_STORE;
    } else {
        err = explain(err, directory, KEY_NAME, faults);
    }
    explicit_bzero(bytes, sizeof bytes);
    return err;
}

enum err audit_key_make(struct audit_key *key, const char *directory)
{
    char bytes[AUDIT_KEY_BYTES];
    int directory_fd = open_directory(directory);
    if (directory_fd < 0)
        return ERR_IO;
    random_bytes(bytes, sizeof bytes);
    struct slice all = slice_make(bytes, sizeof bytes);
    enum err err = write_beside(directory_fd, KEY_NAME ".new", all, fsync);
    if (err == OK)
        err = audit_key_init(key, all);
    explicit_bzero(bytes, sizeof bytes);
    return close_with(directory_fd, err);
}

/* linkat, unlike rename, never replaces: a key that is there already is not lost by us. */
enum err audit_key_publish(const char *directory)
{
    int directory_fd = open_directory(directory);
    if (directory_fd < 0)
        return ERR_IO;
    enum err err = ERR_IO;
    if (linkat(directory_fd, KEY_NAME ".new", directory_fd, KEY_NAME, 0) == 0 &&
        fsync(directory_fd) == 0 && unlinkat(directory_fd, KEY_NAME ".new", 0) == 0)
        err = OK;
    return close_with(directory_fd, err);
}

bool audit_chain_begun(const char *directory)
{
    int directory_fd = open_directory(directory);
    bool begun = faccessat(directory_fd, CHECKPOINT_NAME, F_OK, 0) == 0 &&
                 faccessat(directory_fd, KEY_NAME ".new", F_OK, 0) != 0;
    (void)close_with(directory_fd, OK);
    return begun;
}

/* Begins unlike any line of the log, so that neither can be shown for the other. */
static void print_checkpoint(struct buffer *out, const struct audit_checkpoint *checkpoint)
{
    buffer_printf(out, "{\"checkpoint\":1,\"seq\":%llu,\"hash\":\"",
                  (unsigned long long)checkpoint->link.seq);
    buffer_append(out, slice_make(checkpoint->link.hash, AUDIT_HASH_LEN));
    buffer_printf(out, "\",\"offset\":%llu,\"timestamp\":\"",
                  (unsigned long long)checkpoint->offset_bytes);
    clock_print_rfc3339_ms(out, checkpoint->wall_us);
    buffer_printf(out, "\",\"wall_us\":%llu", (unsigned long long)checkpoint->wall_us);
}

enum err audit_checkpoint_save(const struct audit_checkpoint *checkpoint,
                               const struct audit_key *key, const char *directory,
                               int (*sync)(int fd))
{
    char memory[CHECKPOINT_MAX], mac[AUDIT_HASH_LEN];
    struct buffer out = BUFFER_OVER(memory, sizeof memory);
    print_checkpoint(&out, checkpoint);
    invariant(!out.failed);
    TRY(audit_key_seal(key, buffer_slice(&out), mac));
    buffer_text(&out, ",\"hmac\":\"");
    buffer_append(&out, slice_make(mac, sizeof mac));
    buffer_text(&out, "\"}\n");
    invariant(!out.failed);
    int directory_fd = open_directory(directory);
    if (directory_fd < 0)
        return ERR_IO;
    enum err err = write_beside(directory_fd, CHECKPOINT_NAME ".new", buffer_slice(&out), sync);
    if (err == OK &&
        (renameat(directory_fd, CHECKPOINT_NAME ".new", directory_fd, CHECKPOINT_NAME) < 0 ||
         sync(directory_fd) < 0))
        err = ERR_IO;
    return close_with(directory_fd, err);
}

/* The signed part and the signature, as print_checkpoint and audit_checkpoint_save lay them out. */
static bool split(struct slice text, struct slice *signed_part, struct slice *mac)
{
    static const struct slice before = SLICE(",\"hmac\":\""), after = SLICE("\"}\n");
    size_t tail = before.len + AUDIT_HASH_LEN + after.len;
    if (text.len <= tail || !slice_ends(text, after))
        return false;
    *signed_part = slice_to(text, text.len - tail);
    struct slice rest = slice_from(text, signed_part->len);
    *mac = slice_to(slice_from(rest, before.len), AUDIT_HASH_LEN);
    return slice_starts(rest, before);
}

static bool read_members(struct slice text, struct audit_checkpoint *checkpoint)
{
    json_int_t version = 0, seq = -1, offset = -1, wall_us = -1;
    const char *hash = NULL;
    size_t hash_len = 0;
    json_t *object;
    bool good =
        json_read(text, &object, NULL) == OK &&
        json_unpack(object, "{s:I, s:I, s:s%, s:I, s:I}", "checkpoint", &version, "seq", &seq,
                    "hash", &hash, &hash_len, "offset", &offset, "wall_us", &wall_us) == 0;
    good = good && version == 1 && seq >= 0 && offset >= 0 && wall_us >= 0 &&
           hash_len == AUDIT_HASH_LEN;
    if (good) {
        checkpoint->link.seq = (uint64_t)seq;
        memcpy(checkpoint->link.hash, hash, AUDIT_HASH_LEN);
        checkpoint->offset_bytes = (uint64_t)offset;
        checkpoint->wall_us = (uint64_t)wall_us;
    }
    json_decref(object);
    return good;
}

enum err audit_checkpoint_load(struct audit_checkpoint *checkpoint, const struct audit_key *key,
                               const char *directory, struct faults *faults)
{
    char bytes[CHECKPOINT_MAX], ours[AUDIT_HASH_LEN];
    size_t len = 0;
    struct slice signed_part, mac;
    enum err err = read_private(directory, CHECKPOINT_NAME, bytes, sizeof bytes, &len);
    if (err != OK)
        return explain(err, directory, CHECKPOINT_NAME, faults);
    struct slice text = slice_make(bytes, len);
    bool good = split(text, &signed_part, &mac);
    if (good && audit_key_seal(key, signed_part, ours) != OK) {
        faults_add(faults, directory, 0, NULL, "out of memory");
        return ERR_MEMORY;
    }
    if (good && digest_equal(mac.ptr, ours, sizeof ours) && read_members(text, checkpoint))
        return OK;
    faults_add(faults, directory, 0, NULL,
               CHECKPOINT_NAME " was changed, or was signed with another " KEY_NAME);
    return ERR_STORE;
}
