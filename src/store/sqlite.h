/* What the files of SQLite's store, sqlite*.c, share; nobody else includes it. */
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
    SAVE_KEY,
    END_KEY,
    REVOKE_KEY,
    REVOKE_KEYS_OF_USER,
    PRUNE_KEYS,
    TOUCH_KEY,
    LIST_KEYS,
    FIND_KEY,
    FIND_TAKEN,
    COUNT_UNNAMED,
    FIND_OWNER,
    ADD_USER,
    SAVE_USER,
    DELETE_USER,
    LIST_USERS,
    ADD_SESSION,
    MOVE_SESSION,
    REVOKE_SESSION,
    REVOKE_USER_SESSIONS,
    LIST_SESSIONS,
    PRUNE_SESSIONS,
    ADD_REFRESH,
    USE_REFRESH,
    FIND_REFRESH,
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

/* sqlite.c. The turn of a change. Not OK: there must be none, and the turn is still to be given
 * back. */
enum err store_take_turn(struct store *store) MUST_CHECK;
/* `taken` is what store_take_turn said. A disk that failed during the change is seen to at once, so
 * that what is answered now holds whatever comes next. */
void store_give_turn(struct store *store, enum err taken);
/* The turn of who only reads, which goes on while the disk fails; given back by unlocking `turn`,
 * also when this is not OK. ERR_STORE: the connection is still in a transaction that could not be
 * ended, and would show what is not on disk. */
enum err store_take_turn_to_read(struct store *store) MUST_CHECK;

/* All of these in the store's turn. Parameters are bound first; `bound` is whether that worked. */
bool bind_text(sqlite3_stmt *s, int at, struct slice text);
bool bind_bytes(sqlite3_stmt *s, int at, const void *bytes, size_t size);
bool bind_number(sqlite3_stmt *s, int at, uint64_t number);
/* Runs a statement that answers no rows; `*changed` (may be NULL) is how many it changed, those of
 * its cascades not counted. ERR_EXISTS: something that is to be unique is there; ERR_STORE. */
enum err store_run(struct store *store, enum statement which, bool bound, int *changed) MUST_CHECK;
/* Ends what BEGIN began: all of it is on disk when this returns OK, else nothing is. `err` is how
 * it went until here, and what is returned when that is not OK. */
enum err store_end(struct store *store, enum err err) MUST_CHECK;

/* Receives one row of a statement's, and reads its columns. */
typedef enum err store_row_fn(void *context, sqlite3_stmt *row);
/* Calls `each` for every row; stops at its first error. `*rows` is how many calls there were. */
enum err store_each_row(struct store *store, enum statement which, bool bound, store_row_fn *each,
                        void *context, unsigned *rows) MUST_CHECK;
/* Its text is the row's: borrowed during the call. A NULL one is an allocation that failed. */
struct slice column_text(sqlite3_stmt *row, int at);
/* False: it is negative or more than `max`. */
bool column_number(sqlite3_stmt *row, int at, uint64_t max, uint64_t *number);

/* The time that marks a row as revoked or used. Zero is the mark of a live one; a broken clock must
 * not leave one behind. */
uint64_t store_mark(uint64_t now_epoch_s);

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
