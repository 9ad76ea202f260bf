/* What a key is held to, and what becomes of it when it is changed, rotated, pruned, or its owner's
 * account goes: in the live table at once, and in the store for the next start. */
#include "keys_made.h"

#include <pthread.h>

static struct api_key *get(struct place *place, const struct secret *plain, uint64_t now_epoch_s)
{
    struct api_key *key;
    assert_int_equal(keyring_find(place->keyring, secret_reveal(plain), now_epoch_s, &key, NULL),
                     OK);
    return key;
}

/* --- what it is held to -------------------------------------------------------------------------
 */

static void a_key_is_held_to_its_lists_and_its_rate(void **state)
{
    struct place *place = *state;
    const struct slice endpoints[] = {SLICE("/v1/models"), SLICE("/api/*")};
    const struct slice ranges[] = {SLICE("10.0.0.0/8"), SLICE("2001:db8::/32"), SLICE("192.0.2.7")};
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    request.endpoints = endpoints;
    request.endpoint_count = COUNT_OF(endpoints);
    request.ip_ranges = ranges;
    request.ip_range_count = COUNT_OF(ranges);
    request.rate = SLICE("60/minute");
    request.burst = 5;
    create(place, &request, &plain, id);
    for (int start = 0; start < 2; start++) {
        static const struct {
            const char *text;
            bool inside;
        } addresses[] = {
            {"10.255.0.1",   true },
            {"11.0.0.1",     false},
            {"192.0.2.7",    true },
            {"192.0.2.8",    false},
            {"2001:db8::1",  true },
            {"2001:db9::1",  false},
            {"::ffff:a00:1", true },
            {"::1",          false}
        };
        struct api_key *key = get(place, &plain, NOW);
        for (size_t i = 0; i < COUNT_OF(addresses); i++) {
            struct address address;
            assert_int_equal(address_parse(slice_of(addresses[i].text), &address), OK);
            assert_int_equal(api_key_may_come_from(key, &address), addresses[i].inside);
        }
        const struct address socket = {.family = ADDRESS_UNIX};
        assert_false(api_key_may_come_from(key, &socket));
        assert_true(api_key_may_use_endpoint(key, SLICE("/v1/models")));
        assert_false(api_key_may_use_endpoint(key, SLICE("/v1/models/")));
        assert_false(api_key_may_use_endpoint(key, SLICE("/v1/model")));
        assert_true(api_key_may_use_endpoint(key, SLICE("/api/")));
        assert_true(api_key_may_use_endpoint(key, SLICE("/api/chat")));
        assert_false(api_key_may_use_endpoint(key, SLICE("/api")));
        assert_false(api_key_may_use_endpoint(key, SLICE("/API/chat")));
        assert_int_equal(key->rate.requests, 60);
        assert_int_equal(key->rate.burst, 5);
        api_key_unref(key);
        close_place(place);
        open_place(place);
    }
}

static void a_limit_that_is_none_makes_nothing(void **state)
{
    struct place *place = *state;
    static const char *const endpoints[] = {"",     "v1",        "/a*b",  "/a b", "/a\"",
                                            "/a?b", "/\xc3\xa9", "/a\\b", "*"};
    static const char *const ranges[] = {"",          "10.0.0.0/33", "10.0.0.1/8", "10.0.0",
                                         "10.0.0.0/", "example.com", "fe80::1%lo", "::/129"};
    static const char *const rates[] = {"60",  "0/minute", "x/minute",
                                        "60/", "60/year",  "-1/minute"};
    struct slice one;
    AUTO(secret) plain = {0};
    struct api_key *key;
    for (size_t i = 0; i < COUNT_OF(endpoints) + COUNT_OF(ranges) + COUNT_OF(rates); i++) {
        struct key_request request = sample();
        const char *field = "rate";
        if (i < COUNT_OF(endpoints)) {
            one = slice_of(endpoints[i]);
            request.endpoints = &one;
            request.endpoint_count = 1;
            field = "endpoints";
        } else if (i < COUNT_OF(endpoints) + COUNT_OF(ranges)) {
            one = slice_of(ranges[i - COUNT_OF(endpoints)]);
            request.ip_ranges = &one;
            request.ip_range_count = 1;
            field = "ip_ranges";
        } else {
            request.rate = slice_of(rates[i - COUNT_OF(endpoints) - COUNT_OF(ranges)]);
        }
        const char *fault = key_request_fault(&request, NOW);
        assert_non_null(fault);
        assert_true(slice_starts(slice_of(fault), slice_of(field)));
        assert_int_equal(
            keyring_create_key(place->keyring, place->store, &request, NOW, &plain, &key),
            ERR_RANGE);
    }
    struct key_request request = sample();
    request.burst = 3;
    assert_true(slice_starts(slice_of(key_request_fault(&request, NOW)), SLICE("burst")));
}

