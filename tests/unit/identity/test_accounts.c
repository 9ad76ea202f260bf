/* Accounts: what is made, changed and deleted, that the last admin stays, and that a store which
 * fails at any step leaves table and store of one mind. */
#include "accounts_made.h"

#include "base/hash.h"

static void accounts_survive_a_restart_with_every_field(void **state)
{
    struct gate gate;
    open_gate(*state, &gate);
    assert_false(accounts_have_admin(gate.accounts));
    add_account(&gate, "anna", OURS, ROLE_ADMIN);
    add_account(&gate, "late.ben", BROUGHT, ROLE_GUEST);
    assert_int_equal(
        change(&gate, "late.ben", (struct account_change){.sets_disabled = true, .disabled = true}),
        OK);
    for (int i = 0; i < 2; i++) {
        struct account_view anna = view_of(&gate, "anna"), ben = view_of(&gate, "late.ben");
        assert_string_equal(anna.name, "anna");
        assert_int_equal(anna.role, ROLE_ADMIN);
        assert_false(anna.disabled);
        assert_int_equal(anna.sessions, 0);
        assert_int_equal(anna.created_epoch_s, NOW);
        assert_int_equal(anna.password_epoch_s, NOW);
        assert_int_equal(anna.last_login_epoch_s, 0);
        assert_int_equal(ben.role, ROLE_GUEST);
        assert_true(ben.disabled);
        assert_true(ben.number > anna.number);
        assert_true(accounts_have_admin(gate.accounts));
        open_again(*state, &gate, NOW);
    }
    close_gate(&gate);
}

static void names_are_what_tokens_and_logs_can_carry(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "anna", "a.b-c_d", "a..b", "7", "A"};
    static const char *const bad[] = {
        "",         "a:b", "a\"b", "a'b", "a\\b",  "a\tb", "\x7f", "\xc2\x9b", "\xff\xfe", "a\xc3",
        "\xc3\xa4", "a b", "a/b",  "a%b", "a@b.c", ".a",   "a.",   "..",       "-a",       "_a"};
    char longest[ACCOUNT_NAME_MAX + 2];
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_null(account_name_fault(slice_of(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_non_null(account_name_fault(slice_of(bad[i])));
    assert_non_null(account_name_fault(slice_make("a\0b", 3)));
    memset(longest, 'a', sizeof longest);
    assert_null(account_name_fault(slice_make(longest, ACCOUNT_NAME_MAX)));
    assert_non_null(account_name_fault(slice_make(longest, ACCOUNT_NAME_MAX + 1)));
}

static void what_cannot_be_made_is_not(void **state)
{
    struct gate gate;
    struct account_view view;
    open_gate(*state, &gate);
    add_account(&gate, "anna", OURS, ROLE_USER);
    assert_int_equal(
        accounts_add(gate.accounts, gate.store, SLICE("anna"), BROUGHT, ROLE_ADMIN, NOW),
        ERR_EXISTS);
    assert_int_equal(view_of(&gate, "anna").role, ROLE_USER);
    assert_int_equal(accounts_add(gate.accounts, gate.store, SLICE("a:b"), OURS, ROLE_USER, NOW),
                     ERR_RANGE);
    assert_int_equal(accounts_view(gate.accounts, SLICE("Anna"), &view), ERR_NOT_FOUND);
    assert_int_equal(change(&gate, "nobody", (struct account_change){0}), ERR_NOT_FOUND);
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("nobody"), NOW),
                     ERR_NOT_FOUND);
    assert_rows(*state, 1, 0, 0);
    close_gate(&gate);
}

/* The table does not know of it, the store does: somebody wrote to it behind our back. */
static void a_name_that_only_the_store_has_is_taken(void **state)
{
    struct gate gate;
    struct account_view view;
    open_gate(*state, &gate);
    add_user(gate.store, "anna");
    assert_int_equal(accounts_add(gate.accounts, gate.store, SLICE("anna"), OURS, ROLE_USER, NOW),
                     ERR_EXISTS);
    assert_int_equal(accounts_view(gate.accounts, SLICE("anna"), &view), ERR_NOT_FOUND);
    close_gate(&gate);
}

static void the_last_admin_stays(void **state)
{
    static const struct account_change demote = {.sets_role = true, .role = ROLE_USER};
    static const struct account_change disable = {.sets_disabled = true, .disabled = true};
    static const struct account_change enable = {.sets_disabled = true};
    static const struct account_change promote = {.sets_role = true, .role = ROLE_ADMIN};
    struct gate gate;
    open_gate(*state, &gate);
    add_account(&gate, "anna", OURS, ROLE_ADMIN);
    add_account(&gate, "ben", OURS, ROLE_ADMIN);
    add_account(&gate, "cyd", OURS, ROLE_USER);
    assert_int_equal(change(&gate, "ben", disable), OK);
    assert_int_equal(change(&gate, "anna", demote), ERR_DENIED);
    assert_int_equal(change(&gate, "anna", disable), ERR_DENIED);
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("anna"), NOW), ERR_DENIED);
    assert_int_equal(change(&gate, "anna", promote), OK); /* is one already */
    assert_int_equal(change(&gate, "anna", (struct account_change){.password = BROUGHT}), OK);
    /* One who is disabled may be demoted and deleted: nobody administers less for it. */
    assert_int_equal(change(&gate, "ben", demote), OK);
    assert_int_equal(change(&gate, "ben", enable), OK);
    assert_int_equal(change(&gate, "anna", disable), ERR_DENIED);
    assert_int_equal(change(&gate, "cyd", promote), OK);
    assert_int_equal(change(&gate, "anna", disable), OK);
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("cyd"), NOW), ERR_DENIED);
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("anna"), NOW), OK);
    close_gate(&gate);
}

