/* Reads words and flags into one request, has the writer run it, prints the response. Its one hard
 * problem is a secret in either: it stands in memory that is wiped, leaves by write(2) without a
 * stream's buffer between, and goes nowhere else. */
#include "cli/verb_command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/verb.h"
#include "cli/print_value.h"
#include "cli/writer.h"
#include "config/config.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_WRONG_CONFIG = 78 };

struct arguments {
    const struct verb_command *command;
    const struct verb_subcommand *subcommand;
    unsigned bit; /* of the subcommand */
    bool help, json;
    const char *config, *id;
    const char *values[VERB_FLAGS_MAX];
};

static int usage_error(const struct verb_command *command, const char *format, ...)
    PRINTF_LIKE(2, 3);

static int usage_error(const struct verb_command *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "sallyport %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see `sallyport %s --help`\n", command->name);
    return EXIT_USAGE;
}

/* "create|list|show", or with "create, list or show" for a sentence. */
static void print_names(FILE *out, const struct verb_command *command, bool sentence)
{
    for (unsigned i = 0; i < command->subcommand_count; i++) {
        bool last = i + 1 == command->subcommand_count;
        const char *between = !sentence ? "|" : last ? " or " : ", ";
        fprintf(out, "%s%s", i ? between : "", command->subcommands[i].name);
    }
}

static void print_overview(const struct verb_command *command)
{
    fprintf(stdout, "Usage: sallyport %s ", command->name);
    print_names(stdout, command, false);
    fputs(" [flags]\n\n", stdout);
    for (unsigned i = 0; i < command->subcommand_count; i++)
        printf("  %-24s %s\n", command->subcommands[i].usage, command->subcommands[i].help);
    printf("\n`sallyport %s %s --help` and so on tell the flags of each.\n", command->name,
           command->subcommands[0].name);
}

static void print_help(const struct arguments *a)
{
    const struct verb_command *command = a->command;
    printf("Usage: sallyport %s %s\n\n%s\n\n", command->name, a->subcommand->usage,
           a->subcommand->help);
    if (a->subcommand->more)
        printf("%s\n\n", a->subcommand->more);
    for (unsigned i = 0; i < command->flag_count; i++)
        if (command->flags[i].subcommands & a->bit)
            printf("  %-17s %-4s %s\n", command->flags[i].name,
                   command->flags[i].value ? command->flags[i].value : "", command->flags[i].help);
    puts("  --json                 one JSON document on standard output\n"
         "  --config          F    the configuration file\n"
         "  --help                 this text");
}

/* --- words and flags ----------------------------------------------------------------------------
 */

/* Where the value of the flag goes; NULL: there is no such flag with a value. */
static const char **place_of(struct arguments *a, struct slice name)
{
    if (slice_equal(name, SLICE("--config")))
        return &a->config;
    for (unsigned i = 0; i < a->command->flag_count; i++)
        if ((a->command->flags[i].subcommands & a->bit) &&
            slice_equal(name, slice_of(a->command->flags[i].name)))
            return &a->values[i];
    return NULL;
}

static bool *switch_of(struct arguments *a, struct slice name)
{
    if (slice_equal(name, SLICE("--json")))
        return &a->json;
    return slice_equal(name, SLICE("--help")) ? &a->help : NULL;
}

/* Is it the place of a flag that takes no value? */
static bool is_switch(const struct arguments *a, const char **place)
{
    if (place == &a->config)
        return false;
    enum verb_flag_kind kind = a->command->flags[place - a->values].kind;
    return kind == FLAG_ON || kind == FLAG_OFF;
}

/* Reads the flag at argv[*at], "--flag value" or "--flag=value". */
static int read_flag(struct arguments *a, int argc, char **argv, int *at)
{
    const char *text = argv[*at], *equals = strchr(text, '=');
    struct slice name = slice_make(text, equals ? (size_t)(equals - text) : strlen(text));
    bool *turned_on = switch_of(a, name);
    if (turned_on) {
        *turned_on = true;
        return equals ? usage_error(a->command, "%.*s takes no value", SLICE_ARG(name)) : EXIT_OK;
    }
    const char **place = place_of(a, name);
    if (!place)
        return usage_error(a->command, "unknown flag %.*s", SLICE_ARG(name));
    if (is_switch(a, place)) {
        *place = "";
        return equals ? usage_error(a->command, "%.*s takes no value", SLICE_ARG(name)) : EXIT_OK;
    }
    if (!equals && *at + 1 == argc)
        return usage_error(a->command, "%.*s needs a value", SLICE_ARG(name));
    if (*place)
        return usage_error(a->command, "%.*s is given twice", SLICE_ARG(name));
    *place = equals ? equals + 1 : argv[++*at];
    return EXIT_OK;
}

/* Is there somebody to ask who has said nothing yet? */
static bool may_ask(const struct arguments *a)
{
    for (unsigned i = 0; i < a->command->flag_count; i++)
        if (a->values[i] && a->command->flags[i].kind != FLAG_ON)
            return false;
    return a->subcommand->ask && isatty(STDIN_FILENO);
}

