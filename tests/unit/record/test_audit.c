/* The audit log on a disk: it goes on after any end, refuses what was tampered with, takes nothing
 * for written that is not, and survives a flood. */
#include "audit_place.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "record/audit_queue.h"

static void assert_mode(const char *path, mode_t mode)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
}

static void the_first_start_makes_key_and_checkpoint(void **state)
{
    struct place *place = *state;
    char beside[128];
    open_log(place);
    assert_mode(place->key, 0600);
    assert_mode(place->checkpoint, 0600);
    snprintf(beside, sizeof beside, "%s.new", place->key);
    assert_int_equal(access(beside, F_OK), -1);
    assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    assert_int_equal(logged(place, "\"event\":\"key_create\""), 1); /* before the log is closed */
    close_log(place);
    assert_whole(place, 3);
    assert_int_equal(logged(place, "\"event\":\"start\""), 1);
    assert_int_equal(logged(place, "\"event\":\"stop\""), 1);
}

static void the_chain_goes_on_after_a_restart(void **state)
{
    struct place *place = *state;
    for (unsigned run = 1; run <= 5; run++) {
        open_log(place);
        for (int i = 0; i < 3; i++)
            assert_int_equal(append(place, AUDIT_USER_CREATE, "made"), OK);
        close_log(place);
        assert_whole(place, run * 5);
    }
}

