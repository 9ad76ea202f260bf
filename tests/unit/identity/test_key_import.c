/* Keys that came from a file with a slow hash: all of them or none, they open as before, and are in
 * all else keys of the store. */
#include "keys_made.h"

#include "identity/credentials.h"
#include "identity/key_import.h"
#include "identity/key_text.h"

/* Of "correct horse". */
#define BCRYPT "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"
#define OPENER "correct horse"

enum { MANY = KEYS_UNNAMED_MAX + 1 };

static struct keys_file *file_of(const char *text)
{
    struct keys_file *file;
    AUTO(faults) faults = {0};
    assert_int_equal(keys_file_parse(slice_of(text), "api_keys.yaml", &faults, &file), OK);
    assert_int_equal(faults.count, 0);
    return file;
}

/* What stands in `fates` behind, a letter for each entry: taken, there, over. */
static enum err import(struct place *place, const char *text, key_import_fn *before, char *fates)
{
    struct key_import imports[MANY];
    struct keys_file *file = file_of(text);
    size_t count = keys_file_count(file);
    enum err err = keyring_import(place->keyring, place->store, file, NOW, before, place, imports);
    for (size_t i = 0; err == OK && i < count; i++)
        fates[i] = "tho"[imports[i].fate];
    fates[err == OK ? count : 0] = '\0';
    keys_file_unref(file);
    return err;
}

static void assert_import(struct place *place, const char *text, const char *wanted)
{
    char fates[MANY + 1];
    assert_int_equal(import(place, text, NULL, fates), OK);
    assert_string_equal(fates, wanted);
}

/* The key that a text opens, as the gateway finds it out, with a reference; NULL: none. */
static struct api_key *open_by(struct place *place, struct slice text)
{
    struct credentials *credentials = credentials_create(NULL, NULL);
    struct credential *found = NULL;
    struct claim claim;
    struct api_key *key = NULL;
    if (claim_of_key(NULL, place->keyring, text, &claim) &&
        credentials_verify(credentials, place->accounts, place->keyring, NULL, &claim, NOW,
                           &found) == OK) {
        assert_true(credential_stands(found, NULL, NOW));
        assert_int_equal(credential_permissions(found, NULL), api_key_permissions(found->key));
        key = found->key;
        api_key_ref(key);
    }
    credential_unref(found);
    credentials_destroy(credentials);
    return key;
}

static bool opens(struct place *place)
{
    struct api_key *key = open_by(place, SLICE(OPENER));
    api_key_unref(key);
    return key != NULL;
}

static void restart(struct place *place)
{
    close_place(place);
    open_place(place);
}

static enum err copy_id(void *context, const struct stored_key *key)
{
    memcpy(context, key->id.ptr, KEY_ID_LEN);
    return OK;
}

/* Of the newest key. */
static const char *id_in(struct place *place)
{
    static char id[KEY_ID_LEN + 1];
    assert_int_equal(store_each_key(place->store, copy_id, id), OK);
    return id;
}

static void an_imported_key_opens_what_it_opened(void **state)
{
    struct place *place = *state;
    assert_import(place,
                  "keys:\n- {key_id: team, hash: " BCRYPT ", owner: a@example.com, scopes: "
                  "[read_metrics], created_at: 2023-01-01, expires_at: 2033-01-01}\n",
                  "t");
    for (int start = 0; start < 2; start++) {
        struct api_key *key = open_by(place, SLICE(OPENER));
        assert_non_null(key);
        assert_string_equal(key->name, "team");
        assert_string_equal(key->owner, "a@example.com");
        assert_string_equal(key->id, id_in(place));
        assert_int_equal(api_key_permissions(key), READ_METRICS);
        assert_int_equal(key->created_epoch_s, 1672531200);
        assert_int_equal(atomic_load(&key->expires_epoch_s), 1988150400);
        api_key_unref(key);
        assert_null(open_by(place, SLICE("correct hors")));
        /* The fast way is not open to it: not by what is kept, neither. */
        assert_int_equal(keyring_find(place->keyring, SLICE(OPENER), NOW, &key, NULL), ERR_DENIED);
        restart(place);
    }
}

