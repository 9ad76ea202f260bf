/* Random bytes: never the same twice, not in any thread, not around the edges of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/random.h"

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum { THREADS = 4, EACH = 20000 };

static uint64_t numbers[THREADS * EACH];
static pthread_barrier_t start;

static void *draw(void *argument)
{
    uint64_t *at = argument;
    pthread_barrier_wait(&start);
    for (int i = 0; i < EACH; i++)
        at[i] = random_number();
    return NULL;
}

/* 80,000 numbers of 64 bits: two alike by chance happen once in 5 * 10^9 runs. */
static void numbers_do_not_repeat_across_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, numbers + i * EACH), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    qsort(numbers, COUNT_OF(numbers), sizeof *numbers, by_value);
    for (size_t i = 1; i < COUNT_OF(numbers); i++)
        assert_true(numbers[i] != numbers[i - 1]);
}

/* Every size writes all of its bytes and none beside them. A byte that stays zero in sixteen draws
 * was not written. */
static void every_byte_is_written_and_none_beside(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 255, 256, 257, 1023, 1024, 1025, 5000};
    static unsigned char bytes[5002], any[5002];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        memset(any, 0, sizeof any);
        for (int round = 0; round < 16; round++) {
            memset(bytes, 0, sizeof bytes);
            random_bytes(bytes + 1, sizes[i]);
            assert_int_equal(bytes[0], 0);
            assert_int_equal(bytes[sizes[i] + 1], 0);
            for (size_t at = 0; at < sizeof any; at++)
                any[at] |= bytes[at];
        }
        for (size_t at = 1; at <= sizes[i]; at++)
            assert_int_not_equal(any[at], 0);
    }
}

/* 64,000 bytes: each value is expected 250 times with a deviation of about 16. */
static void all_values_come(void **state)
{
    (void)state;
    unsigned counts[256] = {0};
    for (int i = 0; i < 64000 / 5; i++) {
        unsigned char five[5];
        random_bytes(five, sizeof five);
        for (size_t at = 0; at < sizeof five; at++)
            counts[five[at]]++;
    }
    for (unsigned i = 0; i < 256; i++)
        assert_in_range(counts[i], 130, 370);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_do_not_repeat_across_threads),
        cmocka_unit_test(every_byte_is_written_and_none_beside),
        cmocka_unit_test(all_values_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
