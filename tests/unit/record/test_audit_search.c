/* Searching the audit log: every record once, the newest first, however it is cut into files, pages
 * and blocks, and whatever else stands between. */
#include "audit_place.h"

#include "record/audit_search.h"

enum { RECORDS = 1200, FOUND_MAX = RECORDS + 100 };

struct scene {
    struct place *place;
    char old_path[128];
    char *paths[2]; /* the older one first */
    uint64_t found[FOUND_MAX];
    size_t count, most;
};

/* Two files of some blocks each. */
static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_int_equal(make_place((void **)&scene->place), 0);
    struct place *place = scene->place;
    snprintf(scene->old_path, sizeof scene->old_path, "%s.1", place->path);
    scene->paths[0] = scene->old_path;
    scene->paths[1] = place->path;
    scene->most = FOUND_MAX;
    open_log(place);
    for (unsigned i = 1; i < RECORDS; i++) { /* the log's first record is its start */
        char actor[32];
        snprintf(actor, sizeof actor, "user-%u", i % 10);
        if (i == RECORDS / 3) {
            assert_int_equal(audit_tick(place->audit, UINT64_MAX / 2), OK);
            assert_int_equal(rename(place->path, scene->old_path), 0);
            assert_int_equal(audit_reopen(place->audit), OK);
        }
        note(place, i % 3 ? AUDIT_LOGIN : AUDIT_LOGOUT, actor, "ok");
        if (i % 500 == 0)
            assert_int_equal(audit_tick(place->audit, UINT64_MAX / 2), OK);
    }
    assert_int_equal(audit_tick(place->audit, UINT64_MAX / 2), OK);
    *state = scene;
    return 0;
}

static int remove_scene(void **state)
{
    struct scene *scene = *state;
    close_log(scene->place);
    remove_place((void **)&scene->place);
    free(scene);
    return 0;
}

static bool take(void *context, struct slice line)
{
    struct scene *scene = context;
    struct audit_parts parts;
    if (scene->count == scene->most)
        return false;
    assert_int_equal(audit_line_parse(line, &parts), OK);
    assert_true(scene->count < FOUND_MAX);
    scene->found[scene->count++] = parts.seq;
    return true;
}

/* One search; returns where to go on. */
static struct audit_search search(struct scene *scene, const struct audit_filter *filter,
                                  uint64_t read_bytes_max)
{
    struct audit_search search = {
        .filter = *filter, .take = take, .context = scene, .read_bytes_max = read_bytes_max};
    unsigned failed;
    assert_int_equal(audit_search(&search, scene->paths, 2, &failed), OK);
    return search;
}

static void all_are_found_the_newest_first(void **state)
{
    struct scene *scene = *state;
    struct audit_search done = search(scene, &(struct audit_filter){0}, 0);
    assert_int_equal(done.next_seq, 0);
    assert_int_equal(done.strangers, 0);
    assert_int_equal(scene->count, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++)
        assert_int_equal(scene->found[i], RECORDS - i);
}

/* Whatever ends a search, the next one goes on behind it. */
static void go_through(struct scene *scene, size_t at_once, uint64_t read_bytes_max)
{
    struct audit_filter filter = {0};
    uint64_t expected = RECORDS;
    unsigned searches = 0;
    do {
        assert_true(++searches <= RECORDS + 1);
        scene->count = 0;
        scene->most = at_once;
        filter.before_seq = search(scene, &filter, read_bytes_max).next_seq;
        for (size_t i = 0; i < scene->count; i++)
            assert_int_equal(scene->found[i], expected--);
    } while (filter.before_seq);
    assert_int_equal(expected, 0);
}

static void pages_hold_each_record_once(void **state)
{
    go_through(*state, 13, 0);
    go_through(*state, RECORDS - 1, 0);
    go_through(*state, RECORDS, 0);
}

static void a_bound_on_what_is_read_loses_nothing(void **state)
{
    go_through(*state, FOUND_MAX, 1);
    go_through(*state, 5, 100 * 1024);
}

static void records_that_fit_are_found(void **state)
{
    struct scene *scene = *state;
    search(scene, &(struct audit_filter){.event = SLICE("logout"), .actor = SLICE("user-3")}, 0);
    assert_int_equal(scene->count, 40); /* i % 3 == 0 and i % 10 == 3: i = 3, 33, ... 1173 */
    scene->count = 0;
    search(scene, &(struct audit_filter){.ip = SLICE("192.0.2.1"), .event = SLICE("login")}, 0);
    assert_int_equal(scene->count, RECORDS - 1 - 399);
    scene->count = 0;
    search(scene, &(struct audit_filter){.since_epoch_s = WALL_US / SECOND_US + 1}, 0);
    assert_int_equal(scene->count, 0);
    search(scene, &(struct audit_filter){.until_epoch_s = WALL_US / SECOND_US}, 0);
    assert_int_equal(scene->count, 0);
    search(scene,
           &(struct audit_filter){.since_epoch_s = WALL_US / SECOND_US,
                                  .until_epoch_s = WALL_US / SECOND_US + 1},
           0);
    assert_int_equal(scene->count, RECORDS);
}

static void a_name_is_found_by_what_it_says_not_by_how_it_is_printed(void **state)
{
    struct scene *scene = *state;
    note(scene->place, AUDIT_LOGIN, "o\"\\\n\x01", "ok");
    assert_int_equal(audit_tick(scene->place->audit, UINT64_MAX / 2), OK);
    search(scene, &(struct audit_filter){.actor = SLICE("o\"\\\n\x01")}, 0);
    assert_int_equal(scene->count, 1);
    assert_int_equal(scene->found[0], RECORDS + 1);
    search(scene, &(struct audit_filter){.actor = SLICE("o\\\"\\\\\\n")}, 0);
    assert_int_equal(scene->count, 1);
}

static void append_to(const char *path, const char *text, size_t times)
{
    FILE *file = fopen(path, "ab");
    for (size_t i = 0; i < times; i++)
        assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void what_is_no_record_is_counted(void **state)
{
    struct scene *scene = *state;
    append_to(scene->old_path, "\nhello\n{\"timestamp\":\"x\"}\n", 1);
    append_to(scene->old_path, "a line longer than any block, ", 10000);
    append_to(scene->old_path, "\n", 1);
    append_to(scene->place->path, "{\"timestamp\":\"half a line", 1);
    struct audit_search done = search(scene, &(struct audit_filter){0}, 0);
    assert_int_equal(scene->count, RECORDS);
    assert_true(done.strangers >= 4 && done.strangers < 12); /* a long line counts for each block */
    for (unsigned i = 0; i < RECORDS; i++)
        assert_int_equal(scene->found[i], RECORDS - i);
}

static void a_file_that_is_none_is_named(void **state)
{
    struct scene *scene = *state;
    struct audit_search search = {.take = take, .context = scene};
    unsigned failed = 7;
    char *paths[] = {scene->place->directory, scene->place->path};
    assert_int_equal(audit_search(&search, paths, 2, &failed), ERR_IO);
    assert_int_equal(failed, 0);
    paths[1] = (char *)"/nothing/here";
    assert_int_equal(audit_search(&search, paths, 2, &failed), ERR_IO);
    assert_int_equal(failed, 1);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, make_scene, remove_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(all_are_found_the_newest_first),
        SCENE(pages_hold_each_record_once),
        SCENE(a_bound_on_what_is_read_loses_nothing),
        SCENE(records_that_fit_are_found),
        SCENE(a_name_is_found_by_what_it_says_not_by_how_it_is_printed),
        SCENE(what_is_no_record_is_counted),
        SCENE(a_file_that_is_none_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
