/* Remembered names and passwords: what is right is found again, and nothing else, and not for
 * longer than it is right. */
#include "../store/place.h"

#include "base/encode.h"
#include "base/hash.h"
#include "identity/accounts.h"
#include "identity/credentials.h"

/* "correct horse", as in test_htpasswd.c. */
#define SHA1 "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
#define BCRYPT "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"

enum { NOW = 1700000000 };

struct fixture {
    struct credentials *credentials;
    struct accounts *accounts;
    struct htpasswd *file;
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

static struct fixture begin(const struct place *place, const char *file)
{
    struct fixture f = {.credentials = credentials_create(count_grace, NULL),
                        .accounts = accounts_create(NULL, NULL),
                        .file = file ? file_of(file) : NULL,
                        .store = open_good(place)};
    assert_non_null(f.credentials);
    return f;
}

static void end(struct fixture *f)
{
    credentials_destroy(f->credentials);
    accounts_destroy(f->accounts);
    htpasswd_unref(f->file);
    store_close(f->store);
}

static void add_account(struct fixture *f, const char *name)
{
    /* bcrypt costs a test less than ours do. */
    assert_int_equal(accounts_add(f->accounts, f->store, slice_of(name), BCRYPT, ROLE_USER, NOW),
                     OK);
}

static struct basic basic_of(const char *name, const char *password)
{
    static char text[256];
    size_t len = strlen(name);
    snprintf(text, sizeof text, "%s:%s", name, password);
    return (struct basic){slice_of(text), slice_make(text, len), slice_of(text + len + 1)};
}

static enum err verify(struct fixture *f, const char *name, const char *password)
{
    struct credential *found = NULL;
    struct basic basic = basic_of(name, password);
    enum err err = credentials_verify(f->credentials, f->accounts, f->file, &basic, &found);
    assert_int_equal(err == OK, found != NULL);
    if (found)
        assert_string_equal(found->name, name);
    credential_unref(found);
    return err;
}

static bool remembered(struct fixture *f, const char *name, const char *password)
{
    uint8_t digest[SHA256_BYTES];
    struct basic basic = basic_of(name, password);
    assert_int_equal(credentials_digest(f->credentials, &basic, digest), OK);
    struct credential *found = credentials_find(f->credentials, digest, f->file);
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
    struct basic basic = basic_of("a", "b:c");
    assert_int_equal(credentials_digest(f.credentials, &basic, one), OK);
    struct credentials *second = credentials_create(NULL, NULL);
    assert_int_equal(credentials_digest(second, &basic, other), OK);
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
    assert_int_equal(accounts_delete(f.accounts, f.store, SLICE("alice")), OK);
    assert_false(remembered(&f, "alice", "correct horse"));
    assert_int_equal(verify(&f, "alice", "correct horse"), ERR_DENIED);
    end(&f);
}

static void a_change_of_the_entry_ends_it(void **state)
{
    struct fixture f = begin(*state, "carol:" SHA1 "\ndave:" SHA1 "\n");
    assert_int_equal(verify(&f, "carol", "correct horse"), OK);
    assert_int_equal(verify(&f, "dave", "correct horse"), OK);
    htpasswd_unref(f.file);
    f.file = file_of("erin:" SHA1 "\ndave:" SHA1 "\ncarol:" BCRYPT "\n");
    assert_false(remembered(&f, "carol", "correct horse")); /* another form of the same password */
    assert_true(remembered(&f, "dave", "correct horse")); /* who was not changed notices nothing */
    htpasswd_unref(f.file);
    f.file = file_of("erin:" SHA1 "\n");
    assert_false(remembered(&f, "dave", "correct horse"));
    htpasswd_unref(f.file);
    f.file = NULL;
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
    credentials_destroy(f.credentials);
    f.credentials = credentials_create(count_grace, NULL);
    assert_int_equal(verify(&f, "alice", "correct horse"), ERR_DENIED);
    assert_int_equal(verify(&f, "alice", "another horse"), OK);
    end(&f);
}

static void what_it_may_do_is_the_roles_to_say(void **state)
{
    struct fixture f = begin(*state, "carol:" SHA1 "\n");
    add_account(&f, "alice");
    struct basic basic = basic_of("alice", "correct horse");
    struct credential *found;
    assert_int_equal(credentials_verify(f.credentials, f.accounts, f.file, &basic, &found), OK);
    assert_int_equal(credential_permissions(found), role_permissions(ROLE_USER));
    const struct account_change guest = {.sets_role = true, .role = ROLE_GUEST};
    assert_int_equal(accounts_change(f.accounts, f.store, SLICE("alice"), &guest, NOW), OK);
    assert_true(credential_stands(found, f.file));
    assert_int_equal(credential_permissions(found), role_permissions(ROLE_GUEST));
    credential_unref(found);
    basic = basic_of("carol", "correct horse");
    assert_int_equal(credentials_verify(f.credentials, f.accounts, f.file, &basic, &found), OK);
    assert_int_equal(credential_permissions(found), READ_MODELS | RUN_INFERENCE | USE_STREAMING);
    assert_true(found->rate_hash != 0);
    credential_unref(found);
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
        IN_PLACE(what_it_may_do_is_the_roles_to_say),
        IN_PLACE(there_is_room_for_so_many),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
