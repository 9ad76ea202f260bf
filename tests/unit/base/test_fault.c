/* Faults: where, which option, what is wrong; many are bounded, none is lost from the count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include <cmocka.h>

static void lines_say_where_and_what(void **state)
{
    (void)state;
    struct faults faults = {0};
    AUTO(buffer) out = BUFFER_MAX(10000);
    char file[] = "a.toml", option[] = "server.listen";
    faults_add(&faults, file, 12, option, "expected %s, not %d", "an address", 5);
    memset(file, '#', sizeof file - 1); /* texts are copied */
    memset(option, '#', sizeof option - 1);
    faults_add(&faults, "environment", 0, NULL, "no such variable");
    faults_warn(&faults, NULL, 0, "log.level", "noisy");
    faults_warn(&faults, NULL, 7, NULL, "odd");
    assert_int_equal(faults.count, 4);
    assert_int_equal(faults.errors, 2);
    faults_print(&faults, &out);
    assert_string_equal(buffer_text_of(&out),
                        "a.toml:12: server.listen: expected an address, not 5\n"
                        "environment: no such variable\n"
                        "log.level: warning: noisy\n"
                        "7: warning: odd\n");
    faults_finish(&faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(faults.errors, 0);
    faults_finish(&faults);
}

static void thousands_are_counted_but_not_kept(void **state)
{
    (void)state;
    struct faults faults = {0};
    AUTO(buffer) out = BUFFER_MAX(100000);
    for (unsigned i = 0; i < FAULTS_MAX - 1; i++)
        faults_warn(&faults, "f", i + 1, NULL, "w");
    faults_print(&faults, &out);
    assert_null(strstr(buffer_text_of(&out), "possibly more"));
    for (unsigned i = 0; i < 2000; i++)
        faults_add(&faults, "f", i + 1, NULL, "e");
    assert_int_equal(faults.count, FAULTS_MAX);
    assert_int_equal(faults.errors, 2000); /* so that a start is refused whatever came first */
    buffer_clear(&out);
    faults_print(&faults, &out);
    assert_non_null(strstr(buffer_text_of(&out), "possibly more"));
    faults_finish(&faults);
}

static void overlong_sentences_are_cut(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    struct faults faults = {0};
    faults_add(&faults, "f", 1, NULL, "%s", text);
    assert_in_range(strlen(faults.list[0].sentence), 500, 2000);
    faults_finish(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_say_where_and_what),
        cmocka_unit_test(thousands_are_counted_but_not_kept),
        cmocka_unit_test(overlong_sentences_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
