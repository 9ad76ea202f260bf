#include "loading.h"

#include "config/environment.h"
#include "config/expand.h"

static void dotenv_lines_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *line, *value; /* of A; NULL: unset */
    } rows[] = {
        {"A=1",                                       "1"         },
        {"A = 1 ",                                    "1"         },
        {"export A=1",                                "1"         },
        {"A=60/minute      # 60 requests per minute", "60/minute" },
        {"A=x#y",                                     "x#y"       },
        {"A=\"x # y\" # z",                           "x # y"     },
        {"A='x\\n $y'",                               "x\\n $y"   },
        {"A=\"a\\\"b\\\\c\\td\"",                     "a\"b\\c\td"},
        {"A=ab+/=cd==",                               "ab+/=cd==" },
        {"A=",                                        NULL        },
        {"A=# nothing",                               NULL        },
        {"A=\"\"",                                    NULL        },
        {"# A=1",                                     NULL        },
        {"",                                          NULL        },
        {"B=1",                                       NULL        },
        {"A=1\r\nA=2\r\n",                            "2"         },
        {"\xEF\xBB\xBF"
         "A=1",                              "1"         },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct variables variables = {.kind = VARIABLES_DOTENV};
        struct faults faults = {0};
        struct variable found;
        write_file(".env", rows[i].line);
        assert_int_equal(variables_read_dotenv(&variables, ".env", &faults), OK);
        assert_int_equal(faults.errors, 0);
        bool there = variables_find(&variables, "A", &found);
        if (there != (rows[i].value != NULL))
            fail_msg("line: %s", rows[i].line);
        if (there)
            assert_string_equal(found.value.ptr, rows[i].value);
        variables_finish(&variables);
    }
    remove(".env");
}

static void broken_dotenv_lines_are_named_without_their_values(void **state)
{
    (void)state;
    static const char *const bad[] = {"A=1\nc4nary\n",       "A=1\nB=\"c4nary\n",
                                      "A=1\nB='c4nary' x\n", "A=1\nB C=c4nary\n",
                                      "A=1\n1B=c4nary\n",    "A=1\n=c4nary\n"};
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        struct variables variables = {.kind = VARIABLES_DOTENV};
        struct faults faults = {0};
        write_file(".env", bad[i]);
        assert_int_equal(variables_read_dotenv(&variables, ".env", &faults), OK);
        assert_int_equal(faults.errors, 1);
        assert_int_equal(faults.list[0].line, 2);
        assert_string_equal(faults.list[0].file, ".env");
        expect_not_said(faults.list[0].sentence, "c4nary");
        faults_finish(&faults);
        variables_finish(&variables);
    }
    remove(".env");
}

/* Every place a file may be cut at: it is read or reported, and nothing is read beyond its end. */
static void a_dotenv_file_may_end_anywhere(void **state)
{
    (void)state;
    const char whole[] = "export A='x' # c\nB=\"y\\n\\\\\" \n# d\nC=z # e\r\nD\n";
    for (size_t len = 0; len < sizeof whole; len++) {
        char text[sizeof whole];
        struct variables variables = {.kind = VARIABLES_DOTENV};
        struct faults faults = {0};
        memcpy(text, whole, len);
        text[len] = '\0';
        write_file(".env", text);
        assert_int_equal(variables_read_dotenv(&variables, ".env", &faults), OK);
        faults_finish(&faults);
        variables_finish(&variables);
    }
    remove(".env");
}

static bool want_token(struct slice name)
{
    return slice_equal_nocase(name, SLICE("TOKEN"));
}

static void secret_files_are_found_in_any_case_and_lose_one_newline(void **state)
{
    (void)state;
    struct variables secrets = {.kind = VARIABLES_SECRETS};
    struct faults faults = {0};
    struct variable found;
    mkdir("secrets", 0700);
    mkdir("secrets/Token", 0700); /* no file: passed over */
    write_file("secrets/toKen", "a b # c\n\n");
    write_file("secrets/other", "x");
    assert_int_equal(variables_read_secrets(&secrets, "secrets", want_token, &faults), OK);
    assert_int_equal(faults.errors, 0);
    assert_int_equal(secrets.count, 1);
    assert_true(variables_find(&secrets, "TOKEN", &found));
    assert_string_equal(found.value.ptr, "a b # c\n");
    assert_string_equal(found.file, "secrets/toKen");
    variables_finish(&secrets);
    assert_int_equal(variables_read_secrets(&secrets, "nowhere", want_token, &faults),
                     ERR_NOT_FOUND);
}

static void an_empty_variable_is_unset(void **state)
{
    (void)state;
    char *environment[] = {(char *)"AB=x", (char *)"A=", (char *)"B=y", NULL};
    struct variables variables = {.environment = environment};
    struct variable found;
    assert_false(variables_find(&variables, "A", &found));
    assert_true(variables_find(&variables, "B", &found));
    assert_true(slice_equal(found.value, SLICE("y")));
}

static void references_are_replaced_once(void **state)
{
    (void)state;
    char *environment[] = {(char *)"X=1", (char *)"Y=${ENV:X}", (char *)"EMPTY=", NULL};
    struct variables variables = {.environment = environment};
    struct variables none = {.kind = VARIABLES_DOTENV};
    static const struct {
        const char *text, *result; /* NULL: refused */
    } rows[] = {
        {"${ENV:X}",           "1"         },
        {"a${ENV:X}b${ENV:X}", "a1b1"      },
        {"${ENV:Y}",           "${ENV:X}"  },
        {"${FILE:f}",          "from file" },
        {"$X ${X} $$",         "$X ${X} $$"},
        {"${ENV:EMPTY}",       NULL        },
        {"${ENV:NONE}",        NULL        },
        {"${ENV:X",            NULL        },
        {"${ENV:}",            NULL        },
        {"${FILE:gone}",       NULL        },
        {"${FILE:.}",          NULL        },
    };
    write_file("f", "from file\n");
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct expansion expansion;
        enum err err = expand(&expansion, slice_of(rows[i].text), &variables, &none, home);
        if ((err == OK) != (rows[i].result != NULL))
            fail_msg("%s: %s %s", rows[i].text, err_name(err), expansion.why);
        struct slice result = slice_make(expansion.text.bytes, expansion.text.len);
        if (err == OK)
            assert_true(slice_equal(result, slice_of(rows[i].result)));
        else
            assert_true(expansion.why[0] != '\0');
        expansion_finish(&expansion);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dotenv_lines_are_read_as_people_write_them),
        cmocka_unit_test(broken_dotenv_lines_are_named_without_their_values),
        cmocka_unit_test(a_dotenv_file_may_end_anywhere),
        cmocka_unit_test(secret_files_are_found_in_any_case_and_lose_one_newline),
        cmocka_unit_test(an_empty_variable_is_unset),
        cmocka_unit_test(references_are_replaced_once),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
