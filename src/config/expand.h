/* ${ENV:NAME} and ${FILE:path} inside the texts of a configuration file. */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include "config/environment.h"
#include "config/file_text.h"

struct expansion {
    struct file_text text; /* the result; may hold secrets, and is wiped */
    char why[300];         /* on failure, for people */
};

/* Whether there is anything to expand. */
bool expand_wanted(struct slice text);
/* Replaces every reference; what comes in is not looked at again. Variables are looked up in the
 * environment, then in .env; relative paths are relative to `directory` (NULL: the working
 * directory). ERR_SYNTAX with `why`, ERR_MEMORY. */
enum err expand(struct expansion *expansion, struct slice text, const struct variables *environment,
                const struct variables *dotenv, const char *directory) MUST_CHECK;
void expansion_finish(struct expansion *expansion);

#endif
