/* Finding the writer. Called by the commands that read or change durable state. Its one hard
 * problem is that nobody may be taken for nobody: a holder of the lock that does not answer is an
 * error, since writing beside it would leave its live table with keys that are revoked on disk. */
#include "cli/writer.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/verb.h"
#include "base/clock.h"
#include "cli/control.h"
#include "gateway/credential_watch.h"
#include "gateway/denylist_file.h"
#include "identity/keys_file.h"

enum { PATIENCE_MS = 5000, PAUSE_MS = 50 };

static enum err explain(struct faults *faults, const char *directory, enum err err)
{
    static const struct {
        enum err err;
        const char *sentence;
    } sentences[] = {
        {ERR_NOT_FOUND,
         "another sallyport holds the lock on this folder but has no control socket; "
         "wait until it has started or ended, or stop it, and try again"               },
        {ERR_TIMEOUT,
         "the sallyport that holds the lock on this folder did not answer in the "
         "time it has; look with `sallyport key list` at what was done once it answers, or "
         "stop it and try again"                                                       },
        {ERR_CLOSED,
         "the running sallyport ended the conversation without an answer; look into its "
         "log, and with `sallyport key list` at what was done"                         },
        {ERR_DENIED,    "the control socket belongs to somebody else: run this as the user that runs "
                     "the gateway, or as root"                     },
        {ERR_LIMIT,     "the request is longer than the control socket takes"          },
        {ERR_SYNTAX,
         "the running sallyport gave an answer that is none; is it of another version?"},
    };
    const char *sentence = NULL;
    for (size_t i = 0; i < COUNT_OF(sentences); i++)
        if (sentences[i].err == err)
            sentence = sentences[i].sentence;
    faults_add(faults, directory, 0, NULL, "%s",
               sentence        ? sentence
               : err == ERR_IO ? strerror(errno)
                               : err_name(err));
    return err;
}

static enum err explain_lock(struct faults *faults, const char *directory)
{
    faults_add(faults, directory, 0, NULL, "the data folder cannot be used: %s",
               errno == EPERM ? "it belongs to somebody else, or others may write to it; it should "
                                "be the gateway user's own, mode 0700"
                              : strerror(errno));
    return ERR_IO;
}

static bool answers(const char *directory, enum err *err)
{
    json_t *response = NULL, *request = json_pack("{s:s}", "verb", "ping");
    *err = request ? control_call(directory, request, &response) : ERR_MEMORY;
    json_decref(request);
    json_decref(response);
    return *err == OK;
}

/* OK: the lock is ours, or (lock.fd is -1) a gateway answers. */
static enum err find_writer(struct writer *writer, struct faults *faults)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    uint64_t deadline_us = clock_now_us() + PATIENCE_MS * MS_US;
    for (;;) {
        enum err err = writer_lock_take(&writer->lock, writer->directory);
        if (err == OK)
            return OK;
        if (err != ERR_BUSY)
            return explain_lock(faults, writer->directory);
        if (answers(writer->directory, &err))
            return OK;
        /* Nobody at the socket: a gateway on its way up or down, or another command at work. */
        if (err != ERR_NOT_FOUND || clock_now_us() >= deadline_us)
            return explain(faults, writer->directory, err);
        nanosleep(&pause, NULL);
    }
}

enum err writer_open_audit(const struct settings *settings, struct audit **audit,
                           struct faults *faults)
{
    struct audit_options options = {.path = settings->log.audit,
                                    .directory = settings->store.directory};
    *audit = NULL;
    if (!settings->security.audit_logging_enabled)
        return OK;
    return audit_open(&options, clock_wall_us(), clock_now_us(), audit, faults);
}

/* That one of them cannot be read is for `sallyport check` to say. */
static void read_files(struct writer *writer, const struct settings *settings)
{
    AUTO(faults) faults = {0};
    if (credential_files_read_keys(settings, &writer->file_keys, &faults) != OK)
        writer->file_keys = NULL;
    if (denylist_open(settings->abuse.denylist_file, NULL, NULL, &writer->denylist, &faults) != OK)
        writer->denylist = NULL;
}

static struct keys_file *file_keys(void *context)
{
    const struct writer *writer = context;
    if (writer->file_keys)
        keys_file_ref(writer->file_keys);
    return writer->file_keys;
}

enum err writer_open(struct writer *writer, const struct settings *settings, struct faults *faults)
{
    *writer = (struct writer){.directory = strdup(settings->store.directory), .lock = {-1}};
    if (!writer->directory)
        return ERR_MEMORY;
    enum err err = find_writer(writer, faults);
    if (err == OK && writer->lock.fd >= 0) {
        err = store_open(settings->store.path, &writer->store, faults);
        if (err == OK)
            err = writer_open_audit(settings, &writer->audit, faults);
        /* Left empty: nobody asks with a key here, and the store keeps ids and secrets unique. */
        writer->keyring = keyring_create(NULL, NULL);
        writer->accounts = accounts_create(NULL, NULL);
        if (err == OK && !(writer->keyring && writer->accounts))
            err = ERR_MEMORY;
        if (err == OK)
            err = accounts_load(writer->accounts, writer->store, clock_credential_s());
        read_files(writer, settings);
    }
    if (err != OK)
        writer_finish(writer);
    return err;
}

enum err writer_run(struct writer *writer, const json_t *request, json_t **response,
                    struct faults *faults)
{
    if (writer->lock.fd < 0) {
        enum err err = control_call(writer->directory, request, response);
        return err == OK ? OK : explain(faults, writer->directory, err);
    }
    struct desk desk = {.store = writer->store,
                        .keyring = writer->keyring,
                        .accounts = writer->accounts,
                        .audit = writer->audit,
                        .denylist = writer->denylist,
                        .file_keys = file_keys,
                        .context = writer};
    *response = verb_run(&desk, &local_caller, request);
    return *response ? OK : ERR_MEMORY;
}

void writer_finish(struct writer *writer)
{
    audit_close(writer->audit, clock_wall_us(), clock_now_us());
    keyring_destroy(writer->keyring);
    accounts_destroy(writer->accounts);
    keys_file_unref(writer->file_keys);
    denylist_close(writer->denylist);
    store_close(writer->store);
    writer_lock_release(&writer->lock);
    free(writer->directory);
    *writer = (struct writer){.lock = {-1}};
}
