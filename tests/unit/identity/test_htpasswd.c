/* htpasswd files: who is in them, and that a bad line is told and harms nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "identity/htpasswd.h"
#include "identity/password.h"

/* All of "correct horse"; made with python3-bcrypt, openssl passwd and htpasswd. */
#define BCRYPT "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"
#define SHA256 "$5$rounds=1000$saltstring$95Bg/RfV2QriLpMdLPHK9el0Ighm6E3CBqMKzZKgCa2"
#define MD5 "$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/"
#define SHA1 "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A="
#define TEN(c) c c c c c c c c c c
#define NAME64 TEN("n") TEN("n") TEN("n") TEN("n") TEN("n") TEN("n") "nnnn"

struct fixture {
    struct htpasswd *table;
    struct faults faults;
};

static void fixture_finish(struct fixture *fixture)
{
    htpasswd_unref(fixture->table);
    faults_finish(&fixture->faults);
}

static void parse(struct fixture *fixture, struct slice text)
{
    /* Of its own size, so that a read past its end shows; and gone before it is used. */
    char *copy = malloc(text.len + 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy = realloc(copy, text.len ? text.len : 1);
    assert_int_equal(
        htpasswd_parse(slice_make(copy, text.len), ".htpasswd", &fixture->faults, &fixture->table),
        OK);
    free(copy);
    assert_int_equal(fixture->faults.errors, 0);
}

static void assert_stored(const struct fixture *fixture, const char *name, const char *stored)
{
    struct slice found = htpasswd_find(fixture->table, slice_of(name));
    assert_true(slice_equal(found, slice_of(stored)));
    assert_int_equal(found.ptr == NULL, stored == NULL);
}

static void entries_are_found_by_name(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    parse(&f, SLICE("# who may come in\n"
                    "anna:" BCRYPT "\n"
                    "\n"
                    "  \t\n"
                    "bert:" SHA256 "\r\n"
                    " # a comment too\n"
                    "carla:" BCRYPT ":nginx allows a comment\n"
                    "d\xc3\xb6rte:" BCRYPT " \t\n"
                    "e f@example:" BCRYPT "\n" NAME64 ":" BCRYPT "\n"
                    "last:" BCRYPT));
    assert_int_equal(htpasswd_count(f.table), 7);
    assert_int_equal(f.faults.count, 0);
    assert_stored(&f, "anna", BCRYPT);
    assert_stored(&f, "bert", SHA256);
    assert_stored(&f, "carla", BCRYPT);
    assert_stored(&f, "d\xc3\xb6rte", BCRYPT);
    assert_stored(&f, "e f@example", BCRYPT);
    assert_stored(&f, NAME64, BCRYPT);
    assert_stored(&f, "last", BCRYPT);
    assert_stored(&f, "Anna", NULL);
    assert_stored(&f, "ann", NULL);
    assert_stored(&f, "annaa", NULL);
    assert_stored(&f, "", NULL);
    assert_stored(&f, "# who may come in", NULL);
}

// clang-format off
/* Each stands between two good lines, of which it must harm none. */
static const struct {
    const char *name;
    struct slice line;
    const char *said;
} bad_lines[] = {
    {"no colon",                        SLICE("anna"),                               "name, colon"  },
    {"only a password",                 SLICE("a-canary-password"),                  "name, colon"  },
    {"no name",                         SLICE(":" BCRYPT),                           "the name must"},
    {"a name of 65 bytes",              SLICE(NAME64 "n:" BCRYPT),                   "the name must"},
    {"a control character in the name", SLICE("an\x01na:" BCRYPT),                   "the name must"},
    {"a NUL in the name",               SLICE("an\0na:" BCRYPT),                     "the name must"},
    {"a control character of C1",       SLICE("an\xc2\x9bna:" BCRYPT),               "the name must"},
    {"a carriage return in the name",   SLICE("an\rna:" BCRYPT),                     "the name must"},
    {"a name in Latin-1",               SLICE("d\xf6rte:" BCRYPT),                   "the name must"},
    {"no password",                     SLICE("anna:"),                              "none of the"  },
    {"plain text",                      SLICE("anna:a-canary-password"),             "none of the"  },
    {"plain text, said so",             SLICE("anna:{PLAIN}a-canary-password"),      "none of the"  },
    {"DES",                             SLICE("anna:7iyRauk9OXKKg"),                 "none of the"  },
    {"plain MD5-crypt",                 SLICE("anna:$1$saltsalt$" TEN("x") TEN("x")),"none of the"  },
    {"a space before the password",     SLICE("anna: " BCRYPT),                      "none of the"  },
    {"a bcrypt form cut short",         SLICE("anna:$2b$04$zm3fHDGHYS"),             "damaged"      },
    {"a NUL in the password",           SLICE("anna:$apr1$salt\0alt$EGVZDNN6gOqijy.tv9axG/"), "damaged"},
    {"a bcrypt cost of 31",             SLICE("anna:$2b$31$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"), "out of bounds"},
    {"rounds without end",              SLICE("anna:$5$rounds=999999999$saltstring$95Bg/RfV2QriLpMdLPHK9el0Ighm6E3CBqMKzZKgCa2"), "out of bounds"},
    {"the same name again",             SLICE("first:" SHA256),                      "as in line 1" },
};
// clang-format on

static void a_bad_line_is_told_and_drops_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_lines); i++) {
        for (int crlf = 0; crlf < 2; crlf++) {
            AUTO(fixture) f = {0};
            AUTO(buffer) text = BUFFER_MAX(4096);
            const char *end = crlf ? "\r\n" : "\n";
            buffer_printf(&text, "first:" BCRYPT "%s", end);
            buffer_append(&text, bad_lines[i].line);
            buffer_printf(&text, "%slast:" BCRYPT "%s", end, end);
            parse(&f, buffer_slice(&text));
            assert_stored(&f, "first", BCRYPT);
            assert_stored(&f, "last", BCRYPT);
            assert_int_equal(htpasswd_count(f.table), 2);
            assert_int_equal(f.faults.count, 1);
            assert_int_equal(f.faults.list[0].line, 2);
            assert_true(f.faults.list[0].warning);
            assert_string_equal(f.faults.list[0].file, ".htpasswd");
            if (!strstr(f.faults.list[0].sentence, bad_lines[i].said))
                fail_msg("%s: %s", bad_lines[i].name, f.faults.list[0].sentence);
            /* What stands in a line that is no entry may be a password. */
            assert_null(strstr(f.faults.list[0].sentence, "canary"));
            assert_null(strstr(f.faults.list[0].sentence, "anna"));
        }
    }
}

