/* What sqlite.c, sqlite_open.c and sqlite_renew.c share; nobody else includes it. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "store/store.h"

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ADD_KEY,
    REVOKE_KEY,
    TOUCH_KEY,
    LIST_KEYS,
    FIND_KEY,
    STATEMENT_COUNT
};

/* A connection and its statements. */
struct database {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

struct store {
    char *path;
    struct stat file; /* which file stood there when the store was opened */
    struct database database;
    int trouble; /* SQLite's code for what the disk did, while nothing was done about it; 0: none */
    pthread_mutex_t turn; /* held for a whole call: statements are shared by its threads */
};

/* sqlite.c. False: sqlite3_errmsg says why. */
bool database_prepare(struct database *database);
void database_close(struct database *database);

/* sqlite_open.c: opens what stands in the place, checked as at the start. `*file` is which file it
 * has to be, or zero, and then tells which one it was. What was opened is the caller's to close,
 * also when it is refused. ERR_STORE. */
enum err database_open(const char *path, struct database *database, struct stat *file,
                       struct faults *faults) MUST_CHECK;

/* sqlite_renew.c. Notes a result code of SQLite's; has the database opened anew when there is
 * trouble. ERR_STORE: it is not to be trusted with a change yet. */
void store_note(struct store *store, int result);
enum err store_mend(struct store *store) MUST_CHECK;
/* Has every checkpoint's result noted. */
void store_watch_checkpoints(struct store *store);

#endif