/* Runs a child that appends `records` and dies without a word. */
static void run_and_kill(struct place *place, unsigned records)
{
    pid_t child = fork();
    if (child == 0) {
        struct faults faults = {0};
        if (audit_open(&place->options, WALL_US, place->now_us, &place->audit, &faults) == OK)
            for (unsigned i = 0; i < records; i++)
                if (append(place, AUDIT_CONFIG_CHANGE, "changed") != OK)
                    _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void the_chain_goes_on_after_a_kill(void **state)
{
    struct place *place = *state;
    place->options.checkpoint_records = 4;
    for (unsigned records = 0; records < 12; records++)
        run_and_kill(place, records);
    open_log(place);
    close_log(place);
    assert_whole(place, 12 + 66 + 2);
}

static void add_to_file(const char *path, struct slice bytes)
{
    FILE *file = fopen(path, "ab");
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    fclose(file);
}

/* Whatever part of a record a crash left: kept aside, said, and the chain goes on. */
static void half_a_record_is_moved_away_and_said(void **state)
{
    struct place *place = *state;
    char broken[128], said[64];
    open_log(place);
    close_log(place);
    struct slice whole = read_file(place->path);
    struct slice line = slice_to(whole, slice_find(whole, '\n'));
    snprintf(broken, sizeof broken, "%s.broken", place->path);
    size_t kept = 0, count = 0, step = line.len / 7;
    for (size_t len = 1; len <= line.len; len += step, count++) {
        add_to_file(place->path, slice_to(line, len));
        open_log(place);
        close_log(place);
        kept += len + 1;
        snprintf(said, sizeof said, "\"half a record of %zu bytes was moved", len);
        assert_int_equal(logged(place, said), 1);
        struct slice aside = read_file(broken);
        assert_int_equal(aside.len, kept);
        assert_memory_equal(aside.ptr + kept - len - 1, line.ptr, len);
        free((void *)aside.ptr);
    }
    assert_whole(place, 2 + 2 * count);
    free((void *)whole.ptr);
}

static void remove_end(struct place *place)
{
    struct slice text = read_file(place->path);
    const char *before = memrchr(text.ptr, '\n', text.len - 1);
    write_file(place->path, slice_to(text, (size_t)(before + 1 - text.ptr)));
    free((void *)text.ptr);
}

static void change_last(struct place *place)
{
    struct slice text = read_file(place->path);
    ((char *)text.ptr)[text.len - 100] ^= 1;
    write_file(place->path, text);
    free((void *)text.ptr);
}

static void remove_last_byte(struct place *place)
{
    struct slice text = read_file(place->path);
    write_file(place->path, slice_to(text, text.len - 1));
    free((void *)text.ptr);
}

static void empty_log(struct place *place)
{
    write_file(place->path, SLICE(""));
}

static void remove_log(struct place *place)
{
    assert_int_equal(unlink(place->path), 0);
}

static void remove_checkpoint(struct place *place)
{
    assert_int_equal(unlink(place->checkpoint), 0);
}

static void remove_key(struct place *place)
{
    assert_int_equal(unlink(place->key), 0);
}

static void change_checkpoint(struct place *place)
{
    struct slice text = read_file(place->checkpoint);
    *(char *)strchr(text.ptr, '9') = '8';
    write_file(place->checkpoint, text);
    free((void *)text.ptr);
}

static void change_key(struct place *place)
{
    write_file(place->key, SLICE("0123456789abcdef0123456789abcdef"));
}

static void shorten_key(struct place *place)
{
    write_file(place->key, SLICE("0123456789abcdef0123456789abcde"));
}

static void open_key_to_others(struct place *place)
{
    assert_int_equal(chmod(place->key, 0640), 0);
}

static void add_strange_line(struct place *place)
{
    add_to_file(place->path, SLICE("hello\n"));
}

static void add_endless_line(struct place *place)
{
    static const char many[2 * AUDIT_LINE_MAX];
    add_to_file(place->path, slice_make(many, sizeof many));
}

static void a_log_that_was_tampered_with_is_not_continued(void **state)
{
    static const struct {
        void (*tamper)(struct place *place);
        const char *sentence;
    } rows[] = {
        {remove_end,         "does not stand where it was"  },
        {change_last,        "does not stand where it was"  },
        {remove_last_byte,   "does not stand where it was"  },
        {empty_log,          "the log is empty or missing"  },
        {remove_log,         "the log is empty or missing"  },
        {remove_checkpoint,  "audit.checkpoint is missing"  },
        {change_checkpoint,  "audit.checkpoint was changed" },
        {remove_key,         "audit.key is missing"         },
        {change_key,         "signed with another audit.key"},
        {shorten_key,        "audit.key is damaged"         },
        {open_key_to_others, "only its owner may read"      },
        {add_strange_line,   "is no line of an audit log"   },
        {add_endless_line,   "is no line of an audit log"   },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct place *place;
        char said[2048];
        assert_int_equal(make_place(state), 0);
        place = *state;
        open_log(place);
        assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
        close_log(place);
        rows[i].tamper(place);
        struct slice before = {0}, after = {0};
        if (access(place->path, F_OK) == 0)
            before = read_file(place->path);
        assert_int_equal(open_log_saying(place, said, sizeof said), ERR_STORE);
        if (!strstr(said, rows[i].sentence))
            fail_msg("expected \"%s\" in: %s", rows[i].sentence, said);
        after = read_file(place->path);
        assert_true(slice_equal(before, after)); /* and nothing was touched */
        free((void *)before.ptr);
        free((void *)after.ptr);
        remove_place(state);
    }
}

static void a_path_that_is_no_file_is_refused(void **state)
{
    struct place *place = *state;
    const char *const rows[] = {"-", "", NULL, "/dev/null", place->directory};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char said[512];
        place->options.path = rows[i];
        assert_int_not_equal(open_log_saying(place, said, sizeof said), OK);
        assert_non_null(strstr(said, "log.audit"));
    }
}

/* A crash before the key had its name leaves a chain that has not begun. */
static void a_first_start_that_was_killed_is_begun_anew(void **state)
{
    struct place *place = *state;
    char beside[128];
    open_log(place);
    close_log(place);
    snprintf(beside, sizeof beside, "%s.new", place->key);
    assert_int_equal(rename(place->key, beside), 0);
    empty_log(place);
    open_log(place);
    close_log(place);
    assert_whole(place, 2);
}

static int failing_sync, failing_write;
static unsigned syncs, syncs_max; /* so many are good; 0: all of them */
static size_t short_write;

static ssize_t write_or_fail(int fd, const void *bytes, size_t size)
{
    if (failing_write) {
        errno = failing_write;
        return -1;
    }
    return write(fd, bytes, short_write && short_write < size ? short_write : size);
}

static int sync_or_fail(int fd)
{
    bool fails = failing_sync || (syncs_max && syncs >= syncs_max);
    syncs++;
    errno = failing_sync ? failing_sync : EIO;
    return fails ? -1 : fsync(fd);
}

static const struct audit_disk bad_disk = {write_or_fail, sync_or_fail};

static void a_record_that_is_not_on_disk_is_not_in_the_log(void **state)
{
    struct place *place = *state;
    static const struct {
        int write, sync;
        size_t bytes;
    } rows[] = {
        {ENOSPC, 0,   0 },
        {EIO,    0,   0 },
        {0,      EIO, 0 },
        {0,      0,   1 },
        {0,      0,   57},
    };
    place->options.disk = &bad_disk;
    open_log(place);
    struct slice before = read_file(place->path);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        failing_write = rows[i].write;
        failing_sync = rows[i].sync;
        short_write = rows[i].bytes;
        errno = 0;
        assert_int_equal(append(place, AUDIT_KEY_CREATE, "not made"), ERR_IO);
        assert_int_not_equal(errno, 0);
        note(place, AUDIT_LOGIN, "admin", "kept");
        assert_int_equal(audit_tick(place->audit, place->now_us), ERR_IO);
        assert_true(audit_failing(place->audit));
        struct slice after = read_file(place->path);
        assert_true(slice_equal(before, after));
        free((void *)after.ptr);
    }
    failing_write = failing_sync = 0;
    short_write = 0;
    assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    assert_false(audit_failing(place->audit));
    close_log(place);
    assert_int_equal(logged(place, "\"not made\""), 0);
    assert_int_equal(logged(place, "\"kept\""), COUNT_OF(rows)); /* what waited is not lost */
    assert_whole(place, 3 + COUNT_OF(rows));
    free((void *)before.ptr);
}

