/* A command that has the writer run a verb (api/verb.h): its words and flags become a request, the
 * response is printed. `sallyport key` and `sallyport user` are two tables each. */
#ifndef CLI_VERB_COMMAND_H
#define CLI_VERB_COMMAND_H

#include <jansson.h>

#include "base/buffer.h"

enum { VERB_FLAGS_MAX = 24 };

/* FLAG_UNSET: names of members, separated by commas, each of which becomes null. FLAG_ON, FLAG_OFF:
 * true and false, by a flag without a value. */
enum verb_flag_kind {
    FLAG_TEXT,
    FLAG_WORDS,
    FLAG_DAYS,
    FLAG_NUMBER,
    FLAG_UNSET,
    FLAG_ON,
    FLAG_OFF
};

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
    /* On a terminal, when no flag says anything: asks for what the flags would have said. NULL:
     * that is wrong usage. Says itself what is wrong. */
    int (*ask)(json_t *request);
    const char *id_missing; /* instead of the command's; NULL: that */
    const char *more;       /* what else its own --help says; NULL: nothing */
    /* The response to what needs no writer. NULL, or what returns NULL: the writer is asked. */
    json_t *(*instead)(const json_t *request);
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
