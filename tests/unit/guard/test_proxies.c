/* Who the client is: the rightmost address that no trusted proxy vouches for, and nobody further.
 */
#include "head_made.h"

#include "guard/proxies.h"

#define FOR(value) "X-Forwarded-For: " value "\r\n"
#define PROTO(value) "X-Forwarded-Proto: " value "\r\n"

/* 127.0.0.0/8, 10.0.0.0/8 and fd00::/8; and Unix sockets. */
static struct settings trusting(uint64_t hops)
{
    static struct cidr ranges[4];
    assert_int_equal(cidr_parse(SLICE("127.0.0.0/8"), &ranges[0]), OK);
    assert_int_equal(cidr_parse(SLICE("10.0.0.0/8"), &ranges[1]), OK);
    assert_int_equal(cidr_parse(SLICE("fd00::/8"), &ranges[2]), OK);
    ranges[3].network.family = ADDRESS_UNIX;
    struct settings settings = {0};
    settings.server.trusted_proxies = (struct cidr_list){ranges, COUNT_OF(ranges)};
    settings.server.proxy_hops = hops;
    return settings;
}

static struct address address(const char *text)
{
    struct address made = {.family = ADDRESS_UNIX};
    if (strcmp(text, "unix") != 0)
        assert_int_equal(address_parse(slice_of(text), &made), OK);
    return made;
}

static void expect_client(const struct settings *settings, const char *peer_text,
                          const char *fields, const char *expected)
{
    struct address peer = address(peer_text), wanted = address(expected);
    struct address client = proxies_find_client(settings, head_made("GET", fields), &peer);
    char memory[64];
    struct buffer out = BUFFER_OVER(memory, sizeof memory);
    address_print(&out, &client);
    if (!address_equal(&client, &wanted))
        fail_msg("%s%s from %s: %s", fields, expected, peer_text, buffer_text_of(&out));
}

