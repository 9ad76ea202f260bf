/* Secrets: equal only to all of their bytes, never to nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include <cmocka.h>

static void only_all_the_bytes_are_equal(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        struct slice secret, presented;
        bool equal;
    } rows[] = {
        {SLICE("correct"),  SLICE("correct"),        true},
        {SLICE("correct"),  SLICE("correcT"),        false},
        {SLICE("correct"),  SLICE("Correct"),        false},
        {SLICE("correct"),  SLICE("correc"),         false},
        {SLICE("correct"),  SLICE("correct "),       false},
        {SLICE("correct"),  SLICE("correctcorrect"), false}, /* the comparison goes round */
        {SLICE("correct"),  SLICE(""),               false},
        {SLICE("aa"),       SLICE("aaaa"),           false},
        {SLICE("aaaa"),     SLICE("aa"),             false},
        {SLICE("a\0b"),     SLICE("a\0b"),           true},
        {SLICE("a\0b"),     SLICE("a\0c"),           false},
        {SLICE("a\0"),      SLICE("a"),              false},
        {SLICE("\0"),       SLICE("\0"),             true},
        {SLICE("\0"),       SLICE(""),               false},
        {SLICE(""),         SLICE(""),               false}, /* nothing opens nothing */
        {SLICE(""),         SLICE("\0"),             false},
        {SLICE(""),         SLICE("a"),              false},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(secret) secret = {0};
        assert_int_equal(secret_set(&secret, rows[i].secret), OK);
        if (secret_equal(&secret, rows[i].presented) != rows[i].equal)
            fail_msg("row %zu", i);
    }
}

static void every_single_bit_counts(void **state)
{
    (void)state;
    unsigned char bytes[32], other[32];
    memset(bytes, 0xa5, sizeof bytes);
    AUTO(secret) secret = {0};
    assert_int_equal(secret_set(&secret, slice_make((char *)bytes, sizeof bytes)), OK);
    for (unsigned bit = 0; bit < sizeof bytes * 8; bit++) {
        memcpy(other, bytes, sizeof bytes);
        other[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(secret_equal(&secret, slice_make((char *)other, sizeof other)));
        assert_false(digest_equal(bytes, other, sizeof bytes));
    }
    assert_true(digest_equal(bytes, secret.hidden, sizeof bytes));
    assert_true(digest_equal(bytes, other, 0));
}

static void secrets_are_copied_replaced_and_gone(void **state)
{
    (void)state;
    char text[] = "first";
    struct secret secret = {0};
    assert_true(secret_empty(&secret));
    assert_false(secret_equal(&secret, slice_make(NULL, 0)));
    assert_int_equal(secret_set(&secret, slice_of(text)), OK);
    memset(text, '#', 5);
    assert_true(slice_equal(secret_reveal(&secret), SLICE("first")));
    assert_int_equal(secret_set(&secret, SLICE("the second, longer")), OK);
    assert_true(secret_equal(&secret, SLICE("the second, longer")));
    assert_int_equal(secret_set(&secret, slice_from(secret_reveal(&secret), 4)), OK); /* itself */
    assert_true(secret_equal(&secret, SLICE("second, longer")));
    secret_finish(&secret);
    assert_true(secret_empty(&secret));
    assert_null(secret.hidden);
    assert_int_equal(secret_reveal(&secret).len, 0);
    secret_finish(&secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_all_the_bytes_are_equal),
        cmocka_unit_test(every_single_bit_counts),
        cmocka_unit_test(secrets_are_copied_replaced_and_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