/* --- changing -----------------------------------------------------------------------------------
 */

static enum err to_other_rights(void *context, const struct stored_key *now,
                                struct key_request *wanted)
{
    (void)now;
    *wanted = *(const struct key_request *)context;
    return OK;
}

static enum err change(struct place *place, const char *id, struct key_request *wanted)
{
    return keyring_change_key(place->keyring, place->store, slice_of(id), to_other_rights, wanted);
}

static void a_change_counts_at_once_and_after_a_restart(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    create(place, &request, &plain, id);
    struct api_key *held = get(place, &plain, NOW + 3);
    request.name = SLICE("desk");
    request.permissions = READ_MODELS;
    request.expires_epoch_s = NOW + DAY;
    request.rate = SLICE("5/s");
    uint64_t rate_hash = held->rate_hash;
    assert_int_equal(change(place, id, &request), OK);
    assert_int_equal(held->rate.requests, 0);
    /* An exchange that waited was checked against what the key was. */
    assert_false(api_key_stands(held, NOW));
    assert_string_equal(held->name, "laptop");
    api_key_unref(held);
    assert_int_equal(keyring_count(place->keyring), 1);
    for (int start = 0; start < 2; start++) {
        struct api_key *key = get(place, &plain, NOW + 3);
        assert_string_equal(key->name, "desk");
        assert_string_equal(key->id, id);
        assert_int_equal(api_key_permissions(key), READ_MODELS);
        assert_int_equal(key->rate.requests, 5);
        assert_int_not_equal(key->rate_hash, rate_hash); /* what was used up is no measure */
        assert_int_equal(key->last_used_epoch_s, NOW + 3);
        assert_true(api_key_stands(key, NOW));
        api_key_unref(key);
        assert_int_equal(find(place, &plain, NOW + DAY), ERR_DENIED);
        close_place(place);
        open_place(place);
    }
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(id), NOW), OK);
    assert_int_equal(change(place, id, &request), ERR_NOT_FOUND);
    assert_int_equal(find(place, &plain, NOW), ERR_DENIED);
    assert_int_equal(change(place, "nothing", &request), ERR_NOT_FOUND);
}

static void a_disabled_key_opens_nothing_until_it_is_enabled(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    create(place, &request, &plain, id);
    for (int round = 0; round < 4; round++) {
        request.disabled = round % 2 == 0;
        assert_int_equal(change(place, id, &request), OK);
        assert_int_equal(find(place, &plain, NOW), request.disabled ? ERR_DENIED : OK);
        close_place(place);
        open_place(place);
        assert_int_equal(find(place, &plain, NOW), request.disabled ? ERR_DENIED : OK);
    }
}

static enum err refuse_record(void *context, struct slice id)
{
    (void)context, (void)id;
    return ERR_IO;
}

static void what_cannot_be_recorded_changes_nothing(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    AUTO(secret) next = {0};
    char id[KEY_ID_LEN + 1];
    struct api_key *key;
    create(place, &request, &plain, id);
    request.permissions = PERMISSIONS_ALL;
    request.before = refuse_record;
    assert_int_equal(change(place, id, &request), ERR_IO);
    assert_int_equal(keyring_rotate_key(place->keyring, place->store, slice_of(id), 0, NOW,
                                        to_other_rights, &request, &next, &key),
                     ERR_IO);
    assert_null(key);
    request.before = NULL;
    request.name = SLICE("");
    assert_int_equal(change(place, id, &request), ERR_RANGE);
    for (int start = 0; start < 2; start++) {
        struct api_key *same = get(place, &plain, NOW);
        assert_int_equal(api_key_permissions(same), RUN_INFERENCE);
        assert_true(api_key_stands(same, NOW));
        api_key_unref(same);
        assert_int_equal(keyring_count(place->keyring), 1);
        close_place(place);
        open_place(place);
    }
}

/* --- rotating, pruning --------------------------------------------------------------------------
 */

static void rotate(struct place *place, const char *id, uint64_t grace_s, struct secret *plain)
{
    struct key_request request = sample();
    struct api_key *key;
    assert_int_equal(keyring_rotate_key(place->keyring, place->store, slice_of(id), grace_s, NOW,
                                        to_other_rights, &request, plain, &key),
                     OK);
    assert_string_not_equal(key->id, id);
    api_key_unref(key);
}

