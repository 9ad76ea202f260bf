/* CORS: an origin is shown when its very bytes are in the list, and never otherwise. */
#include "head_made.h"

#include "guard/cors.h"

static struct settings listed(void)
{
    struct settings settings = {0};
    static char *origins[] = {(char *)"https://a.example.com", (char *)"http://localhost:5500"};
    static char *methods[] = {(char *)"POST", (char *)"GET"};
    static char *fields[] = {(char *)"Authorization", (char *)"Content-Type",
                             (char *)"X-Stainless-OS"};
    settings.server.cors_origins = (struct text_list){origins, COUNT_OF(origins)};
    settings.server.cors_methods = (struct text_list){methods, COUNT_OF(methods)};
    settings.server.cors_headers = (struct text_list){fields, COUNT_OF(fields)};
    return settings;
}

static void listed_origins_are_shown(void **state)
{
    (void)state;
    struct settings settings = listed();
    static const char *const origins[] = {"https://a.example.com", "http://localhost:5500"};
    for (unsigned i = 0; i < COUNT_OF(origins); i++)
        assert_true(
            slice_equal(cors_allow_origin(&settings, slice_of(origins[i])), slice_of(origins[i])));
}

/* HOSTILE 2.13: the ways in which others match too much. */
static void whatever_is_not_listed_byte_by_byte_is_nobody(void **state)
{
    (void)state;
    struct settings settings = listed();
    static const char *const origins[] = {
        "",
        "null",
        "NULL",
        "https://evil.org",
        "https://a.example.com.evil.org",
        "https://evila.example.com",
        "https://b.a.example.com",
        "https://axexample.com",
        "http://a.example.com",
        "https://a.example.com:443",
        "https://a.example.com:8443",
        "https://a.example.com/",
        "https://A.example.com",
        "HTTPS://a.example.com",
        "https://a.example.com.",
        " https://a.example.com",
        "https://a.example.com https://evil.org",
        "https://a.example.com`.evil.org",
        "https://a.example.com_.evil.org",
        "https://a.example.com{.evil.org",
        "https://a.example.com!.evil.org",
        "https://a.example.co",
        "a.example.com",
        "*",
        "http://localhost",
        "http://localhost:55000",
    };
    for (unsigned i = 0; i < COUNT_OF(origins); i++)
        if (cors_allow_origin(&settings, slice_of(origins[i])).len)
            fail_msg("\"%s\" is shown", origins[i]);
}

static void the_star_is_every_page_that_has_an_origin(void **state)
{
    (void)state;
    struct settings settings = {.server.cors_origins = LIST_MADE((char *)"*")};
    assert_true(cors_enabled(&settings));
    assert_true(
        slice_equal(cors_allow_origin(&settings, SLICE("https://any.example")), SLICE("*")));
    assert_int_equal(cors_allow_origin(&settings, SLICE("null")).len, 0);
    assert_int_equal(cors_allow_origin(&settings, SLICE("")).len, 0);
}

#define ORIGIN "Origin: https://a.example.com\r\n"
#define METHOD(name) "Access-Control-Request-Method: " name "\r\n"
#define FIELDS(names) "Access-Control-Request-Headers: " names "\r\n"

static void a_preflight_is_known_by_its_three_marks(void **state)
{
    (void)state;
    struct settings settings = listed(), off = {0};
    static const struct {
        const char *method, *fields;
        bool preflight;
    } rows[] = {
        {"OPTIONS", ORIGIN METHOD("POST"),                         true },
        {"OPTIONS", "Origin: https://evil.org\r\n" METHOD("POST"), true },
        {"OPTIONS", ORIGIN METHOD("POST") "Content-Length: 0\r\n", true },
        {"OPTIONS", ORIGIN,                                        false},
        {"OPTIONS", METHOD("POST"),                                false},
        {"GET",     ORIGIN METHOD("POST"),                         false},
        {"POST",    ORIGIN METHOD("POST") "Content-Length: 2\r\n", false},
        {"OPTIONS", ORIGIN METHOD("POST") "Content-Length: 2\r\n", false},
        {"OPTIONS", ORIGIN FIELDS("authorization"),                false},
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        const struct request_head *head = head_made(rows[i].method, rows[i].fields);
        if (cors_is_preflight(&settings, head) != rows[i].preflight)
            fail_msg("%s %s", rows[i].method, rows[i].fields);
        assert_false(cors_is_preflight(&off, head));
    }
}

static void a_preflight_is_granted_what_the_lists_hold(void **state)
{
    (void)state;
    struct settings settings = listed();
    static const struct {
        const char *fields;
        bool allowed;
    } rows[] = {
        {ORIGIN METHOD("POST"),                                                     true },
        {ORIGIN METHOD("HEAD"),                                                     true },
        {ORIGIN METHOD("POST") FIELDS("authorization,content-type,x-stainless-os"), true },
        {ORIGIN METHOD("POST") FIELDS("authorization") FIELDS("content-type"),      true },
        {ORIGIN METHOD("POST") FIELDS(" authorization ,, content-type,"),           true },
        {ORIGIN METHOD("POST") FIELDS(""),                                          true },
        {ORIGIN METHOD("POST") "Access-Control-Request-Private-Network: true\r\n",  true },
        {ORIGIN METHOD("DELETE"),                                                   false},
        {ORIGIN METHOD("post"),                                                     false},
        {ORIGIN METHOD("POST, GET"),                                                false},
        {ORIGIN METHOD("POST") METHOD("POST"),                                      false},
        {ORIGIN METHOD("POST") METHOD("DELETE"),                                    false},
        {ORIGIN METHOD(""),                                                         false},
        {ORIGIN METHOD("*"),                                                        false},
        {ORIGIN METHOD("POST") FIELDS("x-evil"),                                    false},
        {ORIGIN METHOD("POST") FIELDS("authorization, x-evil"),                     false},
        {ORIGIN METHOD("POST") FIELDS("authorization") FIELDS("x-evil"),            false},
        {ORIGIN METHOD("POST") FIELDS("x-evil") FIELDS("authorization"),            false},
        {ORIGIN METHOD("POST") FIELDS("authorization x"),                           false},
        {ORIGIN METHOD("POST") FIELDS("*"),                                         false},
        {"Origin: https://evil.org\r\n" METHOD("POST"),                             false},
        {"Origin: null\r\n" METHOD("POST"),                                         false},
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++)
        if (cors_preflight_allowed(&settings, head_made("OPTIONS", rows[i].fields)) !=
            rows[i].allowed)
            fail_msg("%s", rows[i].fields);
}

static void head_goes_with_get_only(void **state)
{
    (void)state;
    struct settings settings = listed();
    settings.server.cors_methods = LIST_MADE((char *)"POST");
    assert_false(cors_preflight_allowed(&settings, head_made("OPTIONS", ORIGIN METHOD("HEAD"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_origins_are_shown),
        cmocka_unit_test(whatever_is_not_listed_byte_by_byte_is_nobody),
        cmocka_unit_test(the_star_is_every_page_that_has_an_origin),
        cmocka_unit_test(a_preflight_is_known_by_its_three_marks),
        cmocka_unit_test(a_preflight_is_granted_what_the_lists_hold),
        cmocka_unit_test(head_goes_with_get_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
