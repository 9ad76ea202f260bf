/* The header-field table: every row is found, in any case, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>

#include "base/err.h"
#include "proto/field.h"
#include "proto/octet.h"

static void every_row_is_found_in_any_case(void **state)
{
    (void)state;
    for (const struct field_row *row = field_table(); row->name; row++) {
        char name[80];
        size_t len = strlen(row->name);
        assert_true(len < sizeof(name) - 2);
        memcpy(name, row->name, len);
        if (row->name[len - 1] == '*') { /* a family: one of its members */
            memcpy(name + len - 1, "zq", 2);
            len++;
        }
        assert_ptr_equal(field_find(slice_make(name, len)), row);
        for (size_t i = 0; i < len; i++)
            name[i] = (char)toupper((unsigned char)name[i]);
        assert_ptr_equal(field_find(slice_make(name, len)), row);
    }
}

static void one_wrong_byte_is_another_name(void **state)
{
    (void)state;
    for (const struct field_row *row = field_table(); row->name; row++) {
        size_t len = strlen(row->name);
        if (row->name[len - 1] == '*')
            continue;
        for (size_t at = 0; at < len; at++) {
            char name[80];
            memcpy(name, row->name, len);
            for (int byte = 0; byte < 256; byte++) {
                if (tolower(byte) == row->name[at])
                    continue;
                name[at] = (char)byte;
                assert_ptr_not_equal(field_find(slice_make(name, len)), row);
            }
        }
    }
}

static void rows_are_well_formed(void **state)
{
    (void)state;
    unsigned ids[FIELD_COUNT] = {0};
    for (const struct field_row *row = field_table(); row->name; row++) {
        for (const char *at = row->name; *at; at++) {
            assert_true(octet_is(*at, OCTET_NAME));
            assert_int_equal(tolower((unsigned char)*at), *at);
        }
        /* What the head parser takes for granted when it looks for stray hyphens. */
        assert_true(!strstr(row->name, "--") && *row->name != '-');
        assert_true(!strchr(row->name, '*') || row->id == FIELD_DROPPED);
        assert_true(row->id > FIELD_OTHER && row->id < FIELD_COUNT);
        ids[row->id]++;
        if (row->rules & FIELD_UNIQUE) /* repetitions are noticed by id */
            assert_int_not_equal(row->id, FIELD_DROPPED);
        if (row->id == FIELD_DROPPED)
            assert_true(row->rules & (FIELD_HOP | FIELD_NOT_UPSTREAM | FIELD_NOT_CLIENT));
    }
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_DROPPED; id++)
        assert_int_equal(ids[id], 1);
}

static void rules_hold_for_what_matters(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned rules;
    } cases[] = {
        {"Authorization",                FIELD_UNIQUE | FIELD_SECRET | FIELD_NOT_UPSTREAM},
        {"X-API-Key",                    FIELD_UNIQUE | FIELD_SECRET | FIELD_NOT_UPSTREAM},
        {"api-key",                      FIELD_UNIQUE | FIELD_SECRET | FIELD_NOT_UPSTREAM},
        {"Cookie",                       FIELD_SECRET | FIELD_NOT_UPSTREAM               },
        {"Proxy-Authorization",          FIELD_HOP | FIELD_SECRET | FIELD_NOT_UPSTREAM   },
        {"Set-Cookie",                   FIELD_SECRET | FIELD_NOT_CLIENT                 },
        {"Connection",                   FIELD_HOP                                       },
        {"Upgrade",                      FIELD_HOP                                       },
        {"HTTP2-Settings",               FIELD_HOP                                       },
        {"TE",                           FIELD_HOP                                       },
        {"Host",                         FIELD_UNIQUE | FIELD_NOT_UPSTREAM               },
        {"X-Forwarded-For",              FIELD_NOT_UPSTREAM                              },
        {"X-Forwarded-User",             FIELD_NOT_UPSTREAM                              },
        {"X-Remote-User",                FIELD_NOT_UPSTREAM                              },
        {"Remote-User",                  FIELD_NOT_UPSTREAM                              },
        {"X-Auth-Request-Email",         FIELD_NOT_UPSTREAM                              },
        {"X-Client-Cert",                FIELD_NOT_UPSTREAM                              },
        {"X-SSL-Client-Verify",          FIELD_NOT_UPSTREAM                              },
        {"SSL-Client-Cert",              FIELD_NOT_UPSTREAM                              },
        {"X-Original-URL",               FIELD_NOT_UPSTREAM                              },
        {"X-Rewrite-URL",                FIELD_NOT_UPSTREAM                              },
        {"X-HTTP-Method-Override",       FIELD_NOT_UPSTREAM                              },
        {"Access-Control-Allow-Origin",  FIELD_NOT_CLIENT                                },
        {"X-RateLimit-Remaining-Tokens", FIELD_NOT_CLIENT                                },
        {"Strict-Transport-Security",    FIELD_NOT_CLIENT                                },
        {"Server",                       FIELD_NOT_CLIENT                                },
        {"WWW-Authenticate",             FIELD_NOT_CLIENT                                },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct field_row *row = field_find(slice_of(cases[i].name));
        if (!row)
            fail_msg("%s has no row", cases[i].name);
        if ((row->rules & cases[i].rules) != cases[i].rules)
            fail_msg("%s lacks a rule", cases[i].name);
    }
}

static void others_have_no_row(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "a",
        "x",
        "x-stainless-lang",
        "anthropic-version",
        "openai-beta",
        "idempotency-key",
        "content-typ",
        "content-type2",
        "x-forwarde",
        "hosts",
        "acces",
        "sec-fetch-mode",
        "anthropic-ratelimi",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (field_find(slice_of(names[i])))
            fail_msg("%s has a row", names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_in_any_case),
        cmocka_unit_test(one_wrong_byte_is_another_name),
        cmocka_unit_test(rows_are_well_formed),
        cmocka_unit_test(rules_hold_for_what_matters),
        cmocka_unit_test(others_have_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