static void rotation_leaves_the_old_key_its_grace_and_no_more(void **state)
{
    static const uint64_t graces[] = {0, 60};
    struct place *place = *state;
    struct key_request request = sample();
    for (size_t i = 0; i < COUNT_OF(graces); i++) {
        AUTO(secret) old = {0};
        AUTO(secret) new = {0};
        char id[KEY_ID_LEN + 1];
        create(place, &request, &old, id);
        struct api_key *held = get(place, &old, NOW);
        rotate(place, id, graces[i], &new);
        assert_int_equal(api_key_stands(held, NOW), graces[i] > 0);
        api_key_unref(held);
        for (int start = 0; start < 2; start++) {
            assert_int_equal(find(place, &old, NOW), graces[i] ? OK : ERR_DENIED);
            assert_int_equal(find(place, &old, NOW + 60), ERR_DENIED);
            assert_int_equal(find(place, &new, NOW + 60), OK);
            close_place(place);
            open_place(place);
        }
    }
}

static void rotation_never_prolongs_the_old_key(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) old = {0};
    AUTO(secret) new = {0};
    char id[KEY_ID_LEN + 1];
    request.expires_epoch_s = NOW + 5;
    create(place, &request, &old, id);
    rotate(place, id, 60, &new);
    for (int start = 0; start < 2; start++) {
        assert_int_equal(find(place, &old, NOW + 4), OK);
        assert_int_equal(find(place, &old, NOW + 5), ERR_DENIED);
        close_place(place);
        open_place(place);
    }
}

