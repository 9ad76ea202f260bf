/* The deny-list on disk: what an event loop bans holds at once and comes to stand in the file,
 * whatever becomes of the file meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../reader.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/file_text.h"
#include "gateway/denylist_file.h"

struct place {
    char folder[64], path[96];
    struct denylist *denylist;
    unsigned changes[4]; /* by enum deny_change */
};

static void count_change(void *context, enum deny_change change, const struct deny_entry *entry)
{
    struct place *place = context;
    (void)entry;
    place->changes[change]++;
}

static void drop_line(struct slice line)
{
    (void)line;
}

static void open_list(struct place *place)
{
    struct faults faults = {0};
    assert_int_equal(denylist_open(place->path, NULL, NULL, &place->denylist, &faults), OK);
    denylist_listen(place->denylist,
                    &(struct denylist_ear){.on_change = count_change, .context = place});
    faults_finish(&faults);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    log_set_sink(drop_line);
    snprintf(place->folder, sizeof place->folder, "/tmp/denylist-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->path, sizeof place->path, "%s/ops/denylist.txt", place->folder);
    open_list(place);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[128];
    denylist_close(place->denylist);
    snprintf(command, sizeof command, "rm -r %s", place->folder);
    int status = system(command);
    free(place);
    log_set_sink(NULL);
    return status;
}

static struct deny_entry client(const char *text, uint64_t seconds)
{
    struct address address;
    assert_int_equal(address_parse(slice_of(text), &address), OK);
    struct deny_entry entry = deny_entry_of_client(&address);
    snprintf(entry.reason, sizeof entry.reason, "5 errors in 30s");
    entry.seconds = seconds;
    return entry;
}

static bool held(struct place *place, const char *text)
{
    struct address address;
    assert_int_equal(address_parse(slice_of(text), &address), OK);
    return bans_hold(denylist_bans(place->denylist), &address, address_hash(&address),
                     clock_now_us());
}

static bool ban(struct place *place, const char *text, uint64_t seconds)
{
    struct deny_entry entry = client(text, seconds);
    return denylist_ban(place->denylist, &entry, clock_now_us());
}

static unsigned lines(struct place *place)
{
    AUTO(file_text) text = {0};
    unsigned count = 0;
    if (file_text_read(&text, place->path, 1 << 20) != OK)
        return 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.bytes[i] == '\n';
    return count;
}

static void write_file(struct place *place, const char *text)
{
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_ban_holds_at_once_and_its_line_follows(void **state)
{
    struct place *place = *state;
    assert_false(held(place, "203.0.113.9"));
    assert_true(ban(place, "203.0.113.9", 900));
    assert_true(held(place, "203.0.113.9"));
    assert_int_equal(lines(place), 0);
    denylist_look(place->denylist, false);
    assert_int_equal(lines(place), 1);
    assert_int_equal(place->changes[DENY_BANNED], 1);
    denylist_look(place->denylist, false);
    denylist_look(place->denylist, false);
    assert_int_equal(lines(place), 1);
    assert_true(held(place, "203.0.113.9"));
    denylist_close(place->denylist);
    open_list(place);
    assert_true(held(place, "203.0.113.9"));
    assert_int_equal(place->changes[DENY_WRITTEN] + place->changes[DENY_ERASED], 0);
}

static void one_that_is_known_needs_no_second_line(void **state)
{
    struct place *place = *state;
    assert_true(ban(place, "203.0.113.9", 0));
    denylist_look(place->denylist, false);
    assert_true(ban(place, "203.0.113.9", 900));
    denylist_look(place->denylist, false);
    assert_int_equal(lines(place), 1);
}

static void more_than_can_be_written_are_refused(void **state)
{
    struct place *place = *state;
    char text[32];
    unsigned made = 0;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "198.18.%u.%u", i >> 8, i & 255);
        made += ban(place, text, 900);
    }
    assert_int_equal(made, 1024);
    assert_int_equal(denylist_count(place->denylist).banned, 1024);
    assert_int_equal(denylist_count(place->denylist).refused, 5000 - 1024);
    denylist_look(place->denylist, false);
    assert_int_equal(lines(place), 1024);
    assert_true(held(place, "198.18.3.255")); /* the last that found a place, and more than cells */
    assert_false(held(place, "198.18.4.0"));
    assert_true(ban(place, "198.18.4.0", 900));
    assert_true(held(place, "198.18.4.0"));
}

