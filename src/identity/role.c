#include "identity/role.h"

enum {
    GUEST = READ_MODELS | RUN_INFERENCE,
    USER = GUEST | USE_STREAMING | READ_METRICS,
};

// clang-format off
static const struct {
    const char *name;
    permissions permissions;
} roles[ROLE_COUNT] = {
    [ROLE_GUEST]   = {"guest",   GUEST},
    [ROLE_SERVICE] = {"service", USER | MANAGE_CACHE},
    [ROLE_USER]    = {"user",    USER},
    [ROLE_ADMIN]   = {"admin",   PERMISSIONS_ALL},
};
// clang-format on

const char *role_name(enum role role)
{
    return roles[role].name;
}

permissions role_permissions(enum role role)
{
    return roles[role].permissions;
}

enum err role_parse(struct slice name, enum role *role)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        if (slice_equal(name, slice_of(roles[i].name))) {
            *role = (enum role)i;
            return OK;
        }
    }
    return ERR_RANGE;
}
