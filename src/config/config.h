/* Reads the configuration from all its sources into one settings struct, or says all that is wrong.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "config/settings.h"

/* What the command line says; it wins over everything else. */
struct config_arguments {
    const char *file;    /* --config, or NULL */
    const char **listen; /* --listen ... */
    unsigned listen_count;
    const char **upstream; /* --upstream [KIND=]URL ... */
    unsigned upstream_count;
    const char *preset;
    bool demo;
    char **environment; /* `environ`; passed in so that tests own it */
};

/* OK: `*settings` carries one reference; `faults` may hold warnings. ERR_CONFIG: `faults` says why,
 * all problems at once. ERR_MEMORY. */
enum err config_load(const struct config_arguments *arguments, struct settings **settings,
                     struct faults *faults) MUST_CHECK;

/* Each effective value, where it came from, secrets masked: text for people, or one JSON object. */
void config_print_effective(const struct settings *settings, bool json, struct buffer *out);

/* The reference page (Markdown), drawn from the option table. */
void config_print_reference(struct buffer *out);

/* Which options differ between two settings but cannot change while running, as a list for a
 * warning
 * ("server.workers, store.url"); empty when none. */
void config_print_fixed_changes(const struct settings *running, const struct settings *wanted,
                                struct buffer *out);

#endif
