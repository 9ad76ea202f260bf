/* The live table: entries that collide, that go, and that come in their places; and readers without
 * a lock beside a writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "identity/live_table.h"

struct thing {
    uint64_t hash;
    unsigned number;
    atomic_bool gone;
};

static uint64_t hash_of(const void *entry)
{
    return ((const struct thing *)entry)->hash;
}

static bool has_number(const void *entry, const void *wanted)
{
    return ((const struct thing *)entry)->number == *(const unsigned *)wanted;
}

static struct thing *find(const struct live_table *table, uint64_t hash, unsigned number)
{
    return live_table_find(table, hash, has_number, &number);
}

static void put(struct live_table *table, struct thing *thing)
{
    assert_int_equal(live_table_reserve(table, 1), OK);
    live_table_put(table, thing);
}

static unsigned graces;

static void count_grace(void *context)
{
    assert_ptr_equal(context, &graces);
    graces++;
}

static void nothing_is_found_in_an_empty_table(void **state)
{
    (void)state;
    struct live_table table;
    size_t at = 0;
    assert_int_equal(live_table_init(&table, hash_of, NULL, NULL), OK);
    for (uint64_t hash = 0; hash < 200; hash++)
        assert_null(find(&table, hash, 1));
    assert_null(find(&table, UINT64_MAX, 1));
    assert_int_equal(live_table_count(&table), 0);
    assert_null(live_table_next(&table, &at));
    assert_null(live_table_next(&table, &at));
    live_table_wait(&table); /* nobody to wait for */
    live_table_finish(&table);
}

static void entries_of_one_hash_are_told_apart(void **state)
{
    (void)state;
    struct live_table table;
    struct thing things[20] = {{0}};
    assert_int_equal(live_table_init(&table, hash_of, NULL, NULL), OK);
    for (unsigned i = 0; i < 20; i++) {
        things[i].hash = UINT64_MAX; /* the last slot: the way goes on at the first */
        things[i].number = i;
        put(&table, &things[i]);
    }
    for (unsigned i = 0; i < 20; i++)
        assert_ptr_equal(find(&table, UINT64_MAX, i), &things[i]);
    assert_null(find(&table, UINT64_MAX, 20));
    /* One in the middle goes: those behind it are found all the same. */
    live_table_unlink(&table, &things[5]);
    assert_null(find(&table, UINT64_MAX, 5));
    for (unsigned i = 0; i < 20; i++)
        assert_true(i == 5 || find(&table, UINT64_MAX, i) == &things[i]);
    assert_int_equal(live_table_count(&table), 19);
    live_table_finish(&table);
}

static void room_for_many_is_made_at_once(void **state)
{
    (void)state;
    struct live_table table;
    static struct thing things[1000];
    assert_int_equal(live_table_init(&table, hash_of, NULL, NULL), OK);
    assert_int_equal(live_table_reserve(&table, COUNT_OF(things)), OK);
    struct live_slots *slots = atomic_load(&table.current);
    for (unsigned i = 0; i < COUNT_OF(things); i++) {
        things[i] = (struct thing){.hash = i * UINT64_C(0x9e3779b97f4a7c15), .number = i};
        live_table_put(&table, &things[i]);
    }
    assert_ptr_equal(atomic_load(&table.current), slots);
    for (unsigned i = 0; i < COUNT_OF(things); i++)
        assert_ptr_equal(find(&table, things[i].hash, i), &things[i]);
    live_table_finish(&table);
}

static void a_place_that_was_left_is_taken_again(void **state)
{
    (void)state;
    struct live_table table;
    struct thing first = {.hash = 7, .number = 1}, second = {.hash = 7, .number = 2};
    assert_int_equal(live_table_init(&table, hash_of, count_grace, &graces), OK);
    graces = 0;
    struct live_slots *slots = atomic_load(&table.current);
    for (int i = 0; i < 100000; i++) {
        struct thing *in = i % 2 ? &first : &second;
        put(&table, in);
        assert_ptr_equal(find(&table, 7, in->number), in);
        live_table_unlink(&table, in);
        assert_null(find(&table, 7, in->number));
    }
    /* Comings and goings at one place need no other array. */
    assert_ptr_equal(atomic_load(&table.current), slots);
    assert_int_equal(graces, 0);
    assert_int_equal(table.used, 1);
    live_table_finish(&table);
}

static void comings_and_goings_at_all_places_end_in_time(void **state)
{
    (void)state;
    struct live_table table;
    struct thing thing = {.number = 1};
    graces = 0;
    assert_int_equal(live_table_init(&table, hash_of, count_grace, &graces), OK);
    /* Tombstones everywhere would make a look at nothing endless. */
    for (uint64_t hash = 0; hash < 10000; hash++) {
        thing.hash = hash * UINT64_C(0x9e3779b97f4a7c15);
        put(&table, &thing);
        live_table_unlink(&table, &thing);
        assert_null(find(&table, hash, 2));
        assert_true(table.used <= 32);
    }
    assert_true(graces > 0); /* for each array that was left */
    assert_int_equal(live_table_count(&table), 0);
    live_table_finish(&table);
}

