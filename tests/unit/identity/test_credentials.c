/* Remembered names and passwords: what is right is found again, and nothing else, and not for
 * longer than it is right. */
#include "../store/place.h"

#include "base/hash.h"
#include "identity/accounts.h"
#include "identity/credentials.h"
#include "identity/key_text.h"

/* "correct horse", as in test_htpasswd.c. */
#define SHA1 "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
#define BCRYPT "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"

enum { NOW = 1700000000 };

struct fixture {
    struct credentials *credentials;
    struct accounts *accounts;
    struct keyring *keyring;
    struct credential_files *files;
    struct store *store;
};

static unsigned graces; /* how often somebody waited for the readers */

static void count_grace(void *context)
{
    (void)context;
    graces++;
}

static struct htpasswd *file_of(const char *text)
{
    struct htpasswd *file;
    AUTO(faults) faults = {0};
    assert_int_equal(htpasswd_parse(slice_of(text), ".htpasswd", &faults, &file), OK);
    return file;
}

/* Either may be NULL. */
static struct credential_files *files_of(const char *names, const char *keys)
{
    struct htpasswd *table = names ? file_of(names) : NULL;
    struct keys_file *key_table = NULL;
    AUTO(faults) faults = {0};
    if (keys)
        assert_int_equal(keys_file_parse(slice_of(keys), "api_keys.yaml", &faults, &key_table), OK);
    assert_int_equal(faults.count, 0);
    struct credential_files *files = credential_files_create(table, key_table);
    assert_non_null(files);
    htpasswd_unref(table);
    keys_file_unref(key_table);
    return files;
}

static struct fixture begin(const struct place *place, const char *file)
{
    struct fixture f = {.credentials = credentials_create(count_grace, NULL),
                        .accounts = accounts_create(NULL, NULL),
                        .keyring = keyring_create(NULL, NULL),
                        .files = file ? files_of(file, NULL) : NULL,
                        .store = open_good(place)};
    assert_non_null(f.credentials);
    return f;
}

static void end(struct fixture *f)
{
    credentials_destroy(f->credentials);
    accounts_destroy(f->accounts);
    keyring_destroy(f->keyring);
    credential_files_unref(f->files);
    store_close(f->store);
}

static void add_account(struct fixture *f, const char *name)
{
    /* bcrypt costs a test less than ours do. */
    assert_int_equal(accounts_add(f->accounts, f->store, slice_of(name), BCRYPT, ROLE_USER, NOW),
                     OK);
}

static struct claim claim_of(const char *name, const char *password)
{
    static char text[256];
    size_t len = strlen(name);
    snprintf(text, sizeof text, "%s:%s", name, password);
    const struct basic basic = {slice_of(text), slice_make(text, len), slice_of(text + len + 1)};
    return claim_of_basic(&basic);
}

static enum err verify_claim(struct fixture *f, const struct claim *claim, const char *name)
{
    struct credential *found = NULL;
    enum err err =
        credentials_verify(f->credentials, f->accounts, f->keyring, f->files, claim, NOW, &found);
    assert_int_equal(err == OK, found != NULL);
    if (found)
        assert_string_equal(found->name, name);
    credential_unref(found);
    return err;
}

static enum err verify(struct fixture *f, const char *name, const char *password)
{
    struct claim claim = claim_of(name, password);
    return verify_claim(f, &claim, name);
}

static struct credential *find(struct fixture *f, const struct claim *claim, uint64_t now_epoch_s)
{
    uint8_t digest[SHA256_BYTES];
    assert_int_equal(credentials_digest(f->credentials, claim, digest), OK);
    return credentials_find(f->credentials, digest, f->files, now_epoch_s);
}

static bool remembered(struct fixture *f, const char *name, const char *password)
{
    struct claim claim = claim_of(name, password);
    struct credential *found = find(f, &claim, NOW);
    bool there = found != NULL;
    if (found)
        assert_string_equal(found->name, name);
    credential_unref(found);
    return there;
}

