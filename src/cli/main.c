/* The table of commands. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "cli/audit.h"
#include "cli/check.h"
#include "cli/denylist.h"
#include "cli/hash_password.h"
#include "cli/key.h"
#include "cli/serve.h"
#include "cli/user.h"
#include "cli/version.h"
#include "identity/json_read.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    {"serve",         command_serve,         "run the gateway"                                  },
    {"check",         command_check,         "validate the configuration; show effective values"},
    {"key",           command_key,           "create, list, show and revoke API keys"           },
    {"user",          command_user,          "make and change accounts that sign in"            },
    {"audit",         command_audit,         "show and prove the audit log"                     },
    {"denylist",      command_denylist,      "ban addresses and keys; list and lift bans"       },
    {"hash-password", command_hash_password, "hash a password for a file"                       },
    {"version",       command_version,       "print version, build and linked libraries"        },
};

static void print_help(FILE *out)
{
    fputs("sallyport: the guarded door in front of LLM APIs\n\n"
          "usage: sallyport COMMAND [OPTIONS]\n\n",
          out);
    for (unsigned i = 0; i < COUNT_OF(commands); i++)
        fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].does);
    fputs("\nA first try:  sallyport serve --demo\n"
          "In front of Ollama:  sallyport serve --upstream ollama=http://127.0.0.1:11434\n"
          "Each command explains itself: sallyport COMMAND --help\n",
          out);
}

int main(int argc, char **argv)
{
    hash_seed();
    json_watch_memory();
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error code, not an end */
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version"))
        return command_version(argc - 1, argv + 1);
    for (unsigned i = 0; i < COUNT_OF(commands); i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "sallyport: there is no command \"%s\"; see sallyport --help\n", argv[1]);
    return 2;
}
