/* The text of a key, and the digest of its secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/encode.h"
#include "identity/digest.h"
#include "identity/key_text.h"

static void a_made_key_reads_back_and_is_shaped(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        AUTO(secret) plain = {0};
        struct key_text parts;
        assert_int_equal(key_text_make(&plain), OK);
        assert_int_equal(plain.size, KEY_LEN);
        assert_int_equal(key_text_parse(secret_reveal(&plain), &parts), OK);
        assert_true(key_id_shaped(parts.id));
        assert_int_equal(parts.secret.len, KEY_SECRET_LEN);
        assert_true(api_key_shaped(secret_reveal(&plain)));
    }
}

/* Computed with another implementation of CRC-32. */
static const char known[] = "sp_AAAAAAAAAAAA_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg4JD1sX";

static void the_checksum_is_the_documented_one(void **state)
{
    (void)state;
    struct key_text parts;
    assert_int_equal(key_text_parse(slice_of(known), &parts), OK);
    assert_true(slice_equal(parts.id, SLICE("AAAAAAAAAAAA")));
    assert_true(slice_equal(parts.secret, SLICE("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg")));
}

static void every_other_byte_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t at = 0; at < KEY_LEN; at++)
        for (int byte = 0; byte < 256; byte++) {
            char text[KEY_LEN];
            struct key_text parts;
            memcpy(text, known, KEY_LEN);
            if (text[at] == (char)byte)
                continue;
            text[at] = (char)byte;
            assert_int_equal(key_text_parse(slice_make(text, KEY_LEN), &parts), ERR_SYNTAX);
        }
}

static void every_other_length_is_refused(void **state)
{
    (void)state;
    char text[KEY_LEN + 1];
    struct key_text parts;
    memcpy(text, known, KEY_LEN);
    text[KEY_LEN] = '0';
    for (size_t len = 0; len <= KEY_LEN + 1; len++)
        assert_int_equal(key_text_parse(slice_make(text, len), &parts),
                         len == KEY_LEN ? OK : ERR_SYNTAX);
    assert_int_equal(key_text_parse((struct slice){0}, &parts), ERR_SYNTAX);
}

static void sha256_gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"",    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t digest[SHA256_BYTES];
        char hex[2 * SHA256_BYTES];
        assert_int_equal(sha256_of(slice_of(cases[i].text), digest), OK);
        hex_print(digest, sizeof digest, hex);
        assert_memory_equal(hex, cases[i].digest, sizeof hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_key_reads_back_and_is_shaped),
        cmocka_unit_test(the_checksum_is_the_documented_one),
        cmocka_unit_test(every_other_byte_anywhere_is_refused),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(sha256_gives_the_known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
