/* A command that has the writer run a verb (api/verb.h): its words and flags become a request, the
 * response is printed. `sallyport key` and `sallyport user` are two tables each. */
#ifndef CLI_VERB_COMMAND_H
#define CLI_VERB_COMMAND_H

#include <jansson.h>

#include "base/buffer.h"

enum { VERB_FLAGS_MAX = 16 };

enum verb_flag_kind { FLAG_TEXT, FLAG_WORDS, FLAG_DAYS };

/* `--name VALUE`, as a member of the request. */
struct verb_flag {
    const char *name, *member;
    enum verb_flag_kind kind;
    unsigned subcommands; /* bits: their places in the table */
    const char *value, *help;
    const char *missing; /* what to say when it is left out; NULL: it may be */
};

struct verb_subcommand {
    const char *name, *verb;
    bool takes_id;
    const char *usage, *help;
    const char *member; /* of the response, that is printed */
    void (*print)(struct buffer *out, const json_t *value);
    /* Adds what neither words nor flags say: a password. NULL: nothing is. Says itself what is
     * wrong. */
    int (*complete)(json_t *request);
};

struct verb_command {
    const char *name;       /* "key" */
    const char *id_missing; /* a sentence */
    const struct verb_flag *flags;
    unsigned flag_count;
    const struct verb_subcommand *subcommands;
    unsigned subcommand_count;
};

/* The exit status. argv[0] is the command's name. */
int verb_command_run(const struct verb_command *command, int argc, char **argv);

#endif
