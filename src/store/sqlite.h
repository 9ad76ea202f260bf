/* What sqlite.c and sqlite_open.c share; nobody else includes it. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

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

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    pthread_mutex_t turn; /* held for a whole call: statements are shared by its threads */
};

/* False: sqlite3_errmsg says why. */
bool store_prepare_all(struct store *store);

#endif
