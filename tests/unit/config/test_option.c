/* Walks the option table: every row must be whole, and no two may share a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/nearest.h"
#include "config/option.h"
#include "config/settings.h"
#include "config/value.h"

enum { NAMES_MAX = 400 };

struct all_names {
    char names[NAMES_MAX][OPTION_NAME_MAX];
    unsigned count;
};

static void add_name(struct all_names *all, const char *name)
{
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->names[i], name) == 0)
            fail_msg("two options share the variable %s", name);
    assert_true(all->count < NAMES_MAX);
    strcpy(all->names[all->count++], name);
}

static void every_variable_means_one_option(void **state)
{
    (void)state;
    struct all_names all = {.count = 0};
    for (unsigned i = 0; i < option_count(); i++) {
        char own[OPTION_NAME_MAX];
        const struct option *option = option_at(i);
        bool in_a_row = option->home == OF_ACCESS_LOG || option->home == OF_LIMIT_ROUTE;
        assert_true(option_own_name(option, own) == !in_a_row);
        if (!in_a_row) {
            assert_int_equal(strncmp(own, "SALLYPORT_", 10), 0);
            add_name(&all, own);
        }
        for (unsigned n = 0; n < OPTION_NAMES_MAX && option->names[n].name; n++)
            add_name(&all, option->names[n].name);
    }
}

static void every_row_is_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        assert_ptr_equal(option_find(slice_of(option->path)), option);
        assert_int_equal(option_index(option), i);
        assert_non_null(strchr(option->path, '.'));
        assert_non_null(option->help);
        assert_true(strlen(option->help) > 10 && strlen(option->help) < 120);
        assert_true(slice_ends(slice_of(option->help), SLICE(".")));
        assert_true(option->size > 0);
        assert_true(option->min <= option->max);
        assert_true((option->type == OPTION_CHOICE) == (option->choices != NULL));
        struct buffer expected = BUFFER_MAX(4096);
        value_print_expected(option, &expected);
        assert_true(expected.len > 0 && !expected.failed);
        buffer_finish(&expected);
    }
}

/* A name that may mean another secret, and a name that is announced, are names of secrets. */
static void names_of_secrets_say_so(void **state)
{
    (void)state;
    for (unsigned i = 0; i < option_count(); i++)
        for (unsigned n = 0; n < OPTION_NAMES_MAX && option_at(i)->names[n].name; n++) {
            const struct environment_name *name = &option_at(i)->names[n];
            const struct option *other = option_find(slice_of(name->otherwise));
            assert_true(!name->generic || option_at(i)->type == OPTION_SECRET);
            if (!name->otherwise)
                continue;
            assert_non_null(other);
            assert_int_equal(other->type, OPTION_SECRET);
            assert_int_equal(option_at(i)->type, OPTION_SECRET);
            assert_int_equal(option_at(i)->home, OF_SETTINGS);
            assert_int_equal(other->home, OF_SETTINGS);
            assert_ptr_not_equal(other, option_at(i));
        }
}

/* Prints what a default came to and reads it back: both ways must agree, and stay in range. */
static void check_default(const struct option *option, const char *text)
{
    static struct settings settings;
    struct arena arena;
    arena_init(&arena, NULL, 0, 1 << 20);
    memset(&settings, 0, sizeof settings);
    struct assignment assignment = {.option = option, .object = &settings, .arena = &arena};
    if (value_parse(&assignment, slice_of(text)) != OK)
        fail_msg("the default \"%s\" of %s is not taken: %s", text, option->path, assignment.why);
    struct buffer first = BUFFER_MAX(4096), second = BUFFER_MAX(4096);
    value_print(option, &settings, &first);
    struct buffer bare = BUFFER_MAX(4096);
    for (size_t i = 0; i < first.len; i++)
        if (!strchr("[]\"", first.bytes[i]))
            buffer_byte(&bare, first.bytes[i]);
    assert_int_equal(value_parse(&assignment, buffer_slice(&bare)), OK);
    value_print(option, &settings, &second);
    assert_string_equal(buffer_text_of(&first), buffer_text_of(&second));
    buffer_finish(&first);
    buffer_finish(&bare);
    buffer_finish(&second);
    arena_finish(&arena);
}

static void every_default_is_a_value_of_its_option(void **state)
{
    (void)state;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (option->standard)
            check_default(option, option->standard);
        if (option->agents)
            check_default(option, option->agents);
    }
}

