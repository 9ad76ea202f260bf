/* Keys in the store: what they are held to, rotation, pruning, and what becomes of a user's own. */
#include "accounts.h"
#include "failing_step.h"

#include "store/migrations.h"

enum { NOW = 1700000500 };

/* A key with its texts, as they were read. */
struct row {
    struct stored_key key;
    char name[65], owner[65], models[64], endpoints[64], ranges[64], rate[32];
    size_t bcrypt_len;
};

static enum err copy_row(void *context, const struct stored_key *key)
{
    struct row *row = context;
    row->key = *key;
    snprintf(row->name, sizeof row->name, "%.*s", SLICE_ARG(key->name));
    snprintf(row->owner, sizeof row->owner, "%.*s", SLICE_ARG(key->owner));
    snprintf(row->models, sizeof row->models, "%.*s", SLICE_ARG(key->models_json));
    snprintf(row->endpoints, sizeof row->endpoints, "%.*s", SLICE_ARG(key->endpoints_json));
    snprintf(row->ranges, sizeof row->ranges, "%.*s", SLICE_ARG(key->ip_ranges_json));
    snprintf(row->rate, sizeof row->rate, "%.*s", SLICE_ARG(key->rate));
    row->bcrypt_len = key->bcrypt.len;
    return OK;
}

static struct row row_of(struct store *store, const char *id)
{
    struct row row;
    assert_int_equal(store_find_key(store, slice_of(id), copy_row, &row), OK);
    return row;
}

static bool is_there(struct store *store, const char *id)
{
    struct row row;
    enum err err = store_find_key(store, slice_of(id), copy_row, &row);
    assert_true(err == OK || err == ERR_NOT_FOUND);
    return err == OK;
}

static void add_key(struct store *store, const char *id, unsigned char digest, const char *owner)
{
    struct stored_key key = sample(id, digest);
    key.owner = slice_of(owner);
    assert_int_equal(store_add_key(store, &key), OK);
}

/* Exactly what migrations 1 and 2 left, with a key and its account. */
static void make_version_2(const struct place *place)
{
    run_sql(place, migration_table()[0].sql);
    run_sql(place, migration_table()[1].sql);
    run_sql(place, "INSERT INTO api_keys VALUES (4, 'AAAAAAAAAAAA', zeroblob(32), 'one', 'anna', 1,"
                   " '[\"m\"]', 5, 1800000000, 0, 6)");
    run_sql(place, "INSERT INTO users VALUES (1, 'anna', 'x', 'user', 1, 5, 5, 0)");
}

static void a_version_2_database_keeps_its_keys(void **state)
{
    const struct place *place = *state;
    make_version_2(place);
    assert_int_equal(ask_sql(place, "PRAGMA user_version"), 2);
    for (int opening = 0; opening < 2; opening++) {
        struct store *store = open_good(place);
        struct row row = row_of(store, "AAAAAAAAAAAA");
        assert_int_equal(row.key.number, 4);
        assert_string_equal(row.name, "one");
        assert_string_equal(row.models, "[\"m\"]");
        assert_int_equal(row.key.expires_epoch_s, 1800000000);
        assert_int_equal(row.key.last_used_epoch_s, 6);
        /* Held to nothing more than before. */
        assert_string_equal(row.endpoints, "");
        assert_string_equal(row.ranges, "");
        assert_string_equal(row.rate, "");
        assert_int_equal(row.key.burst, 0);
        assert_false(row.key.disabled);
        assert_true(row.key.account.disabled);
        assert_string_equal(row.key.account.role, "user");
        store_close(store);
        assert_int_equal(ask_sql(place, "PRAGMA user_version"), migration_latest());
    }
}

static void a_migration_to_3_that_fails_leaves_version_2(void **state)
{
    const struct place *place = *state;
    make_version_2(place);
    run_sql(place, "CREATE INDEX api_keys_by_owner ON users (name)");
    assert_refused(place, "this version's form");
    assert_int_equal(ask_sql(place, "PRAGMA user_version"), 2);
    assert_int_equal(
        ask_sql(place, "SELECT count(*) FROM pragma_table_info('api_keys') WHERE name = 'rate'"),
        0);
    run_sql(place, "DROP INDEX api_keys_by_owner");
    store_close(open_good(place));
    assert_int_equal(ask_sql(place, "PRAGMA user_version"), migration_latest());
}

