/* The permissions, walked through their table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "identity/permission.h"

static void the_table_has_each_bit_once_in_order(void **state)
{
    (void)state;
    permissions all = 0;
    unsigned count = 0;
    for (const struct permission_row *row = permission_table(); row->name; row++, count++) {
        permissions parsed = 0;
        assert_int_equal(row->permission, 1 << count);
        assert_int_equal(permission_parse(slice_of(row->name), &parsed), OK);
        assert_int_equal(parsed, row->permission);
        assert_true(row->guards && row->guards[0]);
        all |= row->permission;
    }
    assert_int_equal(count, 11);
    assert_int_equal(all, PERMISSIONS_ALL);
}

static void every_permission_is_also_a_scope_but_not_the_other_way(void **state)
{
    (void)state;
    for (const struct permission_row *row = permission_table(); row->name; row++) {
        permissions parsed = 0;
        assert_int_equal(scope_parse(slice_of(row->name), &parsed), OK);
        assert_int_equal(parsed, row->permission);
    }
    permissions none = 0;
    assert_int_equal(permission_parse(SLICE("*"), &none), ERR_RANGE);
    assert_int_equal(permission_parse(SLICE("chat:read"), &none), ERR_RANGE);
    assert_int_equal(none, PERMISSIONS_NONE);
}

static void scopes_stand_for_their_permissions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        permissions permissions;
    } cases[] = {
        {"*",          PERMISSIONS_ALL                            },
        {"chat:read",  READ_MODELS | RUN_INFERENCE | USE_STREAMING},
        {"chat:write", READ_MODELS | RUN_INFERENCE | USE_STREAMING},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        permissions set = MANAGE_QUEUE; /* what was there stays */
        assert_int_equal(scope_parse(slice_of(cases[i].name), &set), OK);
        assert_int_equal(set, cases[i].permissions | MANAGE_QUEUE);
    }
}

static void a_word_that_is_nearly_one_is_none(void **state)
{
    (void)state;
    static const char *const words[] = {"",   "read_model", "read_modelsx", "READ_MODELS", "chat:",
                                        "**", "chat:admin", " read_models", "admin"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        permissions set = 0;
        assert_int_equal(scope_parse(slice_of(words[i]), &set), ERR_RANGE);
        assert_int_equal(set, 0);
    }
}

static void sets_are_printed_in_table_order(void **state)
{
    (void)state;
    static const struct {
        permissions set;
        const char *text;
    } cases[] = {
        {PERMISSIONS_NONE,            "[]"                                 },
        {MANAGE_QUEUE,                "[\"manage_queue\"]"                 },
        {USE_STREAMING | READ_MODELS, "[\"read_models\",\"use_streaming\"]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char memory[64];
        struct buffer out = BUFFER_OVER(memory, sizeof memory);
        permissions_print_json(&out, cases[i].set);
        assert_true(slice_equal(buffer_slice(&out), slice_of(cases[i].text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_each_bit_once_in_order),
        cmocka_unit_test(every_permission_is_also_a_scope_but_not_the_other_way),
        cmocka_unit_test(scopes_stand_for_their_permissions),
        cmocka_unit_test(a_word_that_is_nearly_one_is_none),
        cmocka_unit_test(sets_are_printed_in_table_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
