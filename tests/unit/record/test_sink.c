/* Log files: made as needed, reopened, and honest about what a full disk cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "record/sink.h"

static char directory[64];
static unsigned warnings;

static void count_warnings(struct slice line)
{
    warnings += memmem(line.ptr, line.len, "WARNING", 7) != NULL;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_sink_XXXXXX");
    log_set_sink(count_warnings);
    warnings = 0;
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *in_directory(const char *name)
{
    static char path[2][256];
    static unsigned turn;
    turn ^= 1;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    return path[turn];
}

static void assert_file(const char *path, const char *wanted)
{
    char text[1024] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, wanted);
}

static void add(struct sink *sink, const char *line)
{
    sink_add(sink, slice_of(line));
    sink_flush(sink);
}

static void directories_and_file_are_made_for_their_owner_only(void **state)
{
    (void)state;
    struct sink sink;
    const char *path = in_directory("a/b/access.log");
    umask(0);
    assert_int_equal(sink_open(&sink, path), OK);
    add(&sink, "one\n");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(stat(in_directory("a/b"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0750);
    sink_finish(&sink);
    assert_int_equal(sink_open(&sink, path), OK); /* a restart appends */
    add(&sink, "two\n");
    sink_finish(&sink);
    assert_file(path, "one\ntwo\n");
    assert_int_equal(warnings, 0);
}

static void log_that_cannot_be_opened_goes_to_standard_error(void **state)
{
    (void)state;
    static const char *const rows[] = {"file/below.log", "", "fifo"};
    int file = open(in_directory("file"), O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0); /* without a reader: must not hang */
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct sink sink;
        assert_int_equal(sink_open(&sink, in_directory(rows[i])), OK);
        assert_int_equal(sink.fd, STDERR_FILENO);
        assert_int_equal(warnings, i + 1);
        sink_finish(&sink);
    }
}

static void reopen_follows_the_name(void **state)
{
    (void)state;
    struct sink sink;
    const char *path = in_directory("access.log"), *rotated = in_directory("access.log.1");
    assert_int_equal(sink_open(&sink, path), OK);
    sink_add(&sink, SLICE("before\n"));
    assert_int_equal(rename(path, rotated), 0);
    sink_reopen(&sink);
    add(&sink, "after\n");
    assert_file(rotated, "before\n");
    assert_file(path, "after\n");
    /* A name that cannot be opened any more: the old file stays in use. */
    assert_int_equal(rename(path, rotated), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    sink_reopen(&sink);
    assert_int_equal(warnings, 1);
    add(&sink, "still\n");
    assert_file(rotated, "after\nstill\n");
    sink_finish(&sink);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void full_disk_loses_counted_lines_and_tears_none(void **state)
{
    (void)state;
    struct sink sink;
    const char *path = in_directory("access.log");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(sink_open(&sink, path), OK);
    limit_file_size(10);
    sink_add(&sink, SLICE("first\n"));
    sink_add(&sink, SLICE("second\n")); /* "seco" is all that fits */
    sink_add(&sink, SLICE("third\n"));
    sink_flush(&sink);
    assert_int_equal(atomic_load(&sink.lost), 2);
    add(&sink, "fourth\n");
    add(&sink, "fifth\n");
    assert_int_equal(atomic_load(&sink.lost), 4);
    assert_int_equal(warnings, 1); /* one for all */
    limit_file_size(RLIM_INFINITY);
    add(&sink, "sixth\n");
    assert_int_equal(warnings, 2); /* it works again, and what was lost */
    add(&sink, "seventh\n");
    assert_int_equal(warnings, 2);
    assert_int_equal(atomic_load(&sink.lost), 4);
    sink_finish(&sink);
    assert_file(path, "first\nseco\nsixth\nseventh\n");
}

static void pipe_that_nobody_reads_blocks_nobody(void **state)
{
    (void)state;
    struct sink sink;
    const char *path = in_directory("fifo");
    static char line[1000];
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(sink_open(&sink, path), OK);
    assert_true(sink.stream);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < 200; i++) /* more than a pipe holds */
        sink_add(&sink, slice_make(line, sizeof line));
    sink_flush(&sink);
    uint64_t lost = atomic_load(&sink.lost);
    assert_in_range(lost, 1, 199);
    /* Emptied by a reader that comes late: whole lines, but for the one that was cut. */
    static char all[300000];
    ssize_t n = read(reader, all, sizeof all);
    assert_true(n > 0);
    sink_add(&sink, SLICE("fresh\n"));
    sink_flush(&sink);
    n = read(reader, all, sizeof all);
    assert_true(n >= 6);
    assert_memory_equal(all + n - 6, "fresh\n", 6);
    assert_true(n == 6 || all[n - 7] == '\n');
    assert_int_equal(atomic_load(&sink.lost), lost);
    signal(SIGPIPE, SIG_IGN);
    close(reader);
    add(&sink, "gone\n");
    assert_int_equal(atomic_load(&sink.lost), lost + 1);
    sink_finish(&sink);
}

static void batch_that_is_full_is_written_first(void **state)
{
    (void)state;
    struct sink sink;
    static char line[SINK_BATCH_BYTES];
    const char *path = in_directory("access.log");
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    assert_int_equal(sink_open(&sink, path), OK);
    sink_add(&sink, SLICE("small\n"));
    sink_add(&sink, slice_make(line, sizeof line));
    sink_add(&sink, SLICE("small\n"));
    sink_finish(&sink);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, SINK_BATCH_BYTES + 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(directories_and_file_are_made_for_their_owner_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(log_that_cannot_be_opened_goes_to_standard_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reopen_follows_the_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_loses_counted_lines_and_tears_none, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pipe_that_nobody_reads_blocks_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batch_that_is_full_is_written_first, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