static void what_a_key_is_held_to_survives_reopening(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key key = sample("AAAAAAAAAAAA", 1);
    key.endpoints_json = SLICE("[\"/v1/*\"]");
    key.ip_ranges_json = SLICE("[\"10.0.0.0/8\"]");
    key.rate = SLICE("60/minute");
    key.burst = 5;
    assert_int_equal(store_add_key(store, &key), OK);
    key.name = SLICE("another");
    key.owner = SLICE("anna");
    key.permissions = 1;
    key.models_json = SLICE("");
    key.burst = 6;
    key.disabled = true;
    key.expires_epoch_s = 0;
    key.created_epoch_s = 1; /* stays */
    memset(key.secret_sha256, 9, sizeof key.secret_sha256);
    for (int round = 0; round < 2; round++) {
        struct row row = row_of(store, "AAAAAAAAAAAA");
        assert_string_equal(row.name, round ? "another" : "a name with ' and \" and \xc3\xa9");
        assert_string_equal(row.models, round ? "" : "[\"m\"]");
        assert_string_equal(row.endpoints, "[\"/v1/*\"]");
        assert_string_equal(row.ranges, "[\"10.0.0.0/8\"]");
        assert_string_equal(row.rate, "60/minute");
        assert_int_equal(row.key.burst, 5 + round);
        assert_int_equal(row.key.disabled, round);
        assert_int_equal(row.key.expires_epoch_s, round ? 0 : 1800000000);
        assert_int_equal(row.key.created_epoch_s, 1700000000);
        assert_int_equal(row.key.secret_sha256[0], 1);
        assert_int_equal(store_save_key(store, &key), OK);
        store_close(store);
        store = open_good(*state);
    }
    assert_int_equal(store_revoke_key(store, key.id, NOW), OK);
    assert_int_equal(store_save_key(store, &key), ERR_NOT_FOUND);
    key.id = SLICE("CCCCCCCCCCCC");
    assert_int_equal(store_save_key(store, &key), ERR_NOT_FOUND);
    store_close(store);
}

static enum err rotate_key(struct store *store, const char *old, const char *new, uint64_t end)
{
    struct stored_key key = sample(new, (unsigned char)new[0]);
    return store_rotate_key(store, &key, slice_of(old), NOW, end);
}

static void rotation_ends_the_old_key_at_once_or_later_and_never_prolongs_it(void **state)
{
    struct store *store = open_good(*state);
    add_key(store, "AAAAAAAAAAAA", 1, "");
    assert_int_equal(rotate_key(store, "AAAAAAAAAAAA", "BBBBBBBBBBBB", NOW + 60), OK);
    assert_int_equal(row_of(store, "AAAAAAAAAAAA").key.expires_epoch_s, NOW + 60);
    assert_int_equal(row_of(store, "AAAAAAAAAAAA").key.revoked_epoch_s, 0);
    assert_int_equal(rotate_key(store, "AAAAAAAAAAAA", "CCCCCCCCCCCC", NOW + 90), OK);
    assert_int_equal(row_of(store, "AAAAAAAAAAAA").key.expires_epoch_s, NOW + 60);
    assert_int_equal(rotate_key(store, "BBBBBBBBBBBB", "DDDDDDDDDDDD", NOW), OK);
    assert_int_equal(row_of(store, "BBBBBBBBBBBB").key.revoked_epoch_s, NOW);
    /* What cannot be is not done by half. */
    assert_int_equal(rotate_key(store, "BBBBBBBBBBBB", "EEEEEEEEEEEE", NOW), ERR_NOT_FOUND);
    assert_int_equal(rotate_key(store, "BBBBBBBBBBBB", "EEEEEEEEEEEE", NOW + 9), ERR_NOT_FOUND);
    assert_int_equal(rotate_key(store, "nothing", "EEEEEEEEEEEE", NOW + 9), ERR_NOT_FOUND);
    assert_false(is_there(store, "EEEEEEEEEEEE"));
    assert_int_equal(rotate_key(store, "CCCCCCCCCCCC", "DDDDDDDDDDDD", NOW), ERR_EXISTS);
    assert_int_equal(row_of(store, "CCCCCCCCCCCC").key.revoked_epoch_s, 0);
    store_close(store);
}

