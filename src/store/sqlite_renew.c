/* What is done when the disk fails under an open database. Called by sqlite.c, in the store's turn.
 *
 * Its one hard problem is that a failed fsync says nothing about the next one: the kernel may have
 * marked the pages clean that it could not write, and say "done" for them from then on. So nothing
 * goes on as if it had not happened: the connection is dropped, its page cache and descriptors with
 * it, and a new one is made, which has to pass all checks of the start before the next change.
 * SQLite itself never builds on what an fsync did not vouch for: a commit whose fsync failed is
 * behind the end of the write-ahead log as all connections see it, and is overwritten; a checkpoint
 * that failed is repeated, from the first page on.
 *
 * But to a process that comes after a crash that end is where the last whole commit is: it would
 * bring back the change that was refused. So the log is emptied as soon as the disk lets us. */
#include "base/log.h"
#include "store/sqlite.h"

enum { CHECKPOINT_FRAMES = 1000 }; /* SQLite's own default */

/* Does this result say that the disk, or what is on it, is not in order? */
static bool is_trouble(int result)
{
    switch (result & 0xff) {
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return true;
    }
    return false;
}

void store_note(struct store *store, int result)
{
    if (is_trouble(result))
        store->trouble = result;
}

/* SQLite's own hook does the same, but keeps quiet about a checkpoint that failed. */
static int on_commit(void *context, sqlite3 *db, const char *name, int frames)
{
    if (frames >= CHECKPOINT_FRAMES)
        store_note(context,
                   sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
    return SQLITE_OK;
}

void store_watch_checkpoints(struct store *store)
{
    sqlite3_wal_hook(store->database.db, on_commit, store);
}

/* In this order: as long as one connection is open, the next one goes by its index of the log and
 * does not read it as after a crash. Reading goes on over the old one when there is no new one. */
static enum err replace(struct store *store, struct faults *faults)
{
    struct database fresh = {0}, old = store->database;
    enum err err = database_open(store->path, &fresh, &store->file, faults);
    if (err != OK) {
        database_close(&fresh);
        return err;
    }
    store->database = fresh;
    database_close(&old);
    store_watch_checkpoints(store);
    return OK;
}

/* SQLITE_BUSY is somebody reading: the next commit overwrites what would have been taken away. And
 * a write that finds no room does not get as far as a commit. */
static enum err empty_log(struct store *store, struct faults *faults)
{
    int result =
        sqlite3_wal_checkpoint_v2(store->database.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    bool no_room = store->trouble == SQLITE_FULL && result == SQLITE_FULL;
    if (!is_trouble(result) || no_room)
        return OK;
    faults_add(faults, store->path, 0, NULL, "its log cannot be emptied: %s",
               sqlite3_errstr(result));
    return ERR_STORE;
}

static const char *first_error(const struct faults *faults)
{
    for (unsigned i = 0; i < faults->count; i++)
        if (!faults->list[i].warning)
            return faults->list[i].sentence ? faults->list[i].sentence : "no memory";
    return "no memory";
}

enum err store_mend(struct store *store)
{
    bool stuck = !sqlite3_get_autocommit(store->database.db); /* its ROLLBACK failed too */
    if (!store->trouble && !stuck)
        return OK;
    if (!store->trouble)
        store->trouble = SQLITE_ABORT;
    AUTO(faults) faults = {0};
    enum err err = replace(store, &faults);
    if (err == OK)
        err = empty_log(store, &faults);
    if (err == OK) {
        log_warning("store %s: %s; it was opened anew", store->path,
                    sqlite3_errstr(store->trouble));
        store->trouble = 0;
    } else {
        log_error("store %s: %s; changes are refused until it can be opened anew: %s", store->path,
                  sqlite3_errstr(store->trouble), first_error(&faults));
    }
    return err == OK ? OK : ERR_STORE;
}
