/* The roles of accounts (founding document 000), each a bundle of permissions. */
#ifndef IDENTITY_ROLE_H
#define IDENTITY_ROLE_H

#include "base/slice.h"
#include "identity/permission.h"

enum role { ROLE_GUEST, ROLE_SERVICE, ROLE_USER, ROLE_ADMIN, ROLE_COUNT };

const char *role_name(enum role role);
permissions role_permissions(enum role role);
/* ERR_RANGE: there is no such role. */
enum err role_parse(struct slice name, enum role *role) MUST_CHECK;

#endif
