/* The table of permissions and the scopes that bundle them. Called by whatever reads them from a
 * person (commands, later the API and the keys file) and by the checks that name them. */
#include "identity/permission.h"

/* In the order of the bits, which is the order they are printed in. */
// clang-format off
static const struct permission_row permissions_known[] = {
    {"read_models",     READ_MODELS,     "seeing which models there are"},
    {"write_models",    WRITE_MODELS,    "adding and changing models"},
    {"delete_models",   DELETE_MODELS,   "removing models"},
    {"run_inference",   RUN_INFERENCE,   "having a model answer"},
    {"manage_cache",    MANAGE_CACHE,    "reading and purging the response cache"},
    {"read_metrics",    READ_METRICS,    "metrics, usage and the state of the upstreams"},
    {"write_config",    WRITE_CONFIG,    "configuration and the deny-list"},
    {"manage_users",    MANAGE_USERS,    "accounts, and the keys of others"},
    {"view_audit_logs", VIEW_AUDIT_LOGS, "reading and proving the audit log"},
    {"use_streaming",   USE_STREAMING,   "answers that arrive piece by piece"},
    {"manage_queue",    MANAGE_QUEUE,    "the jobs of others"},
    {NULL,              PERMISSIONS_NONE, NULL},
};

enum { CHAT = READ_MODELS | RUN_INFERENCE | USE_STREAMING };

static const struct {
    const char *name;
    permissions permissions;
} scopes[] = {
    {"*",          PERMISSIONS_ALL},
    {"chat:read",  CHAT},
    {"chat:write", CHAT},
};
// clang-format on

const struct permission_row *permission_table(void)
{
    return permissions_known;
}

enum err permission_parse(struct slice name, permissions *set)
{
    for (const struct permission_row *row = permissions_known; row->name; row++)
        if (slice_equal(name, slice_of(row->name))) {
            *set |= row->permission;
            return OK;
        }
    return ERR_RANGE;
}

enum err scope_parse(struct slice name, permissions *set)
{
    for (size_t i = 0; i < COUNT_OF(scopes); i++)
        if (slice_equal(name, slice_of(scopes[i].name))) {
            *set |= scopes[i].permissions;
            return OK;
        }
    return permission_parse(name, set);
}

void permissions_print_json(struct buffer *out, permissions set)
{
    const char *separator = "";
    buffer_byte(out, '[');
    for (const struct permission_row *row = permissions_known; row->name; row++)
        if (set & row->permission) {
            buffer_printf(out, "%s\"%s\"", separator, row->name);
            separator = ",";
        }
    buffer_byte(out, ']');
}
