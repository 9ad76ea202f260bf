/* Tokens: the one form that is written and read, whose signature counts, and what is not written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "presented_token.h"

static const struct token_claims known = {
    .sub = "u-7",
    .username = "Zo\u00eb",
    .role = "user",
    .sid = "0b5f2c3e-session",
    .jti = "token-1",
    .typ = "access",
    .iat_epoch_s = NOW,
    .exp_epoch_s = NOW + 3600,
};

/* Made with python3's json, base64 and hmac. */
static const char known_text[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    "."
    "eyJzdWIiOiJ1LTciLCJ1c2VybmFtZSI6Ilpvw6siLCJyb2xlIjoidXNlciIsInNpZCI6IjBiNWYyYzNlLXNlc3Npb24iLC"
    "JqdGkiOiJ0b2tlbi0xIiwidHlwIjoiYWNjZXNzIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDM2MDB9"
    "."
    "l4Tx6-vwNGQS5SOwynMNbo7mwRhjlorEXiBBe-9F4Ps";

static void the_text_is_the_one_another_writer_makes(void **state)
{
    (void)state;
    AUTO(secret) printed = {0};
    struct token_claims claims;
    assert_int_equal(token_print(&keys, &known, &printed), OK);
    assert_int_equal(printed.size, strlen(known_text));
    assert_memory_equal(printed.hidden, known_text, printed.size);
    strcpy(text, known_text);
    expect("known", read_at(NOW, &claims), NULL);
    assert_memory_equal(&claims, &known, sizeof known);
}

static void the_longest_claims_fit_and_read_back(void **state)
{
    (void)state;
    AUTO(secret) printed = {0};
    struct token_claims claims = {.iat_epoch_s = NOW, .exp_epoch_s = NOW + TOKEN_LIFETIME_S_MAX},
                        read;
    memset(claims.sub, '/', TOKEN_NAME_MAX);
    memset(claims.username, '~', TOKEN_NAME_MAX);
    memset(claims.role, 'z', TOKEN_ROLE_MAX);
    memset(claims.sid, '-', TOKEN_WORD_MAX);
    memset(claims.jti, '_', TOKEN_WORD_MAX);
    strcpy(claims.typ, "access");
    assert_int_equal(token_print(&keys, &claims, &printed), OK);
    assert_true(printed.size < TOKEN_BYTES_MAX / 2);
    assert_true(token_shaped(secret_reveal(&printed)));
    assert_int_equal(token_parse(&keys, secret_reveal(&printed), access_kind, NOW, &read, NULL),
                     OK);
    assert_memory_equal(&read, &claims, sizeof claims);
}

/* The secrets an attacker has: none, guesses, and the texts of public keys. */
static void a_signature_under_another_secret_is_refused(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "x",
        "secret",
        "unit test signing secret, no. 1",
        "unit test signing secret, no. 1!\n",
        "unit test signing secret, no. 2!",
        "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAA==\n-----END PUBLIC "
        "KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAA==\n-----END PUBLIC "
        "KEY-----\n",
    };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        make(SLICE(HEADER), SLICE(PAYLOAD), slice_of(others[i]));
        expect(others[i], reason_at(NOW), "signature");
    }
    /* A bad payload does not show before the signature holds. */
    make(SLICE(HEADER), SLICE("{"), SLICE("x"));
    expect("bad payload", reason_at(NOW), "signature");
}

static void keys_that_were_never_made_take_nothing(void **state)
{
    (void)state;
    static const struct token_keys none;
    AUTO(secret) out = {0};
    struct token_claims claims;
    make(SLICE(HEADER), SLICE(PAYLOAD), SLICE(""));
    assert_int_equal(token_parse(&none, slice_of(text), access_kind, NOW, &claims, NULL),
                     ERR_DENIED);
    assert_int_equal(token_print(&none, &known, &out), ERR_DENIED);
    assert_true(secret_empty(&out));
}

static void a_token_of_the_retiring_secret_is_read_until_it_is_gone(void **state)
{
    (void)state;
    AUTO(token_keys) rotated;
    struct token_claims claims;
    struct slice next = SLICE("unit test signing secret, no. 2!");
    make(SLICE(HEADER), SLICE(PAYLOAD), secret_text);
    assert_int_equal(token_keys_init(&rotated, next, secret_text), OK);
    assert_int_equal(token_parse(&rotated, slice_of(text), access_kind, NOW, &claims, NULL), OK);
    token_keys_finish(&rotated);
    assert_int_equal(token_keys_init(&rotated, next, SLICE("")), OK);
    assert_int_equal(token_parse(&rotated, slice_of(text), access_kind, NOW, &claims, NULL),
                     ERR_DENIED);
}

