/* The configuration file: whatever its bytes, loading ends with settings or with at least one fault
 * that says where; settings print as well-formed JSON; and loading it again ends the same way. */
#include <jansson.h>
#include <stdio.h>

#include "config/config.h"
#include "folder.h"
#include "fuzz.h"

enum { TEXT_BYTES_MAX = 4 * 1024 * 1024 };

struct loading {
    struct settings *settings;
    struct faults faults;
    enum err err;
    struct buffer said; /* the faults, and the effective settings */
};

static void loading_finish(struct loading *loading)
{
    settings_unref(loading->settings);
    faults_finish(&loading->faults);
    buffer_finish(&loading->said);
}

static void check_effective(struct loading *loading)
{
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    json_error_t error;
    config_print_effective(loading->settings, false, &loading->said);
    config_print_effective(loading->settings, true, &text);
    must(text.failed == OK);
    json_t *tree =
        json_loadb(text.bytes, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    must_equal(slice_of(tree ? "" : error.text), SLICE(""));
    json_decref(tree);
}

static void load(struct loading *loading, const char *path)
{
    char secrets[300];
    char *environment[] = {secrets, "SALLYPORT_TEST_TEXT=0.0.0.0:80", NULL};
    snprintf(secrets, sizeof secrets, "SECRETS_DIR=%s", folder_empty());
    struct config_arguments arguments = {.file = path, .environment = environment};
    *loading = (struct loading){.said = BUFFER_MAX(TEXT_BYTES_MAX)};
    loading->err = config_load(&arguments, &loading->settings, &loading->faults);
    must(loading->err == OK || loading->err == ERR_CONFIG);
    must((loading->err == OK) == (loading->settings != NULL));
    must((loading->err == OK) == (loading->faults.errors == 0));
    must(loading->faults.count <= FAULTS_MAX);
    faults_print(&loading->faults, &loading->said);
    if (loading->settings)
        check_effective(loading);
    must(loading->said.failed == OK);
}

static void check_lines(const struct faults *faults, const char *path, struct slice input)
{
    unsigned lines = 1;
    for (size_t i = 0; i < input.len; i++)
        lines += input.ptr[i] == '\n';
    for (unsigned i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->list[i];
        must(fault->sentence && fault->sentence[0]);
        if (fault->file && strcmp(fault->file, path) == 0)
            must(fault->line <= lines);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    const char *path = folder_write("sallyport.toml", input);
    AUTO(loading) first;
    AUTO(loading) second;
    load(&first, path);
    check_lines(&first.faults, path, input);
    load(&second, path);
    must(first.err == second.err);
    must_equal(buffer_slice(&first.said), buffer_slice(&second.said));
    return 0;
}
