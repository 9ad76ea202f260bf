/* The cache of verified tokens: what is found, what goes, and that it never grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "identity/token_cache.h"

enum { NOW = 1700000000, ENTRIES = 8 };

static struct token_cache cache;

static int make_cache(void **state)
{
    (void)state;
    assert_int_equal(token_cache_init(&cache, ENTRIES), OK);
    return 0;
}

static int remove_cache(void **state)
{
    (void)state;
    token_cache_finish(&cache);
    return 0;
}

static const uint8_t *digest_of(unsigned number)
{
    static uint8_t digest[SHA256_BYTES];
    assert_int_equal(sha256_of(slice_make((const char *)&number, sizeof number), digest), OK);
    return digest;
}

static void add(unsigned number, const char *sid, uint64_t exp_epoch_s)
{
    struct token_claims claims = {.exp_epoch_s = exp_epoch_s, .typ = "access"};
    snprintf(claims.jti, sizeof claims.jti, "%u", number);
    snprintf(claims.sid, sizeof claims.sid, "%s", sid);
    token_cache_add(&cache, digest_of(number), &claims);
}

static bool there(unsigned number)
{
    const struct token_claims *claims = token_cache_find(&cache, digest_of(number), NOW);
    char jti[16];
    snprintf(jti, sizeof jti, "%u", number);
    if (claims)
        assert_string_equal(claims->jti, jti);
    return claims != NULL;
}

static void what_was_added_is_found_by_its_whole_digest(void **state)
{
    (void)state;
    uint8_t digest[SHA256_BYTES];
    assert_false(there(1));
    add(1, "s", NOW + 60);
    assert_true(there(1));
    for (unsigned bit = 0; bit < 8 * SHA256_BYTES; bit++) {
        memcpy(digest, digest_of(1), sizeof digest);
        digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_null(token_cache_find(&cache, digest, NOW));
    }
}

static void one_of_a_clock_that_was_ahead_is_gone(void **state)
{
    (void)state;
    struct token_claims claims = {.iat_epoch_s = NOW + 3600, .exp_epoch_s = NOW + 7200};
    token_cache_add(&cache, digest_of(1), &claims);
    assert_non_null(token_cache_find(&cache, digest_of(1), NOW + 3600));
    assert_non_null(token_cache_find(&cache, digest_of(1), NOW + 3600 - CLOCK_SKEW_S));
    assert_null(token_cache_find(&cache, digest_of(1), NOW + 3600 - CLOCK_SKEW_S - 1));
    assert_null(token_cache_find(&cache, digest_of(1), NOW + 3600));
}

static void the_second_it_expires_it_is_gone(void **state)
{
    (void)state;
    add(1, "s", NOW + 60);
    assert_non_null(token_cache_find(&cache, digest_of(1), NOW + 59));
    assert_null(token_cache_find(&cache, digest_of(1), NOW + 60));
    /* and does not come back when the clock does */
    assert_null(token_cache_find(&cache, digest_of(1), NOW));
}

static void a_full_cache_forgets_the_one_longest_unused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENTRIES; i++)
        add(i, "s", NOW + 60);
    assert_true(there(0));
    add(ENTRIES, "s", NOW + 60);
    assert_false(there(1));
    assert_true(there(0));
    add(ENTRIES + 1, "s", NOW + 60);
    assert_false(there(2));
    for (unsigned i = 3; i < ENTRIES + 2; i++)
        assert_true(there(i));
}

static void a_flood_of_tokens_stays_within_the_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        add(i, "s", NOW + i % 7); /* some are expired already */
        there(i / 2);
        assert_true(cache.by_digest.count <= ENTRIES && cache.begun <= ENTRIES);
    }
    assert_true(there(998));
}

static void added_again_it_says_what_it_said_last(void **state)
{
    (void)state;
    add(1, "first", NOW + 60);
    for (unsigned i = 0; i < 3 * ENTRIES; i++)
        add(1, "second", NOW + 60);
    assert_int_equal(cache.by_digest.count, 1);
    assert_int_equal(cache.begun, 1);
    assert_string_equal(token_cache_find(&cache, digest_of(1), NOW)->sid, "second");
}

static void the_claims_added_may_be_those_of_an_entry_that_goes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENTRIES; i++)
        add(i, "s", NOW + 60);
    const struct token_claims *oldest = token_cache_find(&cache, digest_of(3), NOW);
    for (unsigned i = 0; i < ENTRIES; i++)
        if (i != 3)
            there(i);
    token_cache_add(&cache, digest_of(100), oldest);
    const struct token_claims *copied = token_cache_find(&cache, digest_of(100), NOW);
    assert_string_equal(copied->jti, "3");
    assert_false(there(3));
    token_cache_add(&cache, digest_of(100), copied);
    assert_string_equal(token_cache_find(&cache, digest_of(100), NOW)->jti, "3");
}

static void cleared_it_knows_nothing_and_serves_again(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ENTRIES; i++)
            add(i, "s", NOW + 60);
        assert_int_equal(cache.by_digest.count, ENTRIES);
        token_cache_clear(&cache);
        for (unsigned i = 0; i < ENTRIES; i++)
            assert_false(there(i));
        assert_int_equal(cache.begun, ENTRIES);
    }
}

#define WITH_CACHE(test) cmocka_unit_test_setup_teardown(test, make_cache, remove_cache)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CACHE(what_was_added_is_found_by_its_whole_digest),
        WITH_CACHE(one_of_a_clock_that_was_ahead_is_gone),
        WITH_CACHE(the_second_it_expires_it_is_gone),
        WITH_CACHE(a_full_cache_forgets_the_one_longest_unused),
        WITH_CACHE(a_flood_of_tokens_stays_within_the_bound),
        WITH_CACHE(added_again_it_says_what_it_said_last),
        WITH_CACHE(the_claims_added_may_be_those_of_an_entry_that_goes),
        WITH_CACHE(cleared_it_knows_nothing_and_serves_again),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
