/* The ring between one writer and one reader: nothing lost, nothing torn, nothing out of order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "record/ring.h"

static bool put(struct ring *ring, const char *text, size_t max)
{
    char *room = ring_reserve(ring, max);
    if (!room)
        return false;
    memcpy(room, text, strlen(text));
    ring_commit(ring, strlen(text), 7);
    return true;
}

static void lines_come_out_in_order_with_their_tag(void **state)
{
    (void)state;
    struct ring ring;
    struct slice line;
    uint32_t tag;
    assert_int_equal(ring_create(&ring, 256), OK);
    assert_false(ring_peek(&ring, &line, &tag));
    assert_true(put(&ring, "one", 64));
    assert_true(put(&ring, "", 64));
    assert_true(put(&ring, "three", 64));
    static const char *const wanted[] = {"one", "", "three"};
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_true(ring_peek(&ring, &line, &tag));
        assert_true(slice_equal(line, slice_of(wanted[i])));
        assert_int_equal(tag, 7);
        ring_release(&ring);
    }
    assert_false(ring_peek(&ring, &line, &tag));
    ring_finish(&ring);
}

static void full_ring_refuses_and_loses_nothing(void **state)
{
    (void)state;
    struct ring ring;
    struct slice line;
    uint32_t tag;
    assert_int_equal(ring_create(&ring, 256), OK);
    assert_null(ring_reserve(&ring, 129)); /* would never fit safely */
    unsigned in = 0, out = 0;
    for (unsigned turn = 0; turn < 50; turn++) { /* wraps at every possible place */
        while (put(&ring, "0123456789", 10 + turn % 30))
            in++;
        assert_true(ring_half_full(&ring));
        for (unsigned n = 0; n < 1 + turn % 5 && ring_peek(&ring, &line, &tag); n++, out++) {
            assert_true(slice_equal(line, SLICE("0123456789")));
            ring_release(&ring);
        }
    }
    while (ring_peek(&ring, &line, &tag)) {
        ring_release(&ring);
        out++;
    }
    assert_int_equal(in, out);
    assert_true(in > 50);
    ring_drop(&ring);
    assert_int_equal(atomic_load(&ring.dropped), 1);
    ring_finish(&ring);
}

enum { MANY = 100000 };

static void *write_many(void *context)
{
    struct ring *ring = context;
    for (uint64_t i = 0; i < MANY;) {
        size_t len = sizeof i + i % 90;
        char *room = ring_reserve(ring, 128);
        if (!room) {
            sched_yield();
            continue;
        }
        memset(room, (int)(i & 0x7f), len);
        memcpy(room, &i, sizeof i);
        ring_commit(ring, len, (uint32_t)i);
        i++;
    }
    return NULL;
}

static void two_threads_see_whole_lines(void **state)
{
    (void)state;
    struct ring ring;
    pthread_t thread;
    assert_int_equal(ring_create(&ring, 4096), OK);
    assert_int_equal(pthread_create(&thread, NULL, write_many, &ring), 0);
    for (uint64_t i = 0; i < MANY;) {
        struct slice line;
        uint32_t tag;
        if (!ring_peek(&ring, &line, &tag)) {
            sched_yield();
            continue;
        }
        uint64_t number;
        memcpy(&number, line.ptr, sizeof number);
        assert_int_equal(number, i);
        assert_int_equal(tag, (uint32_t)i);
        assert_int_equal(line.len, sizeof i + i % 90);
        for (size_t at = sizeof i; at < line.len; at++)
            assert_int_equal(line.ptr[at], (char)(i & 0x7f));
        ring_release(&ring);
        i++;
    }
    pthread_join(thread, NULL);
    ring_finish(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_in_order_with_their_tag),
        cmocka_unit_test(full_ring_refuses_and_loses_nothing),
        cmocka_unit_test(two_threads_see_whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
