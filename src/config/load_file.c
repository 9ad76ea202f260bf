/* The TOML file: every leaf finds its row in the option table, or is reported with its line. */
#include <inttypes.h>
#include <stdio.h>

#include "config/expand.h"
#include "config/file_text.h"
#include "config/load.h"
#include "config/nearest.h"
#include "config/toml.h"
#include "config/value.h"

enum { FILE_BYTES_MAX = 1024 * 1024 };

struct reading {
    struct load *load;
    enum err failed; /* ERR_MEMORY; no callback returns one */
};

static void fault(struct load *load, const struct toml_leaf *leaf, const char *sentence)
{
    faults_add(load->faults, load->settings->file, leaf->line, leaf->path, "%s", sentence);
}

static void fault_unknown(struct load *load, const struct toml_leaf *leaf)
{
    const char *nearest = option_nearest(slice_of(leaf->path));
    if (leaf->item > 0)
        return; /* said already, for the first item of the list */
    faults_add(load->faults, load->settings->file, leaf->line, NULL,
               "unknown option \"%.200s\"%s%s%s", leaf->path, nearest ? "; did you mean \"" : "",
               nearest ? nearest : "", nearest ? "\"?" : "");
}

static const char *const sections[] = {"server",  "security", "limits", "abuse",   "endpoints",
                                       "metrics", "store",    "log",    "upstream"};

/* Those that stand in tables of which there may be several. */
static const struct {
    enum err (*at)(struct load *load, unsigned index, struct object *object);
    const char *advice;
} homes[] = {
    [OF_UPSTREAM] = {load_upstream_at,
                     "write [[upstream]], in double brackets, because there may be several"    },
    [OF_ACCESS_LOG] = {load_access_at,
                     "write [[log.access]], in double brackets, or log.access = \"PATH\""      },
    [OF_LIMIT_ROUTE] = {load_route_at,
                     "write [[limits.route]], in double brackets, because there may be several"},
};

/* A table without options means nothing, unless its name is wrong too. */
static void check_empty_table(struct load *load, const struct toml_leaf *leaf)
{
    if (option_section(slice_of(leaf->path)))
        return;
    struct nearest nearest = nearest_to(slice_of(leaf->path));
    for (unsigned i = 0; i < COUNT_OF(sections); i++)
        nearest_try(&nearest, sections[i]);
    faults_add(load->faults, load->settings->file, leaf->line, NULL, "unknown table [%.200s]%s%s%s",
               leaf->path, nearest.word ? "; did you mean [" : "", nearest.word ? nearest.word : "",
               nearest.word ? "]?" : "");
}

/* The struct that the option at this leaf lives in; `base` is NULL when something was wrong with
 * that. */
static enum err find_object(struct load *load, const struct toml_leaf *leaf, enum option_home home,
                            struct object *object)
{
    *object = (struct object){0};
    if (home == OF_SETTINGS && leaf->table >= 0) {
        fault(load, leaf, "its table stands in single brackets, because there is only one of it");
        return OK;
    }
    if (home != OF_SETTINGS && leaf->table < 0) {
        fault(load, leaf, homes[home].advice);
        return OK;
    }
    if (home == OF_SETTINGS) {
        *object = load->object;
        return OK;
    }
    TRY(homes[home].at(load, (unsigned)leaf->table, object));
    if (!object->base)
        fault(load, leaf, "there are too many of these tables");
    return OK;
}

/* One path may stand without the brackets of a list; it is not cut at commas then. */
static bool lone_path(const struct option *option, const struct toml_leaf *leaf)
{
    return option->type == OPTION_PATH_LIST && leaf->item < 0 && leaf->text_len > 0;
}

/* Does a list stand where there must be one, and nowhere else? */
static bool shape_fits(const struct option *option, const struct toml_leaf *leaf)
{
    return option_is_list(option) == (leaf->item >= 0) ||
           (option->type == OPTION_PATH_LIST && leaf->type == TOML_STRING);
}

/* The types of TOML value that say a type of option. */
static bool type_fits(const struct option *option, const struct toml_leaf *leaf)
{
    bool list = option_is_list(option);
    if (leaf->type == TOML_EMPTY_LIST)
        return list || option->type == OPTION_ACCESS;
    if (!shape_fits(option, leaf))
        return false;
    switch (option->type) {
    case OPTION_BOOL:
        return leaf->type == TOML_BOOLEAN;
    case OPTION_INTEGER:
        return leaf->type == TOML_INTEGER;
    case OPTION_SIZE:
        return leaf->type == TOML_INTEGER || leaf->type == TOML_STRING;
    default:
        return leaf->type == TOML_STRING;
    }
}

