/* The live table: who is found, who is not, and that a revoked key is gone when revoke has
 * returned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "identity/api_key.h"
#include "identity/digest.h"
#include "identity/key_text.h"
#include "identity/keyring.h"

enum { NOW = 1700000000 };

/* Puts a key into the table as keys.c does, without a store. The text of it goes to `plain`. */
static struct api_key *add(struct keyring *keyring, char plain[KEY_LEN], uint64_t expires_epoch_s,
                           const char *models)
{
    AUTO(secret) made = {0};
    struct key_text parts;
    struct api_key *key;
    assert_int_equal(key_text_make(&made), OK);
    memcpy(plain, secret_reveal(&made).ptr, KEY_LEN);
    assert_int_equal(key_text_parse(slice_make(plain, KEY_LEN), &parts), OK);
    struct stored_key stored = {.id = parts.id,
                                .name = SLICE("test"),
                                .permissions = RUN_INFERENCE,
                                .models_json = slice_of(models),
                                .created_epoch_s = 1,
                                .expires_epoch_s = expires_epoch_s};
    assert_int_equal(sha256_of(parts.secret, stored.secret_sha256), OK);
    assert_int_equal(api_key_from_stored(&stored, &key), OK);
    keyring_lock(keyring);
    assert_int_equal(keyring_reserve(keyring, key), OK);
    keyring_publish(keyring, key);
    keyring_unlock(keyring);
    return key;
}

static void revoke(struct keyring *keyring, struct api_key *key)
{
    keyring_lock(keyring);
    keyring_remove(keyring, key);
    keyring_unlock(keyring);
}

static void assert_denied(struct keyring *keyring, struct slice presented, uint64_t now_epoch_s,
                          const char *expected)
{
    const char *reason = NULL;
    struct api_key *key = (struct api_key *)&reason;
    assert_int_equal(keyring_find(keyring, presented, now_epoch_s, &key, &reason), ERR_DENIED);
    assert_null(key);
    assert_string_equal(reason, expected);
    assert_int_equal(keyring_find(keyring, presented, now_epoch_s, &key, NULL), ERR_DENIED);
}

static void a_valid_key_is_found_and_its_use_noted(void **state)
{
    (void)state;
    struct keyring *keyring = keyring_create(NULL, NULL);
    char plain[KEY_LEN];
    struct api_key *key = add(keyring, plain, 0, ""), *found;
    const char *reason = "x";
    assert_int_equal(keyring_find(keyring, slice_make(plain, KEY_LEN), NOW, &found, &reason), OK);
    assert_ptr_equal(found, key);
    assert_null(reason);
    assert_int_equal(atomic_load(&found->references), 2);
    assert_int_equal(atomic_load(&found->last_used_epoch_s), NOW);
    assert_int_equal(found->granted, RUN_INFERENCE);
    assert_string_equal(found->name, "test");
    assert_string_equal(found->owner, "");
    api_key_unref(found);
    keyring_destroy(keyring);
}

static void what_is_not_exactly_a_live_key_is_denied(void **state)
{
    (void)state;
    struct keyring *keyring = keyring_create(NULL, NULL), *other = keyring_create(NULL, NULL);
    char plain[KEY_LEN], stranger[KEY_LEN], wrong[KEY_LEN], ending[KEY_LEN];
    add(keyring, plain, 0, "");
    add(keyring, ending, NOW, "");
    add(other, stranger, 0, "");
    struct api_key *found;

    memcpy(wrong, plain, KEY_LEN);
    wrong[KEY_LEN - 1] = wrong[KEY_LEN - 1] == '0' ? '1' : '0';
    assert_denied(keyring, slice_make(wrong, KEY_LEN), NOW, "malformed");
    assert_denied(keyring, SLICE(""), NOW, "malformed");
    assert_denied(keyring, (struct slice){0}, NOW, "malformed");
    assert_denied(keyring, SLICE("' OR 1=1 --"), NOW, "malformed");
    assert_denied(keyring, slice_make(stranger, KEY_LEN), NOW, "unknown");

    assert_int_equal(keyring_find(keyring, slice_make(ending, KEY_LEN), NOW - 1, &found, NULL), OK);
    api_key_unref(found);
    assert_denied(keyring, slice_make(ending, KEY_LEN), NOW, "expired");
    keyring_destroy(keyring);
    keyring_destroy(other);
}