static void only_three_parts_of_canonical_base64url_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *third,
            *end; /* around and between header, payload, signature */
        const char *reason;
    } cases[] = {
        {"",        ".",    ".",    "",         NULL       },
        {"",        ".",    ".",    "=",        "malformed"},
        {"",        ".",    ".",    "==",       "malformed"},
        {"",        ".",    ".",    "A",        "malformed"},
        {"",        ".",    ".",    "AA",       "malformed"},
        {"",        ".",    ".",    "AAAA",     "malformed"},
        {"",        ".",    ".",    ".",        "malformed"},
        {"",        ".",    ".",    ".AAAA",    "malformed"},
        {"",        ".",    ".",    "\n",       "malformed"},
        {"",        ".",    ".",    "\r\n",     "malformed"},
        {"",        ".",    ".",    " ",        "malformed"},
        {"",        ".",    ".",    ", x",      "malformed"},
        {"",        ".",    "=.",   "",         "malformed"},
        {"",        ".",    "==.",  "",         "malformed"},
        {"",        ".",    " .",   "",         "malformed"},
        {"",        ".",    ". ",   "",         "malformed"},
        {"",        ".",    ".\t",  "",         "malformed"},
        {"",        ".",    "..",   "",         "malformed"},
        {"",        "..",   ".",    "",         "malformed"},
        {"",        "...",  ".",    "",         "malformed"},
        {"",        ".\n",  ".",    "",         "malformed"},
        {"",        ".+",   ".",    "",         "malformed"},
        {"",        "./",   ".",    "",         "malformed"},
        {"",        ".%",   ".",    "",         "malformed"},
        {"",        ",",    ".",    "",         "malformed"},
        {"",        "",     ".",    "",         "malformed"},
        {"",        "",     "",     "",         "malformed"},
        {".",       ".",    ".",    "",         "malformed"},
        {" ",       ".",    ".",    "",         "header"   },
        {"\n",      ".",    ".",    "",         "header"   },
        {"",        "=.",   ".",    "",         "header"   },
        {"",        "A.",   ".",    "",         "header"   },
        {"AAAA",    ".",    ".",    "",         "header"   },
        {"Bearer ", ".",    ".",    "",         "header"   },
        {"",        ".AAA", ".",    "",         "malformed"}, /* length 1 modulo 4 */
        {"",        ".",    "AAA.", "",         "malformed"},
        {"",        ".",    "A.",   "",         "signature"}, /* a zero byte more */
        {"",        ".",    ".",    "\xc3\xa9", "malformed"},
    };
    char header[64], payload[1024], signature[64];
    make(SLICE(HEADER), SLICE(PAYLOAD), secret_text);
    assert_int_equal(sscanf(text, "%63[^.].%1023[^.].%63s", header, payload, signature), 3);
    assert_int_equal(strlen(payload) % 4, 2); /* some rows above count on it */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(text, sizeof text, "%s%s%s%s%s%s%s", cases[i].first, header, cases[i].second,
                 payload, cases[i].third, signature, cases[i].end);
        expect(text, reason_at(NOW), cases[i].reason);
    }
    static const char *const wrecks[] = {
        "", ".", "..", "...", "e", "eyJ", "a.b.c", "{}.{}.x", "....", "AAAA.AAAA.", ".AAAA.AAAA"};
    for (size_t i = 0; i < COUNT_OF(wrecks); i++) {
        strcpy(text, wrecks[i]);
        expect(wrecks[i], reason_at(NOW), "malformed");
    }
}

static void turn_digit(size_t at, unsigned add)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t value = (size_t)(strchr(digits, text[at]) - digits);
    text[at] = digits[(value + add) % 64];
}

/* Unused bits set: lenient decoders see the same bytes, and two texts of one token. (The headers we
 * take are of lengths that leave no bits over.) */
