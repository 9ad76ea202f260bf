/* `sallyport key`: reads flags into one request, has the writer run it, prints the response. main.c
 * calls it. Its one hard problem is the plain key on its way to the terminal: it stands in memory
 * that is wiped, leaves by write(2) without a stream's buffer between, and goes nowhere else. */
#include "cli/key.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/key_print.h"
#include "cli/key_verbs.h"
#include "cli/writer.h"
#include "config/config.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_WRONG_CONFIG = 78 };

enum subcommand { CREATE = 1 << 0, LIST = 1 << 1, SHOW = 1 << 2, REVOKE = 1 << 3, ANY = 15 };

struct arguments {
    enum subcommand subcommand;
    bool help, json;
    const char *config, *name, *owner, *permissions, *scopes, *models, *days;
    const char *id;
};

#define VALUE(member) offsetof(struct arguments, member), true
#define SWITCH(member) offsetof(struct arguments, member), false

// clang-format off
static const struct {
    const char *name;
    size_t place;
    bool takes_value;
    unsigned subcommands;
    const char *value, *help;
} flags[] = {
    {"--name",            VALUE(name),        CREATE, "N",   "what the key is for; needed"},
    {"--owner",           VALUE(owner),       CREATE, "O",   "who answers for it"},
    {"--permissions",     VALUE(permissions), CREATE, "A,B", "what it may do; default: read_models,run_inference,use_streaming"},
    {"--scopes",          VALUE(scopes),      CREATE, "S,T", "the same in scopes: *, chat:read, chat:write, or any permission"},
    {"--models",          VALUE(models),      CREATE, "M,N", "the models it may use; default: all"},
    {"--expires-in-days", VALUE(days),        CREATE, "D",   "when it ends; default: never"},
    {"--json",            SWITCH(json),       ANY,    "",    "one JSON document on standard output"},
    {"--config",          VALUE(config),      ANY,    "F",   "the configuration file"},
    {"--help",            SWITCH(help),       ANY,    "",    "this text"},
};

static const struct {
    const char *name, *verb;
    enum subcommand subcommand;
    bool takes_id;
    const char *usage, *help;
} subcommands[] = {
    {"create", "key_create", CREATE, false, "create --name N [flags]", "Makes a key and shows it, once."},
    {"list",   "key_list",   LIST,   false, "list [flags]",            "Lists all keys, revoked ones too, oldest first."},
    {"show",   "key_show",   SHOW,   true,  "show ID [flags]",         "Shows one key: all but its secret, which is not kept."},
    {"revoke", "key_revoke", REVOKE, true,  "revoke ID [flags]",       "Ends a key: when this returns, it opens nothing any more."},
};
// clang-format on

static int usage_error(const char *format, ...) PRINTF_LIKE(1, 2);

static int usage_error(const char *format, ...)
{
    va_list args;
    fputs("sallyport key: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; see `sallyport key --help`\n", stderr);
    return EXIT_USAGE;
}

static void print_overview(FILE *out)
{
    fputs("Usage: sallyport key create|list|show|revoke [flags]\n\n", out);
    for (size_t i = 0; i < COUNT_OF(subcommands); i++)
        fprintf(out, "  %-24s %s\n", subcommands[i].usage, subcommands[i].help);
    fputs("\n`sallyport key create --help` and so on tell the flags of each.\n", out);
}

static void print_help(size_t at)
{
    printf("Usage: sallyport key %s\n\n%s\n\n", subcommands[at].usage, subcommands[at].help);
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (flags[i].subcommands & subcommands[at].subcommand)
            printf("  %-17s %-4s %s\n", flags[i].name, flags[i].value, flags[i].help);
}

/* Reads the flag at argv[*at], "--flag value" or "--flag=value". */
static int read_flag(struct arguments *a, int argc, char **argv, int *at)
{
    const char *text = argv[*at], *equals = strchr(text, '=');
    struct slice name = slice_make(text, equals ? (size_t)(equals - text) : strlen(text));
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (!slice_equal(name, slice_of(flags[i].name)) || !(flags[i].subcommands & a->subcommand))
            continue;
        void *place = (char *)a + flags[i].place;
        if (!flags[i].takes_value) {
            *(bool *)place = true;
            return equals ? usage_error("%s takes no value", flags[i].name) : EXIT_OK;
        }
        if (!equals && *at + 1 == argc)
            return usage_error("%s needs a value", flags[i].name);
        if (*(const char **)place)
            return usage_error("%s is given twice", flags[i].name);
        *(const char **)place = equals ? equals + 1 : argv[++*at];
        return EXIT_OK;
    }
    return usage_error("unknown flag %s", text);
}

static int read_arguments(struct arguments *a, bool takes_id, int argc, char **argv)
{
    for (int at = 0; at < argc; at++) {
        int status = EXIT_OK;
        if (argv[at][0] == '-' && argv[at][1])
            status = read_flag(a, argc, argv, &at);
        else if (!takes_id || a->id)
            status = usage_error("one word too many: %s", argv[at]);
        else
            a->id = argv[at];
        if (status != EXIT_OK)
            return status;
    }
    if (a->help)
        return EXIT_OK;
    if (a->subcommand == CREATE && !a->name)
        return usage_error("--name is missing: what is the key for?");
    if (takes_id && !a->id)
        return usage_error("the key's ID is missing (`sallyport key list` shows them)");
    return EXIT_OK;
}

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