static void pruning_takes_ended_keys_out_of_both(void **state)
{
    struct place *place = *state;
    struct secret plains[3] = {{0}};
    char ids[3][KEY_ID_LEN + 1];
    uint64_t count;
    for (int i = 0; i < 3; i++) {
        struct key_request request = sample();
        request.expires_epoch_s = i == 0 ? NOW + 10 : 0;
        create(place, &request, &plains[i], ids[i]);
    }
    assert_int_equal(keyring_revoke_key(place->keyring, place->store, slice_of(ids[1]), NOW), OK);
    assert_int_equal(keyring_count(place->keyring), 2);
    assert_int_equal(keyring_prune(place->keyring, place->store, NOW, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(keyring_prune(place->keyring, place->store, NOW + 11, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(keyring_count(place->keyring), 1);
    assert_int_equal(find(place, &plains[2], NOW), OK);
    for (int i = 0; i < 3; i++)
        secret_finish(&plains[i]);
}

/* --- accounts -----------------------------------------------------------------------------------
 */

static void set_disabled(struct place *place, const char *name, bool disabled)
{
    const struct account_change change = {.sets_disabled = true, .disabled = disabled};
    assert_int_equal(account_keys_change(place->accounts, place->keyring, place->store,
                                         slice_of(name), &change, NOW),
                     OK);
}

static void add_user(struct place *place, const char *name)
{
    assert_int_equal(
        accounts_add(place->accounts, place->store, slice_of(name), "$2b$04$x", ROLE_USER, NOW),
        OK);
}

static void keys_follow_the_account_of_their_owner(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) own = {0};
    AUTO(secret) late = {0};
    AUTO(secret) other = {0};
    char id[KEY_ID_LEN + 1];
    add_user(place, "anna");
    request.owner = SLICE("bert");
    create(place, &request, &other, id);
    request.owner = SLICE("anna");
    create(place, &request, &own, id);
    struct api_key *held = get(place, &own, NOW);
    set_disabled(place, "anna", true);
    assert_false(api_key_stands(held, NOW));
    create(place, &request, &late, id); /* comes to be without opening anything */
    for (int round = 0; round < 4; round++) {
        bool disabled = round < 2;
        assert_int_equal(find(place, &own, NOW), disabled ? ERR_DENIED : OK);
        assert_int_equal(find(place, &late, NOW), disabled ? ERR_DENIED : OK);
        assert_int_equal(find(place, &other, NOW), OK);
        if (round == 1)
            set_disabled(place, "anna", false);
        if (round % 2 == 0) {
            close_place(place);
            open_place(place);
        }
    }
    assert_true(api_key_stands(held, NOW) == false); /* of a table that is gone */
    api_key_unref(held);
    assert_int_equal(
        account_keys_delete(place->accounts, place->keyring, place->store, SLICE("anna"), NOW), OK);
    for (int start = 0; start < 2; start++) {
        assert_int_equal(find(place, &own, NOW), ERR_DENIED);
        assert_int_equal(find(place, &late, NOW), ERR_DENIED);
        assert_int_equal(find(place, &other, NOW), OK);
        add_user(place, start ? "carl" : "anna"); /* another one of that name */
        close_place(place);
        open_place(place);
    }
}

static void set_role(struct place *place, const char *name, enum role role)
{
    const struct account_change change = {.sets_role = true, .role = role};
    assert_int_equal(account_keys_change(place->accounts, place->keyring, place->store,
                                         slice_of(name), &change, NOW),
                     OK);
}

static void assert_rights(struct place *place, const struct secret *plain, permissions rights)
{
    for (int start = 0; start < 2; start++) {
        struct api_key *key = get(place, plain, NOW);
        assert_int_equal(api_key_permissions(key), rights);
        api_key_unref(key);
        close_place(place);
        open_place(place);
    }
}

static void a_key_may_do_no_more_than_the_account_of_its_owner(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) own = {0};
    AUTO(secret) other = {0};
    AUTO(secret) late = {0};
    char id[KEY_ID_LEN + 1];
    request.permissions = RUN_INFERENCE | USE_STREAMING | MANAGE_CACHE;
    request.owner = SLICE("bert");
    create(place, &request, &other, id);
    request.owner = SLICE("anna");
    create(place, &request, &own, id);
    assert_rights(place, &own, request.permissions); /* nobody has that name */
    assert_int_equal(account_keys_add(place->accounts, place->keyring, place->store, SLICE("anna"),
                                      "$2b$04$x", ROLE_USER, NOW),
                     OK);
    assert_rights(place, &own, RUN_INFERENCE | USE_STREAMING);
    struct api_key *held = get(place, &own, NOW);
    set_role(place, "anna", ROLE_GUEST);
    assert_int_equal(api_key_permissions(held), RUN_INFERENCE); /* whoever waited sees it, too */
    api_key_unref(held);
    assert_rights(place, &own, RUN_INFERENCE);
    create(place, &request, &late, id);
    assert_rights(place, &late, RUN_INFERENCE);
    set_disabled(place, "anna", true);
    set_disabled(place, "anna", false);
    assert_rights(place, &own, RUN_INFERENCE);
    set_role(place, "anna", ROLE_SERVICE);
    assert_rights(place, &own, request.permissions);
    assert_rights(place, &late, request.permissions);
    assert_rights(place, &other, request.permissions);
    set_role(place, "anna", ROLE_GUEST);
    request.owner = SLICE("bert");
    assert_int_equal(change(place, id, &request), OK);
    assert_rights(place, &late, request.permissions);
}

static void a_key_that_gets_another_owner_follows_that_one(void **state)
{
    struct place *place = *state;
    struct key_request request = sample();
    AUTO(secret) plain = {0};
    char id[KEY_ID_LEN + 1];
    add_user(place, "anna");
    set_disabled(place, "anna", true);
    create(place, &request, &plain, id);
    assert_int_equal(find(place, &plain, NOW), OK);
    request.owner = SLICE("anna");
    assert_int_equal(change(place, id, &request), OK);
    assert_int_equal(find(place, &plain, NOW), ERR_DENIED);
    request.owner = SLICE("");
    assert_int_equal(change(place, id, &request), OK);
    assert_int_equal(find(place, &plain, NOW), OK);
}

/* --- both at a time -----------------------------------------------------------------------------
 */

struct maker {
    struct place *place;
    struct secret plains[200];
    unsigned made;
};

static void *make_many(void *context)
{
    struct maker *maker = context;
    for (; maker->made < COUNT_OF(maker->plains); maker->made++) {
        struct key_request request = sample();
        char id[KEY_ID_LEN + 1];
        request.owner = SLICE("anna");
        create(maker->place, &request, &maker->plains[maker->made], id);
    }
    return NULL;
}

/* Whenever a key of somebody disabled comes to be, it opens nothing. */
static void a_key_made_while_its_owner_is_disabled_opens_nothing(void **state)
{
    static struct maker maker;
    pthread_t thread;
    maker = (struct maker){.place = *state};
    add_user(*state, "anna");
    assert_int_equal(pthread_create(&thread, NULL, make_many, &maker), 0);
    for (int round = 0; round < 20; round++)
        set_disabled(*state, "anna", round % 2 == 0);
    set_disabled(*state, "anna", true);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < maker.made; i++) {
        assert_int_equal(find(*state, &maker.plains[i], NOW), ERR_DENIED);
        secret_finish(&maker.plains[i]);
    }
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_key_is_held_to_its_lists_and_its_rate),
        IN_PLACE(a_limit_that_is_none_makes_nothing),
        IN_PLACE(a_change_counts_at_once_and_after_a_restart),
        IN_PLACE(a_disabled_key_opens_nothing_until_it_is_enabled),
        IN_PLACE(what_cannot_be_recorded_changes_nothing),
        IN_PLACE(rotation_leaves_the_old_key_its_grace_and_no_more),
        IN_PLACE(rotation_never_prolongs_the_old_key),
        IN_PLACE(pruning_takes_ended_keys_out_of_both),
        IN_PLACE(keys_follow_the_account_of_their_owner),
        IN_PLACE(a_key_may_do_no_more_than_the_account_of_its_owner),
        IN_PLACE(a_key_that_gets_another_owner_follows_that_one),
        IN_PLACE(a_key_made_while_its_owner_is_disabled_opens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
