/* What the tests of keys share: a store, a keyring and accounts in a folder of their own, and keys
 * in them. */
#ifndef TESTS_IDENTITY_KEYS_MADE_H
#define TESTS_IDENTITY_KEYS_MADE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "identity/account_keys.h"
#include "identity/keys.h"

enum { NOW = 1700000000, DAY = 86400 };

struct place {
    char directory[64], path[96];
    struct store *store;
    struct keyring *keyring;
    struct accounts *accounts;
};

static inline void open_place(struct place *place)
{
    AUTO(faults) faults = {0};
    assert_int_equal(store_open(place->path, &place->store, &faults), OK);
    place->keyring = keyring_create(NULL, NULL);
    place->accounts = accounts_create(NULL, NULL);
    assert_int_equal(keyring_load(place->keyring, place->store), OK);
    assert_int_equal(accounts_load(place->accounts, place->store, NOW), OK);
}

static inline void close_place(struct place *place)
{
    keyring_destroy(place->keyring);
    accounts_destroy(place->accounts);
    store_close(place->store);
}

static inline int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/test_keys_XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/keys.db", place->directory);
    open_place(place);
    *state = place;
    return 0;
}

static inline int remove_place(void **state)
{
    struct place *place = *state;
    close_place(place);
    unlink(place->path);
    assert_int_equal(rmdir(place->directory), 0);
    free(place);
    return 0;
}

static inline struct key_request sample(void)
{
    return (struct key_request){.name = SLICE("laptop"), .permissions = RUN_INFERENCE};
}

static inline void create(struct place *place, const struct key_request *request,
                          struct secret *plain, char id[KEY_ID_LEN + 1])
{
    struct api_key *key;
    assert_int_equal(keyring_create_key(place->keyring, place->store, request, NOW, plain, &key),
                     OK);
    memcpy(id, key->id, KEY_ID_LEN + 1);
    api_key_unref(key);
}

static inline enum err find(struct place *place, const struct secret *plain, uint64_t now_epoch_s)
{
    struct api_key *key;
    enum err err = keyring_find(place->keyring, secret_reveal(plain), now_epoch_s, &key, NULL);
    if (err == OK)
        api_key_unref(key);
    return err;
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
