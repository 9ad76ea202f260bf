/* The intrusive list: order, removal from anywhere, and removal while walking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include <cmocka.h>

struct member {
    int number;
    struct list link;
};

/* The numbers in order, as one decimal; checked backwards too. */
static int numbers(const struct list *list)
{
    int forward = 0, backward = 0, scale = 1;
    for (const struct list *at = list->next; at != list; at = at->next) {
        assert_ptr_equal(at->next->previous, at);
        forward = forward * 10 + LIST_OF(at, struct member, link)->number;
    }
    for (const struct list *at = list->previous; at != list; at = at->previous, scale *= 10)
        backward += scale * LIST_OF(at, struct member, link)->number;
    assert_int_equal(forward, backward);
    return forward;
}

static void fill(struct list *list, struct member members[5])
{
    list_init(list);
    for (int i = 0; i < 5; i++) {
        members[i].number = i + 1;
        list_append(list, &members[i].link);
    }
}

static void members_keep_their_order(void **state)
{
    (void)state;
    struct list list;
    struct member a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
    list_init(&list);
    assert_true(list_empty(&list));
    assert_null(list_pop(&list));
    list_append(&list, &b.link);
    list_prepend(&list, &a.link);
    list_append(&list, &c.link);
    assert_false(list_empty(&list));
    assert_int_equal(numbers(&list), 123);
    assert_ptr_equal(list_pop(&list), &a.link);
    assert_int_equal(numbers(&list), 23);
    list_append(&list, &a.link);
    assert_int_equal(numbers(&list), 231);
}

static void removing_twice_does_no_harm(void **state)
{
    (void)state;
    struct list list;
    struct member members[5];
    fill(&list, members);
    list_remove(&members[2].link);
    list_remove(&members[2].link);
    assert_true(list_empty(&members[2].link));
    assert_int_equal(numbers(&list), 1245);
    list_remove(&members[0].link);
    list_remove(&members[4].link);
    assert_int_equal(numbers(&list), 24);
    struct list *popped = list_pop(&list);
    list_remove(popped);
    list_remove(&members[3].link);
    assert_true(list_empty(&list));
}

static void walking_survives_the_removal_of_its_member(void **state)
{
    (void)state;
    struct list list;
    struct member members[5];
    fill(&list, members);
    int seen = 0;
    LIST_EACH(link, &list)
    {
        struct member *member = LIST_OF(link, struct member, link);
        seen = seen * 10 + member->number;
        if (member->number != 3)
            list_remove(link);
    }
    assert_int_equal(seen, 12345);
    assert_int_equal(numbers(&list), 3);
    LIST_EACH(link, &list)
    list_remove(link);
    assert_true(list_empty(&list));
    LIST_EACH(link, &list)
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_keep_their_order),
        cmocka_unit_test(removing_twice_does_no_harm),
        cmocka_unit_test(walking_survives_the_removal_of_its_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