static unsigned failures_said, ends_said;

static void count_said(struct slice line)
{
    failures_said += memmem(line.ptr, line.len, "changes are refused", 19) != NULL;
    ends_said += memmem(line.ptr, line.len, "written again", 13) != NULL &&
                 memmem(line.ptr, line.len, "until", 5) == NULL;
}

/* Tried every second, said every minute, however often it comes and goes. */
static void a_failing_disk_is_complained_of_once_a_minute(void **state)
{
    struct place *place = *state;
    place->options.disk = &bad_disk;
    open_log(place);
    failures_said = ends_said = 0;
    log_set_sink(count_said);
    for (unsigned second = 0; second < 150; second++, place->now_us += SECOND_US) {
        failing_write = second < 130 && second % 7 != 3 ? ENOSPC : 0;
        note(place, AUDIT_LOGIN, "admin", "kept");
        enum err err = audit_tick(place->audit, place->now_us);
        assert_int_equal(err, failing_write ? ERR_IO : OK);
        assert_int_equal(audit_failing(place->audit), failing_write != 0);
    }
    log_set_sink(NULL);
    assert_int_equal(failures_said, 3); /* at 0, at 60 and at 120 seconds or a little later */
    assert_int_equal(ends_said, 3);
    close_log(place);
    assert_int_equal(logged(place, "\"kept\""), 150);
    assert_whole(place, 152);
}

