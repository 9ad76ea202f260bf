/* Accounts are kept as they were given, and go with all that was theirs. */
#include "accounts.h"
#include "failing_step.h"

#include "store/migrations.h"

static struct seen_users users_in(struct store *store)
{
    struct seen_users seen = {0};
    assert_int_equal(store_each_user(store, note_user, &seen), OK);
    return seen;
}

static void users_survive_reopening_with_every_field(void **state)
{
    struct store *store = open_good(*state);
    struct stored_user user = sample_user("x'); DROP TABLE users; --\xc3\xa9");
    uint64_t number = 0;
    user.disabled = true;
    user.role = SLICE("admin");
    user.number = 99; /* is ignored */
    assert_int_equal(store_add_user(store, &user, &number), OK);
    assert_int_equal(number, 1);
    store_close(store);

    store = open_good(*state);
    struct seen_users seen = users_in(store);
    store_close(store);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.rows[0].number, 1);
    assert_string_equal(seen.names[0], "x'); DROP TABLE users; --\xc3\xa9");
    assert_string_equal(seen.passwords[0], "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA");
    assert_string_equal(seen.roles[0], "admin");
    assert_true(seen.rows[0].disabled);
    assert_int_equal(seen.rows[0].created_epoch_s, CREATED);
    assert_int_equal(seen.rows[0].password_epoch_s, CREATED + 1);
    assert_int_equal(seen.rows[0].last_login_epoch_s, 7);
}

static void names_are_unique_byte_for_byte(void **state)
{
    struct store *store = open_good(*state);
    struct stored_user again = sample_user("anna");
    uint64_t number = 77;
    add_user(store, "anna");
    assert_int_equal(store_add_user(store, &again, &number), ERR_EXISTS);
    assert_int_equal(number, 77);
    add_user(store, "Anna");
    add_user(store, "anna ");
    assert_int_equal(users_in(store).count, 3);
    store_close(store);
}

/* Each row breaks one rule of the tables. */
static void what_can_be_no_user_is_not_kept(void **state)
{
    struct store *store = open_good(*state);
    uint64_t good = add_user(store, "anna"), number;
    struct stored_user bad[6];
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        bad[i] = sample_user("bert");
    bad[0].name = SLICE("");
    bad[1].password = SLICE("");
    bad[2].role = SLICE("root");
    bad[3].created_epoch_s = UINT64_MAX; /* more than SQLite's numbers hold */
    bad[4].password_epoch_s = UINT64_MAX;
    bad[5].last_login_epoch_s = UINT64_MAX;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(store_add_user(store, &bad[i], &number), ERR_STORE);
        bool written_when_saved = i != 0 && i != 3;
        bad[i].number = good;
        if (written_when_saved)
            assert_int_equal(store_save_user(store, &bad[i]), ERR_STORE);
    }
    struct seen_users seen = users_in(store);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.roles[0], "user");
    assert_int_equal(seen.rows[0].password_epoch_s, CREATED + 1);
    store_close(store);
}

static void saving_writes_all_but_name_and_making(void **state)
{
    struct store *store = open_good(*state);
    struct stored_user user = sample_user("somebody else");
    add_user(store, "anna");
    user.number = add_user(store, "bert");
    user.password = SLICE("$2y$12$new");
    user.role = SLICE("guest");
    user.disabled = true;
    user.created_epoch_s = 5;
    user.password_epoch_s = 6;
    user.last_login_epoch_s = 8;
    assert_int_equal(store_save_user(store, &user), OK);
    user.number = 1000;
    assert_int_equal(store_save_user(store, &user), ERR_NOT_FOUND);
    user.number = UINT64_MAX;
    assert_int_equal(store_save_user(store, &user), ERR_STORE);
    store_close(store);

    store = open_good(*state);
    struct seen_users seen = users_in(store);
    store_close(store);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.roles[0], "user");
    assert_int_equal(seen.rows[0].last_login_epoch_s, 7);
    assert_string_equal(seen.names[1], "bert");
    assert_string_equal(seen.passwords[1], "$2y$12$new");
    assert_string_equal(seen.roles[1], "guest");
    assert_true(seen.rows[1].disabled);
    assert_int_equal(seen.rows[1].created_epoch_s, CREATED);
    assert_int_equal(seen.rows[1].password_epoch_s, 6);
    assert_int_equal(seen.rows[1].last_login_epoch_s, 8);
}