static int check_complete(const struct arguments *a)
{
    if (may_ask(a))
        return EXIT_OK;
    for (unsigned i = 0; i < a->command->flag_count; i++) {
        const struct verb_flag *flag = &a->command->flags[i];
        if ((flag->subcommands & a->bit) && flag->missing && !a->values[i])
            return usage_error(a->command, "%s is missing: %s", flag->name, flag->missing);
    }
    if (a->subcommand->takes_id && !a->id)
        return usage_error(a->command, "%s",
                           a->subcommand->id_missing ? a->subcommand->id_missing
                                                     : a->command->id_missing);
    return EXIT_OK;
}

static int read_arguments(struct arguments *a, int argc, char **argv)
{
    for (int at = 0; at < argc; at++) {
        int status = EXIT_OK;
        if (argv[at][0] == '-' && argv[at][1])
            status = read_flag(a, argc, argv, &at);
        else if (!a->subcommand->takes_id || a->id)
            status =
                usage_error(a->command, "one word too many"); /* not which: it may be a password */
        else
            a->id = argv[at];
        if (status != EXIT_OK)
            return status;
    }
    return a->help ? EXIT_OK : check_complete(a);
}

/* --- the request --------------------------------------------------------------------------------
 */

/* "a,b" as ["a","b"]. NULL: a word is empty, or not UTF-8. */
static json_t *words_value(const char *text)
{
    json_t *list = json_array();
    struct slice rest = slice_of(text);
    bool more = true, good = list != NULL;
    while (good && more) {
        more = slice_find(rest, ',') < rest.len;
        struct slice word = slice_trim(slice_cut(&rest, ','));
        good = word.len > 0 && json_array_append_new(list, json_stringn(word.ptr, word.len)) == 0;
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *days_value(const char *text)
{
    uint64_t days;
    return slice_number(slice_of(text), 36500, &days) && days ? json_integer((json_int_t)days)
                                                              : NULL;
}

static json_t *number_value(const char *text)
{
    uint64_t number;
    return slice_number(slice_of(text), UINT32_MAX, &number) ? json_integer((json_int_t)number)
                                                             : NULL;
}

static json_t *value_of(const struct verb_flag *flag, const char *text)
{
    switch (flag->kind) {
    case FLAG_TEXT:
        return json_string(text);
    case FLAG_WORDS:
        return words_value(text);
    case FLAG_DAYS:
        return days_value(text);
    case FLAG_NUMBER:
        return number_value(text);
    case FLAG_ON:
        return json_true();
    case FLAG_OFF:
        return json_false();
    case FLAG_UNSET:
        break;
    }
    return NULL;
}

static int wrong_value(const struct arguments *a, const struct verb_flag *flag, const char *text)
{
    if (flag->kind == FLAG_WORDS)
        return usage_error(a->command, "%s takes names separated by commas", flag->name);
    if (flag->kind == FLAG_DAYS)
        return usage_error(a->command, "%s must be 1 to 36500, not %s", flag->name, text);
    if (flag->kind == FLAG_NUMBER)
        return usage_error(a->command, "%s must be a whole number, not %s", flag->name, text);
    return usage_error(a->command, "%s must be UTF-8", flag->name);
}

/* Each of the words as a member that is null. */
static int unset(json_t *request, const struct arguments *a, const struct verb_flag *flag,
                 const char *text)
{
    for (struct slice rest = slice_of(text); rest.len;) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        char name[64];
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(word));
        if (!name[0] || json_object_get(request, name))
            return usage_error(a->command, "%s takes names of fields that are not set, once each",
                               flag->name);
        json_object_set_new(request, name, json_null());
    }
    return EXIT_OK;
}

static int add_flag(json_t *request, const struct arguments *a, const struct verb_flag *flag,
                    const char *text)
{
    if (flag->kind == FLAG_UNSET)
        return unset(request, a, flag, text);
    if (json_object_get(request, flag->member))
        return usage_error(a->command, "%s contradicts another flag", flag->name);
    return json_object_set_new(request, flag->member, value_of(flag, text)) == 0
               ? EXIT_OK
               : wrong_value(a, flag, text);
}

static int fill_request(json_t *request, const struct arguments *a)
{
    if (a->id && json_object_set_new(request, "id", json_string(a->id)) != 0)
        return usage_error(a->command, "the ID must be UTF-8");
    int status = EXIT_OK;
    for (unsigned i = 0; status == EXIT_OK && i < a->command->flag_count; i++)
        if (a->values[i])
            status = add_flag(request, a, &a->command->flags[i], a->values[i]);
    if (status == EXIT_OK && may_ask(a))
        status = a->subcommand->ask(request);
    return status;
}

/* --- the response -------------------------------------------------------------------------------
 */

static void print_faults(const struct faults *faults)
{
    AUTO(buffer) text = BUFFER_MAX(256 * 1024);
    faults_print(faults, &text);
    fputs(buffer_text_of(&text), stderr);
}

