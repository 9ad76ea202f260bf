/* The files that credentials are kept in besides the store, as they were read last: one pair, so
 * that who looks at it sees both as of one moment. */
#ifndef IDENTITY_CREDENTIAL_FILES_H
#define IDENTITY_CREDENTIAL_FILES_H

#include <stdatomic.h>

#include "identity/htpasswd.h"
#include "identity/keys_file.h"

/* Immutable and counted. */
struct credential_files {
    atomic_uint references;
    struct htpasswd *names; /* NULL: no htpasswd file is named */
    struct keys_file *keys; /* NULL: no file of keys is */
};

/* Takes a reference of each of the two. One reference, the caller's; NULL: no memory. */
struct credential_files *credential_files_create(struct htpasswd *names, struct keys_file *keys);
void credential_files_ref(struct credential_files *files);
void credential_files_unref(struct credential_files *files); /* NULL is fine */

#endif