static void pruning_forgets_what_ended_before_that_day(void **state)
{
    static const char *const kept[] = {"AAAAAAAAAAAA", "CCCCCCCCCCCC", "EEEEEEEEEEEE"};
    struct store *store = open_good(*state);
    uint64_t count = 7;
    for (char letter = 'A'; letter <= 'E'; letter++) {
        char id[13] = {0};
        memset(id, letter, 12);
        struct stored_key key = sample(id, (unsigned char)letter);
        key.expires_epoch_s = letter == 'D' ? NOW - 1 : letter == 'E' ? NOW : 0;
        assert_int_equal(store_add_key(store, &key), OK);
    }
    assert_int_equal(store_revoke_key(store, SLICE("BBBBBBBBBBBB"), NOW - 1), OK);
    assert_int_equal(store_revoke_key(store, SLICE("CCCCCCCCCCCC"), NOW), OK);
    assert_int_equal(store_prune_keys(store, NOW, &count), OK);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        assert_true(is_there(store, kept[i]));
    assert_false(is_there(store, "BBBBBBBBBBBB"));
    assert_false(is_there(store, "DDDDDDDDDDDD"));
    store_close(store);
}

static void assert_owner(struct store *store, const char *name, bool disabled, const char *role)
{
    struct stored_owner owner;
    assert_int_equal(store_find_owner(store, slice_of(name), &owner), OK);
    assert_int_equal(owner.disabled, disabled);
    assert_string_equal(owner.role, role);
}

static void a_user_takes_its_own_keys_along(void **state)
{
    struct store *store = open_good(*state);
    struct stored_user user = sample_user("anna");
    user.number = add_user(store, "anna");
    add_key(store, "AAAAAAAAAAAA", 1, "anna");
    add_key(store, "BBBBBBBBBBBB", 2, "Anna");
    assert_owner(store, "anna", false, "user");
    user.disabled = true;
    user.role = SLICE("guest");
    assert_int_equal(store_save_user(store, &user), OK);
    assert_owner(store, "anna", true, "guest");
    assert_true(row_of(store, "AAAAAAAAAAAA").key.account.disabled);
    assert_string_equal(row_of(store, "AAAAAAAAAAAA").key.account.role, "guest");
    assert_false(row_of(store, "BBBBBBBBBBBB").key.account.disabled);
    assert_string_equal(row_of(store, "BBBBBBBBBBBB").key.account.role, "");
    assert_int_equal(store_delete_user(store, user.number, NOW), OK);
    assert_int_equal(row_of(store, "AAAAAAAAAAAA").key.revoked_epoch_s, NOW);
    assert_int_equal(row_of(store, "BBBBBBBBBBBB").key.revoked_epoch_s, 0);
    assert_owner(store, "anna", false, "");
    store_close(store);
}

/* By hand; a role that is none must not be taken for nobody's. */
static void an_owner_that_cannot_be_ours_is_not_read(void **state)
{
    static const char *const damages[] = {
        "UPDATE users SET disabled = 2",
        "UPDATE users SET disabled = -1",
        "UPDATE users SET role = ''",
        "UPDATE users SET role = 'a role of too many letters'",
    };
    struct store *store = open_good(*state);
    struct stored_owner owner;
    struct row row;
    add_key(store, "AAAAAAAAAAAA", 1, "anna");
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        add_user(store, "anna");
        run_sql(*state, damages[i]);
        assert_int_equal(store_find_owner(store, SLICE("anna"), &owner), ERR_STORE);
        assert_int_equal(store_find_key(store, SLICE("AAAAAAAAAAAA"), copy_row, &row), ERR_STORE);
        run_sql(*state, "DELETE FROM users");
    }
    store_close(store);
}