static void a_user_goes_with_its_sessions_and_tokens(void **state)
{
    struct store *store = open_good(*state);
    uint64_t anna = add_user(store, "anna"), bert = add_user(store, "bert");
    add_session(store, 'A', anna, 1);
    add_session(store, 'B', anna, 2);
    add_session(store, 'C', bert, 3);
    assert_int_equal(rotate(store, 1, 4, CREATED), OK);
    assert_rows(*state, 2, 3, 4);
    assert_int_equal(store_delete_user(store, anna, 5), OK);
    assert_rows(*state, 1, 1, 1);
    assert_int_equal(store_delete_user(store, anna, 5), ERR_NOT_FOUND);
    assert_int_equal(store_delete_user(store, UINT64_MAX, 5), ERR_STORE);
    struct stored_session session;
    assert_int_equal(store_find_refresh(store, token_of(4).sha256, &session), ERR_NOT_FOUND);
    assert_int_equal(session_of(store, 3).user_number, bert);
    store_close(store);
}

static void numbers_are_never_used_again(void **state)
{
    struct store *store = open_good(*state);
    uint64_t first = add_user(store, "anna"), last = add_user(store, "bert");
    assert_int_equal(store_delete_user(store, last, 5), OK);
    assert_int_equal(store_delete_user(store, first, 5), OK);
    store_close(store);
    run_sql(*state, "VACUUM");
    store = open_good(*state);
    assert_int_equal(add_user(store, "bert"), last + 1);
    store_close(store);
}

static void users_are_listed_oldest_first_until_told_to_stop(void **state)
{
    struct store *store = open_good(*state);
    struct seen_users seen = {.stop_after = 2};
    add_user(store, "zoe");
    add_user(store, "anna");
    add_user(store, "bert");
    assert_int_equal(store_each_user(store, note_user, &seen), ERR_LIMIT);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.names[0], "zoe");
    assert_string_equal(seen.names[1], "anna");
    assert_int_equal(users_in(store).count, 3);
    store_close(store);
}

/* Each under an open store, and back again. */
static void rows_that_cannot_be_ours_are_not_read(void **state)
{
    static const char *const damages[] = {
        "UPDATE users SET number = 0",
        "UPDATE users SET number = -1",
        "UPDATE users SET name = ''",
        "UPDATE users SET password = ''",
        "UPDATE users SET role = ''",
        "UPDATE users SET disabled = 2",
        "UPDATE users SET disabled = -1",
        "UPDATE users SET created_epoch_s = -1",
        "UPDATE users SET password_epoch_s = -1",
        "UPDATE users SET last_login_epoch_s = -1",
    };
    struct store *store = open_good(*state);
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        struct seen_users seen = {0};
        add_user(store, "anna");
        run_sql(*state, damages[i]);
        assert_int_equal(store_each_user(store, note_user, &seen), ERR_STORE);
        assert_int_equal(seen.count, 0);
        run_sql(*state, "DELETE FROM users");
        assert_int_equal(store_each_user(store, note_user, &seen), OK);
    }
    store_close(store);
}

static void a_database_that_breaks_its_rules_is_refused(void **state)
{
    struct store *store = open_good(*state);
    add_user(store, "anna");
    store_close(store);
    run_sql(*state, "UPDATE users SET password = ''");
    assert_refused(*state, "damaged");
}

static void a_database_without_its_tables_is_refused(void **state)
{
    store_close(open_good(*state));
    run_sql(*state, "DROP TABLE refresh_tokens");
    assert_refused(*state, "expected form");
}

/* As the version before left it, with two keys. */
static void make_version_1(const struct place *place)
{
    assert_int_equal(migration_table()[0].number, 1);
    run_sql(place, migration_table()[0].sql);
    run_sql(place, "INSERT INTO api_keys VALUES"
                   " (1, 'AAAAAAAAAAAA', zeroblob(32), 'one', 'anna', 1, '', 5, 0, 0, 0),"
                   " (2, 'BBBBBBBBBBBB', randomblob(32), 'two', '', 3, '[\"m\"]', 6, 0, 7, 8)");
}

