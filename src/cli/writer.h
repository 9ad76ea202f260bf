/* The way from a command to whoever is the writer: the running gateway, over its control socket,
 * or, when none runs, the command itself with the lock and the store in its own hands. */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

#include "config/settings.h"
#include "store/store.h"

struct json_t;
struct keyring;
struct accounts;
struct audit;
struct denylist;
struct keys_file;

struct writer {
    char *directory;
    struct writer_lock lock; /* ours, or fd -1: a gateway has it */
    struct store *store;     /* ours when the lock is */
    struct keyring *keyring;
    struct accounts *accounts;
    struct audit *audit;         /* NULL: there is none */
    struct denylist *denylist;   /* NULL: it cannot be read */
    struct keys_file *file_keys; /* NULL: no file of keys, or none that can be read */
};

/* Takes the lock and opens the store, or finds a gateway that answers. While another command holds
 * the lock it waits, at most five seconds. An error leaves a sentence in `faults` and nothing to
 * finish. */
enum err writer_open(struct writer *writer, const struct settings *settings,
                     struct faults *faults) MUST_CHECK;
/* Runs one request (api/verb.h). An error leaves a sentence in `faults`; a refusal is a
 * response. */
enum err writer_run(struct writer *writer, const struct json_t *request, struct json_t **response,
                    struct faults *faults) MUST_CHECK;
void writer_finish(struct writer *writer);

/* Opens the audit log, if there is to be one (else NULL), for whoever holds the writer lock. Errors
 * as of audit_open. */
enum err writer_open_audit(const struct settings *settings, struct audit **audit,
                           struct faults *faults) MUST_CHECK;

#endif
