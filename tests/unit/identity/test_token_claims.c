/* Claims of tokens: which there must be, their types, times and kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "presented_token.h"

/* The members of a good payload, in its order; a case replaces or leaves out one. */
static const struct {
    const char *name, *value;
} members[] = {
    {"sub",      "\"u\""     },
    {"username", "\"n\""     },
    {"role",     "\"user\""  },
    {"sid",      "\"s\""     },
    {"jti",      "\"j\""     },
    {"typ",      "\"access\""},
    {"iat",      "1700000000"},
    {"exp",      "1700003600"},
};

/* With `name` of that value, put at the end when it is none of ours; NULL leaves it out. */
static const char *reason_with(const char *name, const char *value)
{
    static char payload[1024];
    bool ours = false;
    struct buffer out = BUFFER_OVER(payload, sizeof payload);
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        bool replaced = strcmp(members[i].name, name) == 0;
        ours |= replaced;
        if (!replaced || value)
            buffer_printf(&out, "%c\"%s\":%s", out.len ? ',' : '{', members[i].name,
                          replaced ? value : members[i].value);
    }
    if (!ours)
        buffer_printf(&out, ",\"%s\":%s", name, value);
    buffer_byte(&out, '}');
    assert_int_equal(out.failed, OK);
    make(SLICE(HEADER), buffer_slice(&out), secret_text);
    return reason_at(NOW);
}

static void each_claim_has_to_be_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        expect(members[i].name, reason_with(members[i].name, members[i].value), NULL);
        expect(members[i].name, reason_with(members[i].name, NULL), "claims");
    }
}

static void each_claim_has_its_type(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null", "true", "false", "[]",  "{}", "[\"access\"]", "[1700000000]", "{\"sub\":\"u\"}",
        "\"\"", "",     "NaN",   "'s'", "s",
    };
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        bool number = members[i].value[0] != '"';
        for (size_t k = 0; k < COUNT_OF(values); k++)
            expect(members[i].name, reason_with(members[i].name, values[k]), "claims");
        expect(members[i].name, reason_with(members[i].name, number ? "\"1700003600\"" : "7"),
               "claims");
    }
}

/* One that ours never have means that it is not ours. */
static void no_other_claim_may_be_there(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"nbf",         "1700000000"               },
        {"nbf",         "1800000000"               },
        {"aud",         "\"sallyport\""            },
        {"aud",         "[\"sallyport\",\"other\"]"},
        {"iss",         "\"sallyport\""            },
        {"iss",         "\"https://iss.invalid\""  },
        {"scope",       "\"*\""                    },
        {"scope",       "[\"*\"]"                  },
        {"permissions", "[\"manage_users\"]"       },
        {"Sub",         "\"admin\""                },
        {"sub ",        "\"admin\""                },
        {"",            "1"                        },
 /* the same twice, the second in disguise */
        {"s\\u0075b",   "\"u\""                    },
        {"s\\u0075b",   "\"admin\""                },
        {"\\u0065xp",   "1700003601"               },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect(cases[i].name, reason_with(cases[i].name, cases[i].value), "claims");
}

#define TEXT_64 "0123456789012345678901234567890123456789012345678901234567890123"
#define TEXT_36 "123e4567-e89b-12d3-a456-426614174000"