static void assert_migrated(const struct place *place)
{
    for (int opening = 0; opening < 2; opening++) {
        struct store *store = open_good(place);
        struct seen seen = {0};
        assert_int_equal(store_each_key(store, note, &seen), OK);
        assert_int_equal(seen.count, 2);
        assert_string_equal(seen.ids[0], "AAAAAAAAAAAA");
        assert_int_equal(seen.revoked[1], 7);
        assert_int_equal(seen.used[1], 8);
        assert_string_equal(seen.models, "[\"m\"]");
        assert_int_equal(ask_sql(place, "PRAGMA user_version"), migration_latest());
        uint64_t number = add_user(store, opening ? "bert" : "anna");
        add_session(store, opening ? 'B' : 'A', number, (unsigned)opening);
        store_close(store);
    }
    assert_rows(place, 2, 2, 2);
}

static void a_version_1_database_keeps_its_keys(void **state)
{
    make_version_1(*state);
    assert_migrated(*state);
}

static void a_migration_that_fails_changes_nothing(void **state)
{
    make_version_1(*state);
    run_sql(*state, "CREATE TABLE refresh_tokens (x)");
    assert_refused(*state, "this version's form");
    assert_int_equal(ask_sql(*state, "PRAGMA user_version"), 1);
    assert_int_equal(ask_sql(*state, "SELECT count(*) FROM sqlite_schema WHERE name = 'users'"), 0);
    run_sql(*state, "DROP TABLE refresh_tokens");
    assert_migrated(*state);
}

static enum err add_bert(struct store *store)
{
    struct stored_user user = sample_user("bert");
    uint64_t number;
    return store_add_user(store, &user, &number);
}

static enum err save_anna(struct store *store)
{
    struct stored_user user = sample_user("anna");
    user.number = 1;
    user.disabled = true;
    return store_save_user(store, &user);
}

static enum err delete_anna(struct store *store)
{
    return store_delete_user(store, 1, 5);
}

static void assert_anna_alone(const struct place *place, struct store *store)
{
    /* Not over the old connection, when that holds what it could not end. */
    struct seen_users seen = {0};
    if (store_each_user(store, note_user, &seen) == OK)
        assert_int_equal(seen.count, 1);
    assert_rows(place, 1, 1, 2);
    assert_int_equal(
        ask_sql(place, "SELECT count(*) FROM users WHERE name = 'anna' AND disabled = 0"), 1);
}

static const struct change changes[] = {
    {add_bert,    OK, assert_anna_alone},
    {save_anna,   OK, assert_anna_alone},
    {delete_anna, OK, assert_anna_alone},
};

static struct store *open_with_anna(const struct place *place)
{
    struct store *store = open_good(place);
    add_session(store, 'A', add_user(store, "anna"), 1);
    assert_int_equal(rotate(store, 1, 2, CREATED), OK);
    return store;
}

static void a_change_of_which_a_step_fails_is_not_made(void **state)
{
    fail_each_change(*state, open_with_anna, changes, COUNT_OF(changes));
}

static void a_full_disk_changes_nothing(void **state)
{
    const struct place *place = *state;
    struct store *store = open_with_anna(place);
    fill_disk_before_each(place, store, changes, COUNT_OF(changes));
    /* And it goes on where it stopped. */
    assert_int_equal(add_bert(store), OK);
    assert_int_equal(delete_anna(store), OK);
    store_close(store);
    assert_rows(place, 1, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(users_survive_reopening_with_every_field),
        IN_PLACE(names_are_unique_byte_for_byte),
        IN_PLACE(what_can_be_no_user_is_not_kept),
        IN_PLACE(saving_writes_all_but_name_and_making),
        IN_PLACE(a_user_goes_with_its_sessions_and_tokens),
        IN_PLACE(numbers_are_never_used_again),
        IN_PLACE(users_are_listed_oldest_first_until_told_to_stop),
        IN_PLACE(rows_that_cannot_be_ours_are_not_read),
        IN_PLACE(a_database_that_breaks_its_rules_is_refused),
        IN_PLACE(a_database_without_its_tables_is_refused),
        IN_PLACE(a_version_1_database_keeps_its_keys),
        IN_PLACE(a_migration_that_fails_changes_nothing),
        IN_PLACE(a_change_of_which_a_step_fails_is_not_made),
        IN_PLACE(a_full_disk_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