/* Whatever happens to the file, the bans stay, and come to stand in it in the end. */
static void bans_wait_for_a_file_that_cannot_be_written(void **state)
{
    struct place *place = *state;
    char aside[128];
    snprintf(aside, sizeof aside, "%s/aside", place->folder);
    assert_true(ban(place, "203.0.113.9", 900));
    denylist_look(place->denylist, false);
    assert_int_equal(rename(place->path, aside), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_true(ban(place, "203.0.113.8", 900));
    for (int i = 0; i < 4; i++)
        denylist_look(place->denylist, false);
    assert_true(denylist_count(place->denylist).failing);
    assert_true(held(place, "203.0.113.9"));
    assert_true(held(place, "203.0.113.8"));
    assert_int_equal(rmdir(place->path), 0);
    denylist_look(place->denylist, true); /* it is gone: written anew, with what waited */
    assert_false(denylist_count(place->denylist).failing);
    assert_int_equal(lines(place), 2);
    assert_true(held(place, "203.0.113.8"));
}

static void an_edit_is_believed_when_it_stands_still(void **state)
{
    struct place *place = *state;
    assert_true(ban(place, "203.0.113.9", 900));
    denylist_look(place->denylist, false);
    write_file(place, "");
    denylist_look(place->denylist, false);
    assert_true(held(place, "203.0.113.9")); /* an editor may be half way */
    write_file(place, "203.0.113.8\n");
    denylist_look(place->denylist, false);
    assert_true(held(place, "203.0.113.9"));
    denylist_look(place->denylist, false);
    assert_false(held(place, "203.0.113.9"));
    assert_true(held(place, "203.0.113.8"));
    assert_int_equal(place->changes[DENY_ERASED], 1);
    assert_int_equal(place->changes[DENY_WRITTEN], 1);
}

/* Its length does not tell that the file was changed. */
static void an_edit_of_the_same_length_is_not_lost_behind_a_ban(void **state)
{
    struct place *place = *state;
    assert_true(ban(place, "203.0.113.1", 900));
    denylist_look(place->denylist, false);
    write_file(place, "198.51.100.1\n");
    denylist_look(place->denylist, true);
    assert_true(held(place, "198.51.100.1"));
    write_file(place, "198.51.100.2\n");
    assert_true(ban(place, "203.0.113.9", 900));
    for (unsigned i = 0; i < 4; i++)
        denylist_look(place->denylist, false);
    assert_true(held(place, "198.51.100.2"));
    assert_false(held(place, "198.51.100.1"));
    assert_true(held(place, "203.0.113.9"));
}

/* Else nobody could stop an attack by hand while it goes on. */
static void an_edit_is_believed_while_bans_go_on_coming(void **state)
{
    struct place *place = *state;
    char text[32];
    assert_true(ban(place, "203.0.113.1", 900));
    denylist_look(place->denylist, false);
    write_file(place, "198.51.100.0/24\n");
    for (unsigned i = 10; i < 14; i++) {
        snprintf(text, sizeof text, "203.0.113.%u", i);
        assert_true(ban(place, text, 900));
        denylist_look(place->denylist, false);
    }
    assert_true(held(place, "198.51.100.2"));
    assert_false(held(place, "203.0.113.1"));
    assert_true(held(place, "203.0.113.13"));
    assert_int_equal(lines(place), 5);
}

/* A file that could not be read back would keep the gateway from starting. */
static void all_kinds_share_the_room(void **state)
{
    struct place *place = *state;
    assert_true(ban(place, "203.0.113.1", 900));
    denylist_look(place->denylist, false);
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < DENYLIST_ENTRIES_MAX; i++)
        fprintf(file, "key:k%u\n", i);
    fclose(file);
    denylist_look(place->denylist, true);
    assert_int_equal(denylist_count(place->denylist).entries[DENY_KEY], DENYLIST_ENTRIES_MAX);
    assert_false(ban(place, "203.0.113.9", 900));
    struct deny_entry entry = client("203.0.113.9", 900);
    assert_int_equal(denylist_add(place->denylist, &entry), ERR_LIMIT);
    denylist_look(place->denylist, false);
    denylist_close(place->denylist);
    open_list(place);
}

