/* Inside of config_load: what its steps share. Nothing outside this folder includes this file. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "config/config.h"
#include "config/environment.h"
#include "config/option.h"
#include "config/value.h"

enum { UPSTREAMS_MAX = 64 };

/* Where each value came from: one array per struct that options live in, with a place for every row
 * of the option table; NULL: nothing said it. The texts are for people. */
struct origins {
    const char **settings;
    const char **upstreams[UPSTREAMS_MAX];
    const char **access[ACCESS_LOGS_MAX];
    const char **routes[LIMIT_ROUTES_MAX];
};

/* A struct that options are written to. */
struct object {
    void *base;
    const char **origins;
};

/* Where a value stands. The first three are shown when it is wrong. */
struct source {
    const char *file;
    unsigned line;
    const char *option;    /* as the person wrote it: "server.listen", "LOG_LEVEL", "--listen" */
    const char *origin;    /* for `check --effective` */
    const char *directory; /* that relative paths are relative to; NULL: the working directory */
    uint64_t unit;         /* of a bare number */
};

struct load {
    const struct config_arguments *arguments;
    struct settings *settings;
    struct faults *faults;
    struct object object; /* the settings themselves */
    bool broken;          /* the file could not be read at all; what it meant is not known */
    char *directory;      /* of the configuration file; NULL when that is the working directory */
    struct variables environment, dotenv, secrets;
};

/* load.c: a value into its field, or a fault. An item of a list is appended, the first one to an
 * empty list. OK also when the value was wrong (then `faults` says so); ERR_MEMORY. */
enum err load_value(struct load *load, struct object object, const struct option *option,
                    struct slice text, const struct source *source) MUST_CHECK;
enum err load_item(struct load *load, struct object object, const struct option *option,
                   struct slice text, bool first, const struct source *source) MUST_CHECK;
/* Fills what nothing has said. */
enum err load_defaults(struct load *load, struct object object, enum option_home home) MUST_CHECK;
/* A text for an origin, in the arena. */
enum err load_origin(struct load *load, const char **origin, const char *format, ...)
    PRINTF_LIKE(3, 4) MUST_CHECK;
/* A new upstream or the one at `index`; `base` stays NULL when there are too many. */
enum err load_upstream_at(struct load *load, unsigned index, struct object *object) MUST_CHECK;
enum err load_access_at(struct load *load, unsigned index, struct object *object) MUST_CHECK;
enum err load_route_at(struct load *load, unsigned index, struct object *object) MUST_CHECK;
/* Their defaults, once all has been read. */
enum err load_routes(struct load *load) MUST_CHECK;

/* load_file.c: settings->file says which; OK also when it is wrong. */
enum err load_file(struct load *load) MUST_CHECK;

/* load_environment.c */
enum err load_variables(struct load *load) MUST_CHECK; /* reads .env and the secret files */
enum err load_generated(struct load *load) MUST_CHECK; /* of a self-contained setup */
enum err load_environment(struct load *load) MUST_CHECK;
/* Applies the variables of one option, and of one layer after the other, to an object. */
enum err load_option_variables(struct load *load, struct object object,
                               const struct option *option) MUST_CHECK;

/* load_upstreams.c: those of the command line and of the environment; names and kinds. */
enum err load_upstreams(struct load *load) MUST_CHECK;

/* rules.c: what no single option can say. */
void rules_check(struct load *load);

#endif
