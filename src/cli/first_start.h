/* What a first start makes: somebody who may administer. */
#ifndef CLI_FIRST_START_H
#define CLI_FIRST_START_H

#include "base/fault.h"
#include "config/settings.h"

struct desk;

/* Makes the secrets of a self-contained setup, mode 0600, as far as nothing else says them.
 * `*made`: the settings are to be loaded anew. ERR_IO with a sentence in `faults`; ERR_MEMORY. */
enum err make_first_secrets(const struct settings *settings, bool *made,
                            struct faults *faults) MUST_CHECK;

/* No credential opens this gateway, and none could be made (CONTRACT 10): says so. */
enum err check_credentials(const struct settings *settings, size_t keys,
                           struct faults *faults) MUST_CHECK;

/* The account `admin`, from security.admin_password, when nobody in the store may administer;
 * `*made` says whether it was. An error leaves a sentence in `faults`: ERR_STORE, ERR_IO (the audit
 * log), ERR_CONFIG, ERR_MEMORY.
 */
enum err make_first_admin(const struct settings *settings, const struct desk *desk, bool *made,
                          struct faults *faults) MUST_CHECK;

#endif