static void it_grows_and_keeps_all(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct live_table table;
    struct thing *things = calloc(COUNT, sizeof *things);
    bool *seen = calloc(COUNT, sizeof *seen);
    assert_true(things && seen);
    assert_int_equal(live_table_init(&table, hash_of, NULL, NULL), OK);
    for (unsigned i = 0; i < COUNT; i++) {
        things[i].hash = i % 3 ? i * UINT64_C(0x9e3779b97f4a7c15) : i; /* neighbours too */
        things[i].number = i;
        put(&table, &things[i]);
    }
    assert_int_equal(live_table_count(&table), COUNT);
    for (unsigned i = 0; i < COUNT; i += 2)
        live_table_unlink(&table, &things[i]);
    assert_int_equal(live_table_count(&table), COUNT / 2);
    for (unsigned i = 0; i < COUNT; i++)
        assert_ptr_equal(find(&table, things[i].hash, i), i % 2 ? &things[i] : NULL);
    size_t at = 0, count = 0;
    for (struct thing *thing; (thing = live_table_next(&table, &at)); count++) {
        assert_false(seen[thing->number]);
        seen[thing->number] = true;
    }
    assert_int_equal(count, COUNT / 2);
    live_table_finish(&table);
    free(things);
    free(seen);
}

static void one_may_be_unlinked_while_all_are_walked(void **state)
{
    (void)state;
    struct live_table table;
    struct thing things[30] = {{0}};
    assert_int_equal(live_table_init(&table, hash_of, NULL, NULL), OK);
    for (unsigned i = 0; i < 30; i++) {
        things[i].hash = i / 4;
        things[i].number = i;
        put(&table, &things[i]);
    }
    size_t at = 0, count = 0;
    for (struct thing *thing; (thing = live_table_next(&table, &at)); count++)
        live_table_unlink(&table, thing);
    assert_int_equal(count, 30);
    assert_int_equal(live_table_count(&table), 0);
    live_table_finish(&table);
}

/* Readers beside a writer. A reader's turn begins and ends; `grace` is over when each reader has
 * begun a turn since, so that what was found before is not held any more. */

enum { READERS = 3, STAYING = 40, ROUNDS = 60 };

static struct {
    struct live_table table;
    struct thing staying[STAYING];
    atomic_uint wrong;
    atomic_bool end;
    struct reader {
        pthread_t thread;
        atomic_uint turns;
        atomic_uint found;
    } readers[READERS];
    _Atomic(uint64_t) hash_now; /* of the one that comes and goes */
} arena;

static void wait_a_turn(void *context)
{
    (void)context;
    for (int i = 0; i < READERS; i++) {
        unsigned before = atomic_load(&arena.readers[i].turns);
        /* Two: the one that was under way, and one from its beginning. */
        while (atomic_load(&arena.readers[i].turns) - before < 2)
            sched_yield();
    }
}

static void *read_on(void *context)
{
    struct reader *reader = context;
    for (unsigned i = 0; !atomic_load(&arena.end); i++) {
        unsigned number = i % STAYING, coming = 1000;
        if (find(&arena.table, arena.staying[number].hash, number) != &arena.staying[number])
            atomic_fetch_add(&arena.wrong, 1);
        /* It is freed after its grace: what is found may be read. */
        struct thing *found =
            live_table_find(&arena.table, atomic_load(&arena.hash_now), has_number, &coming);
        if (found) {
            atomic_fetch_add(&reader->found, 1);
            if (found->number != coming)
                atomic_fetch_add(&arena.wrong, 1);
        }
        atomic_fetch_add(&reader->turns, 1);
    }
    return NULL;
}

static void readers_find_what_stays_and_nothing_that_was_freed(void **state)
{
    (void)state;
    assert_int_equal(live_table_init(&arena.table, hash_of, wait_a_turn, NULL), OK);
    for (unsigned i = 0; i < STAYING; i++) {
        arena.staying[i].hash = i * 5;
        arena.staying[i].number = i;
    }
    /* Before the readers: they are not waited for yet. */
    arena.table.grace = NULL;
    for (unsigned i = 0; i < STAYING; i++)
        put(&arena.table, &arena.staying[i]);
    arena.table.grace = wait_a_turn;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&arena.readers[i].thread, NULL, read_on, &arena.readers[i]),
                         0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct thing *thing = calloc(1, sizeof *thing);
        assert_non_null(thing);
        thing->hash = round * UINT64_C(0x9e3779b97f4a7c15); /* the array is replaced now and then */
        thing->number = 1000;
        put(&arena.table, thing);
        atomic_store(&arena.hash_now, thing->hash);
        while (round == 0 && !atomic_load(&arena.readers[0].found))
            sched_yield();
        live_table_unlink(&arena.table, thing);
        live_table_wait(&arena.table);
        thing->number = 0; /* for the sanitizers, and for those who have none */
        free(thing);
    }
    atomic_store(&arena.end, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(arena.readers[i].thread, NULL);
    assert_int_equal(atomic_load(&arena.wrong), 0);
    live_table_finish(&arena.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_found_in_an_empty_table),
        cmocka_unit_test(entries_of_one_hash_are_told_apart),
        cmocka_unit_test(room_for_many_is_made_at_once),
        cmocka_unit_test(a_place_that_was_left_is_taken_again),
        cmocka_unit_test(comings_and_goings_at_all_places_end_in_time),
        cmocka_unit_test(it_grows_and_keeps_all),
        cmocka_unit_test(one_may_be_unlinked_while_all_are_walked),
        cmocka_unit_test(readers_find_what_stays_and_nothing_that_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
