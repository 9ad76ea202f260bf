/* Request targets and authorities: what is canonical passes unchanged, everything else is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "proto/target.h"

static void canonical_targets_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path, *query, *authority;
    } cases[] = {
        {"/",                         "/",                      "",               ""        },
        {"/v1/models",                "/v1/models",             "",               ""        },
        {"/v1/models/",               "/v1/models/",            "",               ""        },
        {"/v1/models/llama3.2:1b",    "/v1/models/llama3.2:1b", "",               ""        },
        {"/v1/models?",               "/v1/models",             "",               ""        },
        {"/v1/models?x=/../../admin", "/v1/models",             "x=/../../admin", ""        },
        {"/a?b?c%00",                 "/a",                     "b?c%00",         ""        },
        {"/.well-known/x",            "/.well-known/x",         "",               ""        },
        {"/a..b/~@!$&'()+,=-_:",      "/a..b/~@!$&'()+,=-_:",   "",               ""        },
        {"http://h/v1/models",        "/v1/models",             "",               "h"       },
        {"HTTPS://h:8443/?q",         "/",                      "q",              "h:8443"  },
        {"http://[::1]:80/a",         "/a",                     "",               "[::1]:80"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct target target;
        if (target_parse(slice_of(cases[i].text), &target) != OK)
            fail_msg("%s was refused", cases[i].text);
        assert_true(slice_equal(target.path, slice_of(cases[i].path)));
        assert_true(slice_equal(target.query, slice_of(cases[i].query)));
        assert_true(slice_equal(target.authority, slice_of(cases[i].authority)));
        assert_false(target.asterisk);
    }
    struct target target;
    assert_int_equal(target_parse(SLICE("*"), &target), OK);
    assert_true(target.asterisk);
}

static void other_targets_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "v1",
        "**",
        "*/",
        "?",
        "?a",
        "#",
        "//",
        "//admin",
        "/v1//models",
        "/.",
        "/..",
        "/./",
        "/../",
        "/v1/..",
        "/v1/.",
        "/v1/../admin",
        "/v1/./models",
        "/v1/models.",
        "/v1./models",
        "/v1/...",
        "/v1/..;/admin",
        "/v1/models;a=b",
        "/v1/%2e%2e/admin",
        "/v1/%252e",
        "/v1%2fmodels",
        "/v1/models%00.json",
        "/v1/models%0d%0aX:y",
        "/v1/models#/admin",
        "/v1/models?#",
        "\\admin",
        "/v1\\models",
        "/%c0%ae",
        "/\xe2\x80\xa5/",
        "/v1/models?\xff",
        "/v1/models? x",
        "/a b",
        "/a*",
        "/\x7f",
        "/a\t",
        "/<",
        "/\"",
        "/^",
        "/`",
        "/{",
        "/|",
        "http://h",
        "http://",
        "http:///a",
        "http://h?x",
        "http:/h/a",
        "http:h",
        "ftp://h/",
        "http://u@h/",
        "http://h:0/",
        "http://h//",
        "http://h/../a",
        "http://h#/",
        "h:80",
        "file:///etc/passwd",
        "http://h\\@x/",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct target target;
        if (target_parse(slice_of(cases[i]), &target) != ERR_SYNTAX)
            fail_msg("%s was taken", cases[i]);
    }
    struct target target;
    assert_int_equal(target_parse(SLICE("/a\0b"), &target), ERR_SYNTAX);
}

/* Whatever is accepted contains nothing that a second reader could resolve or decode. */
static void every_byte_in_a_path_is_taken_or_refused_alike(void **state)
{
    (void)state;
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "/_.~:@!$&'()+,=-?";
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'/', 'a', (char)byte, 'b'};
        struct target target;
        enum err err = target_parse(slice_make(text, sizeof(text)), &target);
        bool wanted = byte && strchr(allowed, byte);
        assert_int_equal(err, wanted ? OK : ERR_SYNTAX);
    }
}

static void authorities_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        unsigned port;
    } cases[] = {
        {"a",                   "a",             0    },
        {"localhost:8080",      "localhost",     8080 },
        {"my_service:1",        "my_service",    1    },
        {"a.b-c.example:65535", "a.b-c.example", 65535},
        {"127.0.0.1",           "127.0.0.1",     0    },
        {"127.0.0.1:80",        "127.0.0.1",     80   },
        {"[::1]",               "::1",           0    },
        {"[2001:db8::1]:443",   "2001:db8::1",   443  },
        {"1.example",           "1.example",     0    },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice host;
        unsigned port;
        if (authority_parse(slice_of(cases[i].text), &host, &port) != OK)
            fail_msg("%s was refused", cases[i].text);
        assert_true(slice_equal(host, slice_of(cases[i].host)));
        assert_int_equal(port, cases[i].port);
    }
}

static void other_authorities_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        ":",
        ":80",
        "a:",
        "a:0",
        "a:080",
        "a:65536",
        "a:99999",
        "a:-1",
        "a:+1",
        "a:1x",
        "a:1:2",
        "a,b",
        "a b",
        "a@b",
        "a#b",
        "a/b",
        "a?b",
        "a%20",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a-.b",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[]",
        "[127.0.0.1]",
        "[::1%25eth0]",
        "[a]",
        "[v1.x]",
        "0x7f.1",
        "127.1",
        "2130706433",
        "010.0.0.1",
        "127.0.0.1.1",
        "1.2.3.0x4",
        "256.1.1.1",
        "\xc3\xa9",
        "a\x7f",
        " a",
        "a ",
        "a\t",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice host;
        unsigned port;
        if (authority_parse(slice_of(cases[i]), &host, &port) != ERR_SYNTAX)
            fail_msg("%s was taken", cases[i]);
    }
    char name[300];
    memset(name, 'a', sizeof(name));
    for (size_t i = 60; i < sizeof(name); i += 60)
        name[i] = '.';
    struct slice host;
    unsigned port;
    assert_int_equal(authority_parse(slice_make(name, 253), &host, &port), OK);
    assert_int_equal(authority_parse(slice_make(name, 254), &host, &port), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_targets_are_taken_apart),
        cmocka_unit_test(other_targets_are_refused),
        cmocka_unit_test(every_byte_in_a_path_is_taken_or_refused_alike),
        cmocka_unit_test(authorities_are_taken_apart),
        cmocka_unit_test(other_authorities_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
