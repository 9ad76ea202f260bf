/* One writer at a time, in a folder that can be trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

static char base[32], directory[64], lock_path[96];

static int make_place(void **state)
{
    (void)state;
    strcpy(base, "/tmp/test_lock_XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(directory, sizeof directory, "%s/folder", base);
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    return 0;
}

static int remove_place(void **state)
{
    (void)state;
    unlink(lock_path);
    rmdir(directory);
    return rmdir(base);
}

static void the_folder_is_made_private(void **state)
{
    (void)state;
    struct writer_lock lock;
    struct stat st;
    assert_int_equal(writer_lock_take(&lock, directory), OK);
    assert_int_equal(stat(directory, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(lock_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    writer_lock_release(&lock);
    assert_int_equal(lock.fd, -1);
    writer_lock_release(&lock);
}

static void a_second_taker_is_told_so_until_it_is_released(void **state)
{
    (void)state;
    struct writer_lock first, second;
    assert_int_equal(writer_lock_take(&first, directory), OK);
    assert_int_equal(writer_lock_take(&second, directory), ERR_BUSY);
    assert_int_equal(second.fd, -1);
    writer_lock_release(&first);
    assert_int_equal(writer_lock_take(&second, directory), OK);
    writer_lock_release(&second);
}

static void the_lock_ends_with_its_holder(void **state)
{
    (void)state;
    struct writer_lock lock;
    pid_t child = fork();
    if (child == 0)
        _exit(writer_lock_take(&lock, directory) == OK ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(writer_lock_take(&lock, directory), OK);
    writer_lock_release(&lock);
}

static void a_folder_that_others_can_write_to_is_refused(void **state)
{
    (void)state;
    struct writer_lock lock;
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(chmod(directory, 0777), 0);
    assert_int_equal(writer_lock_take(&lock, directory), ERR_IO);
    assert_int_equal(errno, EPERM);
}

static void a_symbolic_link_in_the_locks_place_is_refused(void **state)
{
    (void)state;
    struct writer_lock lock;
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(symlink("/etc/passwd", lock_path), 0);
    assert_int_equal(writer_lock_take(&lock, directory), ERR_IO);
}

static void a_missing_parent_is_an_error(void **state)
{
    (void)state;
    struct writer_lock lock;
    assert_int_equal(writer_lock_take(&lock, "/nonexistent/folder"), ERR_IO);
    assert_int_equal(errno, ENOENT);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(the_folder_is_made_private),
        IN_PLACE(a_second_taker_is_told_so_until_it_is_released),
        IN_PLACE(the_lock_ends_with_its_holder),
        IN_PLACE(a_folder_that_others_can_write_to_is_refused),
        IN_PLACE(a_symbolic_link_in_the_locks_place_is_refused),
        IN_PLACE(a_missing_parent_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
