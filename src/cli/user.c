/* `sallyport user`, as two tables; verb_command.c does the rest. */
#include "cli/user.h"

#include <stdio.h>

#include "cli/ask_password.h"
#include "cli/print_value.h"
#include "cli/verb_command.h"

// clang-format off
static const struct print_column columns[] = {
    {"NAME",       "username",      "-"},
    {"ROLE",       "role",          "-"},
    {"DISABLED",   "disabled",      "-"},
    {"SESSIONS",   "sessions",      "-"},
    {"CREATED",    "created_at",    "-"},
    {"LAST LOGIN", "last_login_at", "never"},
};

static const struct print_column lines[] = {
    {"name",        "username",            "-"},
    {"role",        "role",                "-"},
    {"permissions", "permissions",         "none"},
    {"disabled",    "disabled",            "-"},
    {"sessions",    "sessions",            "-"},
    {"created",     "created_at",          "-"},
    {"password",    "password_changed_at", "-"},
    {"last login",  "last_login_at",       "never"},
};
// clang-format on

static void print_users(struct buffer *out, const json_t *users)
{
    print_table(out, users, columns, COUNT_OF(columns),
                "There are no users yet; `sallyport user add NAME` makes one.\n");
}

static void print_user(struct buffer *out, const json_t *user)
{
    print_lines(out, user, lines, COUNT_OF(lines));
}

static void print_deleted(struct buffer *out, const json_t *user)
{
    char name[CELL_BYTES];
    buffer_printf(out, "Deleted %s, and signed them out everywhere.\n",
                  print_cell(user, "username", "-", name));
}

/* A password is never taken from the command line, where others can read it. */
static int add_password(json_t *request)
{
    AUTO(secret) password = {0};
    if (ask_password("sallyport user", &password) != OK)
        return 1;
    struct slice plain = secret_reveal(&password);
    if (!memchr(plain.ptr, 0, plain.len) &&
        json_object_set_new(request, "password", json_stringn(plain.ptr, plain.len)) == 0)
        return 0;
    fputs("sallyport user: the password must be UTF-8 without control characters\n", stderr);
    return 2;
}

/* The API makes a user by its name; here, as everywhere on the command line, that is the word. */
static int name_new_user(json_t *request)
{
    json_object_set(request, "username", json_object_get(request, "id"));
    json_object_del(request, "id");
    return add_password(request);
}

static int disable(json_t *request)
{
    return json_object_set_new(request, "disabled", json_true());
}

static int enable(json_t *request)
{
    return json_object_set_new(request, "disabled", json_false());
}

// clang-format off
enum { ADD = 1 << 0, ROLE = 1 << 4 };

static const struct verb_subcommand subcommands[] = {
    {"add",     "user_create", true,  "add NAME [flags]",       "Makes a user; asks for the password, or reads a line of standard input.", "user",  print_user,    name_new_user},
    {"list",    "user_list",   false, "list [flags]",           "Lists all users, oldest first.",                                          "users", print_users,   NULL},
    {"show",    "user_show",   true,  "show NAME [flags]",      "Shows one user.",                                                         "user",  print_user,    NULL},
    {"passwd",  "user_update", true,  "passwd NAME [flags]",    "Sets a new password, and signs the user out everywhere.",                 "user",  print_user,    add_password},
    {"role",    "user_update", true,  "role NAME --role R",     "Gives a user another role, and signs them out everywhere.",               "user",  print_user,    NULL},
    {"disable", "user_update", true,  "disable NAME [flags]",   "Lets a user in no more, and signs them out everywhere.",                  "user",  print_user,    disable},
    {"enable",  "user_update", true,  "enable NAME [flags]",    "Lets a user in again.",                                                   "user",  print_user,    enable},
    {"delete",  "user_delete", true,  "delete NAME [flags]",    "Removes a user, and signs them out everywhere.",                          "user",  print_deleted, NULL},
};

static const struct verb_flag flags[] = {
    {"--role", "role", FLAG_TEXT, ADD,  "R", "admin, user, service or guest; default: user", NULL},
    {"--role", "role", FLAG_TEXT, ROLE, "R", "admin, user, service or guest", "which one?"},
};
// clang-format on

static const struct verb_command command = {
    .name = "user",
    .id_missing = "the user's name is missing (`sallyport user list` shows them)",
    .flags = flags,
    .flag_count = COUNT_OF(flags),
    .subcommands = subcommands,
    .subcommand_count = COUNT_OF(subcommands),
};

int command_user(int argc, char **argv)
{
    return verb_command_run(&command, argc, argv);
}
