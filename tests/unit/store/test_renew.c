/* A disk that fails under an open store: what was refused is not there, not even after a crash,
 * what follows goes to a database that was opened anew, and reading goes on. */
#include "accounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"

/* Every fsync of this program, SQLite's too; none of them is carried out. */
static struct {
    int wait;    /* so many come before the first one that fails */
    int failing; /* and so many fail */
    ino_t only;  /* of this file; 0: of any */
} plan;

static int sync_as_planned(int fd)
{
    struct stat st;
    if (plan.only && (fstat(fd, &st) < 0 || st.st_ino != plan.only))
        return 0;
    if (plan.wait > 0) {
        plan.wait--;
        return 0;
    }
    if (plan.failing == 0)
        return 0;
    plan.failing--;
    errno = EIO;
    return -1;
}

int fsync(int fd)
{
    return sync_as_planned(fd);
}

int fdatasync(int fd)
{
    return sync_as_planned(fd);
}

enum { ALWAYS = INT32_MAX };

static void fail_sync(int wait, int failing)
{
    plan.wait = wait;
    plan.failing = failing;
    plan.only = 0;
}

/* Is one of this program's descriptors the file's? The greatest that is, or -1. */
static int descriptor_of(const char *path)
{
    DIR *all = opendir("/proc/self/fd");
    struct stat wanted, st;
    int found = -1;
    assert_non_null(all);
    assert_int_equal(stat(path, &wanted), 0);
    for (struct dirent *one; (one = readdir(all));) {
        int fd = atoi(one->d_name);
        bool same = fstat(fd, &st) == 0 && st.st_ino == wanted.st_ino && st.st_dev == wanted.st_dev;
        if (same && fd > found)
            found = fd;
    }
    closedir(all);
    return found;
}

static int log_descriptor(const struct place *place)
{
    char path[128];
    snprintf(path, sizeof path, "%s-wal", place->path);
    return descriptor_of(path);
}

static unsigned count_keys(struct store *store)
{
    struct seen seen = {0};
    assert_int_equal(store_each_key(store, note, &seen), OK);
    return seen.count;
}

static void copy_file(const char *from, const char *to)
{
    char bytes[8192];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

/* What a process would find that came after this one had been killed. */
static struct store *open_after_a_crash(const struct place *place)
{
    struct place copy;
    char from[128], to[128];
    snprintf(copy.directory, sizeof copy.directory, "%s", place->directory);
    snprintf(copy.path, sizeof copy.path, "%s/after.db", place->directory);
    copy_file(place->path, copy.path);
    snprintf(from, sizeof from, "%s-wal", place->path);
    snprintf(to, sizeof to, "%s-wal", copy.path);
    copy_file(from, to);
    return open_good(&copy);
}

static unsigned keys_after_a_crash(const struct place *place)
{
    struct store *store = open_after_a_crash(place);
    unsigned count = count_keys(store);
    store_close(store);
    return count;
}

static void a_change_whose_fsync_fails_is_not_made(void **state)
{
    const struct place *place = *state;
    struct store *store = open_good(place);
    struct stored_key a = sample("AAAAAAAAAAAA", 1), b = sample("BBBBBBBBBBBB", 2);
    assert_int_equal(store_add_key(store, &a), OK);
    int nth = 0;
    for (; nth < 20; nth++) {
        int before = log_descriptor(place);
        fail_sync(nth, 1);
        enum err err = store_add_key(store, &b);
        bool came = plan.failing == 0;
        fail_sync(0, 0);
        if (err == OK && !came)
            break;
        assert_int_equal(err, ERR_STORE);
        assert_int_equal(count_keys(store), 1);
        assert_int_equal(keys_after_a_crash(place), 1);
        assert_int_not_equal(log_descriptor(place), before);
    }
    assert_in_range(nth, 1, 19);
    assert_int_equal(count_keys(store), 2);
    assert_int_equal(keys_after_a_crash(place), 2);
    store_close(store);
}

static void a_revocation_whose_fsync_fails_is_not_made(void **state)
{
    const struct place *place = *state;
    struct store *store = open_good(place);
    struct stored_key a = sample("AAAAAAAAAAAA", 1);
    struct seen seen = {0};
    assert_int_equal(store_add_key(store, &a), OK);
    fail_sync(0, 1);
    assert_int_equal(store_revoke_key(store, a.id, 5), ERR_STORE);
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.revoked[0], 0);
    assert_int_equal(store_revoke_key(store, a.id, 6), OK);
    store_close(store);
    store = open_good(place);
    seen = (struct seen){0};
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.revoked[0], 6);
    store_close(store);
}

