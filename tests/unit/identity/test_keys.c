/* The verbs on keys: store and live table say the same, also when the disk is full. */
#include "keys_made.h"

#include <signal.h>
#include <sys/resource.h>

static void a_created_key_opens_at_once_and_after_a_restart(void **state)
{
    struct place *place = *state;
    const struct slice models[] = {SLICE("a\"b"), SLICE("llama3:8b")};
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    request.owner = SLICE("Zo\xc3\xab");
    request.models = models;
    request.model_count = 2;
    request.expires_epoch_s = NOW + 100;
    create(place, &request, &plain, id);
    for (int start = 0; start < 2; start++) {
        struct api_key *key;
        assert_int_equal(keyring_find(place->keyring, secret_reveal(&plain), NOW, &key, NULL), OK);
        assert_string_equal(key->id, id);
        assert_string_equal(key->name, "laptop");
        assert_string_equal(key->owner, "Zo\xc3\xab");
        assert_int_equal(api_key_permissions(key), RUN_INFERENCE);
        assert_int_equal(key->created_epoch_s, NOW);
        assert_true(api_key_may_use_model(key, SLICE("a\"b")));
        assert_false(api_key_may_use_model(key, SLICE("other")));
        api_key_unref(key);
        assert_int_equal(find(place, &plain, NOW + 100), ERR_DENIED);
        close_place(place);
        open_place(place);
    }
}

static void a_revoked_key_stays_shut_after_a_restart(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    AUTO(secret) other = {0};
    char id[KEY_ID_LEN + 1], other_id[KEY_ID_LEN + 1];
    create(place, &request, &plain, id);
    create(place, &request, &other, other_id);
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW), OK);
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW),
                     ERR_NOT_FOUND);
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, SLICE("x"), NOW),
                     ERR_NOT_FOUND);
    for (int start = 0; start < 2; start++) {
        assert_int_equal(find(place, &plain, NOW), ERR_DENIED);
        assert_int_equal(find(place, &other, NOW), OK);
        close_place(place);
        open_place(place);
    }
}

static void a_full_disk_makes_and_revokes_nothing(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    AUTO(secret) none = {0};
    char id[KEY_ID_LEN + 1];
    struct rlimit before;
    struct api_key *key;
    create(place, &request, &plain, id);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit full = {0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    enum err created = keyring_create_key(place->keyring, place->store, &request, NOW, &none, &key);
    enum err revoked = keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(created, ERR_STORE);
    assert_true(secret_empty(&none));
    assert_null(key);
    assert_int_equal(revoked, ERR_STORE);
    assert_int_equal(find(place, &plain, NOW), OK);
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW), OK);
    assert_int_equal(find(place, &plain, NOW), ERR_DENIED);
}

static enum err last_use(void *context, const struct stored_key *key)
{
    *(uint64_t *)context = key->last_used_epoch_s;
    return OK;
}

static void times_of_use_reach_the_store(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    uint64_t used = 1;
    create(place, &request, &plain, id);
    assert_int_equal(find(place, &plain, NOW + 5), OK);
    assert_int_equal(find(place, &plain, NOW + 4), OK);
    assert_int_equal(store_find_key(place->store, slice_of(id), last_use, &used), OK);
    assert_int_equal(used, 0);
    assert_int_equal(keyring_save_uses(place->keyring, place->store), OK);
    assert_int_equal(store_find_key(place->store, slice_of(id), last_use, &used), OK);
    assert_int_equal(used, NOW + 5);
    assert_int_equal(find(place, &plain, NOW + 9), OK);
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW + 9), OK);
    assert_int_equal(store_find_key(place->store, slice_of(id), last_use, &used), OK);
    assert_int_equal(used, NOW + 9);
}

static void a_request_with_a_fault_makes_nothing(void **state)
{
    struct place *place = *state;
    static char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    static struct slice many[65];
    for (size_t i = 0; i < COUNT_OF(many); i++)
        many[i] = SLICE("m");
    const struct slice long_model = slice_make(long_text, 257), empty = SLICE("");
    const struct {
        const char *field;
        struct key_request request;
    } cases[] = {
        {"name",        {.permissions = 1}                                                             },
        {"name",        {.name = slice_make(long_text, 65), .permissions = 1}                          },
        {"name",        {.name = SLICE("a\x7f"), .permissions = 1}                                     },
        {"name",        {.name = SLICE("\xff"), .permissions = 1}                                      },
        {"owner",       {.name = SLICE("n"), .owner = SLICE("a\tb"), .permissions = 1}                 },
        {"permissions", {.name = SLICE("n")}                                                           },
        {"permissions", {.name = SLICE("n"), .permissions = 1 << 11}                                   },
        {"models",      {.name = SLICE("n"), .permissions = 1, .models = many, .model_count = 65}      },
        {"models",      {.name = SLICE("n"), .permissions = 1, .models = &long_model, .model_count = 1}},
        {"models",      {.name = SLICE("n"), .permissions = 1, .models = &empty, .model_count = 1}     },
        {"expires",     {.name = SLICE("n"), .permissions = 1, .expires_epoch_s = NOW}                 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(secret) plain = {0};
        struct api_key *key;
        const char *fault = key_request_fault(&cases[i].request, NOW);
        assert_non_null(fault);
        assert_true(slice_starts(slice_of(fault), slice_of(cases[i].field)));
        assert_int_equal(
            keyring_create_key(place->keyring, place->store, &cases[i].request, NOW, &plain, &key),
            ERR_RANGE);
    }
    uint64_t any = 77;
    assert_int_equal(store_each_key(place->store, last_use, &any), OK);
    assert_int_equal(any, 77);
}

static void the_largest_request_fits(void **state)
{
    struct place *place = *state;
    static char long_text[256];
    memset(long_text, '"', sizeof long_text);
    struct slice models[64];
    for (size_t i = 0; i < COUNT_OF(models); i++)
        models[i] = slice_make(long_text, sizeof long_text);
    struct key_request request = {.name = slice_make(long_text, 64),
                                  .owner = slice_make(long_text, 64),
                                  .permissions = PERMISSIONS_ALL,
                                  .models = models,
                                  .model_count = COUNT_OF(models)};
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    create(place, &request, &plain, id);
    close_place(place);
    open_place(place);
    assert_int_equal(find(place, &plain, NOW), OK);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_created_key_opens_at_once_and_after_a_restart),
        IN_PLACE(a_revoked_key_stays_shut_after_a_restart),
        IN_PLACE(a_full_disk_makes_and_revokes_nothing),
        IN_PLACE(times_of_use_reach_the_store),
        IN_PLACE(a_request_with_a_fault_makes_nothing),
        IN_PLACE(the_largest_request_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