static void what_was_right_is_remembered(void **state)
{
    struct fixture f = begin(*state, "carol:" SHA1 "\n");
    add_account(&f, "alice");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(remembered(&f, "alice", "correct horse"), i);
        assert_int_equal(verify(&f, "alice", "correct horse"), OK);
        assert_int_equal(remembered(&f, "carol", "correct horse"), i);
        assert_int_equal(verify(&f, "carol", "correct horse"), OK);
    }
    assert_int_equal(credentials_count(f.credentials), 2);
    end(&f);
}

static void nothing_else_is(void **state)
{
    static const char *const rows[][2] = {
        {"alice",   "correct hors"  },
        {"alice",   "correct horse "},
        {"alice",   ""              },
        {"Alice",   "correct horse" },
        {"alice ",  "correct horse" },
        {"",        "correct horse" },
        {"mallory", "correct horse" },
        {"carol",   "wrong"         },
        {"",        ""              },
        {"al\"ice", "correct horse" },
    };
    struct fixture f = begin(*state, "carol:" SHA1 "\n");
    add_account(&f, "alice");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(verify(&f, rows[i][0], rows[i][1]), ERR_DENIED);
        assert_false(remembered(&f, rows[i][0], rows[i][1]));
    }
    assert_int_equal(credentials_count(f.credentials), 0);
    end(&f);
}

static void the_colon_stands_where_it_stood(void **state)
{
    struct fixture f = begin(*state, "a:" SHA1 "\n");
    assert_int_equal(verify(&f, "a", "correct horse"), OK);
    uint8_t one[SHA256_BYTES], other[SHA256_BYTES];
    struct claim claim = claim_of("a", "b:c");
    assert_int_equal(credentials_digest(f.credentials, &claim, one), OK);
    struct credentials *second = credentials_create(NULL, NULL);
    assert_int_equal(credentials_digest(second, &claim, other), OK);
    assert_memory_not_equal(one, other, SHA256_BYTES); /* each has a key of its own */
    credentials_destroy(second);
    end(&f);
}

