/* `sallyport audit`: exit statuses, sentences, filters; nothing a terminal would obey. */
#include "audit_place.h"

#include <jansson.h>

#include "base/hash.h"
#include "cli/audit.h"

struct scene {
    struct place *place;
    char config[128], out[128], error[128];
};

static int make_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_int_equal(make_place((void **)&scene->place), 0);
    struct place *place = scene->place;
    char text[512];
    hash_seed();
    snprintf(scene->config, sizeof scene->config, "%s/a.toml", place->directory);
    snprintf(scene->out, sizeof scene->out, "%s/out", place->directory);
    snprintf(scene->error, sizeof scene->error, "%s/error", place->directory);
    snprintf(text, sizeof text,
             "[store]\nurl = \"sqlite:sallyport.db\"\n[log]\naudit = \"logs/audit.log\"\n");
    write_file(scene->config, slice_of(text));
    open_log(place);
    assert_int_equal(append(place, AUDIT_KEY_CREATE, "made"), OK);
    note(place, AUDIT_LOGIN, "\x1b[2Jeve\xc2\x9b", "ok");
    close_log(place);
    *state = scene;
    return 0;
}

static int remove_scene(void **state)
{
    struct scene *scene = *state;
    remove_place((void **)&scene->place);
    free(scene);
    return 0;
}

/* Runs the command with its output in files. The words end with NULL. */
static int run(struct scene *scene, const char *const *words)
{
    char *argv[16] = {(char *)"audit"};
    int argc = 1;
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    argv[argc++] = (char *)"--config";
    argv[argc++] = scene->config;
    fflush(NULL);
    int out = dup(STDOUT_FILENO), error = dup(STDERR_FILENO);
    FILE *to = fopen(scene->out, "w"), *error_to = fopen(scene->error, "w");
    dup2(fileno(to), STDOUT_FILENO);
    dup2(fileno(error_to), STDERR_FILENO);
    int status = command_audit(argc, argv);
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(error, STDERR_FILENO);
    close(out);
    close(error);
    fclose(to);
    fclose(error_to);
    return status;
}

#define RUN(scene, ...) run(scene, (const char *const[]){__VA_ARGS__, NULL})

static bool said(const char *path, const char *needle)
{
    struct slice text = read_file(path);
    bool found = strstr(text.ptr, needle) != NULL;
    if (!found)
        print_message("not \"%s\" in: %s\n", needle, text.ptr);
    free((void *)text.ptr);
    return found;
}

static void a_whole_log_is_said_to_be_whole(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(RUN(scene, "verify"), 0);
    assert_true(said(scene->out, "whole: 4 records in 1 file, the last is number 4"));
    assert_int_equal(RUN(scene, "verify", "--json"), 0);
    assert_true(said(scene->out, "{\"ok\":true,\"records\":4}"));
    assert_int_equal(RUN(scene, "verify", scene->place->path), 0);
}

static void a_changed_log_is_said_to_be_changed(void **state)
{
    struct scene *scene = *state;
    struct slice text = read_file(scene->place->path);
    *(char *)strstr(text.ptr, "made") = 'f';
    write_file(scene->place->path, text);
    free((void *)text.ptr);
    assert_int_equal(RUN(scene, "verify"), 1);
    assert_true(said(scene->error, "audit.log:2: record 2 was changed"));
    assert_int_equal(RUN(scene, "verify", "--json"), 1);
    assert_true(said(scene->out, "\"line\":2,\"seq\":2,\"fault\":\"was changed"));
}

