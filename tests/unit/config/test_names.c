/* Origins, hosts, methods and fields: brought into the form that requests are compared with, or
 * refused with the reason. */
#include "loading.h"

#include "config/option.h"
#include "config/value.h"

struct row {
    const char *text, *kept; /* kept NULL: refused, and `why` is part of what is said */
    const char *why;
};

static void try_rows(const char *path, const struct row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct settings settings = {0};
        arena_init(&settings.arena, NULL, 0, 1 << 20);
        const struct option *option = option_find(slice_of(path));
        struct assignment assignment = {
            .option = option, .object = &settings, .arena = &settings.arena};
        enum err err = value_append(&assignment, slice_of(rows[i].text));
        const struct text_list *list = (void *)((char *)&settings + option->offset);
        if ((err == OK) != (rows[i].kept != NULL))
            fail_msg("%s = \"%s\" gave %s", path, rows[i].text, err_name(err));
        if (err == OK)
            assert_string_equal(list->items[0], rows[i].kept);
        else if (rows[i].why && !strstr(assignment.why, rows[i].why))
            fail_msg("\"%s\" for \"%s\"", assignment.why, rows[i].text);
        arena_finish(&settings.arena);
    }
}

static void origins_are_kept_as_browsers_write_them(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"https://chat.example.org",            "https://chat.example.org",            NULL                },
        {"HTTPS://Chat.Example.ORG:8443",       "https://chat.example.org:8443",       NULL                },
        {"http://localhost:5500",               "http://localhost:5500",               NULL                },
        {"http://127.0.0.1:8080",               "http://127.0.0.1:8080",               NULL                },
        {"http://[::1]:3000",                   "http://[::1]:3000",                   NULL                },
        {"chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop", NULL                },
        {"tauri://localhost",                   "tauri://localhost",                   NULL                },
        {"http://a:443",                        "http://a:443",                        NULL                },
        {"*",                                   "*",                                   NULL                },
        {"https://chat.example.org/",           NULL,                                  "no '/'"            },
        {"https://chat.example.org/app",        NULL,                                  "no '/'"            },
        {"https://chat.example.org:443",        NULL,                                  "leave out the port"},
        {"http://chat.example.org:80",          NULL,                                  "leave out the port"},
        {"chat.example.org",                    NULL,                                  "its scheme"        },
        {"://chat.example.org",                 NULL,                                  "its scheme"        },
        {"1a://chat.example.org",               NULL,                                  "its scheme"        },
        {"ht tp://chat.example.org",            NULL,                                  "its scheme"        },
        {"https://*.example.org",               NULL,                                  "without '*'"       },
        {"https://user@example.org",            NULL,                                  NULL                },
        {"https://",                            NULL,                                  NULL                },
        {"https://b\xc3\xbc"
         "cher.example",               NULL,                                  NULL                },
        {"null",                                NULL,                                  "names nobody"      },
    };
    try_rows("server.cors_origins", rows, COUNT_OF(rows));
}

static void hosts_are_kept_in_one_spelling(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"LLM.example.org",      "llm.example.org", NULL                },
        {"llm.example.org.",     "llm.example.org", NULL                },
        {"*.Example.org",        "*.example.org",   NULL                },
        {"*",                    "*",               NULL                },
        {"10.0.0.7",             "10.0.0.7",        NULL                },
        {"[2001:DB8:0::1]",      "2001:db8::1",     NULL                },
        {"2001:DB8:0::1",        "2001:db8::1",     NULL                },
        {"llm.example.org:8080", NULL,              "without their port"},
        {"[::1]:80",             NULL,              "without their port"},
        {"a.*.example.org",      NULL,              NULL                },
        {"*example.org",         NULL,              NULL                },
        {"*.",                   NULL,              NULL                },
        {"https://a",            NULL,              NULL                },
        {"a b",                  NULL,              NULL                },
    };
    try_rows("server.trusted_hosts", rows, COUNT_OF(rows));
}

static void methods_and_fields_are_names_of_such(void **state)
{
    (void)state;
    static const struct row methods[] = {
        {"POST",    "POST",    NULL             },
        {"OPTIONS", "OPTIONS", NULL             },
        {"post",    NULL,      "the methods are"},
        {"*",       NULL,      "the methods are"},
        {"TRACE",   NULL,      "the methods are"},
    };
    static const struct row fields[] = {
        {"X-Mine",    "X-Mine", NULL             },
        {"*",         NULL,     "name each field"},
        {"X Mine",    NULL,     NULL             },
        {"X-Mine:",   NULL,     NULL             },
        {"X\xc3\xbc", NULL,     NULL             },
    };
    try_rows("server.cors_methods", methods, COUNT_OF(methods));
    try_rows("server.cors_headers", fields, COUNT_OF(fields));
}

static void load_proxies(const char *toml, const char *const *variables, const char *expected)
{
    struct loading loading;
    AUTO(buffer) out = BUFFER_MAX(4096);
    load_text(&loading, toml, variables);
    assert_int_equal(loading.err, OK);
    value_print(option_find(SLICE("server.trusted_proxies")), loading.settings, &out);
    assert_string_equal(buffer_text_of(&out), expected);
    load_end(&loading);
}

#define PRIVATE                                                                                    \
    "\"127.0.0.0/8\", \"::1/128\", \"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\", "        \
    "\"fc00::/7\""
#define PROXIES(list) UPSTREAM "[server]\ntrusted_proxies = " list "\n"

static void proxies_are_ranges_and_two_words(void **state)
{
    (void)state;
    load_proxies(UPSTREAM, NULL, "[]");
    load_proxies(PROXIES("[\"203.0.113.7\", \"unix\"]"), NULL, "[\"203.0.113.7/32\", \"unix\"]");
    load_proxies(PROXIES("[\"private\", \"203.0.113.7\"]"), NULL,
                 "[" PRIVATE ", \"203.0.113.7/32\"]");
    load_proxies(UPSTREAM, VARIABLES("TRUST_PROXY_HEADERS=true"), "[" PRIVATE "]");
    load_proxies(UPSTREAM, VARIABLES("TRUST_PROXY_HEADERS=1 # nginx"), "[" PRIVATE "]");
    load_proxies(PROXIES("[\"unix\"]"), VARIABLES("TRUST_PROXY_HEADERS=false"), "[]");
    load_proxies(UPSTREAM, VARIABLES("SALLYPORT_SERVER_TRUSTED_PROXIES=unix,10.0.0.0/8"),
                 "[\"unix\", \"10.0.0.0/8\"]");
    struct loading loading;
    load_text(&loading, UPSTREAM, VARIABLES("TRUST_PROXY_HEADERS=maybe"));
    assert_int_equal(loading.err, ERR_CONFIG);
    expect_said(&loading, "TRUST_PROXY_HEADERS: expected a list of addresses");
    load_end(&loading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_kept_as_browsers_write_them),
        cmocka_unit_test(hosts_are_kept_in_one_spelling),
        cmocka_unit_test(methods_and_fields_are_names_of_such),
        cmocka_unit_test(proxies_are_ranges_and_two_words),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