static void one_with_a_public_id_is_found_by_that(void **state)
{
    struct place *place = *state;
    AUTO(secret) plain = {0};
    AUTO(secret) other = {0};
    char stored[PASSWORD_STORED_SIZE], text[512];
    struct key_text parts;
    assert_int_equal(key_text_make(&plain), OK);
    assert_int_equal(key_text_make(&other), OK);
    assert_int_equal(key_text_parse(secret_reveal(&plain), &parts), OK);
    assert_int_equal(password_hash_bcrypt(secret_reveal(&plain), stored), OK);
    snprintf(text, sizeof text, "keys:\n- {key_id: made, hash: %s, public_id: %.*s}\n", stored,
             SLICE_ARG(parts.id));
    assert_import(place, text, "t");
    for (int start = 0; start < 2; start++) {
        struct claim claim;
        struct api_key *key = open_by(place, secret_reveal(&plain));
        assert_non_null(key);
        assert_true(slice_equal(slice_of(key->id), parts.id));
        api_key_unref(key);
        /* Others need not be tried. */
        assert_false(claim_of_key(NULL, place->keyring, secret_reveal(&other), &claim));
        assert_false(claim_of_key(NULL, place->keyring, SLICE(OPENER), &claim));
        restart(place);
    }
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, parts.id, NOW), OK);
    struct claim claim;
    assert_false(claim_of_key(NULL, place->keyring, secret_reveal(&plain), &claim));
    assert_import(place, text, "h");
    assert_null(open_by(place, secret_reveal(&plain)));
}

#define TWO                                                                                        \
    "keys:\n- {key_id: one, hash: " BCRYPT "}\n"                                                   \
    "- {key_id: two, hash: $2b$04$abcdefghijklmnopqrstuuxLYxNgDTZUNbH2XCu9GWNpVFnjsJYIG}\n"

static enum err refuse(void *context)
{
    (void)context;
    return ERR_IO;
}

static void assert_nothing(struct place *place)
{
    struct claim claim;
    for (int start = 0; start < 2; start++) {
        assert_int_equal(keyring_count(place->keyring), 0);
        assert_false(claim_of_key(NULL, place->keyring, SLICE(OPENER), &claim));
        char none[KEY_ID_LEN + 1] = "";
        assert_int_equal(store_each_key(place->store, copy_id, none), OK);
        assert_string_equal(none, "");
        restart(place);
    }
}

static void it_is_all_of_them_or_none(void **state)
{
    struct place *place = *state;
    char fates[MANY + 1];
    assert_int_equal(import(place, TWO, refuse, fates), ERR_IO);
    assert_nothing(place);
    assert_int_equal(import(place,
                            "keys:\n- {key_id: one, hash: " BCRYPT "}\n"
                            "- {key_id: two, hash: " BCRYPT "}\n",
                            NULL, fates),
                     ERR_EXISTS);
    assert_nothing(place);
    assert_int_equal(import(place,
                            "keys:\n- {key_id: one, hash: " BCRYPT "}\n"
                            "- {key_id: two, hash: $2b$04$abcdefghijklmnopqrstuuxLYxNgDTZUNbH2XCu9G"
                            "WNpVFnjsJYIG, owner: an-address-that-is-longer-than-any-owner-of-the-"
                            "store@example.com}\n",
                            NULL, fates),
                     ERR_RANGE);
    assert_nothing(place);
    assert_import(place, TWO, "tt");
    assert_true(opens(place));
    assert_import(place, "keys:\n", "");
}

static void what_was_imported_is_not_again(void **state)
{
    struct place *place = *state;
    assert_import(place, "keys:\n- {key_id: one, hash: " BCRYPT "}\n", "t");
    assert_import(place, TWO, "ht");
    char id[KEY_ID_LEN + 1];
    struct api_key *key = open_by(place, SLICE(OPENER));
    memcpy(id, key->id, sizeof id);
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW), OK);
    assert_false(api_key_stands(key, NOW));
    api_key_unref(key);
    for (int start = 0; start < 2; start++) {
        assert_import(place, TWO, "hh");
        assert_false(opens(place));
        restart(place);
    }
}

static void what_has_expired_is_passed_over(void **state)
{
    struct place *place = *state;
    assert_import(place, "keys:\n- {key_id: one, hash: " BCRYPT ", expires_at: 2023-11-14}\n", "o");
    assert_nothing(place);
}

