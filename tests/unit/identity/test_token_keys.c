/* Signing, rotation, and which secrets are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/encode.h"
#include "identity/token_keys.h"

static const struct slice one = SLICE("unit test signing secret, no. 1!");
static const struct slice two = SLICE("unit test signing secret, no. 2!");
static const struct slice text = SLICE("what is signed");

/* RFC 4231, cases 6 and 7; its other keys are shorter than we allow. */
static void the_mac_is_the_standards(void **state)
{
    (void)state;
    static const struct {
        const char *text, *mac;
    } cases[] = {
        {"Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"                                                                            },
        {"This is a test using a larger than block-size key and a larger than block-size data. The "
         "key needs to be hashed before being used by the HMAC algorithm.", "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    };
    char key[131];
    memset(key, 0xaa, sizeof key);
    AUTO(token_keys) keys;
    assert_int_equal(token_keys_init(&keys, slice_make(key, sizeof key), SLICE("")), OK);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t mac[TOKEN_MAC_BYTES];
        char hex[2 * TOKEN_MAC_BYTES];
        assert_int_equal(token_keys_sign(&keys, slice_of(cases[i].text), mac), OK);
        hex_print(mac, sizeof mac, hex);
        assert_memory_equal(hex, cases[i].mac, sizeof hex);
        assert_int_equal(token_keys_verify(&keys, slice_of(cases[i].text), mac), OK);
    }
}

static void one_wrong_bit_anywhere_is_denied(void **state)
{
    (void)state;
    AUTO(token_keys) keys;
    uint8_t mac[TOKEN_MAC_BYTES];
    assert_int_equal(token_keys_init(&keys, one, two), OK);
    assert_int_equal(token_keys_sign(&keys, text, mac), OK);
    for (unsigned bit = 0; bit < 8 * TOKEN_MAC_BYTES; bit++) {
        mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(token_keys_verify(&keys, text, mac), ERR_DENIED);
        mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(token_keys_verify(&keys, SLICE("what is signee"), mac), ERR_DENIED);
    assert_int_equal(token_keys_verify(&keys, SLICE(""), mac), ERR_DENIED);
    assert_int_equal(token_keys_verify(&keys, text, mac), OK);
}

static void the_retiring_secret_verifies_and_does_not_sign(void **state)
{
    (void)state;
    AUTO(token_keys) before, during, after;
    uint8_t old[TOKEN_MAC_BYTES], new[TOKEN_MAC_BYTES];
    assert_int_equal(token_keys_init(&before, one, SLICE("")), OK);
    assert_int_equal(token_keys_init(&during, two, one), OK);
    assert_int_equal(token_keys_init(&after, two, SLICE("")), OK);
    assert_int_equal(token_keys_sign(&before, text, old), OK);
    assert_int_equal(token_keys_sign(&during, text, new), OK);
    assert_int_equal(token_keys_verify(&during, text, old), OK);
    assert_int_equal(token_keys_verify(&during, text, new), OK);
    assert_int_equal(token_keys_verify(&after, text, new), OK);
    assert_int_equal(token_keys_verify(&after, text, old), ERR_DENIED);
    assert_int_equal(token_keys_verify(&before, text, new), ERR_DENIED);
}

static void the_same_secret_twice_is_one(void **state)
{
    (void)state;
    AUTO(token_keys) keys;
    assert_int_equal(token_keys_init(&keys, one, one), OK);
    assert_true(secret_empty(&keys.retiring));
}

static void short_secrets_and_none_open_nothing(void **state)
{
    (void)state;
    struct token_keys keys;
    uint8_t mac[TOKEN_MAC_BYTES] = {0};
    struct slice short_one = slice_to(one, TOKEN_SECRET_BYTES_MIN - 1);
    assert_int_equal(token_keys_init(&keys, SLICE(""), SLICE("")), ERR_RANGE);
    assert_int_equal(token_keys_init(&keys, short_one, SLICE("")), ERR_RANGE);
    assert_int_equal(token_keys_init(&keys, one, short_one), ERR_RANGE);
    assert_int_equal(token_keys_init(&keys, SLICE(""), one), ERR_RANGE);
    assert_true(secret_empty(&keys.signing) && secret_empty(&keys.retiring));
    assert_int_equal(token_keys_sign(&keys, text, mac), ERR_DENIED);
    /* HMAC-SHA-256 of the text under an empty key, from python3's hmac. */
    assert_int_equal(
        hex_parse(SLICE("adf339eb4e16f103a2eb80b29853b6d0b2c36696b5ee5c7bff566353935dca68"), mac,
                  sizeof mac),
        OK);
    assert_int_equal(token_keys_verify(&keys, text, mac), ERR_DENIED);
}

static void *sign_elsewhere(void *keys)
{
    static uint8_t mac[TOKEN_MAC_BYTES];
    assert_int_equal(token_keys_sign(keys, text, mac), OK);
    return mac;
}

static void each_thread_signs_the_same(void **state)
{
    (void)state;
    AUTO(token_keys) keys;
    pthread_t thread;
    void *mac;
    assert_int_equal(token_keys_init(&keys, one, SLICE("")), OK);
    assert_int_equal(pthread_create(&thread, NULL, sign_elsewhere, &keys), 0);
    assert_int_equal(pthread_join(thread, &mac), 0);
    assert_int_equal(token_keys_verify(&keys, text, mac), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mac_is_the_standards),
        cmocka_unit_test(one_wrong_bit_anywhere_is_denied),
        cmocka_unit_test(the_retiring_secret_verifies_and_does_not_sign),
        cmocka_unit_test(the_same_secret_twice_is_one),
        cmocka_unit_test(short_secrets_and_none_open_nothing),
        cmocka_unit_test(each_thread_signs_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
