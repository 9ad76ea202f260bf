/* `sallyport audit`: reads flags and the configuration, finds the files, and has them shown or
 * proved. Changes nothing, and needs no running gateway. */
#include "cli/audit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/audit_show.h"
#include "config/config.h"
#include "record/audit_files.h"
#include "record/audit_proof.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_WRONG_CONFIG = 78 };

enum { SHOW_DEFAULT = 50 };

struct arguments {
    bool verify, help, json, part;
    const char *config, *since, *event, *actor, *ip, *limit;
    char **files; /* of argv */
    unsigned file_count;
};

enum { SHOW = 1 << 0, VERIFY = 1 << 1, BOTH = 3 };

#define VALUE(member) offsetof(struct arguments, member), true
#define SWITCH(member) offsetof(struct arguments, member), false

// clang-format off
static const struct {
    const char *name;
    size_t place;
    bool takes_value;
    unsigned verbs;
    const char *value, *help;
} flags[] = {
    {"--since",  VALUE(since),  SHOW,   "T",  "from this time on, such as 2025-11-03T10:30:00Z"},
    {"--event",  VALUE(event),  SHOW,   "E",  "only this event, such as login_failed"},
    {"--actor",  VALUE(actor),  SHOW,   "A",  "only this user or key"},
    {"--ip",     VALUE(ip),     SHOW,   "IP", "only this address"},
    {"--limit",  VALUE(limit),  SHOW,   "N",  "the last N records; default: 50"},
    {"--part",   SWITCH(part),  VERIFY, "",   "the files are a part of the log: ask for nothing before or behind"},
    {"--json",   SWITCH(json),  BOTH,   "",   "one JSON document on standard output"},
    {"--config", VALUE(config), BOTH,   "F",  "the configuration file"},
    {"--help",   SWITCH(help),  BOTH,   "",   "this text"},
};
// clang-format on

static int usage_error(const char *format, ...) PRINTF_LIKE(1, 2);

static int usage_error(const char *format, ...)
{
    va_list args;
    fputs("sallyport audit: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; see `sallyport audit --help`\n", stderr);
    return EXIT_USAGE;
}

static void print_help(void)
{
    fputs(
        "Usage: sallyport audit show [flags] [FILE...]\n"
        "       sallyport audit verify [flags] [FILE...]\n\n"
        "show prints the last records. verify proves that none was changed, removed, moved or put\n"
        "in, and that the log goes as far as its signed checkpoint; it exits with 1 otherwise.\n"
        "Without FILE: log.audit and the rotated files beside it. Several: oldest first.\n\n",
        stdout);
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        printf("  %-9s %-3s %s%s\n", flags[i].name, flags[i].value, flags[i].help,
               flags[i].verbs == SHOW     ? " (show)"
               : flags[i].verbs == VERIFY ? " (verify)"
                                          : "");
}

