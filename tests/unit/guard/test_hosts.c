/* Trusted hosts: their own names, in any case and with any port, and nothing that looks like them.
 */
#include "head_made.h"

#include "guard/hosts.h"

static void hosts_are_known_by_name_without_port(void **state)
{
    (void)state;
    struct text_list hosts = LIST_MADE((char *)"llm.example.com", (char *)"*.apps.example.com",
                                       (char *)"10.0.0.7", (char *)"2001:db8::1");
    static const struct {
        const char *authority;
        bool allowed;
    } rows[] = {
        {"llm.example.com",          true },
        {"LLM.Example.COM",          true },
        {"llm.example.com:8080",     true },
        {"x.apps.example.com",       true },
        {"x.y.apps.example.com",     true },
        {"X.APPS.example.com:1",     true },
        {"10.0.0.7",                 true },
        {"10.0.0.7:80",              true },
        {"[2001:db8::1]",            true },
        {"[2001:0DB8:0:0::1]:8443",  true },
        {"[::ffff:10.0.0.7]",        true },
        {"",                         false},
        {"example.com",              false},
        {"apps.example.com",         false},
        {"evilapps.example.com",     false},
        {"x.llm.example.com",        false},
        {"evilllm.example.com",      false},
        {"llm.example.com.evil.org", false},
        {"llm.example.comx",         false},
        {"llm-example.com",          false},
        {"*.apps.example.com",       false},
        {".apps.example.com",        false},
        {"10.0.0.70",                false},
        {"[2001:db8::2]",            false},
        {"2001:db8::1",              false},
        {"localhost",                false},
        {"llm.example.com@evil.org", false},
        {"llm.example.com:evil.org", false},
        {"llm.example.com/",         false},
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        if (hosts_allow(&hosts, slice_of(rows[i].authority)) != rows[i].allowed)
            fail_msg("\"%s\"", rows[i].authority);
}

static void no_list_and_the_star_are_any_host(void **state)
{
    (void)state;
    struct text_list none = {0}, any = LIST_MADE((char *)"*");
    static const char *const authorities[] = {"", "a", "10.0.0.7:1", "[::1]"};
    for (unsigned i = 0; i < COUNT_OF(authorities); i++) {
        assert_true(hosts_allow(&none, slice_of(authorities[i])));
        assert_true(hosts_allow(&any, slice_of(authorities[i])));
    }
}

static void only_the_named_port_is_taken_off(void **state)
{
    (void)state;
    static const struct {
        const char *authority, *without;
    } rows[] = {
        {"a.b:80",   "a.b"     },
        {"a.b",      "a.b"     },
        {"a.b:8080", "a.b:8080"},
        {"a.b:180",  "a.b:180" },
        {"[::80]",   "[::80]"  },
        {"[::1]:80", "[::1]"   },
        {"",         ""        },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        assert_true(slice_equal(host_without_port(slice_of(rows[i].authority), SLICE(":80")),
                                slice_of(rows[i].without)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_known_by_name_without_port),
        cmocka_unit_test(no_list_and_the_star_are_any_host),
        cmocka_unit_test(only_the_named_port_is_taken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