static void all_are_listed_in_the_order_of_making(void **state)
{
    struct gate gate;
    struct account_view *views;
    size_t count;
    open_gate(*state, &gate);
    assert_int_equal(accounts_list(gate.accounts, &views, &count), OK);
    assert_int_equal(count, 0);
    free(views);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "user-%d", i * 7919 % 200);
        add_account(&gate, name, OURS, ROLE_USER);
    }
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("user-0"), NOW), OK);
    assert_int_equal(accounts_list(gate.accounts, &views, &count), OK);
    assert_int_equal(count, 199);
    for (size_t i = 1; i < count; i++)
        assert_true(views[i - 1].number < views[i].number);
    free(views);
    close_gate(&gate);
}

static void a_name_comes_back_as_somebody_else(void **state)
{
    struct gate gate;
    open_gate(*state, &gate);
    add_account(&gate, "anna", OURS, ROLE_USER);
    uint64_t number = view_of(&gate, "anna").number;
    assert_int_equal(accounts_delete(gate.accounts, gate.store, SLICE("anna"), NOW), OK);
    add_account(&gate, "anna", OURS, ROLE_USER);
    assert_true(view_of(&gate, "anna").number > number);
    close_gate(&gate);
}

static void a_row_that_cannot_be_ours_ends_the_loading(void **state)
{
    static const char *const damage[] = {
        "UPDATE users SET name = 'a:b'",
        "UPDATE users SET name = 'a' || char(10)",
        "UPDATE users SET password = printf('%200c', 'x')",
    };
    for (size_t i = 0; i < COUNT_OF(damage); i++) {
        struct gate gate;
        open_gate(*state, &gate);
        add_account(&gate, "anna", OURS, ROLE_USER);
        close_gate(&gate);
        run_sql(*state, damage[i]);
        gate.store = open_good(*state);
        gate.accounts = accounts_create(NULL, NULL);
        assert_int_equal(accounts_load(gate.accounts, gate.store, NOW), ERR_STORE);
        close_gate(&gate);
        run_sql(*state, "DELETE FROM users");
    }
}

/* --- a store that fails at a step --- */

static struct gate failing;

static enum err make_add(struct store *store)
{
    return accounts_add(failing.accounts, store, SLICE("new"), OURS, ROLE_USER, NOW);
}

static void assert_not_added(const struct place *place, struct store *store)
{
    struct account_view view;
    (void)store;
    assert_int_equal(accounts_view(failing.accounts, SLICE("new"), &view), ERR_NOT_FOUND);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM users WHERE name = 'new'"), 0);
}

static enum err make_change(struct store *store)
{
    const struct account_change change = {.password = BROUGHT,
                                          .sets_role = true,
                                          .role = ROLE_GUEST,
                                          .sets_disabled = true,
                                          .disabled = true};
    return accounts_change(failing.accounts, store, SLICE("anna"), &change, NOW);
}

static void assert_not_changed(const struct place *place, struct store *store)
{
    (void)store;
    struct account_view view = view_of(&failing, "anna");
    assert_int_equal(view.role, ROLE_USER);
    assert_false(view.disabled);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM users WHERE role = 'user' AND disabled = "
                                    "0 AND password LIKE '$argon2id$%'"),
                     1);
}

static enum err make_delete(struct store *store)
{
    return accounts_delete(failing.accounts, store, SLICE("anna"), NOW);
}

static void assert_not_deleted(const struct place *place, struct store *store)
{
    (void)store;
    assert_int_equal(view_of(&failing, "anna").role, ROLE_USER);
    assert_int_equal(ask_sql(place, "SELECT count(*) FROM users WHERE name = 'anna'"), 1);
}

static void what_the_store_does_not_take_has_not_happened(void **state)
{
    static const struct change changes[] = {
        {make_add,    OK, assert_not_added  },
        {make_change, OK, assert_not_changed},
        {make_delete, OK, assert_not_deleted},
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        for (int many = 0; many < 2; many++) {
            open_gate(*state, &failing);
            add_account(&failing, "anna", OURS, ROLE_USER);
            fail_each_step(*state, failing.store, many ? ALL_STEPS : ONE_STEP, &changes[i]);
            close_gate(&failing);
            run_sql(*state, "DELETE FROM users");
        }
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accounts_survive_a_restart_with_every_field, make_place,
                                        remove_place),
        cmocka_unit_test(names_are_what_tokens_and_logs_can_carry),
        cmocka_unit_test_setup_teardown(what_cannot_be_made_is_not, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_name_that_only_the_store_has_is_taken, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(the_last_admin_stays, make_place, remove_place),
        cmocka_unit_test_setup_teardown(all_are_listed_in_the_order_of_making, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(a_name_comes_back_as_somebody_else, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(a_row_that_cannot_be_ours_ends_the_loading, make_place,
                                        remove_place),
        cmocka_unit_test_setup_teardown(what_the_store_does_not_take_has_not_happened, make_place,
                                        remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
