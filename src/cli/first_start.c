#include "cli/first_start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/verb.h"
#include "base/clock.h"
#include "base/encode.h"

enum { SECRET_LEN = 43, PASSWORD_LEN = 20 }; /* 256 and 119 bits */

/* On disk whole, or not there. */
static bool write_secret(const char *path, const char *beside, const char *text, size_t len)
{
    unlink(beside); /* of a start that was killed */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool written = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return written && rename(beside, path) == 0;
}

/* A new file of random letters and digits; one that is there already is left alone. */
static enum err make_secret(const char *directory, const char *name, size_t len,
                            struct faults *faults)
{
    char path[4096], beside[4096 + 4], text[SECRET_LEN + 1];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    snprintf(beside, sizeof beside, "%s.new", path);
    if (access(path, F_OK) == 0)
        return OK;
    base62_random(text, len);
    text[len] = '\n';
    bool written = write_secret(path, beside, text, len + 1);
    int why = errno;
    explicit_bzero(text, sizeof text);
    if (written)
        return OK;
    faults_add(faults, path, 0, NULL, "cannot be made: %s", strerror(why));
    return ERR_IO;
}

enum err make_first_secrets(const struct settings *settings, bool *made, struct faults *faults)
{
    const char *directory = settings->store.directory;
    *made = settings->self_contained && settings->security.auth_enabled &&
            (secret_empty(&settings->security.jwt_secret) ||
             secret_empty(&settings->security.admin_password));
    if (!*made)
        return OK;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        faults_add(faults, directory, 0, "store.url", "cannot be made: %s", strerror(errno));
        return ERR_IO;
    }
    TRY(make_secret(directory, SETTINGS_SECRET_FILE, SECRET_LEN, faults));
    return make_secret(directory, SETTINGS_PASSWORD_FILE, PASSWORD_LEN, faults);
}

enum err check_credentials(const struct settings *settings, size_t keys, struct faults *faults)
{
    if (!settings->security.auth_enabled)
        return OK;
    if (!secret_empty(&settings->security.admin_password) && !settings_has_sign_in(settings)) {
        faults_add(faults, settings->file, 0, "security.jwt_secret",
                   "nobody can sign in with security.admin_password without it: set it "
                   "(INFERNO_JWT_SECRET, 32 random bytes or more, as `openssl rand -hex 32` prints "
                   "them)");
        return ERR_CONFIG;
    }
    if (keys || settings_has_credentials(settings))
        return OK;
    faults_add(faults, settings->file, 0, "security.jwt_secret",
               "nobody could be let in: set it (INFERNO_JWT_SECRET, 32 random bytes or more, as "
               "`openssl rand -hex 32` prints them) and security.admin_password "
               "(INFERNO_ADMIN_PASSWORD), or security.api_key, api_keys_file or htpasswd_file; or "
               "make an API key first: sallyport key create --name me");
    return ERR_CONFIG;
}

static enum err add(const struct desk *desk, struct slice name, struct slice plain)
{
    char stored[PASSWORD_STORED_SIZE];
    struct account_view view;
    if (accounts_view(desk->accounts, name, &view) == OK)
        return ERR_EXISTS;
    TRY(password_hash_new(plain, stored));
    uint64_t wall_us = clock_wall_us();
    struct audit_record record = {.wall_us = wall_us,
                                  .now_us = clock_now_us(),
                                  .event = AUDIT_USER_CREATE,
                                  .actor = SLICE("system"),
                                  .path = SLICE("/api/v1/users/admin"),
                                  .reason = SLICE("first_start")};
    enum err err = desk->audit ? audit_append(desk->audit, &record) : OK;
    if (err == OK)
        err = accounts_add(desk->accounts, desk->store, name, stored, ROLE_ADMIN,
                           wall_us / SECOND_US);
    explicit_bzero(stored, sizeof stored);
    return err;
}

enum err make_first_admin(const struct settings *settings, const struct desk *desk, bool *made,
                          struct faults *faults)
{
    *made = false;
    if (secret_empty(&settings->security.jwt_secret) || accounts_have_admin(desk->accounts))
        return OK;
    if (secret_empty(&settings->security.admin_password)) {
        faults_warn(faults, settings->file, 0, "security.admin_password",
                    "nobody may administer yet: set it, or run `sallyport user add NAME --role "
                    "admin`");
        return OK;
    }
    enum err err = add(desk, SLICE("admin"), secret_reveal(&settings->security.admin_password));
    if (err == ERR_EXISTS) {
        faults_warn(faults, settings->file, 0, "security.admin_password",
                    "the user admin is there already, but is disabled or no admin; see "
                    "`sallyport user --help`");
        return OK;
    }
    if (err != OK)
        faults_add(faults, settings->file, 0, "security.admin_password",
                   "the user admin could not be made: %s", err_name(err));
    *made = err == OK;
    return err;
}