static void rotated_files_are_found_and_missing_ones_missed(void **state)
{
    struct scene *scene = *state;
    struct place *place = scene->place;
    char first[128], second[128];
    snprintf(first, sizeof first, "%s.9", place->path);
    snprintf(second, sizeof second, "%s-20251103", place->path);
    assert_int_equal(rename(place->path, first), 0);
    open_log(place);
    close_log(place);
    assert_int_equal(rename(place->path, second), 0);
    open_log(place);
    close_log(place);
    assert_int_equal(RUN(scene, "verify"), 0);
    assert_true(said(scene->out, "whole: 8 records in 3 files"));
    assert_int_equal(unlink(first), 0);
    assert_int_equal(RUN(scene, "verify"), 1);
    assert_true(said(scene->error, "record 1 was removed"));
    assert_int_equal(RUN(scene, "verify", "--part"), 0);
    assert_int_equal(RUN(scene, "verify", "--part", second), 0);
    assert_int_equal(RUN(scene, "verify", second), 1);
}

static void what_proof_needs_is_missed(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(unlink(scene->place->checkpoint), 0);
    assert_int_equal(RUN(scene, "verify"), 1);
    assert_true(said(scene->error, "audit.checkpoint is missing"));
    assert_int_equal(RUN(scene, "verify", "--part"), 0);
    assert_int_equal(unlink(scene->place->key), 0);
    assert_int_equal(RUN(scene, "verify", "--part"), 1);
    assert_true(said(scene->error, "audit.key is missing"));
    assert_int_equal(unlink(scene->place->path), 0);
    assert_int_equal(RUN(scene, "show"), 1);
    assert_true(said(scene->error, "No such file"));
}

static void records_are_shown_as_asked(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *words[4];
        size_t records;
    } rows[] = {
        {{"show", "--json"},                                 4},
        {{"show", "--json", "--limit", "2"},                 2},
        {{"show", "--json", "--event=login"},                1},
        {{"show", "--json", "--actor=admin"},                1},
        {{"show", "--json", "--ip=192.0.2.1"},               2},
        {{"show", "--json", "--ip=192.0.2.2"},               0},
        {{"show", "--json", "--since=2025-11-03T10:30:00Z"}, 4},
        {{"show", "--json", "--since=2025-11-03T10:30:01Z"}, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *words[5] = {0};
        memcpy(words, rows[i].words, sizeof rows[i].words);
        assert_int_equal(run(scene, words), 0);
        json_t *list = json_load_file(scene->out, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_array(list));
        assert_int_equal(json_array_size(list), rows[i].records);
        json_decref(list);
    }
}

static void a_table_holds_nothing_a_terminal_obeys(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(RUN(scene, "show"), 0);
    assert_true(said(scene->out, "key_create"));
    assert_true(said(scene->out, "?[2Jeve?"));
    struct slice text = read_file(scene->out);
    assert_null(memchr(text.ptr, 0x1b, text.len));
    assert_int_equal(count_of(text, "\n"), 5);
    free((void *)text.ptr);
}

static void wrong_usage_is_said(void **state)
{
    struct scene *scene = *state;
    static const char *const rows[][4] = {
        {"shout"         },
        {                     "show",       "--limit", "0"},
        {                  "show",           "--limit", "10001"},
        {"show",                "--limit", "x"},
        {                                     "show",             "--since", "yesterday"},
        {                                 "show","--event", "lunch"},
        {    "show",           "--ip", "300.1.1.1"},
        {"show",                "--part"},
        {                           "show",     "--event=login", "--event=logout"},
        {                         "verify","--since", "2025-11-03T10:30:00Z"},
        {             "verify","--json=yes"},
        { "verify",         "--loud"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *words[5] = {0};
        memcpy(words, rows[i], sizeof rows[i]);
        assert_int_equal(run(scene, words), 2);
        assert_true(said(scene->error, "sallyport audit: "));
    }
    assert_int_equal(RUN(scene, "verify", "--help"), 0);
    write_file(scene->config, SLICE("[log]\naudits = 1\n"));
    assert_int_equal(RUN(scene, "verify"), 78);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_scene, remove_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_log_is_said_to_be_whole),
        TEST(a_changed_log_is_said_to_be_changed),
        TEST(rotated_files_are_found_and_missing_ones_missed),
        TEST(what_proof_needs_is_missed),
        TEST(records_are_shown_as_asked),
        TEST(a_table_holds_nothing_a_terminal_obeys),
        TEST(wrong_usage_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
