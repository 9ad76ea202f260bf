/* `sallyport denylist`, as two tables; verb_command.c does the rest. */
#include "cli/denylist.h"

#include "cli/print_value.h"
#include "cli/verb_command.h"

// clang-format off
static const struct print_column columns[] = {
    {"ENTRY",   "entry",      "-"},
    {"KIND",    "kind",       "-"},
    {"BANNED",  "banned_at",  "-"},
    {"EXPIRES", "expires_at", "when removed"},
    {"REASON",  "reason",     "-"},
};
// clang-format on

static void print_entries(struct buffer *out, const json_t *entries)
{
    print_table(out, entries, columns, COUNT_OF(columns), "Nobody is banned.\n");
}

static void print_added(struct buffer *out, const json_t *entry)
{
    char text[CELL_BYTES], end[CELL_BYTES];
    buffer_printf(out, "Banned %s until %s.\n", print_cell(entry, "entry", "-", text),
                  print_cell(entry, "expires_at", "it is removed", end));
}

static void print_removed(struct buffer *out, const json_t *entry)
{
    char text[CELL_BYTES];
    buffer_printf(out, "%s is not banned any more.\n", print_cell(entry, "entry", "-", text));
}

/* The API has no ids here; on the command line the word is the entry. */
static int name_entry(json_t *request)
{
    json_object_set(request, "entry", json_object_get(request, "id"));
    return json_object_del(request, "id");
}

// clang-format off
enum { ADD = 1 << 1 };

static const struct verb_subcommand subcommands[] = {
    {"list",   "denylist_list",   false, "list [flags]",         "Lists who is banned, in the order of the file.",               "entries", print_entries, NULL},
    {"add",    "denylist_add",    true,  "add ENTRY [flags]",    "Bans an address, a range, or a key (key:ID), at once.", "entry",   print_added,   name_entry},
    {"remove", "denylist_remove", true,  "remove ENTRY [flags]", "Lifts a ban, at once.",                                        "entry",   print_removed, name_entry},
};

static const struct verb_flag flags[] = {
    {"--reason",  "reason",  FLAG_TEXT,   ADD, "R", "why, for the file and the audit log; default: by hand", NULL},
    {"--seconds", "seconds", FLAG_NUMBER, ADD, "S", "for how long; default: until it is removed", NULL},
};
// clang-format on

static const struct verb_command command = {
    .name = "denylist",
    .id_missing = "say whom: an address, a range, or key:ID",
    .flags = flags,
    .flag_count = COUNT_OF(flags),
    .subcommands = subcommands,
    .subcommand_count = COUNT_OF(subcommands),
};

int command_denylist(int argc, char **argv)
{
    return verb_command_run(&command, argc, argv);
}