/* Reads the flag at argv[*at], "--flag value" or "--flag=value". */
static int read_flag(struct arguments *a, int argc, char **argv, int *at)
{
    const char *text = argv[*at], *equals = strchr(text, '=');
    struct slice name = slice_make(text, equals ? (size_t)(equals - text) : strlen(text));
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (!slice_equal(name, slice_of(flags[i].name)) ||
            !(flags[i].verbs & (a->verify ? VERIFY : SHOW)))
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

/* Moves the FILEs to the front of argv. */
static int read_arguments(struct arguments *a, int argc, char **argv)
{
    a->files = argv;
    for (int at = 0; at < argc; at++) {
        if (argv[at][0] != '-') {
            argv[a->file_count++] = argv[at];
            continue;
        }
        int status = read_flag(a, argc, argv, &at);
        if (status != EXIT_OK)
            return status;
    }
    return EXIT_OK;
}

static int read_wish(const struct arguments *a, struct audit_wish *wish)
{
    enum audit_event event;
    struct address address;
    *wish = (struct audit_wish){
        .filter = {.event = slice_of(a->event), .actor = slice_of(a->actor), .ip = slice_of(a->ip)},
        .limit = SHOW_DEFAULT,
        .json = a->json
    };
    if (a->since && clock_parse_rfc3339(slice_of(a->since), &wish->filter.since_epoch_s) != OK)
        return usage_error("--since must be a time such as 2025-11-03T10:30:00Z, not %s", a->since);
    if (a->event && audit_event_find(slice_of(a->event), &event) != OK)
        return usage_error("there is no event %s", a->event);
    if (a->ip && strcmp(a->ip, "unix") != 0 && address_parse(slice_of(a->ip), &address) != OK)
        return usage_error("--ip must be an address, not %s", a->ip);
    if (a->limit &&
        (!slice_number(slice_of(a->limit), AUDIT_SHOW_LIMIT_MAX, &wish->limit) || wish->limit == 0))
        return usage_error("--limit must be 1 to %d, not %s", AUDIT_SHOW_LIMIT_MAX, a->limit);
    return EXIT_OK;
}

static void print_verdict(const struct arguments *a, const struct audit_proof *proof,
                          const struct audit_files *files)
{
    const struct audit_verdict *verdict = &proof->verdict;
    AUTO(buffer) out = BUFFER_MAX(16384);
    if (a->json) {
        buffer_printf(&out, "{\"ok\":%s,\"records\":%llu", verdict->fault ? "false" : "true",
                      (unsigned long long)verdict->records);
        if (verdict->fault) {
            buffer_text(&out, ",\"file\":");
            buffer_json_string(&out, slice_of(files->paths[verdict->file]));
            buffer_printf(&out, ",\"line\":%llu,\"seq\":%llu,\"fault\":\"%s\"",
                          (unsigned long long)verdict->line, (unsigned long long)verdict->seq,
                          audit_fault_sentence(verdict->fault));
        }
        buffer_text(&out, "}\n");
    } else if (verdict->fault) {
        buffer_printf(&out, "%s:%llu: record %llu %s; %llu records before it are good\n",
                      files->paths[verdict->file], (unsigned long long)verdict->line,
                      (unsigned long long)verdict->seq, audit_fault_sentence(verdict->fault),
                      (unsigned long long)verdict->records);
    } else {
        buffer_printf(&out,
                      "the audit log is whole: %llu records in %u %s, the last is number %llu\n",
                      (unsigned long long)verdict->records, files->count,
                      files->count == 1 ? "file" : "files", (unsigned long long)proof->last_seq);
    }
    fputs(buffer_text_of(&out), verdict->fault && !a->json ? stderr : stdout);
}

static int verify(const struct arguments *a, const struct settings *settings,
                  const struct audit_files *files, struct faults *faults)
{
    struct audit_proof proof = {.part = a->part};
    if (audit_prove(&proof, settings->store.directory, files, faults) != OK)
        return EXIT_FAILED;
    print_verdict(a, &proof, files);
    return proof.verdict.fault ? EXIT_FAILED : EXIT_OK;
}

/* Those that were named, or log.audit and what is beside it. */
static enum err find_files(const struct arguments *a, const struct settings *settings,
                           struct audit_files *files, struct faults *faults)
{
    enum err err = OK;
    if (a->file_count > AUDIT_FILES_MAX)
        err = ERR_LIMIT;
    else if (a->file_count == 0 && settings->log.audit)
        err = audit_files_find(files, settings->log.audit);
    else if (a->file_count == 0)
        err = ERR_NOT_FOUND;
    else if (!(files->paths = calloc(a->file_count, sizeof *files->paths)))
        err = ERR_MEMORY;
    for (unsigned i = 0; err == OK && i < a->file_count; i++) {
        files->paths[i] = strdup(a->files[i]);
        files->count += files->paths[i] != NULL;
        err = files->paths[i] ? OK : ERR_MEMORY;
    }
    if (err != OK)
        faults_add(faults, settings->log.audit, 0, NULL, "the audit log cannot be found: %s",
                   err == ERR_IO ? strerror(errno) : err_name(err));
    return err;
}

static int run(const struct arguments *a, const struct audit_wish *wish)
{
    struct config_arguments from = {.file = a->config, .environment = environ};
    struct settings *settings = NULL;
    AUTO(faults) faults = {0};
    AUTO(audit_files) files = {0};
    AUTO(buffer) said = BUFFER_MAX(1024 * 1024);
    int status = EXIT_FAILED;
    enum err err = config_load(&from, &settings, &faults);
    if (err == OK) {
        /* Warnings about the gateway's settings are the gateway's to show. */
        faults_finish(&faults);
        err = find_files(a, settings, &files, &faults);
        if (err == OK && a->verify)
            status = verify(a, settings, &files, &faults);
        else if (err == OK)
            status = audit_show(wish, files.paths, files.count, stdout);
    } else if (err == ERR_CONFIG) {
        status = EXIT_WRONG_CONFIG;
    }
    faults_print(&faults, &said);
    fputs(buffer_text_of(&said), stderr);
    if (err == ERR_MEMORY)
        fputs("sallyport audit: out of memory\n", stderr);
    settings_unref(settings);
    return status;
}

int command_audit(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    struct audit_wish wish;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help();
        return EXIT_OK;
    }
    if (strcmp(word, "show") != 0 && strcmp(word, "verify") != 0)
        return word[0] ? usage_error("there is no `audit %s`", word)
                       : usage_error("say which: show or verify");
    struct arguments a = {.verify = strcmp(word, "verify") == 0};
    int status = read_arguments(&a, argc - 2, argv + 2);
    if (status == EXIT_OK && a.help) {
        print_help();
        return EXIT_OK;
    }
    if (status == EXIT_OK)
        status = read_wish(&a, &wish);
    return status == EXIT_OK ? run(&a, &wish) : status;
}