static void each_text_has_its_grammar(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *reason;
    } cases[] = {
        {"sub",      "\"" TEXT_64 "\"",                                                     NULL    },
        {"sub",      "\"" TEXT_64 "4\"",                                                    "claims"},
        {"username", "\"" TEXT_64 "\"",                                                     NULL    },
        {"username", "\"" TEXT_64 "4\"",                                                    "claims"},
        {"username",
         "\"" TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 TEXT_64 "\"",
         "claims"                                                                                   },
        {"username", "\"Zo\u00eb B. <z@b>\"",                                               NULL    },
        {"username", "\"a\x7f\"",                                                           "claims"},
        {"username", "\"a\r\n\"",                                                           "claims"},
        {"username", "\"a\xc2\x85\"",                                                       "claims"}, /* U+0085, a line's end to some */
        {"username", "\"a\xff\"",                                                           "claims"},
        {"username", "\"\xc0\xaf\"",                                                        "claims"},
        {"username", "\"\xed\xa0\x80\"",                                                    "claims"},
        {"sid",      "\"" TEXT_36 "\"",                                                     NULL    },
        {"sid",      "\"" TEXT_36 "0\"",                                                    "claims"},
        {"sid",      "\"A-z_0\"",                                                           NULL    },
        {"sid",      "\"s s\"",                                                             "claims"},
        {"jti",      "\"" TEXT_36 "\"",                                                     NULL    },
        {"jti",      "\"" TEXT_36 "0\"",                                                    "claims"},
        {"jti",      "\"j.j\"",                                                             "claims"},
        {"role",     "\"abcdefghijkl_no\"",                                                 NULL    },
        {"role",     "\"abcdefghijkl_nop\"",                                                "claims"},
        {"role",     "\"admin \"",                                                          "claims"},
        {"role",     "\"Admin\"",                                                           "claims"},
        {"role",     "\"user,admin\"",                                                      "claims"},
        {"role",     "\"admin\rx\"",                                                        "claims"},
 /* escape sequences, of which ours have none */
        {"sub",      "\"\\u0075\"",                                                         "claims"},
        {"sub",      "\"u\\u0000\"",                                                        "claims"},
        {"username", "\"a\\\"b\"",                                                          "claims"},
        {"username", "\"a\\\\b\"",                                                          "claims"},
        {"username", "\"\\ud83d\\ude00\"",                                                  "claims"},
        {"role",     "\"\\u0061dmin\"",                                                     "claims"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect(cases[i].value, reason_with(cases[i].name, cases[i].value), cases[i].reason);
}

static void a_payload_is_one_strict_json_object(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *reason;
    } cases[] = {
        {PAYLOAD,                                                                   NULL    },
        {"{\"exp\":1700003600" IAT TYP "," WHO "}",                                 NULL    },
        {" {\n" WHO TYP " ,\t\"iat\" : 1700000000" EXP " }\r\n",                    NULL    },
        {"{" WHO TYP IAT EXP ",\"sub\":\"u\"}",                                     "claims"},
        {"{" WHO TYP IAT EXP ",\"sub\":\"admin\"}",                                 "claims"},
        {"{" WHO TYP IAT EXP ",\"role\":\"admin\"}",                                "claims"},
        {"{" WHO TYP IAT EXP ",\"exp\":1700003601}",                                "claims"},
        {PAYLOAD "x",                                                               "claims"},
        {PAYLOAD "{}",                                                              "claims"},
        {PAYLOAD PAYLOAD,                                                           "claims"},
        {PAYLOAD " // ours",                                                        "claims"},
        {"[" PAYLOAD "]",                                                           "claims"},
        {"{\"claims\":" PAYLOAD "}",                                                "claims"},
        {"\xef\xbb\xbf" PAYLOAD,                                                    "claims"},
        {"{" WHO TYP IAT EXP ",}",                                                  "claims"},
        {"{" WHO TYP IAT EXP,                                                       "claims"},
        {"{\"exp\":1700003600" IAT "," WHO TYP,                                     "claims"},
        {"",                                                                        "claims"},
        {"{}",                                                                      "claims"},
        {"[]",                                                                      "claims"},
        {"null",                                                                    "claims"},
        {"1700003600",                                                              "claims"},
        {"\"sub\"",                                                                 "claims"},
        {"[\"sub\",\"username\",\"role\",\"sid\",\"jti\",\"typ\",\"iat\",\"exp\"]", "claims"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        make(SLICE(HEADER), slice_of(cases[i].payload), secret_text);
        expect(cases[i].payload, reason_at(NOW), cases[i].reason);
    }
    make(SLICE(HEADER), SLICE(PAYLOAD "\0"), secret_text);
    expect("NUL behind the payload", reason_at(NOW), "claims");
    make(SLICE(HEADER), SLICE("{\0\"\0s\0u\0b\0\"\0:\0\"\0u\0\"\0}\0"), secret_text);
    expect("UTF-16", reason_at(NOW), "claims");
}

static void times_are_plain_numbers_of_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *time, *reason, *iat_reason; /* as exp, as iat */
    } cases[] = {
        {"1700000001",                                                        NULL,       NULL      },
        {"1.7e9",                                                             "claims",   "claims"  },
        {"17000036e2",                                                        "claims",   "claims"  },
        {"1700003600e0",                                                      "claims",   "claims"  },
        {"1700003600E+0",                                                     "claims",   "claims"  },
        {"1700003600.0",                                                      "claims",   "claims"  },
        {"1700003600.5",                                                      "claims",   "claims"  },
        {"-1",                                                                "claims",   "claims"  },
        {"-1700003600",                                                       "claims",   "claims"  },
        {"-0",                                                                "claims",   "claims"  },
        {"+1700003600",                                                       "claims",   "claims"  },
        {"01700003600",                                                       "claims",   "claims"  },
        {"0x65540000",                                                        "claims",   "claims"  },
        {"1e309",                                                             "claims",   "claims"  },
        {"1e10",                                                              "claims",   "claims"  },
        {"\"1700003600\"",                                                    "claims",   "claims"  },
        {"null",                                                              "claims",   "claims"  },
        {"true",                                                              "claims",   "claims"  },
        {"[1700003600]",                                                      "claims",   "claims"  },
        {"{\"exp\":1700003600}",                                              "claims",   "claims"  },
        {"1700003600 1700003600",                                             "claims",   "claims"  },
        {"",                                                                  "claims",   "claims"  },
        {"253402300799",                                                      "lifetime", "lifetime"},
        {"253402300800",                                                      "claims",   "claims"  },
        {"9007199254740993",                                                  "claims",   "claims"  },
        {"18446744073709551615",                                              "claims",   "claims"  },
        {"18446744073709551616",                                              "claims",   "claims"  },
        {"18446744075409555216",                                              "claims",   "claims"  }, /* 2^64 + 1700003600 */
        {"4294967296000000000000000000000000000000000000000000000000000001",  "claims",   "claims"  },
        {"42949672960000000000000000000000000000000000000000000000000000001", "claims",   "claims"  },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        expect(cases[i].time, reason_with("exp", cases[i].time), cases[i].reason);
        expect(cases[i].time, reason_with("iat", cases[i].time), cases[i].iat_reason);
    }
}