static void a_secret_under_another_id_is_denied(void **state)
{
    (void)state;
    struct keyring *keyring = keyring_create(NULL, NULL);
    char plain[KEY_LEN], other[KEY_LEN];
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    add(keyring, plain, 0, "");
    /* Another id, and a checksum that is right for it: the parser must let it through. */
    memcpy(other, plain, KEY_LEN);
    other[3] = other[3] == 'A' ? 'B' : 'A';
    uint32_t crc = 0xffffffff;
    for (int i = 0; i < KEY_LEN - KEY_CHECKSUM_LEN; i++) {
        crc ^= (unsigned char)other[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
    }
    crc = ~crc;
    for (int i = KEY_LEN - 1; i >= KEY_LEN - KEY_CHECKSUM_LEN; i--, crc /= 62)
        other[i] = digits[crc % 62];
    assert_true(api_key_shaped(slice_make(other, KEY_LEN)));
    assert_denied(keyring, slice_make(other, KEY_LEN), NOW, "unknown");
    keyring_destroy(keyring);
}

static void an_exchange_keeps_its_key_and_sees_the_revocation(void **state)
{
    (void)state;
    struct keyring *keyring = keyring_create(NULL, NULL);
    char plain[KEY_LEN];
    struct api_key *key = add(keyring, plain, 0, ""), *found;
    assert_int_equal(keyring_find(keyring, slice_make(plain, KEY_LEN), NOW, &found, NULL), OK);
    revoke(keyring, key);
    assert_denied(keyring, slice_make(plain, KEY_LEN), NOW, "unknown");
    assert_true(atomic_load(&found->revoked));
    assert_int_equal(atomic_load(&found->references), 1);
    api_key_unref(found);
    keyring_destroy(keyring);
}

static void doubles_are_refused_and_a_reserved_key_is_not_found(void **state)
{
    (void)state;
    struct keyring *keyring = keyring_create(NULL, NULL);
    char plain[KEY_LEN];
    struct api_key *key = add(keyring, plain, 0, ""), *copy;
    struct stored_key stored = {.id = slice_make(key->id, KEY_ID_LEN), .name = SLICE("copy")};
    memcpy(stored.secret_sha256, key->secret_sha256, sizeof stored.secret_sha256);
    assert_int_equal(api_key_from_stored(&stored, &copy), OK);
    keyring_lock(keyring);
    assert_int_equal(keyring_reserve(keyring, copy), ERR_EXISTS);
    copy->secret_sha256[31] ^= 1;
    assert_int_equal(keyring_reserve(keyring, copy), ERR_EXISTS); /* the id still */
    keyring_remove(keyring, key);
    copy->secret_sha256[31] ^= 1;
    assert_int_equal(keyring_reserve(keyring, copy), OK);
    keyring_unlock(keyring);
    assert_denied(keyring, slice_make(plain, KEY_LEN), NOW, "unknown");
    keyring_lock(keyring);
    keyring_unreserve(keyring, copy);
    keyring_unlock(keyring);
    api_key_unref(copy);
    keyring_destroy(keyring);
}

static void it_grows_and_forgets_what_was_removed(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct keyring *keyring = keyring_create(NULL, NULL);
    char(*plain)[KEY_LEN] = malloc((size_t)MANY * KEY_LEN);
    struct api_key **keys = malloc(MANY * sizeof *keys), *found;
    for (int i = 0; i < MANY; i++)
        keys[i] = add(keyring, plain[i], 0, "");
    for (int i = 0; i < MANY; i += 2)
        revoke(keyring, keys[i]);
    assert_int_equal(keyring_count(keyring), MANY / 2);
    for (int i = 0; i < MANY; i++) {
        enum err err = keyring_find(keyring, slice_make(plain[i], KEY_LEN), NOW, &found, NULL);
        assert_int_equal(err, i % 2 ? OK : ERR_DENIED);
        if (err == OK) {
            assert_ptr_equal(found, keys[i]);
            api_key_unref(found);
        }
    }
    /* Coming and going at the same size, the table does not fill up with tombstones. */
    for (int i = 0; i < MANY; i++)
        revoke(keyring, add(keyring, plain[0], 0, ""));
    assert_denied(keyring, slice_make(plain[0], KEY_LEN), NOW, "unknown");
    free(keys);
    free(plain);
    keyring_destroy(keyring);
}

static void models_are_exact_names_and_no_list_is_all(void **state)
{
    (void)state;
    struct keyring *keyring = keyring_create(NULL, NULL);
    char plain[KEY_LEN];
    struct api_key *any = add(keyring, plain, 0, ""),
                   *two = add(keyring, plain, 0, "[\"llama3:8b\",\"\xc3\xa9\\\"x\"]");
    static const struct {
        const char *model;
        bool allowed;
    } cases[] = {
        {"llama3:8b",   true },
        {"\xc3\xa9\"x", true },
        {"llama3",      false},
        {"llama3:8b ",  false},
        {"LLAMA3:8B",   false},
        {"",            false}
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(api_key_may_use_model(two, slice_of(cases[i].model)), cases[i].allowed);
        assert_true(api_key_may_use_model(any, slice_of(cases[i].model)));
    }
    keyring_destroy(keyring);
}

static void a_stored_row_that_cannot_be_ours_is_refused(void **state)
{
    (void)state;
    const struct stored_key good = {.id = SLICE("AAAAAAAAAAAA"), .name = SLICE("n")};
    static const char *const lists[] = {"[]",        "{}",    "[1]",      "[\"\"]",
                                        "[\"a\"",    "null",  "[\"a\"]x", "[\"a\\u0000b\"]",
                                        "[\"\\n\"]", "\"a\"", " "};
    struct api_key *key;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct stored_key bad = good;
        bad.models_json = slice_of(lists[i]);
        assert_int_equal(api_key_from_stored(&bad, &key), ERR_STORE);
    }
    struct stored_key rows[] = {good, good, good, good, good};
    rows[0].id = SLICE("AAAAAAAAAAA-");
    rows[1].name = SLICE("");
    rows[2].name = SLICE("a\nb");
    rows[3].owner = SLICE("\xc2\x9b");
    rows[4].permissions = PERMISSIONS_ALL + 1;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(api_key_from_stored(&rows[i], &key), ERR_STORE);
}

