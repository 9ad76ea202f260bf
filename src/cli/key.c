/* `sallyport key`, as two tables; verb_command.c does the rest. */
#include "cli/key.h"

#include "cli/key_ask.h"
#include "cli/key_import.h"
#include "cli/key_print.h"
#include "cli/key_yaml.h"
#include "cli/verb_command.h"

// clang-format off
enum {
    CREATE = 1 << 0, UPDATE = 1 << 3, ROTATE = 1 << 5, PRUNE = 1 << 6, /* places in the table below */
};

#define IMPORT_MORE \
    "FILE has the form of security.api_keys_file. There are only hashes in it, and they are kept: the keys go on\n" \
    "opening what they opened. It is all of the file or nothing: when an entry is wrong, each such entry is named\n" \
    "with its line, and no key is imported. An entry that has expired, or whose key is or was in the store, is passed\n" \
    "over, so a file can be imported again. Take the entries out of a file that the gateway reads itself: there a\n" \
    "key opens whatever becomes of it in the store."

static const struct verb_subcommand subcommands[] = {
    {"create", "key_create", false, "create --name N [flags]", "Makes a key and shows it, once. On a terminal, without flags: asks.", "key", key_print_created, .ask = key_ask, .instead = key_yaml},
    {"list",   "key_list",   false, "list [flags]",      "Lists all keys, revoked ones too, oldest first.",                  "keys",   key_print_table,   NULL},
    {"show",   "key_show",   true,  "show ID [flags]",   "Shows one key: all but its secret, which is not kept.",            "key",    key_print_one,     NULL},
    {"update", "key_update", true,  "update ID [flags]", "Changes a key: counts from its next request on.",                  "key",    key_print_one,     NULL},
    {"revoke", "key_revoke", true,  "revoke ID [flags]", "Ends a key: when this returns, it opens nothing any more.",        "key",    key_print_revoked, NULL},
    {"rotate", "key_rotate", true,  "rotate ID [flags]", "Makes a key in the place of another, with the same rights.",       "key",    key_print_created, NULL},
    {"prune",  "key_prune",  false, "prune [flags]",     "Forgets keys that were revoked or expired long ago.",              "pruned", key_print_pruned,  NULL},
    {"import", "key_import", true,  "import FILE [flags]", "Takes the keys of a YAML file into the store, all or none.",            "imported", key_print_imported, key_import_read, .id_missing = "the FILE is missing", .more = IMPORT_MORE},
};

static const struct verb_flag flags[] = {
    {"--name",            "name",            FLAG_TEXT,   CREATE,          "N",   "what the key is for; needed", "what is the key for?"},
    {"--name",            "name",            FLAG_TEXT,   UPDATE,          "N",   "what the key is for", NULL},
    {"--owner",           "owner",           FLAG_TEXT,   CREATE | UPDATE, "O",   "who answers for it", NULL},
    {"--permissions",     "permissions",     FLAG_WORDS,  CREATE | UPDATE, "A,B", "what it may do; default: read_models,run_inference,use_streaming", NULL},
    {"--scopes",          "scopes",          FLAG_WORDS,  CREATE | UPDATE, "S,T", "the same in scopes: *, chat:read, chat:write, or any permission", NULL},
    {"--models",          "models",          FLAG_WORDS,  CREATE | UPDATE, "M,N", "the models it may use; default: all", NULL},
    {"--endpoints",       "endpoints",       FLAG_WORDS,  CREATE | UPDATE, "P,Q", "the paths it may use, as /v1/models or /v1/*; default: all", NULL},
    {"--ip-ranges",       "ip_ranges",       FLAG_WORDS,  CREATE | UPDATE, "R,S", "where it may be used from, as 192.0.2.7 or 10.0.0.0/8; default: anywhere", NULL},
    {"--rate",            "rate",            FLAG_TEXT,   CREATE | UPDATE, "R",   "its own rate, as 60/minute; default: limits.key", NULL},
    {"--burst",           "burst",           FLAG_NUMBER, CREATE | UPDATE, "B",   "how many of them at once; default: all", NULL},
    {"--expires-in-days", "expires_in_days", FLAG_DAYS,   CREATE | UPDATE, "D",   "when it ends; default: never", NULL},
    {"--unset",           NULL,              FLAG_UNSET,  UPDATE,          "F,G", "lifts these: models, endpoints, ip_ranges, rate, burst, expires_in_days", NULL},
    {"--disable",         "disabled",        FLAG_ON,     UPDATE,          NULL,  "it opens nothing until it is enabled", NULL},
    {"--enable",          "disabled",        FLAG_OFF,    UPDATE,          NULL,  "it opens what it did before", NULL},
    {"--expires-in-days", "expires_in_days", FLAG_DAYS,   ROTATE,          "D",   "when the new key ends; default: when the old one would have", NULL},
    {"--grace-seconds",   "grace_seconds",   FLAG_NUMBER, ROTATE,          "N",   "for how long the old key stays good, a week at most; default: 0", NULL},
    {"--older-than-days", "older_than_days", FLAG_NUMBER, PRUNE,           "D",   "how long ago they ended; default: 30", NULL},
    {"--yaml",            "yaml",            FLAG_ON,     CREATE,          NULL,  "stores nothing: prints an entry for the file of keys (api_keys_file)", NULL},
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
