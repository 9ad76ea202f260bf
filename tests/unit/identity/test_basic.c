/* Basic's name and password: one form, and nothing but text in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "identity/basic.h"

static void names_and_passwords_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *encoded, *name, *password;
    } rows[] = {
        {"QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin",       "open sesame"     }, /* RFC 7617, 2 */
        {"dGVzdDoxMjPCow==",             "test",          "123\xc2\xa3"     }, /* 2.1 */
        {"dXNlcjpwYTpzcw==",             "user",          "pa:ss"           },
        {"dXNlcjo6",                     "user",          ":"               },
        {"Og==",                         "",              ""                },
        {"OnB3",                         "",              "pw"              },
        {"dXNlcjo=",                     "user",          ""                },
        {"asO8cmdlbjrwn5iA",             "j\xc3\xbcrgen", "\xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char memory[BASIC_BYTES_MAX];
        struct basic basic;
        assert_int_equal(basic_parse(slice_of(rows[i].encoded), memory, &basic), OK);
        assert_true(slice_equal(basic.name, slice_of(rows[i].name)));
        assert_true(slice_equal(basic.password, slice_of(rows[i].password)));
        assert_ptr_equal(basic.text.ptr, memory);
        assert_int_equal(basic.text.len, basic.name.len + 1 + basic.password.len);
    }
}

static void what_is_no_text_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",             /* nothing */
        "dXNlcg==",     /* no colon */
        "dXNlcjpwdw",   /* no padding */
        "dXNlcjpwdw=",  /* half of it */
        "dXNlcjpwdx==", /* bits left over */
        "dXNlcjpwdw===",
        "dXNlcjpw\ndw==",
        " dXNlcjpwdw==",
        "dXNlcjpwdw== ",
        "dXNl cjpwdw==",
        "dXNlcjr_", /* base64url's digit */
        "dXNlcjpwdw==dXNlcjpwdw==",
        "dXNlcjoA",     /* "user:\0" */
        "AHVzZXI6cHc=", /* "\0user:pw" */
        "dXNlcjpwCnc=", /* "user:p\nw" */
        "dXMKZXI6cHc=",
        "dXNlcjp/",
        "dXNlcjrCgA==", /* U+0080 */
        "dXNlcjr//w==", /* not UTF-8 */
        "dXNlcjrjg4A6", /* this one is: see below */
    };
    for (size_t i = 0; i + 1 < COUNT_OF(rows); i++) {
        char memory[BASIC_BYTES_MAX];
        struct basic basic;
        assert_int_equal(basic_parse(slice_of(rows[i]), memory, &basic), ERR_SYNTAX);
    }
    char memory[BASIC_BYTES_MAX];
    struct basic basic;
    assert_int_equal(basic_parse(slice_of(rows[COUNT_OF(rows) - 1]), memory, &basic), OK);
}

static void the_length_has_a_bound(void **state)
{
    (void)state;
    enum { FITS = BASIC_BYTES_MAX / 3 * 4 };
    char encoded[FITS + 4], memory[BASIC_BYTES_MAX];
    struct basic basic;
    for (size_t i = 0; i < sizeof encoded; i++)
        encoded[i] = "YWE6"[i % 4]; /* "aa:aa:..." */
    assert_int_equal(basic_parse(slice_make(encoded, FITS), memory, &basic), OK);
    assert_int_equal(basic.name.len, 2);
    assert_int_equal(basic_parse(slice_make(encoded, FITS + 4), memory, &basic), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_passwords_are_read),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(the_length_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
