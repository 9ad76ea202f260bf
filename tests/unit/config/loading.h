/* What the tests of the configuration share: a folder of their own to stand in, files in it, and a
 * load whose environment is a list in the test. */
#ifndef TESTS_CONFIG_LOADING_H
#define TESTS_CONFIG_LOADING_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

static char home[64];

static inline int enter_folder(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/config-test-XXXXXX");
    return mkdtemp(home) && chdir(home) == 0 && mkdir("none", 0700) == 0 ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static inline int leave_folder(void **state)
{
    (void)state;
    return chdir("/") == 0 ? nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* One load and all it says. */
struct loading {
    struct config_arguments arguments;
    char *environment[16]; /* the first place is the folder of secret files: an empty one */
    struct settings *settings;
    struct faults faults;
    enum err err;
    char *said; /* the faults as lines */
};

static inline void load_begin(struct loading *loading)
{
    *loading = (struct loading){.environment = {(char *)"SETTINGS_SECRETS_DIR=none"}};
}

static inline void load_run(struct loading *loading)
{
    struct buffer said = BUFFER_MAX(1 << 20);
    loading->arguments.environment = loading->environment;
    loading->err = config_load(&loading->arguments, &loading->settings, &loading->faults);
    faults_print(&loading->faults, &said);
    loading->said = strdup(buffer_text_of(&said));
    buffer_finish(&said);
}

/* A file with this text, and these variables (NULL-terminated). */
static inline void load_text(struct loading *loading, const char *toml,
                             const char *const *variables)
{
    load_begin(loading);
    write_file("a.toml", toml);
    loading->arguments.file = "a.toml";
    for (unsigned i = 0; variables && variables[i]; i++)
        loading->environment[i + 1] = (char *)variables[i];
    load_run(loading);
}

static inline void load_end(struct loading *loading)
{
    settings_unref(loading->settings);
    faults_finish(&loading->faults);
    free(loading->said);
}

static inline void expect_said(const struct loading *loading, const char *line)
{
    if (!strstr(loading->said, line))
        fail_msg("expected \"%s\" in:\n%s", line, loading->said);
}

static inline void expect_not_said(const char *said, const char *text)
{
    if (strstr(said, text))
        fail_msg("did not expect \"%s\" in:\n%s", text, said);
}

#define VARIABLES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define UPSTREAM "[[upstream]]\nurl = \"http://127.0.0.1:1\"\n"

#endif