static int add_words(json_t *request, const char *member, const char *flag, const char *text)
{
    if (!text)
        return EXIT_OK;
    json_t *words = words_value(text);
    if (!words)
        return usage_error("%s takes names separated by commas", flag);
    json_object_set_new(request, member, words);
    return EXIT_OK;
}

static int add_text(json_t *request, const char *member, const char *flag, const char *text)
{
    if (!text || json_object_set_new(request, member, json_string(text)) == 0)
        return EXIT_OK;
    return usage_error("%s must be UTF-8", flag);
}

static int fill_request(json_t *request, const struct arguments *a)
{
    uint64_t days = 0;
    if (a->permissions && a->scopes)
        return usage_error("--permissions and --scopes exclude each other");
    if (a->days && !slice_number(slice_of(a->days), 36500, &days))
        return usage_error("--expires-in-days must be 1 to 36500, not %s", a->days);
    if (a->days)
        json_object_set_new(request, "expires_in_days", json_integer((json_int_t)days));
    int status = add_text(request, "id", "the ID", a->id);
    if (status == EXIT_OK)
        status = add_text(request, "name", "--name", a->name);
    if (status == EXIT_OK)
        status = add_text(request, "owner", "--owner", a->owner);
    if (status == EXIT_OK)
        status = add_words(request, "permissions", "--permissions", a->permissions);
    if (status == EXIT_OK)
        status = add_words(request, "scopes", "--scopes", a->scopes);
    return status == EXIT_OK ? add_words(request, "models", "--models", a->models) : status;
}

static void print_faults(const struct faults *faults)
{
    AUTO(buffer) text = BUFFER_MAX(256 * 1024);
    faults_print(faults, &text);
    fputs(buffer_text_of(&text), stderr);
}

/* EXIT_OK: the response says ok. */
static int check_response(const json_t *response)
{
    if (json_is_true(json_object_get(response, "ok")))
        return EXIT_OK;
    const char *code = json_string_value(json_object_get(response, "error"));
    const char *message = json_string_value(json_object_get(response, "message"));
    fprintf(stderr, "sallyport key: %s\n", message ? message : "an answer without a reason");
    return code && strcmp(code, "usage") == 0 ? EXIT_USAGE : EXIT_FAILED;
}

/* Reads page after page into one array. */
static enum err read_all(struct writer *writer, json_t *request, json_t **response,
                         struct faults *faults)
{
    json_t *all = json_array();
    for (;;) {
        json_t *page = NULL;
        enum err err = writer_run(writer, request, &page, faults);
        json_t *next = json_object_get(page, "next"), *keys = json_object_get(page, "keys");
        if (err != OK || !keys || json_array_extend(all, keys) != 0) {
            json_decref(all);
            *response = page;
            return err;
        }
        if (!json_is_integer(next)) {
            json_object_set_new(page, "keys", all);
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
    enum err err = a->subcommand == LIST ? read_all(&writer, request, response, faults)
                                         : writer_run(&writer, request, response, faults);
    writer_finish(&writer);
    return err;
}

static int write_out(const struct buffer *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(STDOUT_FILENO, text->bytes + at, text->len - at);
        if (n < 0 && errno != EINTR) {
            fprintf(stderr, "sallyport key: the answer cannot be written: %s\n", strerror(errno));
            return EXIT_FAILED;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return EXIT_OK;
}

static int print_response(const struct arguments *a, const json_t *response)
{
    struct buffer text;
    const json_t *key = json_object_get(response, "key"), *keys = json_object_get(response, "keys");
    buffer_init(&text, SIZE_MAX / 4);
    /* Room for all of one key at once: a buffer that grows leaves copies behind. */
    if (!buffer_reserve(&text, VERB_LINE_MAX))
        return EXIT_FAILED;
    if (a->json)
        key_print_json(&text, keys ? keys : key);
    else if (a->subcommand == LIST)
        key_print_table(&text, keys);
    else if (a->subcommand == CREATE)
        key_print_created(&text, key);
    else if (a->subcommand == REVOKE)
        key_print_revoked(&text, key);
    else
        key_print_one(&text, key);
    int status = text.failed ? EXIT_FAILED : write_out(&text);
    if (text.failed)
        fputs("sallyport key: out of memory\n", stderr);
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
        status = err == OK ? check_response(response) : EXIT_FAILED;
        if (err == OK && status == EXIT_OK)
            status = print_response(a, response);
    } else if (err == ERR_CONFIG) {
        status = EXIT_WRONG_CONFIG;
    }
    print_faults(&faults);
    if (err == ERR_MEMORY)
        fputs("sallyport key: out of memory\n", stderr);
    faults_finish(&faults);
    settings_unref(settings);
    json_decref(response);
    return status;
}

int command_key(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_overview(stdout);
        return EXIT_OK;
    }
    size_t at = 0;
    while (at < COUNT_OF(subcommands) && strcmp(word, subcommands[at].name) != 0)
        at++;
    if (at == COUNT_OF(subcommands))
        return word[0] ? usage_error("there is no `key %s`", word)
                       : usage_error("say which: create, list, show or revoke");
    struct arguments a = {.subcommand = subcommands[at].subcommand};
    int status = read_arguments(&a, subcommands[at].takes_id, argc - 2, argv + 2);
    if (status != EXIT_OK)
        return status;
    if (a.help) {
        print_help(at);
        return EXIT_OK;
    }
    json_wipe_on_free();
    json_t *request = json_pack("{s:s}", "verb", subcommands[at].verb);
    status = fill_request(request, &a);
    if (status == EXIT_OK)
        status = run(&a, request);
    json_decref(request);
    return status;
}
