/* `sallyport check`: reads the configuration as `serve` would and says what is wrong with it, or
 * what it comes to. Changes nothing. */
#include "cli/check.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "config/config.h"
#include "gateway/certificates.h"
#include "gateway/credential_watch.h"
#include "gateway/denylist_file.h"

enum { DONE = 0, FAILED = 1, WRONG_USAGE = 2, WRONG_CONFIGURATION = 78 };
enum { OUTPUT_BYTES_MAX = 16 * 1024 * 1024 };

static const char help[] =
    "Usage: sallyport check [--config FILE] [--effective] [--json] [--reference]\n"
    "\n"
    "Reads the configuration as `sallyport serve` would, and says what is wrong with it.\n"
    "\n"
    "  --config FILE  the file to read; else $SALLYPORT_CONFIG, ./sallyport.toml,\n"
    "                 /etc/sallyport/sallyport.toml\n"
    "  --effective    prints every option with its value, secrets masked, and where it came from\n"
    "  --json         prints one JSON object\n"
    "  --reference    prints the reference of all options (Markdown) and reads nothing\n"
    "  --help         prints this\n"
    "\n"
    "Exit status: 0 the configuration is fine, 1 failed, 2 wrong usage, 78 the configuration is "
    "wrong.\n";

struct wishes {
    const char *file;
    bool effective, json, reference, help;
};

static bool wishes_parse(struct wishes *wishes, int argc, char **argv)
{
    static const struct option longs[] = {
        {"config",    required_argument, NULL, 'c'},
        {"effective", no_argument,       NULL, 'e'},
        {"json",      no_argument,       NULL, 'j'},
        {"reference", no_argument,       NULL, 'r'},
        {"help",      no_argument,       NULL, 'h'},
        {NULL,        0,                 NULL, 0  },
    };
    optind = 0; /* main.c may have parsed options of its own before */
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'c':
            wishes->file = optarg;
            break;
        case 'e':
            wishes->effective = true;
            break;
        case 'j':
            wishes->json = true;
            break;
        case 'r':
            wishes->reference = true;
            break;
        case 'h':
            wishes->help = true;
            break;
        default:
            return false;
        }
    }
    if (optind < argc)
        fprintf(stderr, "sallyport check: \"%s\" is not an option\n", argv[optind]);
    return optind == argc;
}

/* Writes and releases. */
static int put(FILE *stream, struct buffer *out, int status)
{
    bool written = fputs(buffer_text_of(out), stream) >= 0 && !out->failed && fflush(stream) == 0;
    buffer_finish(out);
    return written || status != DONE ? status : FAILED;
}

static void print_fault_json(const struct fault *fault, struct buffer *out)
{
    buffer_printf(out, "{\"warning\":%s,\"file\":", fault->warning ? "true" : "false");
    if (fault->file)
        buffer_json_string(out, slice_of(fault->file));
    else
        buffer_text(out, "null");
    buffer_printf(out, ",\"line\":");
    if (fault->line)
        buffer_number(out, fault->line);
    else
        buffer_text(out, "null");
    buffer_text(out, ",\"option\":");
    if (fault->option)
        buffer_json_string(out, slice_of(fault->option));
    else
        buffer_text(out, "null");
    buffer_text(out, ",\"message\":");
    buffer_json_string(out, slice_of(fault->sentence));
    buffer_byte(out, '}');
}

static int print_verdict_json(const struct settings *settings, const struct faults *faults,
                              int status)
{
    struct buffer out = BUFFER_MAX(OUTPUT_BYTES_MAX);
    buffer_printf(&out, "{\"ok\":%s,\"file\":", status == DONE ? "true" : "false");
    if (settings && settings->file)
        buffer_json_string(&out, slice_of(settings->file));
    else
        buffer_text(&out, "null");
    buffer_text(&out, ",\"faults\":[");
    for (unsigned i = 0; i < faults->count; i++) {
        buffer_text(&out, i ? "," : "");
        print_fault_json(&faults->list[i], &out);
    }
    buffer_text(&out, "]}\n");
    return put(stdout, &out, status);
}

static int report(const struct wishes *wishes, const struct settings *settings,
                  const struct faults *faults, int status)
{
    struct buffer out = BUFFER_MAX(OUTPUT_BYTES_MAX), said = BUFFER_MAX(OUTPUT_BYTES_MAX);
    if (wishes->json && !(wishes->effective && status == DONE))
        return print_verdict_json(settings, faults, status);
    faults_print(faults, &said);
    put(stderr, &said, status);
    if (status != DONE)
        return status;
    if (wishes->effective)
        config_print_effective(settings, wishes->json, &out);
    else
        buffer_printf(&out, "configuration is fine: %s\n",
                      settings->file ? settings->file : "no file, defaults and environment");
    return put(stdout, &out, DONE);
}

int command_check(int argc, char **argv)
{
    struct wishes wishes = {0};
    struct buffer out = BUFFER_MAX(OUTPUT_BYTES_MAX);
    if (!wishes_parse(&wishes, argc, argv)) {
        fputs("Try `sallyport check --help`.\n", stderr);
        return WRONG_USAGE;
    }
    if (wishes.help) {
        buffer_text(&out, help);
        return put(stdout, &out, DONE);
    }
    if (wishes.reference) {
        config_print_reference(&out);
        return put(stdout, &out, DONE);
    }
    struct config_arguments arguments = {.file = wishes.file, .environment = environ};
    struct settings *settings = NULL;
    AUTO(faults) faults = {0};
    enum err err = config_load(&arguments, &settings, &faults);
    if (err != OK && err != ERR_CONFIG) {
        fprintf(stderr, "sallyport check: %s\n", err_name(err));
        return FAILED;
    }
    if (err == OK)
        certificates_check(settings, &faults);
    if (err == OK)
        credential_files_check(settings, &faults);
    if (err == OK)
        denylist_check(settings->abuse.denylist_file, &faults);
    if (faults.errors)
        err = ERR_CONFIG;
    int status = report(&wishes, settings, &faults, err == OK ? DONE : WRONG_CONFIGURATION);
    settings_unref(settings);
    return status;
}