static void imported_keys_keep_their_hash(void **state)
{
    struct store *store = open_good(*state);
    struct stored_key keys[] = {sample("AAAAAAAAAAAA", 1), sample("BBBBBBBBBBBB", 2)};
    uint64_t unnamed = 9;
    bool taken = true;
    keys[0].bcrypt = keys[1].bcrypt = SLICE("$2b$...");
    keys[1].unnamed = true;
    assert_int_equal(store_key_taken(store, keys[0].id, keys[0].secret_sha256, &taken), OK);
    assert_false(taken);
    assert_int_equal(store_add_keys(store, keys, COUNT_OF(keys)), OK);
    assert_int_equal(store_add_keys(store, keys, 0), OK);
    keys[1].id = SLICE("CCCCCCCCCCCC");
    assert_int_equal(store_add_keys(store, keys + 1, 1), ERR_EXISTS);
    keys[0].name = SLICE("changed");
    keys[0].bcrypt = SLICE("");
    assert_int_equal(store_save_key(store, &keys[0]), OK);
    store_close(store);
    store = open_good(*state);
    assert_int_equal(row_of(store, "AAAAAAAAAAAA").bcrypt_len, 7);
    assert_false(row_of(store, "AAAAAAAAAAAA").key.unnamed);
    assert_true(row_of(store, "BBBBBBBBBBBB").key.unnamed);
    /* By either of the two, and also when it was revoked. */
    assert_int_equal(store_revoke_key(store, SLICE("BBBBBBBBBBBB"), NOW), OK);
    assert_int_equal(store_key_taken(store, SLICE("ZZZZZZZZZZZZ"), keys[1].secret_sha256, &taken),
                     OK);
    assert_true(taken);
    memset(keys[1].secret_sha256, 7, sizeof keys[1].secret_sha256);
    assert_int_equal(store_key_taken(store, SLICE("BBBBBBBBBBBB"), keys[1].secret_sha256, &taken),
                     OK);
    assert_true(taken);
    assert_int_equal(store_count_unnamed(store, &unnamed), OK);
    assert_int_equal(unnamed, 0);
    store_close(store);
}

static enum err save_a(struct store *store)
{
    struct stored_key key = sample("AAAAAAAAAAAA", 1);
    key.name = SLICE("changed");
    return store_save_key(store, &key);
}

static enum err rotate_a(struct store *store)
{
    return rotate_key(store, "AAAAAAAAAAAA", "BBBBBBBBBBBB", NOW);
}

static enum err prune_a(struct store *store)
{
    uint64_t count;
    return store_prune_keys(store, 1900000000, &count);
}

static enum err delete_owner(struct store *store)
{
    return store_delete_user(store, 1, NOW);
}

static enum err add_two(struct store *store)
{
    struct stored_key keys[] = {sample("CCCCCCCCCCCC", 3), sample("DDDDDDDDDDDD", 4)};
    return store_add_keys(store, keys, COUNT_OF(keys));
}

static void assert_a_is_as_it_was(const struct place *place, struct store *store)
{
    /* Not over the old connection, when that holds what it could not end. */
    struct row row;
    enum err err = store_find_key(store, SLICE("AAAAAAAAAAAA"), copy_row, &row);
    if (err == OK)
        assert_string_equal(row.name, "a name with ' and \" and \xc3\xa9");
    assert_int_not_equal(err, ERR_NOT_FOUND);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM api_keys"), 1);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM api_keys WHERE name <> 'changed' AND"
                                    " revoked_epoch_s = 0 AND expires_epoch_s = 1800000000"),
                     1);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM users"), 1);
}

static struct store *open_with_a(const struct place *place)
{
    struct store *store = open_good(place);
    add_user(store, "anna");
    add_key(store, "AAAAAAAAAAAA", 1, "anna");
    return store;
}

static void a_change_of_which_a_step_fails_is_not_made(void **state)
{
    static const struct change changes[] = {
        {save_a,       OK, assert_a_is_as_it_was},
        {rotate_a,     OK, assert_a_is_as_it_was},
        {prune_a,      OK, assert_a_is_as_it_was},
        {delete_owner, OK, assert_a_is_as_it_was},
        {add_two,      OK, assert_a_is_as_it_was},
    };
    fail_each_change(*state, open_with_a, changes, COUNT_OF(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_version_2_database_keeps_its_keys),
        IN_PLACE(a_migration_to_3_that_fails_leaves_version_2),
        IN_PLACE(what_a_key_is_held_to_survives_reopening),
        IN_PLACE(rotation_ends_the_old_key_at_once_or_later_and_never_prolongs_it),
        IN_PLACE(pruning_forgets_what_ended_before_that_day),
        IN_PLACE(a_user_takes_its_own_keys_along),
        IN_PLACE(an_owner_that_cannot_be_ours_is_not_read),
        IN_PLACE(imported_keys_keep_their_hash),
        IN_PLACE(a_change_of_which_a_step_fails_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