/* The kernel's own refusal, half-way through a record. */
static void several_share_a_wait_for_the_disk(void **state)
{
    struct place *place = *state;
    struct audit_record records[50];
    size_t written = 0;
    for (size_t i = 0; i < COUNT_OF(records); i++)
        records[i] = happened(place, AUDIT_KEY_CREATE, "admin", "made");
    place->options.disk = &bad_disk;
    open_log(place);
    assert_int_equal(audit_append_all(place->audit, records, 0, &written), OK);
    syncs = 0;
    assert_int_equal(audit_append_all(place->audit, records, COUNT_OF(records), &written), OK);
    assert_int_equal(written, COUNT_OF(records));
    assert_true(syncs < COUNT_OF(records) / 5);
    assert_int_equal(logged(place, "\"made\""), COUNT_OF(records));
    /* What is not on disk is not in the log, and it is said how much is. */
    syncs = 0;
    syncs_max = 2;
    assert_int_equal(audit_append_all(place->audit, records, COUNT_OF(records), &written), ERR_IO);
    syncs_max = 0;
    assert_true(written > 0 && written < COUNT_OF(records));
    assert_int_equal(logged(place, "\"made\""), COUNT_OF(records) + written);
    close_log(place);
    assert_whole(place, (unsigned)(COUNT_OF(records) + written) + 2);
}

static void a_full_disk_leaves_no_half_record(void **state)
{
    struct place *place = *state;
    struct rlimit was, small;
    open_log(place);
    struct slice before = read_file(place->path);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = before.len + 100;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err err = append(place, AUDIT_KEY_CREATE, "not made");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(err, ERR_IO);
    struct slice after = read_file(place->path);
    assert_true(slice_equal(before, after));
    assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    close_log(place);
    assert_whole(place, 3);
    free((void *)before.ptr);
    free((void *)after.ptr);
}

static void repetitions_within_ten_seconds_are_one_record(void **state)
{
    struct place *place = *state;
    open_log(place);
    for (unsigned i = 0; i < 1000; i++, place->now_us += 5000) {
        note(place, AUDIT_LOGIN_FAILED, "eve", "bad_password");
        if (i % 2)
            note(place, AUDIT_LOGIN_FAILED, "mallory", "bad_password");
        if (i % 4 == 0)
            note(place, AUDIT_LOGIN_FAILED, "eve", "unknown_user");
        assert_int_equal(audit_tick(place->audit, place->now_us), OK);
    }
    assert_int_equal(logged(place, "login_failed"), 0);
    place->now_us += 6 * SECOND_US;
    assert_int_equal(audit_tick(place->audit, place->now_us), OK);
    assert_int_equal(logged(place, "login_failed"), 3);
    assert_int_equal(logged(place, "\"actor\":\"eve\""), 2);
    assert_int_equal(logged(place, "\"count\":1000,"), 1);
    assert_int_equal(logged(place, "\"count\":500,"), 1);
    assert_int_equal(logged(place, "\"count\":250,"), 1);
    note(place, AUDIT_LOGIN_FAILED, "eve", "bad_password"); /* the next window, and once */
    note(place, AUDIT_LOGIN, "eve", "");                    /* never coalesced */
    note(place, AUDIT_LOGIN, "eve", "");
    close_log(place);
    assert_int_equal(logged(place, "login_failed"), 4);
    assert_int_equal(logged(place, "\"count\""), 3);
    assert_int_equal(logged(place, "\"event\":\"login\""), 2);
    assert_whole(place, 8);
}