/* EXIT_OK: the response says ok. */
static int check_response(const struct arguments *a, const json_t *response)
{
    if (json_is_true(json_object_get(response, "ok")))
        return EXIT_OK;
    const char *code = json_string_value(json_object_get(response, "error"));
    const char *message = json_string_value(json_object_get(response, "message"));
    fprintf(stderr, "sallyport %s: %s\n", a->command->name,
            message ? message : "an answer without a reason");
    return code && strcmp(code, "usage") == 0 ? EXIT_USAGE : EXIT_FAILED;
}

/* A list comes in pages; reads one after the other into one array. */
static enum err read_all(struct writer *writer, const char *member, json_t *request,
                         json_t **response, struct faults *faults)
{
    json_t *all = json_array();
    for (;;) {
        json_t *page = NULL;
        enum err err = writer_run(writer, request, &page, faults);
        json_t *next = json_object_get(page, "next"), *some = json_object_get(page, member);
        if (err != OK || !some || json_array_extend(all, some) != 0) {
            json_decref(all);
            *response = page;
            return err;
        }
        if (!json_is_integer(next)) {
            json_object_set_new(page, member, all);
            *response = page;
            return OK;
        }
        json_object_set(request, "after", next);
        json_decref(page);
    }
}

static enum err run_request(const struct arguments *a, const struct settings *settings,
                            json_t *request, json_t **response, struct faults *faults)
{
    struct writer writer;
    TRY(writer_open(&writer, settings, faults));
    bool list = strcmp(a->subcommand->name, "list") == 0;
    enum err err = list ? read_all(&writer, a->subcommand->member, request, response, faults)
                        : writer_run(&writer, request, response, faults);
    writer_finish(&writer);
    return err;
}

static int write_out(const struct arguments *a, const struct buffer *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(STDOUT_FILENO, text->bytes + at, text->len - at);
        if (n < 0 && errno != EINTR) {
            fprintf(stderr, "sallyport %s: the answer cannot be written: %s\n", a->command->name,
                    strerror(errno));
            return EXIT_FAILED;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return EXIT_OK;
}

static int print_response(const struct arguments *a, const json_t *response)
{
    struct buffer text;
    const json_t *value = json_object_get(response, a->subcommand->member);
    buffer_init(&text, SIZE_MAX / 4);
    /* Room for all of one key at once: a buffer that grows leaves copies behind. */
    if (!buffer_reserve(&text, VERB_LINE_MAX))
        return EXIT_FAILED;
    if (a->json)
        print_json(&text, value);
    else
        a->subcommand->print(&text, value);
    int status = text.failed ? EXIT_FAILED : write_out(a, &text);
    if (text.failed)
        fprintf(stderr, "sallyport %s: out of memory\n", a->command->name);
    explicit_bzero(text.bytes, text.size);
    buffer_finish(&text);
    return status;
}

static int run(const struct arguments *a, json_t *request)
{
    struct config_arguments from = {.file = a->config, .environment = environ};
    struct settings *settings = NULL;
    struct faults faults = {0};
    json_t *response = NULL;
    int status = EXIT_FAILED;
    enum err err = config_load(&from, &settings, &faults);
    if (err == OK) {
        /* Warnings about the gateway's settings are the gateway's to show. */
        faults_finish(&faults);
        err = run_request(a, settings, request, &response, &faults);
        status = err == OK ? check_response(a, response) : EXIT_FAILED;
        if (err == OK && status == EXIT_OK)
            status = print_response(a, response);
    } else if (err == ERR_CONFIG) {
        status = EXIT_WRONG_CONFIG;
    }
    print_faults(&faults);
    if (err == ERR_MEMORY)
        fprintf(stderr, "sallyport %s: out of memory\n", a->command->name);
    faults_finish(&faults);
    settings_unref(settings);
    json_decref(response);
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static int no_such_subcommand(const struct verb_command *command, const char *word)
{
    if (word[0])
        return usage_error(command, "there is no `%s %s`", command->name, word);
    fprintf(stderr, "sallyport %s: say which: ", command->name);
    print_names(stderr, command, true);
    fprintf(stderr, "; see `sallyport %s --help`\n", command->name);
    return EXIT_USAGE;
}

int verb_command_run(const struct verb_command *command, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_overview(command);
        return EXIT_OK;
    }
    unsigned at = 0;
    while (at < command->subcommand_count && strcmp(word, command->subcommands[at].name) != 0)
        at++;
    if (at == command->subcommand_count)
        return no_such_subcommand(command, word);
    struct arguments a = {
        .command = command, .subcommand = &command->subcommands[at], .bit = 1u << at};
    int status = read_arguments(&a, argc - 2, argv + 2);
    if (status != EXIT_OK)
        return status;
    if (a.help) {
        print_help(&a);
        return EXIT_OK;
    }
    json_t *request = json_pack("{s:s}", "verb", a.subcommand->verb);
    status = fill_request(request, &a);
    if (status == EXIT_OK && a.subcommand->complete)
        status = a.subcommand->complete(request);
    json_t *response =
        status == EXIT_OK && a.subcommand->instead ? a.subcommand->instead(request) : NULL;
    if (response) {
        status = check_response(&a, response);
        if (status == EXIT_OK)
            status = print_response(&a, response);
    } else if (status == EXIT_OK) {
        status = run(&a, request);
    }
    json_decref(response);
    json_decref(request);
    return status;
}