/* The user keeps the token that it has, and gets no next one that a crash would take away. */
static void a_rotation_whose_fsync_fails_is_not_made(void **state)
{
    const struct place *place = *state;
    struct store *store = open_good(place), *after;
    struct stored_session session;
    add_session(store, 'A', add_user(store, "anna"), 1);
    fail_sync(0, 1);
    assert_int_equal(rotate(store, 1, 2, CREATED), ERR_STORE);
    after = open_after_a_crash(place);
    assert_int_equal(store_find_refresh(after, token_of(2).sha256, &session), ERR_NOT_FOUND);
    assert_int_equal(rotate(after, 1, 2, CREATED), OK);
    store_close(after);
    assert_int_equal(rotate(store, 1, 2, CREATED), OK);
    fail_sync(0, 1);
    assert_int_equal(rotate(store, 1, 3, CREATED), ERR_STORE);
    assert_int_equal(session_of(store, 2).revoked_epoch_s, 0);
    assert_int_equal(rotate(store, 1, 3, CREATED), ERR_EXISTS);
    after = open_after_a_crash(place);
    assert_int_equal(session_of(after, 2).revoked_epoch_s, CREATED);
    store_close(after);
    store_close(store);
}

static void while_every_fsync_fails_nothing_changes_and_reading_goes_on(void **state)
{
    const struct place *place = *state;
    struct store *store = open_good(place);
    struct stored_key a = sample("AAAAAAAAAAAA", 1), b = sample("BBBBBBBBBBBB", 2);
    struct key_use use = {"AAAAAAAAAAAA", 100};
    assert_int_equal(store_add_key(store, &a), OK);
    fail_sync(0, ALWAYS);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(store_add_key(store, &b), ERR_STORE);
        assert_int_equal(store_revoke_key(store, a.id, 5), ERR_STORE);
        assert_int_equal(store_touch_key(store, a.id, 100), ERR_STORE);
        assert_int_equal(store_touch_keys(store, &use, 1), ERR_STORE);
        struct seen seen = {0};
        assert_int_equal(store_each_key(store, note, &seen), OK);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.revoked[0], 0);
        assert_int_equal(seen.used[0], 7);
    }
    int open_files = open("/dev/null", O_RDONLY);
    assert_in_range(open_files, 0, 20); /* each connection gave its descriptors back */
    close(open_files);
    fail_sync(0, 0);
    assert_int_equal(store_add_key(store, &b), OK);
    assert_int_equal(keys_after_a_crash(place), 2);
    store_close(store);
    store = open_good(place);
    assert_int_equal(count_keys(store), 2);
    store_close(store);
}

/* The commit is on disk; but what the checkpoint wrote behind it is not to be believed. */
static void a_checkpoint_that_fails_is_noticed(void **state)
{
    const struct place *place = *state;
    struct store *store = open_good(place);
    struct stat st;
    struct key_use use = {"AAAAAAAAAAAA", 100};
    struct stored_key a = sample("AAAAAAAAAAAA", 1);
    assert_int_equal(store_add_key(store, &a), OK);
    assert_int_equal(stat(place->path, &st), 0);
    int before = log_descriptor(place);
    plan.wait = 0;
    plan.failing = 1;
    plan.only = st.st_ino;
    for (; plan.failing && use.last_used_epoch_s < 5000; use.last_used_epoch_s++)
        assert_int_equal(store_touch_keys(store, &use, 1), OK);
    assert_in_range(use.last_used_epoch_s, 1000, 4999);
    assert_int_not_equal(log_descriptor(place), before);
    assert_int_equal(store_touch_keys(store, &use, 1), OK);
    struct seen seen = {0};
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.used[0], use.last_used_epoch_s);
    assert_int_equal(keys_after_a_crash(place), 1);
    store_close(store);
}

/* Nobody gets another set of keys into a running gateway by way of a disk that fails, and no empty
 * one comes into its place. */
static void only_the_same_file_is_opened_anew(void **state)
{
    const struct place *place = *state;
    struct place other = *place;
    char aside[128];
    snprintf(other.path, sizeof other.path, "%s/other.db", place->directory);
    snprintf(aside, sizeof aside, "%s/aside.db", place->directory);
    store_close(open_good(&other));
    struct store *store = open_good(place);
    struct stored_key a = sample("AAAAAAAAAAAA", 1), b = sample("BBBBBBBBBBBB", 2);
    assert_int_equal(store_add_key(store, &a), OK);
    assert_int_equal(rename(place->path, aside), 0);
    fail_sync(0, 1);
    assert_int_equal(store_add_key(store, &b), ERR_STORE);
    assert_int_equal(store_add_key(store, &b), ERR_STORE);
    assert_int_equal(access(place->path, F_OK), -1);
    assert_int_equal(rename(other.path, place->path), 0);
    assert_int_equal(store_add_key(store, &b), ERR_STORE);
    assert_int_equal(count_keys(store), 1);
    assert_int_equal(rename(aside, place->path), 0);
    assert_int_equal(store_add_key(store, &b), OK);
    assert_int_equal(count_keys(store), 2);
    store_close(store);
}

static void say_nothing(struct slice line)
{
    (void)line;
}

int main(void)
{
    log_set_sink(say_nothing);
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_change_whose_fsync_fails_is_not_made),
        IN_PLACE(a_revocation_whose_fsync_fails_is_not_made),
        IN_PLACE(a_rotation_whose_fsync_fails_is_not_made),
        IN_PLACE(while_every_fsync_fails_nothing_changes_and_reading_goes_on),
        IN_PLACE(a_checkpoint_that_fails_is_noticed),
        IN_PLACE(only_the_same_file_is_opened_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