static void what_is_over_is_removed(void **state)
{
    struct place *place = *state;
    assert_true(ban(place, "203.0.113.9", 1));
    assert_true(ban(place, "203.0.113.8", 900));
    denylist_look(place->denylist, false);
    assert_int_equal(lines(place), 2);
    while (held(place, "203.0.113.9"))
        usleep(10000);
    denylist_look(place->denylist, false);
    assert_int_equal(lines(place), 1);
    assert_int_equal(place->changes[DENY_OVER], 1);
    assert_true(held(place, "203.0.113.8"));
}

/* Also when it is made near the end of a second, which the line cuts off. */
static void a_ban_lasts_as_long_as_it_says(void **state)
{
    struct place *place = *state;
    while (clock_wall_us() % SECOND_US < 800000)
        usleep(10000);
    uint64_t begun_us = clock_now_us();
    assert_true(ban(place, "203.0.113.9", 1));
    denylist_look(place->denylist, false);
    while (held(place, "203.0.113.9"))
        usleep(1000);
    assert_true(clock_now_us() - begun_us >= SECOND_US);
}

static void removal_reads_what_others_wrote_first(void **state)
{
    struct place *place = *state;
    struct deny_entry entry = client("203.0.113.9", 0);
    assert_int_equal(denylist_add(place->denylist, &entry), OK);
    write_file(place, "# mine\n203.0.113.9\n203.0.113.7\n");
    assert_int_equal(denylist_remove(place->denylist, &entry), OK);
    assert_int_equal(lines(place), 2);
    assert_false(held(place, "203.0.113.9"));
    assert_true(held(place, "203.0.113.7"));
    assert_int_equal(denylist_remove(place->denylist, &entry), ERR_NOT_FOUND);
}

/* --- beside an event loop -----------------------------------------------------------------------
 */

enum { LINES = 4000, BANS = 16000, WATCHED = 64 };

struct race {
    struct denylist *denylist;
    struct reader reader;
    atomic_uint banned;
    unsigned lost;
};

static struct address nth_client(unsigned n)
{
    struct address address = {.family = ADDRESS_V4};
    const uint8_t bytes[4] = {100, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(address.bytes, bytes, sizeof bytes);
    return address;
}

static bool holds_nth(const struct race *race, unsigned n)
{
    const struct address address = nth_client(n);
    return bans_hold(denylist_bans(race->denylist), &address, address_hash(&address),
                     clock_now_us());
}

/* An event loop: each turn bans one more, and sees whether the last ones are. */
static void *ban_on(void *context)
{
    struct race *race = context;
    while (!atomic_load(&race->reader.over)) {
        unsigned banned = atomic_load(&race->banned);
        const struct address address = nth_client(banned);
        const struct deny_entry entry = deny_entry_of_client(&address);
        banned += denylist_ban(race->denylist, &entry, clock_now_us());
        atomic_store(&race->banned, banned);
        for (unsigned i = banned < WATCHED ? 0 : banned - WATCHED; i < banned; i++)
            race->lost += !holds_nth(race, i);
        atomic_fetch_add(&race->reader.turns, 1);
    }
    return NULL;
}

static void a_ban_holds_while_the_others_are_shown_anew(void **state)
{
    struct place *place = *state;
    struct race race = {.reader.over = true};
    struct faults faults = {0};
    pthread_t loop;
    assert_true(ban(place, "203.0.113.9", 0));
    denylist_look(place->denylist, false); /* makes the folder */
    denylist_close(place->denylist);
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < LINES; i++)
        fprintf(file, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
    fclose(file);
    assert_int_equal(
        denylist_open(place->path, wait_reader, &race.reader, &place->denylist, &faults), OK);
    race.denylist = place->denylist;
    atomic_store(&race.reader.over, false);
    assert_int_equal(pthread_create(&loop, NULL, ban_on, &race), 0);
    while (atomic_load(&race.banned) < BANS)
        denylist_look(place->denylist, false);
    atomic_store(&race.reader.over, true);
    pthread_join(loop, NULL);
    assert_int_equal(race.lost, 0);
    faults_finish(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_ban_holds_at_once_and_its_line_follows, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_known_needs_no_second_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_can_be_written_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bans_wait_for_a_file_that_cannot_be_written, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_edit_is_believed_when_it_stands_still, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_edit_of_the_same_length_is_not_lost_behind_a_ban, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_edit_is_believed_while_bans_go_on_coming, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(all_kinds_share_the_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_over_is_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ban_lasts_as_long_as_it_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removal_reads_what_others_wrote_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ban_holds_while_the_others_are_shown_anew, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
