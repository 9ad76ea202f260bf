/* `sallyport hash-password`: a password in, its stored form out. main.c calls it; needs neither
 * configuration nor store. Its one hard problem is what people try first, the password as an
 * argument: that is refused, and what was given is not repeated, for terminals and logs keep it. */
#include "cli/hash_password.h"

#include <stdio.h>
#include <string.h>

#include "cli/ask_password.h"
#include "identity/password.h"

enum { DONE = 0, FAILED = 1, WRONG_USAGE = 2 };

static const char help[] =
    "Usage: sallyport hash-password [--algorithm argon2id|bcrypt]\n"
    "\n"
    "Asks for a password twice, or reads one line from standard input when that is no terminal,\n"
    "and prints what to store of it. A password is never taken from the command line.\n"
    "\n"
    "  --algorithm A  argon2id (the default), or bcrypt, which other programs read too\n"
    "  --bcrypt       the same as --algorithm bcrypt\n"
    "  --help         prints this\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static const struct algorithm {
    const char *name;
    enum err (*hash)(struct slice plain, char stored[PASSWORD_STORED_SIZE]);
    const char *too_long;
} algorithms[] = {
    {"argon2id", password_hash_new,    "longer than 1024 bytes"                       },
    {"bcrypt",   password_hash_bcrypt, "longer than the 72 bytes that bcrypt looks at"},
};

struct wishes {
    const struct algorithm *algorithm;
    bool help;
};

static const struct algorithm *find_algorithm(const char *name)
{
    for (size_t i = 0; name && i < COUNT_OF(algorithms); i++)
        if (strcmp(name, algorithms[i].name) == 0)
            return &algorithms[i];
    return NULL;
}

static bool wishes_parse(struct wishes *wishes, int argc, char **argv)
{
    static const char option[] = "--algorithm";
    wishes->algorithm = &algorithms[0];
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            wishes->help = true;
        } else if (strcmp(word, "--bcrypt") == 0) {
            wishes->algorithm = find_algorithm("bcrypt");
        } else if (slice_starts(slice_of(word), SLICE("--algorithm"))) {
            const char *value = word + strlen(option);
            wishes->algorithm = find_algorithm(*value == '='                  ? value + 1
                                               : *value == 0 && at + 1 < argc ? argv[++at]
                                                                              : NULL);
        } else {
            return false;
        }
        if (!wishes->algorithm)
            return false;
    }
    return true;
}

static int print_why(const struct algorithm *algorithm, enum err err)
{
    const char *said = "it cannot be hashed: out of memory";
    if (err == ERR_LIMIT)
        said = algorithm->too_long;
    else if (err == ERR_RANGE)
        said = "shorter than 8 characters";
    else if (err == ERR_SYNTAX)
        said = "not UTF-8, or with control characters in it";
    fprintf(stderr, "sallyport hash-password: the password is refused: %s\n", said);
    return FAILED;
}

int command_hash_password(int argc, char **argv)
{
    struct wishes wishes = {0};
    AUTO(secret) password = {0};
    char stored[PASSWORD_STORED_SIZE];
    if (!wishes_parse(&wishes, argc, argv)) {
        fputs("sallyport hash-password: takes --algorithm argon2id or bcrypt, and no other "
              "argument; a password is never\ntaken from the command line, where others can read "
              "it, but from the terminal or standard input\n",
              stderr);
        return WRONG_USAGE;
    }
    if (wishes.help)
        return fputs(help, stdout) >= 0 && fflush(stdout) == 0 ? DONE : FAILED;
    if (ask_password("sallyport hash-password", &password) != OK)
        return FAILED;
    enum err err = wishes.algorithm->hash(secret_reveal(&password), stored);
    if (err != OK)
        return print_why(wishes.algorithm, err);
    if (puts(stored) >= 0 && fflush(stdout) == 0)
        return DONE;
    perror("sallyport hash-password: the answer cannot be written");
    return FAILED;
}
