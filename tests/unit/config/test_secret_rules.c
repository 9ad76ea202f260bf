/* Which credentials of the gateway's own are refused: samples, short ones, regular ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/encode.h"
#include "base/err.h"
#include "config/option.h"
#include "config/secret_rules.h"
#include "identity/password.h"
#include "identity/token.h"

/* `part` of the sentence; NULL: none is expected. */
static void expect_told(const char *credential, const char *part, const char *told)
{
    if (!told != !part || (told && !strstr(told, part)))
        fail_msg("'%s': %s", credential, told ? told : "nothing told");
}

static void weak_token_secrets_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *told; /* a part of the sentence; NULL: none */
    } cases[] = {
        {"",                                                                     "at least 32 bytes"},
        {"short",                                                                "at least 32 bytes"},
        {"unit test signing secret, no. 1",                                      "at least 32 bytes"},
        {"unit test signing secret, no. 1!",                                     NULL               },
 /* samples of the founding documents and of their systems */
        {"your-secure-random-secret-at-least-32-chars",                          "of your own"      },
        {"your-secret-key",                                                      "of your own"      },
        {"change-me-in-production",                                              "of your own"      },
        {"change-me-to-a-secure-random-string",                                  "of your own"      },
 /* as others write them */
        {"CHANGE_ME_CHANGE_ME_CHANGE_ME_123456",                                 "of your own"      },
        {"ChangeMe",                                                             "of your own"      },
        {"please c.h.a n_g-e m e before the first start",                        "of your own"      },
        {"your-256-bit-secret",                                                  "of your own"      },
        {"a-string-secret-at-least-256-bits-long",                               "of your own"      },
        {"my-super-secret-jwt-key-for-the-gateway",                              "of your own"      },
        {"this_is_my_Secret_Key_for_signing_tokens",                             "of your own"      },
        {"<replace-with-a-long-random-string-here>",                             "of your own"      },
        {"Password1Password2Password3Password4",                                 "of your own"      },
        {"0123456789abcdef0123456789abcdef",                                     "of your own"      },
        {"abcdefghijklmnopqrstuvwxyz-abcdef",                                    "of your own"      },
 /* regular */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",                             "random"           },
        {"                                        ",                             "random"           },
        {"abababababababababababababababababababab",                             "random"           },
        {"11111111111111111111111111111111111111112",                            "random"           },
        {"aaaaaaaabbbbbbbbccccccccddddddddeeeeeeee",                             "random"           },
        {"deadbeefcafe1deadbeefcafe1deadbeefcafe1",                              "random"           },
        {"seventeen letters%seventeen letters%seven",                            "random"           },
 /* not twice in whole: the part that does not repeat counts */
        {"seventeen letters%seventeen letters?seven",                            NULL               },
 /* a long text written twice is as good as once */
        {"thirty-three bytes of some text, ?thirty-three bytes of some text, ?", NULL               },
        {"aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeef",                            NULL               },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_told(cases[i].secret, cases[i].told, token_secret_fault(slice_of(cases[i].secret)));
    assert_non_null(token_secret_fault((struct slice){0}));
    assert_non_null(token_secret_fault(slice_make((char[48]){0}, 48)));
}

static void random_secrets_pass(void **state)
{
    (void)state;
    char secret[43];
    for (int i = 0; i < 2000; i++) {
        base62_random(secret, sizeof secret);
        assert_null(token_secret_fault(slice_make(secret, sizeof secret)));
        assert_null(shared_key_fault(slice_make(secret, sizeof secret)));
        assert_null(admin_password_fault(slice_make(secret, sizeof secret)));
    }
}

static void sample_and_short_passwords_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *password, *told;
    } cases[] = {
        {"",                                     "at least 12 characters"},
        {"secret123",                            "at least 12 characters"}, /* of 002's demo */
        {"eleven chrs",                          "at least 12 characters"},
        {"twelve chars",                         NULL                    },
        {"\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc", "at least 12 characters"}, /* twelve bytes */
        {"your-secure-admin-password",           "of your own"           },
        {"your-password",                        "of your own"           },
        {"Your_Admin_Password",                  "of your own"           },
        {"change-me-now-please",                 "of your own"           },
 /* what a token's secret must not be, and a limited sign-in may */
        {"aaaaaaaaaaaa",                         NULL                    },
        {"my password is mine",                  NULL                    },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_told(cases[i].password, cases[i].told,
                    admin_password_fault(slice_of(cases[i].password)));
    char long_one[ADMIN_PASSWORD_BYTES_MAX + 1];
    memset(long_one, 'a', sizeof long_one);
    assert_null(admin_password_fault(slice_make(long_one, sizeof long_one - 1)));
    assert_non_null(admin_password_fault(slice_make(long_one, sizeof long_one)));
}

static void sample_and_short_shared_keys_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *key, *told;
    } cases[] = {
        {"your-secret-key",   "of your own"      },
        {"YOUR_API_KEY_HERE", "of your own"      },
        {"fifteen-letters",   "at least 16 bytes"},
        {"sixteen--letters",  NULL               },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_told(cases[i].key, cases[i].told, shared_key_fault(slice_of(cases[i].key)));
}

/* What config must not include from identity, and says for itself. */
static void the_bounds_of_identity_are_kept(void **state)
{
    (void)state;
    assert_int_equal(ADMIN_PASSWORD_BYTES_MAX, PASSWORD_BYTES_MAX);
    assert_true((int)ADMIN_PASSWORD_CHARACTERS_MIN >= (int)PASSWORD_NEW_CHARACTERS_MIN);
    assert_int_equal(option_find(SLICE("security.token_expiry_hours"))->max * 3600,
                     TOKEN_LIFETIME_S_MAX);
    assert_int_equal(option_find(SLICE("security.access_token_minutes"))->max * 60,
                     TOKEN_LIFETIME_S_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weak_token_secrets_are_told),
        cmocka_unit_test(random_secrets_pass),
        cmocka_unit_test(sample_and_short_passwords_are_told),
        cmocka_unit_test(sample_and_short_shared_keys_are_told),
        cmocka_unit_test(the_bounds_of_identity_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