static void a_token_is_good_from_a_minute_before_iat_until_exp(void **state)
{
    (void)state;
    static const struct {
        uint64_t iat, exp, now;
        const char *reason;
    } cases[] = {
        {NOW, NOW + 1,                          NOW,        NULL          },
        {NOW, NOW + 3600,                       NOW + 3599, NULL          },
        {NOW, NOW + 3600,                       NOW + 3600, "expired"     },
        {NOW, NOW + 3600,                       NOW + 3601, "expired"     },
        {NOW, NOW + 3600,                       UINT64_MAX, "expired"     },
        {NOW, NOW + 3600,                       NOW - 59,   NULL          },
        {NOW, NOW + 3600,                       NOW - 60,   NULL          },
        {NOW, NOW + 3600,                       NOW - 61,   "issued_later"},
        {NOW, NOW + 3600,                       0,          "issued_later"},
        {NOW, NOW,                              NOW - 1,    "lifetime"    },
        {NOW, NOW - 1,                          NOW - 2,    "lifetime"    },
        {NOW, 0,                                0,          "lifetime"    },
        {NOW, NOW + TOKEN_LIFETIME_S_MAX,       NOW,        NULL          },
        {NOW, NOW + TOKEN_LIFETIME_S_MAX + 1,   NOW,        "lifetime"    },
        {NOW, NOW + UINT64_C(10) * 366 * 86400, NOW,        "lifetime"    },
        {0,   NOW + 3600,                       NOW,        "lifetime"    },
        {0,   1,                                0,          NULL          },
        {0,   1,                                1,          "expired"     },
    };
    char payload[512];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(payload, sizeof payload, "{" WHO TYP ",\"iat\":%llu,\"exp\":%llu}",
                 (unsigned long long)cases[i].iat, (unsigned long long)cases[i].exp);
        make(SLICE(HEADER), slice_of(payload), secret_text);
        expect(payload, reason_at(cases[i].now), cases[i].reason);
    }
}

static void a_token_of_another_kind_is_refused(void **state)
{
    (void)state;
    static const char *const kinds[] = {"refresh", "id", "access_", "acces", "reset"};
    char payload[512];
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        snprintf(payload, sizeof payload, "{" WHO ",\"typ\":\"%s\"" IAT EXP "}", kinds[i]);
        make(SLICE(HEADER), slice_of(payload), secret_text);
        expect(payload, reason_at(NOW), "kind");
    }
    struct token_claims claims;
    const char *reason;
    make(SLICE(HEADER), SLICE(PAYLOAD), secret_text);
    assert_int_equal(token_parse(&keys, slice_of(text), SLICE("refresh"), NOW, &claims, &reason),
                     ERR_DENIED);
    assert_string_equal(reason, "kind");
    assert_int_equal(token_parse(&keys, slice_of(text), SLICE(""), NOW, &claims, NULL), ERR_DENIED);
}

/* As many members, and as deep, as the size allows: refused, within the scanner's bounded memory.
 */
static void crowded_payloads_are_refused(void **state)
{
    (void)state;
    char payload[1500];
    size_t len = 0;
    payload[len++] = '{';
    for (unsigned i = 0; len < 1450; i++)
        len += (size_t)snprintf(payload + len, sizeof payload - len, "%s\"%x\":1", i ? "," : "", i);
    payload[len++] = '}';
    make(SLICE(HEADER), slice_make(payload, len), secret_text);
    expect("members", reason_at(NOW), "claims");
    memset(payload, '[', 1400);
    make(SLICE(HEADER), slice_make(payload, 1400), secret_text);
    expect("depth", reason_at(NOW), "claims");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_claim_has_to_be_there),
        cmocka_unit_test(each_claim_has_its_type),
        cmocka_unit_test(no_other_claim_may_be_there),
        cmocka_unit_test(each_text_has_its_grammar),
        cmocka_unit_test(a_payload_is_one_strict_json_object),
        cmocka_unit_test(times_are_plain_numbers_of_seconds),
        cmocka_unit_test(a_token_is_good_from_a_minute_before_iat_until_exp),
        cmocka_unit_test(a_token_of_another_kind_is_refused),
        cmocka_unit_test(crowded_payloads_are_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
