/* An htpasswd file: a name and a stored password per line, as Apache and nginx read it. */
#ifndef IDENTITY_HTPASSWD_H
#define IDENTITY_HTPASSWD_H

#include "base/fault.h"
#include "base/slice.h"

enum {
    HTPASSWD_BYTES_MAX = 1024 * 1024,
    HTPASSWD_ENTRIES_MAX = 10000,
    HTPASSWD_NAME_BYTES_MAX = 64,
    HTPASSWD_FAULTS_MAX = 20, /* lines reported one by one; the rest is counted */
};

/* Immutable and counted: whoever holds a reference may read it from any thread. */
struct htpasswd;

/* Reads a file's text; copies what it keeps. `file` is its name for the faults, all of which are
 * warnings: a line that is no entry, or whose password would be refused anyway, is left out and
 * named by its number, never by its content (it may be a password), and every other line counts.
 * Of two lines with one name the first counts. One warning more says how many entries have a weak
 * scheme. One reference, the caller's. ERR_LIMIT: over HTPASSWD_BYTES_MAX; ERR_MEMORY. */
enum err htpasswd_parse(struct slice text, const char *file, struct faults *faults,
                        struct htpasswd **table) MUST_CHECK;
void htpasswd_ref(struct htpasswd *table);
/* Wipes and frees with the last reference; NULL does nothing. */
void htpasswd_unref(struct htpasswd *table);

size_t htpasswd_count(const struct htpasswd *table);
/* The stored password of `name`, as long as the caller holds a reference; `.ptr` is NULL when there
 * is no such name. */
struct slice htpasswd_find(const struct htpasswd *table, struct slice name);
/* What to spend on a name that is not there (password_verify_nobody's `like`): the stored password
 * of one entry, always the same one for the same name, so that unknown names cost what known ones
 * do, whichever schemes the file mixes. Empty when the table is. */
struct slice htpasswd_decoy(const struct htpasswd *table, struct slice name);
/* Is this the name's password? As slow as password_verify whether the name is there or not. OK, or
 * the errors of password_verify; ERR_DENIED for an unknown name. */
enum err htpasswd_verify(const struct htpasswd *table, struct slice name,
                         struct slice plain) MUST_CHECK;

#endif
