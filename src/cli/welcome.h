/* What a first try is told: a key, how to sign in, lines to paste. */
#ifndef CLI_WELCOME_H
#define CLI_WELCOME_H

#include "base/err.h"
#include "config/settings.h"

struct desk;

/* Makes an API key like any other (list it, revoke it), and prints it with lines that use it, on
 * standard output. `address` is where the gateway listens; `made_admin`: the account admin is new,
 * and its password is shown, too. ERR_STORE, ERR_MEMORY. */
enum err welcome(const struct settings *settings, const struct desk *desk, const char *address,
                 bool made_admin) MUST_CHECK;

#endif
