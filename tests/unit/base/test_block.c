/* Body blocks: what goes in comes out, and all pools together stay under one budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/block.h"

static char *pattern(size_t size)
{
    char *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + i / 251);
    return bytes;
}

static void check_content(const struct body *body, const char *bytes, size_t size)
{
    size_t at = 0;
    assert_int_equal(body->len, size);
    for (const struct block *block = body->first; block; block = block->next) {
        assert_true(at + block->len <= size);
        assert_memory_equal(block->bytes, bytes + at, block->len);
        at += block->len;
        assert_true(block->next || block == body->last);
    }
    assert_int_equal(at, size);
}

static void bytes_come_back_in_order(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 200000};
    size_t size = 3 * BLOCK_BYTES + 17;
    char *bytes = pattern(size);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct block_budget budget = {.max_bytes = 4 * BLOCK_PAGES_BYTES};
        struct block_pool pool;
        struct body body = {0};
        block_pool_init(&pool, &budget);
        for (size_t at = 0; at < size; at += steps[i]) {
            size_t n = steps[i] < size - at ? steps[i] : size - at;
            assert_int_equal(body_append(&body, &pool, slice_make(bytes + at, n)), OK);
        }
        check_content(&body, bytes, size);
        assert_int_equal(budget.used_bytes, 4 * BLOCK_PAGES_BYTES);
        body_release(&body, &pool);
        assert_int_equal(budget.used_bytes, 0);
        assert_int_equal(body.len, 0);
        assert_null(body.first);
        block_pool_finish(&pool);
    }
    free(bytes);
}

static void nothing_takes_no_block(void **state)
{
    (void)state;
    struct block_budget budget = {.max_bytes = BLOCK_PAGES_BYTES};
    struct block_pool pool;
    struct body body = {0};
    block_pool_init(&pool, &budget);
    assert_int_equal(body_append(&body, &pool, slice_make(NULL, 0)), OK);
    assert_null(body.first);
    assert_int_equal(budget.used_bytes, 0);
    body_release(&body, &pool);
    block_pool_finish(&pool);
}

static void room_is_at_least_one_byte(void **state)
{
    (void)state;
    struct block_budget budget = {.max_bytes = 2 * BLOCK_PAGES_BYTES};
    struct block_pool pool;
    struct body body = {0};
    char *room;
    size_t size;
    block_pool_init(&pool, &budget);
    assert_int_equal(body_room(&body, &pool, &room, &size), OK);
    assert_int_equal(size, BLOCK_BYTES);
    memset(room, 'x', BLOCK_BYTES - 1);
    body_grow(&body, BLOCK_BYTES - 1);
    assert_int_equal(body_room(&body, &pool, &room, &size), OK);
    assert_int_equal(size, 1);
    *room = 'y';
    body_grow(&body, 1);
    assert_ptr_equal(body.first, body.last);
    assert_int_equal(body_room(&body, &pool, &room, &size), OK);
    assert_int_equal(size, BLOCK_BYTES);
    assert_ptr_equal(body.first->next, body.last);
    body_release(&body, &pool);
    block_pool_finish(&pool);
}

/* Two loops' pools, one budget. */
static void rooms_take_a_large_read(void **state)
{
    (void)state;
    static const size_t reads[] = {0,      1, 100, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES,
                                   1 << 20};
    struct block_budget budget = {.max_bytes = 100 * BLOCK_PAGES_BYTES};
    struct block_pool pool;
    struct body body = {0};
    size_t size = 2 << 20, at = 0;
    char *bytes = pattern(size);
    block_pool_init(&pool, &budget);
    for (size_t i = 0; i < COUNT_OF(reads); i++) {
        struct body_rooms rooms;
        assert_int_equal(body_rooms(&body, &pool, reads[i] + 7, &rooms), OK);
        size_t n = 0;
        for (int r = 0; r < rooms.count && n < reads[i]; r++) {
            size_t piece = rooms.pieces[r].iov_len;
            piece = piece < reads[i] - n ? piece : reads[i] - n;
            memcpy(rooms.pieces[r].iov_base, bytes + at + n, piece);
            n += piece;
        }
        assert_true(n == reads[i] || rooms.count == BODY_ROOMS_MAX);
        body_fill(&body, &pool, &rooms, n);
        at += n;
        check_content(&body, bytes, at);
        /* Blocks that were not needed went back, but for the one that the next read begins in. */
        assert_true(budget.used_bytes <= (at / BLOCK_PAGES_BYTES + 1 + i) * BLOCK_PAGES_BYTES);
    }
    body_release(&body, &pool);
    assert_int_equal(budget.used_bytes, 0);

    budget.max_bytes = 2 * BLOCK_PAGES_BYTES; /* as much as there is */
    struct body_rooms rooms;
    assert_int_equal(body_rooms(&body, &pool, 1 << 20, &rooms), OK);
    assert_int_equal(rooms.count, 2);
    body_fill(&body, &pool, &rooms, 2 * BLOCK_BYTES);
    assert_int_equal(body_rooms(&body, &pool, 1, &rooms), ERR_LIMIT);
    body_release(&body, &pool);
    block_pool_finish(&pool);
    free(bytes);
}

