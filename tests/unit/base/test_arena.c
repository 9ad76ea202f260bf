/* The arena: zeroed, aligned, bounded, and whole again after a reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/arena.h"

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    _Alignas(max_align_t) char first[256];
    memset(first, 0x5a, sizeof first);
    struct arena arena;
    arena_init(&arena, first + 1, sizeof first - 1, 1 << 20);
    static const size_t sizes[] = {1, 3, 16, 17, 100, 250, 8192, 9000, 1, 7};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char *memory = arena_alloc(&arena, sizes[i]);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(memory[at], 0);
        memset(memory, 0xff, sizes[i]);
    }
    arena_finish(&arena);
}

/* Every object is filled with its own number; none may disturb another. */
static void objects_do_not_overlap(void **state)
{
    (void)state;
    enum { OBJECTS = 500 };
    static unsigned char *objects[OBJECTS];
    char first[100];
    struct arena arena;
    arena_init(&arena, first, sizeof first, 1 << 20);
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = arena_alloc(&arena, i % 90 + 1);
        assert_non_null(objects[i]);
        memset(objects[i], (int)(i & 0xff), i % 90 + 1);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        for (size_t at = 0; at <= i % 90; at++)
            assert_int_equal(objects[i][at], i & 0xff);
    arena_finish(&arena);
}

static void maximum_holds_exactly(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0, 1000);
    assert_null(arena_alloc(&arena, 1001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 999));
    assert_null(arena_alloc(&arena, 2));
    assert_null(arena_alloc(&arena, SIZE_MAX - 998));
    assert_non_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, 1));
    assert_int_equal(arena.used, 1000);

    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 1000));
    assert_null(arena_alloc(&arena, 1));
    arena_finish(&arena);
}

static void copies_end_in_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0, 16);
    struct slice copy = arena_copy(&arena, SLICE("abc\0def"));
    assert_int_equal(copy.len, 7);
    assert_memory_equal(copy.ptr, "abc\0def", 8);
    struct slice empty = arena_copy(&arena, slice_make(NULL, 0));
    assert_non_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    assert_int_equal(empty.ptr[0], 0);
    /* 9 are used, 7 left: the NUL counts. */
    assert_null(arena_copy(&arena, SLICE("1234567")).ptr);
    assert_non_null(arena_copy(&arena, SLICE("123456")).ptr);
    arena_finish(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_and_aligned),
        cmocka_unit_test(objects_do_not_overlap),
        cmocka_unit_test(maximum_holds_exactly),
        cmocka_unit_test(copies_end_in_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