static void numbers_outside_their_range_are_refused(void **state)
{
    (void)state;
    static struct settings settings;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        static const char *const more[OPTION_TYPES] = {
            [OPTION_INTEGER] = "", [OPTION_SIZE] = "B", [OPTION_DURATION] = "ms"};
        char text[64];
        if (!option->max)
            continue;
        uint64_t unit = option->type == OPTION_DURATION ? 1000 : 1;
        struct assignment assignment = {.option = option, .object = &settings};
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)(option->max / unit + 1),
                 more[option->type]);
        assert_int_equal(value_parse(&assignment, slice_of(text)), ERR_RANGE);
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)(option->max / unit),
                 more[option->type]);
        assert_int_equal(value_parse(&assignment, slice_of(text)), OK);
        if (option->min == 0)
            continue;
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)(option->min / unit - 1),
                 more[option->type]);
        assert_int_equal(value_parse(&assignment, slice_of(text)), ERR_RANGE);
    }
}

static void values_are_read_with_their_units(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
        uint64_t unit;
        uint64_t value; /* 0: refused */
    } rows[] = {
        {"server.max_body",     "10MB",                   0,       10485760   },
        {"server.max_body",     "10 mb",                  0,       10485760   },
        {"server.max_body",     "2048",                   0,       2048       },
        {"server.max_body",     "64KiB",                  0,       65536      },
        {"server.max_body",     "12",                     1048576, 12582912   },
        {"server.max_body",     "18446744073709551615GB", 0,       0          },
        {"server.max_body",     "17592186044417MB",       0,       0          },
        {"server.max_body",     "1.5MB",                  0,       0          },
        {"server.max_body",     "-1",                     0,       0          },
        {"server.max_body",     "MB",                     0,       0          },
        {"server.max_body",     "10TB",                   0,       0          },
        {"server.idle_timeout", "500ms",                  0,       500000     },
        {"server.idle_timeout", "30s",                    0,       30000000   },
        {"server.idle_timeout", "15m",                    0,       900000000  },
        {"server.idle_timeout", "24h",                    0,       86400000000},
        {"server.idle_timeout", "1d",                     0,       86400000000},
        {"server.idle_timeout", "30",                     0,       0          },
        {"server.idle_timeout", "30 parsecs",             0,       0          },
        {"server.workers",      "3",                      0,       3          },
        {"server.workers",      "three",                  0,       0          },
        {"server.workers",      "+3",                     0,       0          },
        {"server.workers",      "0x3",                    0,       0          },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        static struct settings settings;
        const struct option *option = option_find(slice_of(rows[i].path));
        struct assignment assignment = {
            .option = option, .object = &settings, .unit = rows[i].unit};
        enum err err = value_parse(&assignment, slice_of(rows[i].text));
        if ((err == OK) != (rows[i].value > 0))
            fail_msg("%s = %s gave %s", rows[i].path, rows[i].text, err_name(err));
        if (err == OK)
            assert_int_equal(*(uint64_t *)((char *)&settings + option->offset), rows[i].value);
    }
}

static void nearness_counts_swaps_once_and_ignores_case(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"",       "",        0},
        {"",       "abc",     3},
        {"abc",    "abc",     0},
        {"ABC",    "abc",     0},
        {"abc",    "acb",     1},
        {"abc",    "ab",      1},
        {"abc",    "abxc",    1},
        {"abc",    "axc",     1},
        {"kitten", "sitting", 3},
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(nearest_distance(slice_of(rows[i].a), slice_of(rows[i].b)),
                         rows[i].distance);
        assert_int_equal(nearest_distance(slice_of(rows[i].b), slice_of(rows[i].a)),
                         rows[i].distance);
    }
}

static void the_nearest_option_is_found_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *wrong, *meant;
    } rows[] = {
        {"server.lisen",                    "server.listen"              },
        {"sever.listen",                    "server.listen"              },
        {"limits.ip_brust",                 "limits.ip_burst"            },
        {"upstream.url_",                   "upstream.url"               },
        {"server.first_byte_timeout",       "upstream.first_byte_timeout"},
        {"completely.unrelated_thing_here", NULL                         },
        {"x",                               NULL                         },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        const char *nearest = option_nearest(slice_of(rows[i].wrong));
        if (rows[i].meant)
            assert_string_equal(nearest, rows[i].meant);
        else
            assert_null(nearest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variable_means_one_option),
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(names_of_secrets_say_so),
        cmocka_unit_test(every_default_is_a_value_of_its_option),
        cmocka_unit_test(numbers_outside_their_range_are_refused),
        cmocka_unit_test(values_are_read_with_their_units),
        cmocka_unit_test(nearness_counts_swaps_once_and_ignores_case),
        cmocka_unit_test(the_nearest_option_is_found_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
