/* Variables: the process's environment, a .env file, and a folder of secret files, which are three
 * ways to say NAME=VALUE. config_load asks them one behind the other. */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "base/fault.h"
#include "base/slice.h"

enum { VARIABLES_MAX = 1000, DOTENV_BYTES_MAX = 256 * 1024, SECRET_BYTES_MAX = 64 * 1024 };

enum variables_kind { VARIABLES_ENVIRONMENT, VARIABLES_DOTENV, VARIABLES_SECRETS };

struct variable {
    char *memory; /* file, name and value, one behind the other; owned, wiped */
    size_t memory_size;
    const char *file; /* where it stands: the .env file or the secret file */
    unsigned line;
    struct slice name, value;
};

struct variables {
    enum variables_kind kind;
    char **environment;    /* of VARIABLES_ENVIRONMENT: borrowed, NULL-terminated; or NULL */
    struct variable *list; /* of the others */
    unsigned count;
};

/* Reads NAME=VALUE lines: `export`, quotes ('as it is', "with \n \t \" \\ \$"), comments. A file
 * that is not there is empty. What is wrong goes to `faults`. ERR_MEMORY. */
enum err variables_read_dotenv(struct variables *variables, const char *path,
                               struct faults *faults) MUST_CHECK;
/* Reads the files of a folder that `wanted` wants by their names; one trailing newline is dropped.
 * ERR_NOT_FOUND: no such folder. ERR_MEMORY. */
enum err variables_read_secrets(struct variables *variables, const char *directory,
                                bool (*wanted)(struct slice name),
                                struct faults *faults) MUST_CHECK;
void variables_finish(struct variables *variables);

/* What `name` is set to; empty counts as unset. Names of secret files compare without case. What it
 * points at lives as long as the variables. */
bool variables_find(const struct variables *variables, const char *name, struct variable *found);

/* Without ` # comment` at the end. */
struct slice comment_cut(struct slice value);

#endif
