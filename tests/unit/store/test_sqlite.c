/* The store keeps what it said it kept, and refuses what it cannot trust. */
#include "place.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "store/migrations.h"

static void keys_survive_reopening_with_every_field(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key key = sample("AAAAAAAAAAAA", 1);
    assert_int_equal(store_add_key(store, &key), OK);
    store_close(store);

    struct seen seen = {0};
    store = open_good(*state);
    assert_int_equal(store_each_key(store, note, &seen), OK);
    store_close(store);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.ids[0], "AAAAAAAAAAAA");
    assert_memory_equal(seen.last.secret_sha256, key.secret_sha256, 32);
    assert_string_equal(seen.name, "a name with ' and \" and \xc3\xa9");
    assert_string_equal(seen.owner, "x'); DROP TABLE api_keys; --");
    assert_string_equal(seen.models, "[\"m\"]");
    assert_int_equal(seen.last.permissions, 0x203);
    assert_int_equal(seen.last.created_epoch_s, 1700000000);
    assert_int_equal(seen.last.expires_epoch_s, 1800000000);
    assert_int_equal(seen.used[0], 7);
    assert_int_equal(seen.revoked[0], 0);
}

static void id_and_secret_are_unique(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key key = sample("AAAAAAAAAAAA", 1), same_id = sample("AAAAAAAAAAAA", 2),
                      same_secret = sample("BBBBBBBBBBBB", 1), short_id = sample("CC", 3);
    struct seen seen = {0};
    assert_int_equal(store_add_key(store, &key), OK);
    assert_int_equal(store_add_key(store, &same_id), ERR_EXISTS);
    assert_int_equal(store_add_key(store, &same_secret), ERR_EXISTS);
    assert_int_equal(store_add_key(store, &short_id), ERR_STORE);
    short_id = sample("DDDDDDDDDDDD", 4);
    short_id.expires_epoch_s = UINT64_MAX; /* more than SQLite's numbers hold */
    assert_int_equal(store_add_key(store, &short_id), ERR_STORE);
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.count, 1);
    store_close(store);
}

static void a_key_is_revoked_once(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key a = sample("AAAAAAAAAAAA", 1), b = sample("BBBBBBBBBBBB", 2);
    struct seen seen = {0};
    assert_int_equal(store_add_key(store, &a), OK);
    assert_int_equal(store_add_key(store, &b), OK);
    assert_int_equal(store_revoke_key(store, SLICE("AAAAAAAAAAAA"), 1234), OK);
    assert_int_equal(store_revoke_key(store, SLICE("AAAAAAAAAAAA"), 5678), ERR_NOT_FOUND);
    assert_int_equal(store_revoke_key(store, SLICE("' OR 1=1 --"), 5678), ERR_NOT_FOUND);
    assert_int_equal(store_revoke_key(store, SLICE("BBBBBBBBBBBB"), 0), OK);
    store_close(store);
    store = open_good(*state);
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.revoked[0], 1234);
    assert_int_not_equal(seen.revoked[1], 0);
    store_close(store);
}

static void uses_are_noted_together_and_never_go_back(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key a = sample("AAAAAAAAAAAA", 1), b = sample("BBBBBBBBBBBB", 2);
    struct key_use uses[] = {
        {"AAAAAAAAAAAA", 100},
        {"CCCCCCCCCCCC", 5  },
        {"BBBBBBBBBBBB", 6  }
    };
    struct seen seen = {0};
    assert_int_equal(store_add_key(store, &a), OK);
    assert_int_equal(store_add_key(store, &b), OK);
    assert_int_equal(store_touch_keys(store, uses, COUNT_OF(uses)), OK);
    assert_int_equal(store_touch_key(store, SLICE("AAAAAAAAAAAA"), 99), OK);
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.used[0], 100);
    assert_int_equal(seen.used[1], 7);
    /* One that fails takes the others of its transaction with it. */
    uses[0].last_used_epoch_s = 200;
    uses[1].last_used_epoch_s = UINT64_MAX;
    assert_int_equal(store_touch_keys(store, uses, COUNT_OF(uses)), ERR_STORE);
    seen = (struct seen){0};
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.used[0], 100);
    store_close(store);
}

static void listing_goes_on_behind_a_number_and_stops_when_told(void **state)
{
    struct store *store = open_good(*state);
    static const char *const ids[] = {"CCCCCCCCCCCC", "AAAAAAAAAAAA", "BBBBBBBBBBBB"};
    struct seen seen = {.stop_after = 2};
    for (unsigned i = 0; i < 3; i++) {
        struct stored_key key = sample(ids[i], (unsigned char)i);
        assert_int_equal(store_add_key(store, &key), OK);
    }
    assert_int_equal(store_each_key(store, note, &seen), ERR_LIMIT);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.ids[1], "AAAAAAAAAAAA");
    uint64_t behind = seen.numbers[1];
    seen = (struct seen){0};
    assert_int_equal(store_each_key_after(store, behind, note, &seen), OK);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.ids[0], "BBBBBBBBBBBB");
    seen = (struct seen){0};
    assert_int_equal(store_find_key(store, SLICE("CCCCCCCCCCCC"), note, &seen), OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(store_find_key(store, SLICE("ZZZZZZZZZZZZ"), note, &seen), ERR_NOT_FOUND);
    store_close(store);
}

static void the_file_is_private_and_nothing_is_left_beside_it(void **state)
{
    struct place *place = *state;
    mode_t before = umask(0);
    struct store *store = open_good(place);
    struct stored_key key = sample("AAAAAAAAAAAA", 1);
    assert_int_equal(store_add_key(store, &key), OK);
    umask(before);
    struct stat st;
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", place->path);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(store);
    snprintf(wal, sizeof wal, "%s.new", place->path);
    assert_int_equal(stat(wal, &st), -1);
}