/* As many distinct ones of which no text names its id. */
static void print_unnamed(char *text, size_t size, unsigned count, char mark)
{
    struct buffer out = BUFFER_OVER(text, size);
    buffer_text(&out, "keys:\n");
    for (unsigned i = 0; i < count; i++)
        buffer_printf(&out,
                      "- {key_id: k%u, hash: $2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5%c%c"
                      "huVMoglf3P6uoQ2}\n",
                      i, mark, 'a' + (char)i);
    buffer_byte(&out, '\0');
    assert_false(out.failed);
}

static void only_so_many_can_be_tried(void **state)
{
    struct place *place = *state;
    char text[4096], fates[MANY + 1];
    print_unnamed(text, sizeof text, KEYS_UNNAMED_MAX, 'x');
    assert_import(place, text, "tttttttttttttttt");
    print_unnamed(text, sizeof text, 1, 'y');
    for (int start = 0; start < 2; start++) {
        assert_int_equal(import(place, text, NULL, fates), ERR_LIMIT);
        assert_int_equal(keyring_count(place->keyring), KEYS_UNNAMED_MAX);
        restart(place);
    }
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id_in(place)), NOW),
                     OK);
    assert_import(place, text, "t");
    restart(place);
    assert_int_equal(keyring_count(place->keyring), KEYS_UNNAMED_MAX);
}

static enum err rename_it(void *context, const struct stored_key *now, struct key_request *wanted)
{
    (void)now;
    *wanted = *(const struct key_request *)context;
    return OK;
}

static void it_is_changed_and_rotated_as_any_other(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    struct api_key *key;
    assert_import(place, "keys:\n- {key_id: one, hash: " BCRYPT "}\n", "t");
    char id[KEY_ID_LEN + 1];
    memcpy(id, id_in(place), sizeof id);
    struct api_key *held = open_by(place, SLICE(OPENER));
    for (int start = 0; start < 2; start++) {
        assert_int_equal(
            keyring_change_key(place->keyring, place->store, slice_of(id), rename_it, &request),
            OK);
        assert_false(api_key_stands(held, NOW)); /* it was what the key is no more */
        api_key_unref(held);
        held = open_by(place, SLICE(OPENER));
        assert_string_equal(held->name, "laptop");
        assert_string_equal(held->id, id);
        restart(place);
        api_key_unref(held);
        held = open_by(place, SLICE(OPENER));
    }
    api_key_unref(held);
    request.disabled = true;
    assert_int_equal(
        keyring_change_key(place->keyring, place->store, slice_of(id), rename_it, &request), OK);
    assert_false(opens(place));
    request.disabled = false;
    assert_int_equal(keyring_rotate_key(place->keyring, place->store, slice_of(id), 0, NOW,
                                        rename_it, &request, &plain, &key),
                     OK);
    assert_string_equal(key->bcrypt, "");
    api_key_unref(key);
    for (int start = 0; start < 2; start++) {
        assert_false(opens(place));
        assert_int_equal(find(place, &plain, NOW), OK);
        restart(place);
    }
}

static void it_follows_the_account_of_its_owner(void **state)
{
    struct place *place = *state;
    assert_int_equal(
        accounts_add(place->accounts, place->store, SLICE("anna"), "$2b$04$x", ROLE_GUEST, NOW),
        OK);
    assert_import(place, "keys:\n- {key_id: one, hash: " BCRYPT ", owner: anna, scopes: '*'}\n",
                  "t");
    struct api_key *key = open_by(place, SLICE(OPENER));
    assert_int_equal(api_key_permissions(key), role_permissions(ROLE_GUEST));
    const struct account_change change = {.sets_disabled = true, .disabled = true};
    assert_int_equal(account_keys_change(place->accounts, place->keyring, place->store,
                                         SLICE("anna"), &change, NOW),
                     OK);
    assert_false(api_key_stands(key, NOW));
    api_key_unref(key);
    assert_false(opens(place));
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        IN_PLACE(an_imported_key_opens_what_it_opened),
        IN_PLACE(one_with_a_public_id_is_found_by_that),
        IN_PLACE(it_is_all_of_them_or_none),
        IN_PLACE(what_was_imported_is_not_again),
        IN_PLACE(what_has_expired_is_passed_over),
        IN_PLACE(only_so_many_can_be_tried),
        IN_PLACE(it_is_changed_and_rotated_as_any_other),
        IN_PLACE(it_follows_the_account_of_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
