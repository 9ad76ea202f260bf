/* The eleven permissions (founding document 000), the scopes of 004, roles that bundle them. */
#ifndef IDENTITY_PERMISSION_H
#define IDENTITY_PERMISSION_H

#include "base/buffer.h"
#include "base/err.h"

enum permission {
    READ_MODELS = 1 << 0,
    WRITE_MODELS = 1 << 1,
    DELETE_MODELS = 1 << 2,
    RUN_INFERENCE = 1 << 3,
    MANAGE_CACHE = 1 << 4,
    READ_METRICS = 1 << 5,
    WRITE_CONFIG = 1 << 6,
    MANAGE_USERS = 1 << 7,
    VIEW_AUDIT_LOGS = 1 << 8,
    USE_STREAMING = 1 << 9,
    MANAGE_QUEUE = 1 << 10,
    PERMISSIONS_ALL = (1 << 11) - 1,
    PERMISSIONS_NONE = 0,
};
/* A set of them, or-ed. */
typedef uint32_t permissions;

struct permission_row {
    const char *name;
    enum permission permission;
    const char *guards; /* one line for documentation */
};
const struct permission_row *permission_table(void); /* ends with a NULL name */

/* Adds the permission (or the scope's permissions) that `name` stands for. ERR_RANGE. */
enum err permission_parse(struct slice name, permissions *set) MUST_CHECK;
enum err scope_parse(struct slice name, permissions *set) MUST_CHECK; /* "*", "chat:read", ... */
/* A JSON array of names, in table order. */
void permissions_print_json(struct buffer *out, permissions set);

#endif