static void weak_forms_work_and_are_counted_once(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    parse(&f, SLICE("a:" MD5 "\nb:" SHA1 "\nc:" BCRYPT "\nd:" MD5 "\na:" MD5 "\n"));
    assert_int_equal(htpasswd_count(f.table), 4);
    assert_int_equal(f.faults.count, 2); /* the other one is of the second "a" */
    assert_int_equal(f.faults.list[1].line, 0);
    assert_true(f.faults.list[1].warning);
    assert_non_null(strstr(f.faults.list[1].sentence, "3 of 4 passwords"));
    assert_int_equal(htpasswd_verify(f.table, SLICE("a"), SLICE("correct horse")), OK);
    assert_int_equal(htpasswd_verify(f.table, SLICE("b"), SLICE("correct horse")), OK);
    assert_int_equal(htpasswd_verify(f.table, SLICE("c"), SLICE("correct horse")), OK);
    assert_int_equal(htpasswd_verify(f.table, SLICE("a"), SLICE("correct hors")), ERR_DENIED);
    assert_int_equal(htpasswd_verify(f.table, SLICE("b"), SLICE("correct horse ")), ERR_DENIED);
}

static void an_unknown_name_is_never_let_in(void **state)
{
    (void)state;
    AUTO(fixture) f = {0}, empty = {0};
    parse(&f, SLICE("a:" BCRYPT "\nb:" SHA256 "\n"));
    parse(&empty, SLICE(""));
    assert_int_equal(htpasswd_count(empty.table), 0);
    for (char c = 'c'; c <= 'z'; c++)
        assert_int_equal(htpasswd_verify(f.table, slice_make(&c, 1), SLICE("correct horse")),
                         ERR_DENIED);
    assert_int_equal(htpasswd_verify(f.table, SLICE(""), SLICE("correct horse")), ERR_DENIED);
    assert_int_equal(htpasswd_verify(f.table, SLICE("a"), SLICE("")), ERR_LIMIT);
    assert_int_equal(htpasswd_verify(f.table, SLICE("x"), SLICE("")), ERR_LIMIT);
    assert_int_equal(htpasswd_verify(empty.table, SLICE("a"), SLICE("correct horse")), ERR_DENIED);
    assert_null(htpasswd_decoy(empty.table, SLICE("a")).ptr);
}

static void a_decoy_is_an_entry_and_stays_the_same(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    unsigned seen[2] = {0};
    parse(&f, SLICE("a:" BCRYPT "\nb:" SHA256 "\n"));
    for (int i = 0; i < 1000; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "unknown-%d", i);
        struct slice decoy = htpasswd_decoy(f.table, slice_make(name, (size_t)len));
        bool first = slice_equal(decoy, SLICE(BCRYPT));
        assert_true(first || slice_equal(decoy, SLICE(SHA256)));
        assert_ptr_equal(decoy.ptr, htpasswd_decoy(f.table, slice_make(name, (size_t)len)).ptr);
        seen[first]++;
    }
    assert_true(seen[0] > 300 &&
                seen[1] > 300); /* both are met about as often as they stand there */
}

