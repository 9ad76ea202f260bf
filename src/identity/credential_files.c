#include "identity/credential_files.h"

#include <stdlib.h>

struct credential_files *credential_files_create(struct htpasswd *names, struct keys_file *keys)
{
    struct credential_files *files = calloc(1, sizeof *files);
    if (!files)
        return NULL;
    atomic_init(&files->references, 1);
    files->names = names;
    files->keys = keys;
    if (names)
        htpasswd_ref(names);
    if (keys)
        keys_file_ref(keys);
    return files;
}

void credential_files_ref(struct credential_files *files)
{
    /* Relaxed: whoever adds a reference holds one, so nothing can be freed meanwhile. */
    atomic_fetch_add_explicit(&files->references, 1, memory_order_relaxed);
}

void credential_files_unref(struct credential_files *files)
{
    if (!files || atomic_fetch_sub_explicit(&files->references, 1, memory_order_acq_rel) != 1)
        return;
    htpasswd_unref(files->names);
    keys_file_unref(files->keys);
    free(files);
}
