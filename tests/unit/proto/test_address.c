/* Addresses, ranges and upstream URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/address.h"

static struct address address_of(const char *text)
{
    struct address address;
    if (address_parse(slice_of(text), &address) != OK)
        fail_msg("%s was refused", text);
    return address;
}

static void assert_prints(const struct address *address, const char *expected)
{
    char memory[64];
    struct buffer out = BUFFER_OVER(memory, sizeof(memory));
    address_print(&out, address);
    assert_int_equal(out.failed, OK);
    if (!slice_equal(buffer_slice(&out), slice_of(expected)))
        fail_msg("printed %.*s, not %s", SLICE_ARG(buffer_slice(&out)), expected);
}

static void addresses_have_one_text_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"127.0.0.1",            "127.0.0.1"        },
        {"0.0.0.0",              "0.0.0.0"          },
        {"255.255.255.255",      "255.255.255.255"  },
        {"::",                   "::"               },
        {"0:0:0:0:0:0:0:1",      "::1"              },
        {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"::ffff:10.0.0.1",      "10.0.0.1"         },
        {"::FFFF:a00:1",         "10.0.0.1"         },
        {"fe80::1",              "fe80::1"          },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address address = address_of(cases[i].text);
        assert_prints(&address, cases[i].printed);
        struct address again = address_of(cases[i].printed); /* parse(print(x)) == x */
        assert_true(address_equal(&address, &again));
    }
    struct address unix_peer = {.family = ADDRESS_UNIX}, none = {0};
    assert_prints(&unix_peer, "unix");
    assert_prints(&none, "-");
}

static void malformed_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.04",
        "0x7f.0.0.1",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4:80",
        "127.1",
        "1..2.3",
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "12345::",
        "g::",
        "[::1]",
        "fe80::1%eth0",
        "::1/64",
        "::1.2.3",
        "1.2.3.4/8",
        "localhost",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address address;
        if (address_parse(slice_of(cases[i]), &address) != ERR_SYNTAX)
            fail_msg("%s was taken", cases[i]);
    }
    struct address address;
    assert_int_equal(address_parse(SLICE("1.2.3.4\0x"), &address), ERR_SYNTAX);
}

static void identity_is_the_address_or_its_64(void **state)
{
    (void)state;
    struct address a = address_of("2001:db8:1:2:aaaa::1"), b = address_of("2001:db8:1:2::2");
    struct address c = address_of("2001:db8:1:3::2"), d = address_of("10.0.0.1");
    struct address e = address_of("::ffff:10.0.0.1"), f = address_of("10.0.0.2");
    d.port = 1234;
    struct address ia = address_identity(&a), ib = address_identity(&b), ic = address_identity(&c);
    struct address id = address_identity(&d), ie = address_identity(&e), jf = address_identity(&f);
    assert_false(address_equal(&a, &b));
    assert_true(address_equal(&ia, &ib));
    assert_false(address_equal(&ia, &ic));
    assert_true(address_equal(&id, &ie));
    assert_int_equal(id.port, 0);
    assert_false(address_equal(&id, &jf));
    assert_false(address_equal(&ia, &id));
}

static void loopback_is_known_in_each_family(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1",        true },
        {"127.255.0.9",      true },
        {"::1",              true },
        {"::ffff:127.0.0.1", true },
        {"128.0.0.1",        false},
        {"::",               false},
        {"::2",              false},
        {"0.0.0.0",          false}
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address address = address_of(cases[i].text);
        assert_int_equal(address_loopback(&address), cases[i].loopback);
    }
}

static void ranges_contain_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *cidr, *address;
        bool contained;
    } cases[] = {
        {"10.0.0.0/8",          "10.255.255.255",   true },
        {"10.0.0.0/8",          "11.0.0.0",         false},
        {"10.0.0.0/8",          "::ffff:10.1.2.3",  true },
        {"192.168.1.4",         "192.168.1.4",      true },
        {"192.168.1.4",         "192.168.1.5",      false},
        {"0.0.0.0/0",           "1.2.3.4",          true },
        {"0.0.0.0/0",           "::1",              false},
        {"::/0",                "1.2.3.4",          false},
        {"2001:db8::/33",       "2001:db8:7fff::1", true },
        {"2001:db8::/33",       "2001:db8:8000::1", false},
        {"172.16.0.0/12",       "172.31.255.1",     true },
        {"172.16.0.0/12",       "172.32.0.1",       false},
        {"::1",                 "::1",              true },
        {"::ffff:10.0.0.0/104", "10.9.9.9",         true },
        {"1.2.3.4/31",          "1.2.3.5",          true },
        {"1.2.3.4/31",          "1.2.3.6",          false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cidr cidr;
        if (cidr_parse(slice_of(cases[i].cidr), &cidr) != OK)
            fail_msg("%s was refused", cases[i].cidr);
        struct address address = address_of(cases[i].address);
        if (cidr_contains(&cidr, &address) != cases[i].contained)
            fail_msg("%s and %s", cases[i].cidr, cases[i].address);
    }
    static const char *const wrong[] = {
        "10.0.0.1/8",  "10.0.0.0/33",        "10.0.0.0/", "/8",          "10.0.0.0/08",
        "10.0.0.0/-1", "10.0.0.0/8/8",       "10/8",      "::1/127",     "::/129",
        "::/1290",     "::ffff:10.0.0.0/95", "",          "10.0.0.0/ 8",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct cidr cidr;
        if (cidr_parse(slice_of(wrong[i]), &cidr) != ERR_SYNTAX)
            fail_msg("%s was taken", wrong[i]);
    }
}

static void upstream_urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool tls, unix_socket;
        const char *host;
        unsigned port;
        const char *base;
    } cases[] = {
        {"http://127.0.0.1:11434",  false, false, "127.0.0.1",        11434, ""    },
        {"http://ollama",           false, false, "ollama",           80,    ""    },
        {"https://api.openai.com/", true,  false, "api.openai.com",   443,   ""    },
        {"https://h/a/b/",          true,  false, "h",                443,   "/a/b"},
        {"HTTP://[::1]:8080/x",     false, false, "::1",              8080,  "/x"  },
        {"unix:/run/engine.sock",   false, true,  "/run/engine.sock", 0,     ""    },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct url url;
        if (url_parse(slice_of(cases[i].text), &url) != OK)
            fail_msg("%s was refused", cases[i].text);
        assert_int_equal(url.tls, cases[i].tls);
        assert_int_equal(url.unix_socket, cases[i].unix_socket);
        assert_true(slice_equal(url.host, slice_of(cases[i].host)));
        assert_int_equal(url.port, cases[i].port);
        assert_true(slice_equal(url.base, slice_of(cases[i].base)));
    }
    static const char *const wrong[] = {
        "",
        "h",
        "http:",
        "http://",
        "https:///x",
        "http://u:p@h",
        "http://h?q",
        "http://h/?q",
        "http://h/#f",
        "http://h:0",
        "http://h:99999",
        "http://h/a//b",
        "http://h/../a",
        "http://h/%41",
        "http://h//",
        "ftp://h",
        "unix:",
        "unix:/",
        "unix:run/x",
        "unix:/a\nb",
        "http://h /",
        "unix:/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct url url;
        if (url_parse(slice_of(wrong[i]), &url) != ERR_SYNTAX)
            fail_msg("%s was taken", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_one_text_form),
        cmocka_unit_test(malformed_addresses_are_refused),
        cmocka_unit_test(identity_is_the_address_or_its_64),
        cmocka_unit_test(loopback_is_known_in_each_family),
        cmocka_unit_test(ranges_contain_what_they_say),
        cmocka_unit_test(upstream_urls_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
