/* The seeded hash: SipHash-1-3 to the letter, the same within a process, different under each key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include <cmocka.h>

/* Runs first, while the key is still zero. The numbers are another implementation's: what CPython
 * 3.11 says under PYTHONHASHSEED=0 to hash(b"..."). */
static void numbers_are_siphash_1_3(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"a",         UINT64_C(0x407448d2b89b1813)},
        {"abcdefg",   UINT64_C(0x6db12aae9070f506)},
        {"abcdefgh",  UINT64_C(0x3f7b849c0b8e35ea)},
        {"abcdefghi", UINT64_C(0xf89b34a3d11eb6e5)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_true(hash_bytes(slice_of(rows[i].text)) == rows[i].hash);
}

static void same_bytes_have_the_same_hash_anywhere(void **state)
{
    (void)state;
    hash_seed();
    char memory[80];
    for (size_t len = 0; len < 32; len++) {
        for (size_t i = 0; i < len; i++)
            memory[i] = (char)(i + 1);
        uint64_t first = hash_bytes(slice_make(memory, len));
        for (size_t shift = 1; shift < 9; shift++) {
            memset(memory + 33, 0xff, sizeof memory - 33);
            memcpy(memory + 33 + shift, memory, len);
            assert_true(hash_bytes(slice_make(memory + 33 + shift, len)) == first);
        }
    }
    assert_true(hash_bytes(slice_make(NULL, 0)) == hash_bytes(SLICE("")));
}

static void each_key_gives_another_hash(void **state)
{
    (void)state;
    uint64_t seen[16];
    for (unsigned i = 0; i < COUNT_OF(seen); i++) {
        hash_seed();
        seen[i] = hash_bytes(SLICE("same"));
        for (unsigned j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

static void one_bit_more_or_less_changes_it(void **state)
{
    (void)state;
    char text[24] = {0};
    uint64_t zero = hash_bytes(slice_make(text, sizeof text));
    for (unsigned bit = 0; bit < sizeof text * 8; bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        assert_true(hash_bytes(slice_make(text, sizeof text)) != zero);
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof text; len++) /* zeros of other lengths */
        assert_true(hash_bytes(slice_make(text, len)) != zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_siphash_1_3),
        cmocka_unit_test(same_bytes_have_the_same_hash_anywhere),
        cmocka_unit_test(each_key_gives_another_hash),
        cmocka_unit_test(one_bit_more_or_less_changes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