static void fault_type(struct load *load, const struct option *option, const struct toml_leaf *leaf)
{
    AUTO(buffer) expected = BUFFER_MAX(2048);
    if (leaf->item > 0 && !option_is_list(option))
        return; /* said already, for the first item */
    value_print_expected(option, &expected);
    const char *what =
        leaf->item >= 0 && !option_is_list(option) ? "a list" : toml_type_name(leaf->type);
    faults_add(load->faults, load->settings->file, leaf->line, leaf->path, "expected %s, not %s",
               buffer_text_of(&expected), what);
}

static enum err set(struct load *load, struct object object, const struct option *option,
                    struct slice text, const struct toml_leaf *leaf)
{
    struct source source = {
        .file = load->settings->file,
        .line = leaf->line,
        .option = leaf->path,
        .directory = load->directory,
    };
    TRY(load_origin(load, &source.origin, "%s:%u", source.file, source.line));
    if (leaf->item >= 0 || lone_path(option, leaf))
        return load_item(load, object, option, text, leaf->item <= 0, &source);
    return load_value(load, object, option, text, &source);
}

/* A text with references may say any type, as a variable may. */
static enum err set_expanded(struct load *load, struct object object, const struct option *option,
                             const struct toml_leaf *leaf)
{
    AUTO(expansion) expansion;
    enum err err = expand(&expansion, slice_make(leaf->text, leaf->text_len), &load->environment,
                          &load->dotenv, load->directory);
    if (err == ERR_MEMORY)
        return err;
    if (err != OK) {
        object.origins[option_index(option)] = load->settings->file;
        fault(load, leaf, expansion.why);
        return OK;
    }
    return set(load, object, option, slice_make(expansion.text.bytes, expansion.text.len), leaf);
}

static enum err set_leaf(struct load *load, struct object object, const struct option *option,
                         const struct toml_leaf *leaf)
{
    char number[24];
    if (leaf->type == TOML_STRING && expand_wanted(slice_make(leaf->text, leaf->text_len)) &&
        shape_fits(option, leaf))
        return set_expanded(load, object, option, leaf);
    if (!type_fits(option, leaf)) {
        object.origins[option_index(option)] = load->settings->file;
        fault_type(load, option, leaf);
        return OK;
    }
    switch (leaf->type) {
    case TOML_INTEGER:
        snprintf(number, sizeof number, "%" PRId64, leaf->integer);
        return set(load, object, option, slice_of(number), leaf);
    case TOML_BOOLEAN:
        return set(load, object, option, leaf->boolean ? SLICE("true") : SLICE("false"), leaf);
    case TOML_EMPTY_LIST:
        return set(load, object, option, SLICE(""), leaf);
    default:
        return set(load, object, option, slice_make(leaf->text, leaf->text_len), leaf);
    }
}

static enum err read_leaf(struct load *load, const struct toml_leaf *leaf)
{
    struct object object;
    const struct option *option = option_find(slice_of(leaf->path));
    if (option && option->type == OPTION_ACCESS && leaf->table >= 0)
        return load_access_at(load, (unsigned)leaf->table, &object);
    if (!option && leaf->type == TOML_EMPTY_TABLE) {
        check_empty_table(load, leaf);
        if (strcmp(leaf->path, "upstream") == 0 && leaf->table >= 0)
            return load_upstream_at(load, (unsigned)leaf->table, &object);
        return OK;
    }
    if (!option) {
        fault_unknown(load, leaf);
        return OK;
    }
    TRY(find_object(load, leaf, option->home, &object));
    return object.base ? set_leaf(load, object, option, leaf) : OK;
}

static void take_leaf(void *context, const struct toml_leaf *leaf)
{
    struct reading *reading = context;
    if (reading->failed == OK)
        reading->failed = read_leaf(reading->load, leaf);
}

enum err load_file(struct load *load)
{
    const char *file = load->settings->file;
    AUTO(file_text) text;
    enum err err = file_text_read(&text, file, FILE_BYTES_MAX);
    if (err == ERR_MEMORY)
        return err;
    if (err != OK) {
        load->broken = true;
        faults_add(load->faults, file, 0, NULL, "the configuration file cannot be read: %s",
                   err == ERR_LIMIT ? "it is larger than 1 MB" : file_text_why(err));
        return OK;
    }
    struct reading reading = {.load = load};
    struct toml_error error;
    load->broken = !toml_walk(text.bytes, text.len, take_leaf, &reading, &error);
    if (load->broken)
        faults_add(load->faults, file, error.line, NULL, "%s", error.sentence);
    return reading.failed;
}
