/* `sallyport key`, as two tables; verb_command.c does the rest. */
#include "cli/key.h"

#include "cli/key_print.h"
#include "cli/verb_command.h"

// clang-format off
enum { CREATE = 1 << 0, LIST = 1 << 1, SHOW = 1 << 2, REVOKE = 1 << 3 };

static const struct verb_subcommand subcommands[] = {
    {"create", "key_create", false, "create --name N [flags]", "Makes a key and shows it, once.",                            "key",  key_print_created, NULL},
    {"list",   "key_list",   false, "list [flags]",            "Lists all keys, revoked ones too, oldest first.",            "keys", key_print_table,   NULL},
    {"show",   "key_show",   true,  "show ID [flags]",         "Shows one key: all but its secret, which is not kept.",      "key",  key_print_one,     NULL},
    {"revoke", "key_revoke", true,  "revoke ID [flags]",       "Ends a key: when this returns, it opens nothing any more.",  "key",  key_print_revoked, NULL},
};

static const struct verb_flag flags[] = {
    {"--name",            "name",            FLAG_TEXT,  CREATE, "N",   "what the key is for; needed", "what is the key for?"},
    {"--owner",           "owner",           FLAG_TEXT,  CREATE, "O",   "who answers for it", NULL},
    {"--permissions",     "permissions",     FLAG_WORDS, CREATE, "A,B", "what it may do; default: read_models,run_inference,use_streaming", NULL},
    {"--scopes",          "scopes",          FLAG_WORDS, CREATE, "S,T", "the same in scopes: *, chat:read, chat:write, or any permission", NULL},
    {"--models",          "models",          FLAG_WORDS, CREATE, "M,N", "the models it may use; default: all", NULL},
    {"--expires-in-days", "expires_in_days", FLAG_DAYS,  CREATE, "D",   "when it ends; default: never", NULL},
};
// clang-format on

static const struct verb_command command = {
    .name = "key",
    .id_missing = "the key's ID is missing (`sallyport key list` shows them)",
    .flags = flags,
    .flag_count = COUNT_OF(flags),
    .subcommands = subcommands,
    .subcommand_count = COUNT_OF(subcommands),
};

int command_key(int argc, char **argv)
{
    return verb_command_run(&command, argc, argv);
}