static void unused_bits_are_zero(void **state)
{
    (void)state;
    make(SLICE(HEADER), SLICE(PAYLOAD), secret_text);
    size_t last = strlen(text) - 1;
    for (unsigned add = 1; add < 4; add++) {
        make(SLICE(HEADER), SLICE(PAYLOAD), secret_text);
        turn_digit(last, add);
        expect("signature", reason_at(NOW), "malformed");
    }
    for (unsigned add = 1; add < 4; add++) {
        text[0] = '\0';
        append_part(HEADER, strlen(HEADER));
        strcat(text, ".");
        append_part(PAYLOAD, strlen(PAYLOAD));
        turn_digit(strlen(text) - 1, add);
        append_signature(secret_text);
        expect("payload", reason_at(NOW), "malformed");
    }
}

static void every_other_byte_anywhere_is_refused(void **state)
{
    (void)state;
    make(SLICE(HEADER), SLICE(PAYLOAD), secret_text);
    size_t len = strlen(text);
    char good[1024];
    strcpy(good, text);
    for (size_t at = 0; at < len; at++)
        for (int byte = 1; byte < 256; byte += at % 8 == 0 ? 1 : 11) {
            text[at] = (char)byte;
            if (text[at] != good[at] && !reason_at(NOW))
                fail_msg("taken with %d at %zu", byte, at);
            text[at] = good[at];
        }
    for (size_t cut = 0; cut < len; cut++) {
        text[cut] = '\0';
        assert_non_null(reason_at(NOW));
        text[cut] = good[cut];
    }
    expect("good", reason_at(NOW), NULL);
}

static void what_is_too_long_is_refused_unread(void **state)
{
    (void)state;
    static const size_t sizes[] = {TOKEN_BYTES_MAX + 1, 8192, 65536, 1024 * 1024};
    static char payload[2 * 1024 * 1024];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        memset(text, 'A', sizes[i]);
        text[sizes[i]] = '\0';
        expect("letters", reason_at(NOW), "too_long");
    }
    /* White space fills a payload that is good otherwise up to the bound, and one byte beyond. */
    size_t room = (TOKEN_BYTES_MAX - 36 - 43 - 2) * 3 / 4;
    memset(payload, ' ', room + 1);
    memcpy(payload, PAYLOAD, strlen(PAYLOAD));
    make(SLICE(HEADER), slice_make(payload, room), secret_text);
    assert_in_range(strlen(text), TOKEN_BYTES_MAX - 3, TOKEN_BYTES_MAX);
    expect("at the bound", reason_at(NOW), NULL);
    make(SLICE(HEADER), slice_make(payload, room + 3), secret_text);
    expect("beyond the bound", reason_at(NOW), "too_long");
    memset(payload, ' ', 1024 * 1024);
    make(SLICE(HEADER), slice_make(payload, 1024 * 1024), secret_text);
    expect("a megabyte", reason_at(NOW), "too_long");
    make(slice_make(payload, 1024), SLICE(PAYLOAD), secret_text);
    expect("a long header", reason_at(NOW), "header");
}

static void what_would_not_be_read_is_not_written(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t offset;
        const char *text;
        enum err err;
    } cases[] = {
#define ROW(member, text, err) {#member " " text, offsetof(struct token_claims, member), text, err}
        ROW(sub, "u", OK),
        ROW(sub, "", ERR_RANGE),
        ROW(sub, "a\"b", ERR_RANGE),
        ROW(sub, "a\\b", ERR_RANGE),
        ROW(sub, "a\nb", ERR_RANGE),
        ROW(sub, "a\x7f", ERR_RANGE),
        ROW(sub, "\xff", ERR_RANGE),
        ROW(sub, "\xc2\x85", ERR_RANGE),
        ROW(username, "", ERR_RANGE),
        ROW(username, "a b@c/d", OK),
        ROW(username, "a\"", ERR_RANGE),
        ROW(role, "", ERR_RANGE),
        ROW(role, "Admin", ERR_RANGE),
        ROW(role, "admin ", ERR_RANGE),
        ROW(role, "service", OK),
        ROW(sid, "", ERR_RANGE),
        ROW(sid, "a.b", ERR_RANGE),
        ROW(sid, "A-z_0", OK),
        ROW(jti, "", ERR_RANGE),
        ROW(jti, "a b", ERR_RANGE),
        ROW(typ, "", ERR_RANGE),
        ROW(typ, "ACCESS", ERR_RANGE),
#undef ROW
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(secret) out = {0};
        struct token_claims claims = known;
        strcpy((char *)&claims + cases[i].offset, cases[i].text);
        if (token_print(&keys, &claims, &out) != cases[i].err)
            fail_msg("%s", cases[i].what);
        assert_int_equal(secret_empty(&out), cases[i].err != OK);
    }
    static const struct {
        uint64_t iat, exp;
        enum err err;
    } times[] = {
        {NOW,                    NOW + 1,                        OK       },
        {NOW,                    NOW + TOKEN_LIFETIME_S_MAX,     OK       },
        {NOW,                    NOW,                            ERR_RANGE},
        {NOW + 1,                NOW,                            ERR_RANGE},
        {NOW,                    NOW + TOKEN_LIFETIME_S_MAX + 1, ERR_RANGE},
        {0,                      UINT64_MAX,                     ERR_RANGE},
        {UINT64_MAX - 1,         UINT64_MAX,                     ERR_RANGE},
        {UINT64_C(253402300798), UINT64_C(253402300799),         OK       },
        {UINT64_C(253402300799), UINT64_C(253402300800),         ERR_RANGE},
    };
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        AUTO(secret) out = {0};
        struct token_claims claims = known;
        claims.iat_epoch_s = times[i].iat;
        claims.exp_epoch_s = times[i].exp;
        assert_int_equal(token_print(&keys, &claims, &out), times[i].err);
    }
}