static void bounds_are_kept(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    AUTO(buffer) text = BUFFER_MAX(2 * HTPASSWD_BYTES_MAX);
    for (int i = 0; i < HTPASSWD_ENTRIES_MAX + 2; i++)
        buffer_printf(&text, "user-%d:" SHA1 "\n", i);
    parse(&f, buffer_slice(&text));
    assert_int_equal(htpasswd_count(f.table), HTPASSWD_ENTRIES_MAX);
    assert_stored(&f, "user-0", SHA1);
    assert_stored(&f, "user-9999", SHA1);
    assert_stored(&f, "user-10000", NULL);
    assert_int_equal(f.faults.count, 3);
    assert_int_equal(f.faults.list[0].line, HTPASSWD_ENTRIES_MAX + 1);
    assert_non_null(strstr(f.faults.list[0].sentence, "more entries"));

    buffer_clear(&text);
    char *room = buffer_reserve(&text, HTPASSWD_BYTES_MAX + 1);
    memset(room, '\n', HTPASSWD_BYTES_MAX + 1);
    struct htpasswd *none = NULL;
    assert_int_equal(
        htpasswd_parse(slice_make(room, HTPASSWD_BYTES_MAX + 1), "f", &f.faults, &none), ERR_LIMIT);
    assert_null(none);
    assert_int_equal(htpasswd_parse(slice_make(room, HTPASSWD_BYTES_MAX), "f", &f.faults, &none),
                     OK);
    assert_int_equal(htpasswd_count(none), 0);
    htpasswd_unref(none);
}

static void a_file_of_rubbish_is_reported_shortly(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    AUTO(buffer) text = BUFFER_MAX(HTPASSWD_BYTES_MAX);
    for (int i = 0; i < 1000; i++)
        buffer_text(&text, "rubbish\n");
    buffer_text(&text, "good:" MD5 "\n");
    parse(&f, buffer_slice(&text));
    assert_stored(&f, "good", MD5);
    assert_int_equal(f.faults.count, HTPASSWD_FAULTS_MAX + 2);
    assert_non_null(strstr(f.faults.list[HTPASSWD_FAULTS_MAX].sentence, "980 more"));
    assert_non_null(strstr(f.faults.list[HTPASSWD_FAULTS_MAX + 1].sentence, "1 of 1"));
}

static void marks_and_ends_of_files_do_not_matter(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *name;
        struct slice text;
        size_t count;
    } cases[] = {
        {"empty",                      {0},                               0},
        {"a mark of byte order",       SLICE("\xef\xbb\xbfme:" BCRYPT),   1},
        {"only the mark",              SLICE("\xef\xbb\xbf"),             0},
        {"half a mark",                SLICE("\xef\xbb"),                 0},
        {"no newline at the end",      SLICE("me:" BCRYPT),               1},
        {"a carriage return alone",    SLICE("\r"),                       0},
        {"a carriage return at the end", SLICE("me:" BCRYPT "\r"),        1},
        {"a comment at the end",       SLICE("me:" BCRYPT "\n#"),         1},
        {"a colon at the end",         SLICE("me:" BCRYPT "\n:"),         1},
        {"newlines only",              SLICE("\n\n\n"),                   0},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO(fixture) f = {0};
        parse(&f, cases[i].text);
        if (htpasswd_count(f.table) != cases[i].count)
            fail_msg("%s: %zu", cases[i].name, htpasswd_count(f.table));
        assert_stored(&f, "me", cases[i].count ? BCRYPT : NULL);
    }
}

static void the_last_reference_ends_it(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    parse(&f, SLICE("me:" BCRYPT "\n"));
    struct htpasswd *held = f.table;
    htpasswd_ref(held);
    htpasswd_unref(f.table);
    f.table = NULL;
    assert_int_equal(htpasswd_verify(held, SLICE("me"), SLICE("correct horse")), OK);
    htpasswd_unref(held);
    htpasswd_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_name),
        cmocka_unit_test(a_bad_line_is_told_and_drops_nothing_else),
        cmocka_unit_test(weak_forms_work_and_are_counted_once),
        cmocka_unit_test(an_unknown_name_is_never_let_in),
        cmocka_unit_test(a_decoy_is_an_entry_and_stays_the_same),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(a_file_of_rubbish_is_reported_shortly),
        cmocka_unit_test(marks_and_ends_of_files_do_not_matter),
        cmocka_unit_test(the_last_reference_ends_it),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