/* Readers and a writer at once, with a grace period as the gateway has it: each reader bumps its
 * turn between look-ups, holding nothing. */

enum { READERS = 2, ROUNDS = 60, STANDING = 50 };

struct reader {
    _Alignas(64) _Atomic uint64_t turn;
    pthread_t thread;
    uint64_t found, missed;
};

static struct {
    struct keyring *keyring;
    struct reader readers[READERS];
    atomic_bool end, running;
    char standing[STANDING][KEY_LEN];
    char coming[ROUNDS][KEY_LEN];
    _Atomic(const char *) newest; /* one of them, complete, as a client would learn it */
    atomic_uint wrong; /* a standing key not found, or a key that is not the one asked for */
} arena;

static void wait_a_turn(void *context)
{
    (void)context;
    uint64_t seen[READERS];
    if (!atomic_load(&arena.running))
        return;
    for (int i = 0; i < READERS; i++)
        seen[i] = atomic_load(&arena.readers[i].turn);
    for (int i = 0; i < READERS; i++)
        while (atomic_load(&arena.readers[i].turn) == seen[i])
            sched_yield();
}

static void look(struct reader *reader, const char *text, bool must)
{
    struct api_key *key;
    if (keyring_find(arena.keyring, slice_make(text, KEY_LEN), NOW, &key, NULL) == OK) {
        reader->found++;
        if (memcmp(key->id, text + 3, KEY_ID_LEN) != 0)
            atomic_fetch_add(&arena.wrong, 1);
        api_key_unref(key);
    } else {
        reader->missed++;
        if (must)
            atomic_fetch_add(&arena.wrong, 1);
    }
}

static void *read_on(void *memory)
{
    struct reader *reader = memory;
    for (unsigned i = 0; !atomic_load(&arena.end); i++) {
        const char *newest = atomic_load(&arena.newest);
        if (newest)
            look(reader, newest, false);
        look(reader, arena.standing[i % STANDING], true);
        atomic_fetch_add(&reader->turn, 1);
        sched_yield();
    }
    return NULL;
}

static void after_revoke_has_returned_no_reader_finds_the_key(void **state)
{
    (void)state;
    char another[KEY_LEN];
    memset(&arena, 0, sizeof arena);
    arena.keyring = keyring_create(wait_a_turn, NULL);
    for (int i = 0; i < STANDING; i++)
        add(arena.keyring, arena.standing[i], 0, "");
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&arena.readers[i].thread, NULL, read_on, &arena.readers[i]),
                         0);
    atomic_store(&arena.running, true);
    unsigned kept_count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *text = arena.coming[round];
        struct api_key *key = add(arena.keyring, text, 0, "");
        atomic_store(&arena.newest, text);
        /* Let the readers come upon it. */
        wait_a_turn(NULL);
        api_key_ref(key);
        revoke(arena.keyring, key);
        struct api_key *found;
        if (keyring_find(arena.keyring, slice_make(text, KEY_LEN), NOW, &found, NULL) == OK)
            atomic_fetch_add(&arena.wrong, 1);
        /* Whoever looks now starts after the return, and must miss: two turns without a find. */
        uint64_t uses = atomic_load(&key->references);
        wait_a_turn(NULL);
        if (uses != 1 || atomic_load(&key->references) != 1)
            atomic_fetch_add(&arena.wrong, 1);
        api_key_unref(key);
        /* Every other round one stays, so that the array grows under the readers. */
        if (round % 2)
            kept_count += add(arena.keyring, another, 0, "") != NULL;
    }
    atomic_store(&arena.running, false);
    atomic_store(&arena.end, true);
    uint64_t found = 0;
    for (int i = 0; i < READERS; i++) {
        pthread_join(arena.readers[i].thread, NULL);
        found += arena.readers[i].found;
    }
    assert_int_equal(atomic_load(&arena.wrong), 0);
    assert_true(found > 0);
    assert_int_equal(kept_count, ROUNDS / 2);
    keyring_destroy(arena.keyring);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_key_is_found_and_its_use_noted),
        cmocka_unit_test(what_is_not_exactly_a_live_key_is_denied),
        cmocka_unit_test(a_secret_under_another_id_is_denied),
        cmocka_unit_test(an_exchange_keeps_its_key_and_sees_the_revocation),
        cmocka_unit_test(doubles_are_refused_and_a_reserved_key_is_not_found),
        cmocka_unit_test(it_grows_and_forgets_what_was_removed),
        cmocka_unit_test(models_are_exact_names_and_no_list_is_all),
        cmocka_unit_test(a_stored_row_that_cannot_be_ours_is_refused),
        cmocka_unit_test(after_revoke_has_returned_no_reader_finds_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