static void a_text_without_an_end_is_not_written(void **state)
{
    (void)state;
    AUTO(secret) out = {0};
    struct token_claims claims = known;
    memset(claims.username, 'n', sizeof claims.username);
    assert_int_equal(token_print(&keys, &claims, &out), ERR_RANGE);
    claims = known;
    memset(claims.typ, 'n', sizeof claims.typ);
    assert_int_equal(token_print(&keys, &claims, &out), ERR_RANGE);
}

static void a_failed_print_leaves_what_was_there(void **state)
{
    (void)state;
    AUTO(secret) out = {0};
    struct token_claims claims = known;
    assert_int_equal(token_print(&keys, &known, &out), OK);
    claims.role[0] = '\0';
    assert_int_equal(token_print(&keys, &claims, &out), ERR_RANGE);
    assert_true(secret_equal(&out, slice_of(known_text)));
}

static void a_token_is_told_from_a_key_by_its_shape(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool shaped;
    } cases[] = {
        {known_text,          true },
        {"eyJ.eyJ.x",         true },
        {"eyJ..",             true },
        {"ewo.e30.",          true }, /* a header that begins with a line's end */
        {"eyJ.eyJ.x.y.z",     false}, /* encrypted ones have five parts */
        {"eyJ.eyJ",           false},
        {"eyJ",               false},
        {"",                  false},
        {"e",                 false},
        {"..",                false},
        {"a.b.c",             false},
        {"evJ.eyJ.x",         false},
        {"e.J.x",             false},
        {"EyJ.eyJ.x",         false},
        {"W10.eyJ.x",         false}, /* [] */
        {"eyJ.e+J.x",         false},
        {"eyJ.eyJ.x=",        false},
        {"eyJ.eyJ.x ",        false},
        {" eyJ.eyJ.x",        false},
        {"sp_AAAAAAAAAAAA_x", false},
        {"sk-abc.def.ghi",    false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (token_shaped(slice_of(cases[i].text)) != cases[i].shaped)
            fail_msg("%s", cases[i].text);
    assert_false(token_shaped((struct slice){0}));
    assert_false(token_shaped(SLICE("e\0J.eyJ.x")));
    assert_false(token_shaped(SLICE("eyJ.eyJ.\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_one_another_writer_makes),
        cmocka_unit_test(the_longest_claims_fit_and_read_back),
        cmocka_unit_test(a_signature_under_another_secret_is_refused),
        cmocka_unit_test(keys_that_were_never_made_take_nothing),
        cmocka_unit_test(a_token_of_the_retiring_secret_is_read_until_it_is_gone),
        cmocka_unit_test(only_three_parts_of_canonical_base64url_are_read),
        cmocka_unit_test(unused_bits_are_zero),
        cmocka_unit_test(every_other_byte_anywhere_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused_unread),
        cmocka_unit_test(what_would_not_be_read_is_not_written),
        cmocka_unit_test(a_text_without_an_end_is_not_written),
        cmocka_unit_test(a_failed_print_leaves_what_was_there),
        cmocka_unit_test(a_token_is_told_from_a_key_by_its_shape),
    };
    return cmocka_run_group_tests(tests, make_keys, remove_keys);
}