static void a_newer_database_is_refused(void **state)
{
    store_close(open_good(*state));
    run_sql(*state, "PRAGMA user_version = 999");
    assert_refused(*state, "version 999");
}

static void somebody_elses_database_is_refused(void **state)
{
    run_sql(*state, "CREATE TABLE api_keys (id TEXT)");
    assert_refused(*state, "not one of Sallyport's");
}

static void write_file(const struct place *place, const char *bytes, size_t size)
{
    int fd = open(place->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static void what_is_no_database_is_refused(void **state)
{
    static const char text[] = "This is not a database, however long one looks at it.";
    struct place *place = *state;
    write_file(place, text, sizeof text);
    assert_refused(place, "damaged");
    write_file(place, "", 0);
    assert_refused(place, "empty");
    unlink(place->path);
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_refused(place, "regular file");
}

static void a_missing_database_beside_its_log_is_refused(void **state)
{
    struct place *place = *state, wal = *place;
    snprintf(wal.path, sizeof wal.path, "%s/keys.db-wal", place->directory);
    write_file(&wal, "x", 1);
    assert_refused(place, "-wal");
}

static void a_damaged_database_is_refused(void **state)
{
    struct place *place = *state;
    struct store *store = open_good(place);
    for (unsigned i = 0; i < 100; i++) {
        char id[13];
        snprintf(id, sizeof id, "K%011u", i);
        struct stored_key key = sample(id, (unsigned char)i);
        assert_int_equal(store_add_key(store, &key), OK);
    }
    store_close(store);
    struct stat st;
    assert_int_equal(stat(place->path, &st), 0);
    int fd = open(place->path, O_RDWR);
    static const char noise[64] = "\xff\xff\xff\xff\xff\xff\xff\xff";
    for (off_t at = 4096; at + 64 < st.st_size; at += 512)
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
    close(fd);
    assert_refused(place, "damaged");
    assert_int_equal(truncate(place->path, st.st_size / 2), 0);
    assert_refused(place, "damaged");
}

static void others_may_not_write_and_should_not_read(void **state)
{
    struct place *place = *state;
    store_close(open_good(place));
    chmod(place->path, 0666);
    assert_refused(place, "others may write");
    chmod(place->path, 0644);
    struct store *store;
    AUTO(faults) faults = {0};
    assert_int_equal(store_open(place->path, &store, &faults), OK);
    assert_int_equal(faults.errors, 0);
    assert_int_equal(faults.count, 1);
    store_close(store);
}

static void a_full_disk_changes_nothing(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key a = sample("AAAAAAAAAAAA", 1), b = sample("BBBBBBBBBBBB", 2);
    struct rlimit before, none;
    assert_int_equal(store_add_key(store, &a), OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    enum err added = store_add_key(store, &b);
    enum err revoked = store_revoke_key(store, a.id, 5);
    struct key_use use = {"AAAAAAAAAAAA", 100};
    enum err touched = store_touch_keys(store, &use, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(added, ERR_STORE);
    assert_int_equal(revoked, ERR_STORE);
    assert_int_equal(touched, ERR_STORE);
    struct seen seen = {0};
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.revoked[0], 0);
    assert_int_equal(seen.used[0], 7);
    /* And it goes on where it stopped. */
    assert_int_equal(store_add_key(store, &b), OK);
    store_close(store);
    store = open_good(*state);
    seen = (struct seen){0};
    assert_int_equal(store_each_key(store, note, &seen), OK);
    assert_int_equal(seen.count, 2);
    store_close(store);
}

static void a_full_disk_at_the_first_start_leaves_no_half_database(void **state)
{
    struct place *place = *state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit none = {0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct store *store;
    AUTO(faults) faults = {0};
    enum err err = store_open(place->path, &store, &faults);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, ERR_STORE);
    assert_int_equal(access(place->path, F_OK), -1);
    store_close(open_good(place));
}

static void migrations_are_numbered_from_one_without_gaps(void **state)
{
    (void)state;
    int expected = 1;
    for (const struct migration *m = migration_table(); m->sql; m++) {
        char last_statement[64];
        snprintf(last_statement, sizeof last_statement, "PRAGMA user_version = %d;", expected);
        assert_int_equal(m->number, expected++);
        assert_true(slice_ends(slice_of(m->sql), slice_of(last_statement)));
    }
    assert_int_equal(migration_latest(), expected - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(keys_survive_reopening_with_every_field),
        IN_PLACE(id_and_secret_are_unique),
        IN_PLACE(a_key_is_revoked_once),
        IN_PLACE(uses_are_noted_together_and_never_go_back),
        IN_PLACE(listing_goes_on_behind_a_number_and_stops_when_told),
        IN_PLACE(the_file_is_private_and_nothing_is_left_beside_it),
        IN_PLACE(a_newer_database_is_refused),
        IN_PLACE(somebody_elses_database_is_refused),
        IN_PLACE(what_is_no_database_is_refused),
        IN_PLACE(a_missing_database_beside_its_log_is_refused),
        IN_PLACE(a_damaged_database_is_refused),
        IN_PLACE(others_may_not_write_and_should_not_read),
        IN_PLACE(a_full_disk_changes_nothing),
        IN_PLACE(a_full_disk_at_the_first_start_leaves_no_half_database),
        cmocka_unit_test(migrations_are_numbered_from_one_without_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