static void a_change_of_the_account_ends_it(void **state)
{
    struct fixture f = begin(*state, NULL);
    add_account(&f, "admin");
    assert_int_equal(
        accounts_change(f.accounts, f.store, SLICE("admin"),
                        &(struct account_change){.sets_role = true, .role = ROLE_ADMIN}, NOW),
        OK);
    add_account(&f, "alice");
    assert_int_equal(verify(&f, "alice", "correct horse"), OK);
    const struct account_change password = {.password = BCRYPT};
    assert_int_equal(accounts_change(f.accounts, f.store, SLICE("alice"), &password, NOW), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    /* The same again: verified anew, and what was there goes. */
    assert_int_equal(verify(&f, "alice", "correct horse"), OK);
    assert_true(remembered(&f, "alice", "correct horse"));
    assert_int_equal(credentials_count(f.credentials), 1);
    const struct account_change disabled = {.sets_disabled = true, .disabled = true};
    assert_int_equal(accounts_change(f.accounts, f.store, SLICE("alice"), &disabled, NOW), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    assert_int_equal(verify(&f, "alice", "correct horse"), ERR_DENIED);
    const struct account_change enabled = {.sets_disabled = true};
    assert_int_equal(accounts_change(f.accounts, f.store, SLICE("alice"), &enabled, NOW), OK);
    assert_true(remembered(&f, "alice", "correct horse"));
    assert_int_equal(accounts_delete(f.accounts, f.store, SLICE("alice"), NOW), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    assert_int_equal(verify(&f, "alice", "correct horse"), ERR_DENIED);
    end(&f);
}

static void a_change_of_the_entry_ends_it(void **state)
{
    struct fixture f = begin(*state, "carol:" SHA1 "\ndave:" SHA1 "\n");
    assert_int_equal(verify(&f, "carol", "correct horse"), OK);
    assert_int_equal(verify(&f, "dave", "correct horse"), OK);
    credential_files_unref(f.files);
    f.files = files_of("erin:" SHA1 "\ndave:" SHA1 "\ncarol:" BCRYPT "\n", NULL);
    assert_false(remembered(&f, "carol", "correct horse")); /* another form of the same password */
    assert_true(remembered(&f, "dave", "correct horse")); /* who was not changed notices nothing */
    credential_files_unref(f.files);
    f.files = files_of("erin:" SHA1 "\n", NULL);
    assert_false(remembered(&f, "dave", "correct horse"));
    credential_files_unref(f.files);
    f.files = NULL;
    assert_false(remembered(&f, "dave", "correct horse"));
    end(&f);
}

static void an_account_goes_before_an_entry_of_its_name(void **state)
{
    struct fixture f = begin(*state, "alice:" SHA1 "\n");
    add_account(&f, "admin");
    assert_int_equal(verify(&f, "alice", "correct horse"), OK);
    char stored[PASSWORD_STORED_SIZE];
    assert_int_equal(password_hash_bcrypt(SLICE("another horse"), stored), OK);
    assert_int_equal(accounts_add(f.accounts, f.store, SLICE("alice"), stored, ROLE_USER, NOW), OK);
    assert_int_equal(verify(&f, "alice", "correct horse"), ERR_DENIED);
    assert_int_equal(verify(&f, "alice", "another horse"), OK);
    end(&f);
}

static void a_remembered_entry_ends_when_an_account_takes_its_name(void **state)
{
    struct fixture f = begin(*state, "alice:" SHA1 "\n");
    struct claim claim = claim_of("alice", "correct horse");
    struct credential *held;
    assert_int_equal(
        credentials_verify(f.credentials, f.accounts, f.keyring, f.files, &claim, NOW, &held), OK);
    assert_true(credential_stands(held, f.files, NOW));
    char stored[PASSWORD_STORED_SIZE];
    assert_int_equal(password_hash_bcrypt(SLICE("another horse"), stored), OK);
    assert_int_equal(accounts_add(f.accounts, f.store, SLICE("alice"), stored, ROLE_USER, NOW), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    assert_false(credential_stands(held, f.files, NOW)); /* nor for a request that waited */
    const struct account_change disabled = {.sets_disabled = true, .disabled = true};
    assert_int_equal(accounts_change(f.accounts, f.store, SLICE("alice"), &disabled, NOW), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    assert_int_equal(accounts_delete(f.accounts, f.store, SLICE("alice"), NOW), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    /* The name is nobody's again: the file counts, once it is asked. */
    assert_int_equal(verify(&f, "alice", "correct horse"), OK);
    assert_true(remembered(&f, "alice", "correct horse"));
    credential_unref(held);
    end(&f);
}

static void what_it_may_do_is_the_roles_to_say(void **state)
{
    struct fixture f = begin(*state, "carol:" SHA1 "\n");
    add_account(&f, "alice");
    struct claim claim = claim_of("alice", "correct horse");
    struct credential *found;
    assert_int_equal(
        credentials_verify(f.credentials, f.accounts, f.keyring, f.files, &claim, NOW, &found), OK);
    assert_int_equal(credential_permissions(found, f.files), role_permissions(ROLE_USER));
    const struct account_change guest = {.sets_role = true, .role = ROLE_GUEST};
    assert_int_equal(accounts_change(f.accounts, f.store, SLICE("alice"), &guest, NOW), OK);
    assert_true(credential_stands(found, f.files, NOW));
    assert_int_equal(credential_permissions(found, f.files), role_permissions(ROLE_GUEST));
    credential_unref(found);
    claim = claim_of("carol", "correct horse");
    assert_int_equal(
        credentials_verify(f.credentials, f.accounts, f.keyring, f.files, &claim, NOW, &found), OK);
    assert_int_equal(credential_permissions(found, f.files),
                     READ_MODELS | RUN_INFERENCE | USE_STREAMING);
    assert_true(found->rate_hash != 0);
    credential_unref(found);
    end(&f);
}

/* --- keys of the file ---------------------------------------------------------------------------
 */

/* The key "correct horse", which has no public id, and one that has. */
#define KEYS(scopes, hash, end)                                                                    \
    "keys:\n"                                                                                      \
    "- {key_id: other, hash: $2b$04$abcdefghijklmnopqrstuuxLYxNgDTZUNbH2XCu9GWNpVFnjsJYIG}\n"      \
    "- {key_id: team, hash: " hash ", scopes: [" scopes "], expires_at: " end "}\n"

static struct fixture begin_keys(const struct place *place, const char *keys)
{
    struct fixture f = begin(place, NULL);
    f.files = files_of(NULL, keys);
    return f;
}

static void use_keys(struct fixture *f, const char *keys)
{
    credential_files_unref(f->files);
    f->files = keys ? files_of(NULL, keys) : NULL;
}

static bool key_opens(struct fixture *f, const char *text, uint64_t now_epoch_s)
{
    struct claim claim;
    if (!claim_of_key(f->files, f->keyring, slice_of(text), &claim))
        return false;
    struct credential *found = find(f, &claim, now_epoch_s);
    credential_unref(found);
    return found != NULL;
}

static void a_key_of_the_file_is_remembered(void **state)
{
    struct fixture f = begin_keys(*state, KEYS("chat:read", BCRYPT, "null"));
    struct claim claim;
    assert_true(claim_of_key(f.files, f.keyring, SLICE("correct horse"), &claim));
    assert_int_equal(verify_claim(&f, &claim, "team"), OK);
    assert_true(key_opens(&f, "correct horse", NOW));
    assert_true(claim_of_key(f.files, f.keyring, SLICE("correct hors"), &claim));
    assert_int_equal(verify_claim(&f, &claim, ""), ERR_DENIED);
    assert_false(key_opens(&f, "correct hors", NOW));
    /* A password of the same bytes is another thing. */
    claim_of_key(f.files, f.keyring, SLICE("a:b"), &claim);
    struct claim password = claim_of("a", "b");
    uint8_t one[SHA256_BYTES], other[SHA256_BYTES];
    assert_int_equal(credentials_digest(f.credentials, &claim, one), OK);
    assert_int_equal(credentials_digest(f.credentials, &password, other), OK);
    assert_memory_not_equal(one, other, SHA256_BYTES);
    end(&f);
}

static void what_the_file_says_now_counts(void **state)
{
    struct fixture f = begin_keys(*state, KEYS("chat:read", BCRYPT, "null"));
    struct claim claim;
    assert_true(claim_of_key(f.files, f.keyring, SLICE("correct horse"), &claim));
    struct credential *found;
    assert_int_equal(
        credentials_verify(f.credentials, f.accounts, f.keyring, f.files, &claim, NOW, &found), OK);
    assert_int_equal(credential_permissions(found, f.files),
                     READ_MODELS | RUN_INFERENCE | USE_STREAMING);
    use_keys(&f, KEYS("read_metrics", BCRYPT, "null"));
    assert_true(key_opens(&f, "correct horse", NOW));
    assert_int_equal(credential_permissions(found, f.files), READ_METRICS);
    use_keys(&f, KEYS("read_metrics", BCRYPT, "2024-01-01")); /* 1704067200 */
    assert_true(key_opens(&f, "correct horse", 1704067199));
    assert_false(key_opens(&f, "correct horse", 1704067200));
    use_keys(&f, "keys:\n- {key_id: team, hash: "
                 "$2b$04$abcdefghijklmnopqrstuuxLYxNgDTZUNbH2XCu9GWNpVFnjsJYIG}\n");
    assert_false(key_opens(&f, "correct horse", NOW));
    use_keys(&f, "keys: []");
    assert_false(key_opens(&f, "correct horse", NOW));
    assert_false(credential_stands(found, f.files, NOW));
    assert_int_equal(credential_permissions(found, f.files), PERMISSIONS_NONE);
    use_keys(&f, NULL);
    assert_false(key_opens(&f, "correct horse", NOW));
    credential_unref(found);
    end(&f);
}

static void what_can_be_no_key_of_the_file_is_not_verified(void **state)
{
    struct fixture f =
        begin_keys(*state, "keys:\n- {key_id: a, hash: " BCRYPT ", public_id: AbCdEf123456}\n");
    struct claim claim;
    AUTO(secret) plain = {0};
    assert_int_equal(key_text_make(&plain), OK);
    assert_false(claim_of_key(f.files, f.keyring, SLICE("correct horse"),
                              &claim)); /* none is without public id */
    assert_false(
        claim_of_key(f.files, f.keyring, secret_reveal(&plain), &claim)); /* another one's */
    assert_false(claim_of_key(f.files, f.keyring, SLICE(""), &claim));
    use_keys(&f, KEYS("chat:read", BCRYPT, "null"));
    char long_text[PASSWORD_BCRYPT_BYTES_MAX + 1];
    memset(long_text, 'a', sizeof long_text);
    assert_true(
        claim_of_key(f.files, f.keyring, slice_make(long_text, sizeof long_text - 1), &claim));
    assert_false(claim_of_key(f.files, f.keyring, slice_make(long_text, sizeof long_text), &claim));
    assert_false(claim_of_key(f.files, f.keyring, secret_reveal(&plain), &claim));
    assert_false(claim_of_key(NULL, f.keyring, SLICE("correct horse"), &claim));
    end(&f);
}

static void a_key_with_a_public_id_is_found_by_it(void **state)
{
    AUTO(secret) plain = {0};
    char stored[PASSWORD_STORED_SIZE], text[512];
    struct key_text parts;
    assert_int_equal(key_text_make(&plain), OK);
    assert_int_equal(key_text_parse(secret_reveal(&plain), &parts), OK);
    assert_int_equal(password_hash_bcrypt(secret_reveal(&plain), stored), OK);
    snprintf(text, sizeof text, "keys:\n- {key_id: made, hash: %s, public_id: %.*s}\n", stored,
             SLICE_ARG(parts.id));
    struct fixture f = begin_keys(*state, text);
    struct claim claim;
    assert_true(claim_of_key(f.files, f.keyring, secret_reveal(&plain), &claim));
    assert_true(slice_equal(claim.public_id, parts.id));
    assert_int_equal(verify_claim(&f, &claim, "made"), OK);
    end(&f);
}

/* As many entries of a file, and some more. */
static char *many_entries(unsigned count)
{
    char *text = malloc(count * 64), *at = text;
    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "user%u:" SHA1 "\n", i);
    return text;
}

static void there_is_room_for_so_many(void **state)
{
    enum { MORE = 20 };
    char name[32], *text = many_entries(CREDENTIALS_MAX + MORE);
    struct fixture f = begin(*state, text);
    free(text);
    for (unsigned i = 0; i < CREDENTIALS_MAX; i++) {
        snprintf(name, sizeof name, "user%u", i);
        assert_int_equal(verify(&f, name, "correct horse"), OK);
    }
    for (unsigned i = 0; i < MORE / 2; i++) { /* those who come are not forgotten */
        snprintf(name, sizeof name, "user%u", i);
        assert_true(remembered(&f, name, "correct horse"));
    }
    graces = 0;
    for (unsigned i = CREDENTIALS_MAX; i < CREDENTIALS_MAX + MORE; i++) {
        snprintf(name, sizeof name, "user%u", i);
        assert_int_equal(verify(&f, name, "correct horse"), OK);
        assert_int_equal(credentials_count(f.credentials), CREDENTIALS_MAX);
    }
    assert_true(graces >= MORE); /* what was forgotten was not freed before its readers were done */
    for (unsigned i = 0; i < MORE / 2 + MORE; i++) {
        snprintf(name, sizeof name, "user%u", i);
        assert_int_equal(remembered(&f, name, "correct horse"), i < MORE / 2);
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(what_was_right_is_remembered),
        IN_PLACE(nothing_else_is),
        IN_PLACE(the_colon_stands_where_it_stood),
        IN_PLACE(a_change_of_the_account_ends_it),
        IN_PLACE(a_change_of_the_entry_ends_it),
        IN_PLACE(an_account_goes_before_an_entry_of_its_name),
        IN_PLACE(a_remembered_entry_ends_when_an_account_takes_its_name),
        IN_PLACE(what_it_may_do_is_the_roles_to_say),
        IN_PLACE(a_key_of_the_file_is_remembered),
        IN_PLACE(what_the_file_says_now_counts),
        IN_PLACE(what_can_be_no_key_of_the_file_is_not_verified),
        IN_PLACE(a_key_with_a_public_id_is_found_by_it),
        IN_PLACE(there_is_room_for_so_many),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