static void the_client_is_the_rightmost_address_that_is_no_proxy(void **state)
{
    (void)state;
    struct settings settings = trusting(0);
    static const struct {
        const char *peer, *fields, *client;
    } rows[] = {
        {"127.0.0.1",        "",                                                 "127.0.0.1"  },
        {"127.0.0.1",        FOR("203.0.113.9"),                                 "203.0.113.9"},
        {"unix",             FOR("203.0.113.9"),                                 "203.0.113.9"},
        {"fd00::1",          FOR("203.0.113.9"),                                 "203.0.113.9"},
        {"127.0.0.1",        FOR("1.1.1.1, 203.0.113.9"),                        "203.0.113.9"},
        {"127.0.0.1",        FOR("127.0.0.1, 203.0.113.9"),                      "203.0.113.9"},
        {"127.0.0.1",        FOR("203.0.113.9,10.1.1.1"),                        "203.0.113.9"},
        {"127.0.0.1",        FOR("1.1.1.1 ,\t203.0.113.9 , 10.1.1.1,10.2.2.2"),  "203.0.113.9"},
        {"127.0.0.1",        FOR("10.3.3.3, 10.2.2.2"),                          "10.3.3.3"   },
        {"127.0.0.1",        FOR("1.1.1.1") FOR("203.0.113.9") FOR("10.1.1.1"),  "203.0.113.9"},
        {"127.0.0.1",        FOR("203.0.113.9") "x-forwarded-for: 10.1.1.1\r\n", "203.0.113.9"},
        {"127.0.0.1",        FOR("203.0.113.9:4711"),                            "203.0.113.9"},
        {"127.0.0.1",        FOR("[2001:db8::7]:4711"),                          "2001:db8::7"},
        {"127.0.0.1",        FOR("[2001:db8::7]"),                               "2001:db8::7"},
        {"127.0.0.1",        FOR("2001:db8::7"),                                 "2001:db8::7"},
        {"127.0.0.1",        FOR("::ffff:203.0.113.9"),                          "203.0.113.9"},
        {"127.0.0.1",        FOR("203.0.113.9, ::ffff:10.1.1.1"),                "203.0.113.9"},
        {"::ffff:127.0.0.1", FOR("203.0.113.9"),                                 "203.0.113.9"},
 /* what is no address ends the chain */
        {"127.0.0.1",        FOR("unknown"),                                     "127.0.0.1"  },
        {"127.0.0.1",        FOR("203.0.113.9, unknown"),                        "127.0.0.1"  },
        {"127.0.0.1",        FOR("203.0.113.9, unknown, 10.1.1.1"),              "10.1.1.1"   },
        {"127.0.0.1",        FOR("203.0.113.9, _hidden, 10.1.1.1"),              "10.1.1.1"   },
        {"127.0.0.1",        FOR("203.0.113.9,, 10.1.1.1"),                      "10.1.1.1"   },
        {"127.0.0.1",        FOR("203.0.113.9,"),                                "127.0.0.1"  },
        {"127.0.0.1",        FOR("fe80::1%eth0"),                                "127.0.0.1"  },
        {"127.0.0.1",        FOR("[fe80::1%25eth0]:80"),                         "127.0.0.1"  },
        {"127.0.0.1",        FOR("203.0.113.9:99999"),                           "127.0.0.1"  },
        {"127.0.0.1",        FOR("203.0.113"),                                   "127.0.0.1"  },
        {"127.0.0.1",        FOR("0313.0.113.9"),                                "127.0.0.1"  },
        {"127.0.0.1",        FOR("\"203.0.113.9\""),                             "127.0.0.1"  },
        {"127.0.0.1",        FOR("203.0.113.9 10.1.1.1"),                        "127.0.0.1"  },
        {"127.0.0.1",        FOR("example.com"),                                 "127.0.0.1"  },
 /* other fields say nothing */
        {"127.0.0.1",        "Forwarded: for=203.0.113.9\r\n",                   "127.0.0.1"  },
        {"127.0.0.1",        "X-Real-IP: 203.0.113.9\r\n",                       "127.0.0.1"  },
        {"127.0.0.1",        "X-Forwarded-Host: 203.0.113.9\r\n",                "127.0.0.1"  },
        {"127.0.0.1",        "CF-Connecting-IP: 203.0.113.9\r\n",                "127.0.0.1"  },
 /* a peer that is not trusted speaks for itself */
        {"192.0.2.1",        FOR("203.0.113.9"),                                 "192.0.2.1"  },
        {"192.0.2.1",        FOR("127.0.0.1"),                                   "192.0.2.1"  },
        {"2001:db8::1",      FOR("127.0.0.1"),                                   "2001:db8::1"},
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        expect_client(&settings, rows[i].peer, rows[i].fields, rows[i].client);
}

static void without_trusted_proxies_nothing_is_believed(void **state)
{
    (void)state;
    struct settings settings = {0};
    expect_client(&settings, "127.0.0.1", FOR("203.0.113.9"), "127.0.0.1");
    expect_client(&settings, "unix", FOR("203.0.113.9"), "unix");
}

static void no_more_proxies_are_passed_than_there_are(void **state)
{
    (void)state;
    static const char fields[] = FOR("203.0.113.9, 10.3.3.3, 10.2.2.2");
    static const char *const clients[] = {"203.0.113.9", "10.2.2.2", "10.3.3.3", "203.0.113.9",
                                          "203.0.113.9"};
    for (unsigned hops = 0; hops < COUNT_OF(clients); hops++) {
        struct settings settings = trusting(hops);
        expect_client(&settings, "127.0.0.1", fields, clients[hops]);
    }
}

/* The hundred nearest are looked at, however many there are. */
static void a_long_chain_ends(void **state)
{
    (void)state;
    struct settings settings = trusting(0);
    static char fields[64 * 1024];
    AUTO(buffer) out = BUFFER_OVER(fields, sizeof fields);
    buffer_text(&out, "X-Forwarded-For: 203.0.113.9");
    for (unsigned i = 1; i <= 1000; i++)
        buffer_printf(&out, ",10.0.%u.%u", i / 250, i % 250);
    buffer_text(&out, "\r\n");
    expect_client(&settings, "127.0.0.1", buffer_text_of(&out), "10.0.3.151"); /* the 901st */
}

static void a_trusted_proxy_says_once_whether_it_was_tls(void **state)
{
    (void)state;
    struct settings settings = trusting(0);
    static const struct {
        const char *peer, *fields;
        bool tls, secure;
    } rows[] = {
        {"127.0.0.1", "",                            false, false},
        {"127.0.0.1", "",                            true,  true },
        {"127.0.0.1", PROTO("https"),                false, true },
        {"127.0.0.1", PROTO("HTTPS"),                false, true },
        {"unix",      PROTO("https"),                false, true },
        {"127.0.0.1", PROTO("http"),                 false, false},
        {"127.0.0.1", PROTO("http"),                 true,  false},
        {"127.0.0.1", PROTO("https, http"),          false, false},
        {"127.0.0.1", PROTO("https") PROTO("http"),  false, false},
        {"127.0.0.1", PROTO("https") PROTO("https"), false, false},
        {"127.0.0.1", PROTO("wss"),                  false, false},
        {"127.0.0.1", PROTO(""),                     false, false},
        {"127.0.0.1", "Forwarded: proto=https\r\n",  false, false},
        {"127.0.0.1", "X-Forwarded-Ssl: on\r\n",     false, false},
        {"192.0.2.1", PROTO("https"),                false, false},
        {"192.0.2.1", PROTO("http"),                 true,  true },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct address peer = address(rows[i].peer);
        const struct request_head *head = head_made("GET", rows[i].fields);
        if (proxies_find_secure(&settings, head, &peer, rows[i].tls) != rows[i].secure)
            fail_msg("%s from %s", rows[i].fields, rows[i].peer);
    }
}

static void a_proxy_is_noticed_whether_trusted_or_not(void **state)
{
    (void)state;
    assert_true(proxies_passed(head_made("GET", FOR("x"))));
    assert_true(proxies_passed(head_made("GET", PROTO("http"))));
    assert_false(proxies_passed(head_made("GET", "X-Forwarded-Host: a\r\nVia: 1.1 b\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_rightmost_address_that_is_no_proxy),
        cmocka_unit_test(without_trusted_proxies_nothing_is_believed),
        cmocka_unit_test(no_more_proxies_are_passed_than_there_are),
        cmocka_unit_test(a_long_chain_ends),
        cmocka_unit_test(a_trusted_proxy_says_once_whether_it_was_tls),
        cmocka_unit_test(a_proxy_is_noticed_whether_trusted_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