/* What is changed on its way into the log is counted like anything else. */
static void repetitions_of_what_is_cut_or_hidden_are_one_record(void **state)
{
    struct place *place = *state;
    static const char key[] = "sp_0123456789ab_0123456789012345678901234567890123456789012345678";
    char long_word[2 * AUDIT_WORD_MAX + 1];
    memset(long_word, 'x', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = '\0';
    open_log(place);
    for (unsigned i = 0; i < 100; i++) {
        note(place, AUDIT_DENIED, key, "bad_credential");
        note(place, AUDIT_DENIED, long_word, "bad_credential");
        note(place, AUDIT_DENIED, "a\xff", "bad_credential");
    }
    close_log(place);
    assert_int_equal(logged(place, "sp_"), 0);
    assert_int_equal(logged(place, "\"[REDACTED]\""), 1);
    assert_int_equal(logged(place, "\"count\":100,"), 3);
    assert_whole(place, 5);
}

/* What differs is not taken together. */
static void only_the_same_is_coalesced(void **state)
{
    struct place *place = *state;
    open_log(place);
    for (unsigned i = 0; i < 4; i++) {
        struct audit_record record = happened(place, AUDIT_DENIED, "a", "b");
        record.event = i == 1 ? AUDIT_RATE_LIMITED : record.event;
        record.ip.bytes[3] = i == 2 ? 2 : 1;
        record.actor = i == 3 ? SLICE("ab") : record.actor;
        record.reason = i == 3 ? SLICE("") : record.reason;
        audit_note(place->audit, &record);
    }
    close_log(place);
    assert_int_equal(logged(place, "\"count\""), 0);
    assert_whole(place, 6);
}

static void what_finds_no_room_is_counted(void **state)
{
    struct place *place = *state;
    enum { MORE = 77 };
    open_log(place);
    for (unsigned i = 0; i < AUDIT_QUEUE_ENTRIES + MORE; i++)
        note(place, AUDIT_LOGIN, "many", "");
    for (unsigned i = 0; i < AUDIT_WINDOW_ENTRIES + MORE + 1; i++) {
        char actor[16];
        snprintf(actor, sizeof actor, "user%u", i);
        note(place, AUDIT_DENIED, actor, "");
    }
    assert_int_equal(append(place, AUDIT_LOGIN, ""), ERR_BUSY);
    assert_int_equal(audit_dropped(place->audit), 2 * MORE + 2);
    close_log(place);
    assert_int_equal(logged(place, "\"many\""), AUDIT_QUEUE_ENTRIES);
    assert_int_equal(logged(place, "\"user"), AUDIT_WINDOW_ENTRIES);
    assert_int_equal(logged(place, "\"reason\":\"queue_full\",\"request_id\":\"\",\"count\":78,"),
                     2);
    assert_whole(place, AUDIT_QUEUE_ENTRIES + AUDIT_WINDOW_ENTRIES + 4);
}

static void the_chain_goes_on_in_a_new_file(void **state)
{
    struct place *place = *state;
    char one[128], two[128];
    snprintf(one, sizeof one, "%s.2", place->path);
    snprintf(two, sizeof two, "%s.1", place->path);
    open_log(place);
    assert_int_equal(audit_reopen(place->audit), OK); /* not renamed: nothing happens */
    assert_int_equal(rename(place->path, one), 0);
    assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    assert_int_equal(audit_reopen(place->audit), OK);
    assert_int_equal(append(place, AUDIT_KEY_REVOKE, "made"), OK);
    close_log(place);
    /* And once more while nobody runs. */
    assert_int_equal(rename(place->path, two), 0);
    open_log(place);
    close_log(place);
    char *paths[] = {one, two, place->path}, *late[] = {two, place->path};
    struct audit_verdict verdict = prove(place, paths, 3);
    assert_int_equal(verdict.fault, AUDIT_WHOLE);
    assert_int_equal(verdict.records, 6);
    assert_int_equal(prove(place, late, 2).fault, AUDIT_REMOVED);
    assert_int_equal(prove(place, paths, 2).fault, AUDIT_TRUNCATED);
}

/* Killed behind a rotation before there was another checkpoint, and rotated again. */
static void a_rotation_after_a_kill_does_not_fork_the_chain(void **state)
{
    struct place *place = *state;
    char one[128], two[128];
    snprintf(one, sizeof one, "%s-1", place->path);
    snprintf(two, sizeof two, "%s-2", place->path);
    pid_t child = fork();
    if (child == 0) {
        open_log(place);
        rename(place->path, one);
        if (audit_reopen(place->audit) != OK || append(place, AUDIT_KEY_CREATE, "made") != OK)
            _exit(1);
        rename(place->path, two);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    open_log(place);
    close_log(place);
    char *paths[] = {one, two, place->path};
    struct audit_verdict verdict = prove(place, paths, 3);
    assert_int_equal(verdict.fault, AUDIT_WHOLE);
    assert_int_equal(verdict.records, 4);
}

static void a_file_with_strange_lines_is_not_gone_on_in(void **state)
{
    struct place *place = *state;
    char old[128];
    snprintf(old, sizeof old, "%s.1", place->path);
    open_log(place);
    assert_int_equal(rename(place->path, old), 0);
    write_file(place->path, SLICE("hello\n"));
    assert_int_equal(audit_reopen(place->audit), ERR_IO);
    close_log(place);
    char *paths[] = {old};
    assert_int_equal(prove(place, paths, 1).fault, AUDIT_WHOLE);
}

/* A log as it was at the last checkpoint is shorter than at the next. */
static void checkpoints_are_saved_by_number_and_by_time(void **state)
{
    struct place *place = *state;
    place->options.checkpoint_records = 5;
    place->options.checkpoint_us = 60 * SECOND_US;
    open_log(place);
    struct slice first = read_file(place->checkpoint), later;
    for (int i = 0; i < 4; i++)
        assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    assert_int_equal(audit_tick(place->audit, place->now_us + 59 * SECOND_US), OK);
    later = read_file(place->checkpoint);
    assert_true(slice_equal(first, later));
    free((void *)later.ptr);
    assert_int_equal(audit_tick(place->audit, place->now_us + 60 * SECOND_US), OK);
    later = read_file(place->checkpoint);
    assert_int_equal(count_of(later, "\"seq\":5,"), 1);
    free((void *)later.ptr);
    for (int i = 0; i < 5; i++)
        assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    later = read_file(place->checkpoint);
    assert_int_equal(count_of(later, "\"seq\":10,"), 1);
    free((void *)later.ptr);
    free((void *)first.ptr);
    close_log(place);
}

enum { THREADS = 4, EACH = 100 };

static void *append_many(void *context)
{
    struct place *place = context;
    for (int i = 0; i < EACH; i++) {
        struct audit_record record = happened(place, AUDIT_KEY_CREATE, "admin", "made");
        if (audit_append(place->audit, &record) != OK)
            return context;
        record.event = AUDIT_RATE_LIMITED;
        audit_note(place->audit, &record);
        record.event = AUDIT_LOGIN;
        audit_note(place->audit, &record);
        if (i % 10 == 0 && audit_tick(place->audit, place->now_us) != OK)
            return context;
        if (i % 50 == 0 && audit_reopen(place->audit) != OK)
            return context;
    }
    return NULL;
}

static void threads_share_one_chain(void **state)
{
    struct place *place = *state;
    pthread_t threads[THREADS];
    open_log(place);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, place), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    close_log(place);
    assert_int_equal(logged(place, "key_create"), THREADS * EACH);
    assert_int_equal(logged(place, "\"count\":400,"), 1);
    assert_whole(place, 2 * THREADS * EACH + 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_start_makes_key_and_checkpoint),
        TEST(the_chain_goes_on_after_a_restart),
        TEST(the_chain_goes_on_after_a_kill),
        TEST(half_a_record_is_moved_away_and_said),
        cmocka_unit_test(a_log_that_was_tampered_with_is_not_continued),
        TEST(a_path_that_is_no_file_is_refused),
        TEST(a_first_start_that_was_killed_is_begun_anew),
        TEST(a_record_that_is_not_on_disk_is_not_in_the_log),
        TEST(a_failing_disk_is_complained_of_once_a_minute),
        TEST(several_share_a_wait_for_the_disk),
        TEST(a_full_disk_leaves_no_half_record),
        TEST(repetitions_within_ten_seconds_are_one_record),
        TEST(repetitions_of_what_is_cut_or_hidden_are_one_record),
        TEST(only_the_same_is_coalesced),
        TEST(what_finds_no_room_is_counted),
        TEST(the_chain_goes_on_in_a_new_file),
        TEST(a_rotation_after_a_kill_does_not_fork_the_chain),
        TEST(a_file_with_strange_lines_is_not_gone_on_in),
        TEST(checkpoints_are_saved_by_number_and_by_time),
        TEST(threads_share_one_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