static void budget_is_shared_and_refuses(void **state)
{
    (void)state;
    struct block_budget budget = {.max_bytes = 2 * BLOCK_PAGES_BYTES + 100};
    struct block_pool a, b;
    struct body one = {0}, two = {0};
    block_pool_init(&a, &budget);
    block_pool_init(&b, &budget);
    assert_int_equal(body_append(&one, &a, SLICE("a")), OK);
    size_t size = 2 * BLOCK_BYTES;
    char *bytes = pattern(size);
    assert_int_equal(body_append(&two, &b, slice_make(bytes, size)), ERR_LIMIT);
    check_content(&two, bytes, BLOCK_BYTES); /* what fitted stays */
    assert_int_equal(budget.used_bytes, 2 * BLOCK_PAGES_BYTES);
    body_release(&one, &a);
    assert_int_equal(body_append(&two, &b, slice_from(slice_make(bytes, size), BLOCK_BYTES)), OK);
    check_content(&two, bytes, size);
    body_release(&two, &b);
    assert_int_equal(budget.used_bytes, 0);
    free(bytes);
    block_pool_finish(&a);
    block_pool_finish(&b);
}

static void a_first_block_may_be_given_beyond_the_budget(void **state)
{
    (void)state;
    struct block_budget budget = {.max_bytes = BLOCK_PAGES_BYTES};
    struct block_pool strict, lenient;
    struct body full = {0}, one = {0}, none = {0};
    char *room;
    size_t size;
    block_pool_init(&strict, &budget);
    block_pool_init(&lenient, &budget);
    lenient.first_always = true;
    assert_int_equal(body_room(&full, &strict, &room, &size), OK);
    assert_int_equal(body_room(&none, &strict, &room, &size), ERR_LIMIT);
    assert_int_equal(body_room(&one, &lenient, &room, &size), OK);
    body_grow(&one, size);
    assert_int_equal(body_room(&one, &lenient, &room, &size), ERR_LIMIT);
    assert_int_equal(budget.used_bytes, 2 * BLOCK_PAGES_BYTES);
    body_release(&one, &lenient);
    body_release(&full, &strict);
    assert_int_equal(budget.used_bytes, 0);
    block_pool_finish(&strict);
    block_pool_finish(&lenient);
}

static void pool_keeps_a_bounded_number(void **state)
{
    (void)state;
    struct block_budget budget = {.max_bytes = (size_t)BLOCK_PAGES_BYTES * (BLOCKS_KEPT + 2)};
    struct block_pool pool;
    struct body body = {0};
    block_pool_init(&pool, &budget);
    for (unsigned i = 0; i < BLOCKS_KEPT + 2; i++) {
        char *room;
        size_t size;
        assert_int_equal(body_room(&body, &pool, &room, &size), OK);
        *room = 'x';
        body_grow(&body, size);
    }
    body_release(&body, &pool);
    assert_int_equal(pool.free_count, BLOCKS_KEPT);
    assert_int_equal(body_append(&body, &pool, SLICE("again")), OK);
    assert_int_equal(pool.free_count, BLOCKS_KEPT - 1);
    check_content(&body, "again", 5);
    body_release(&body, &pool);
    block_pool_finish(&pool);
    assert_null(pool.free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_in_order),
        cmocka_unit_test(nothing_takes_no_block),
        cmocka_unit_test(room_is_at_least_one_byte),
        cmocka_unit_test(rooms_take_a_large_read),
        cmocka_unit_test(budget_is_shared_and_refuses),
        cmocka_unit_test(a_first_block_may_be_given_beyond_the_budget),
        cmocka_unit_test(pool_keeps_a_bounded_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
