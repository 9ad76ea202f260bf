/* Opening a SQLite database so that it can be trusted, or refusing it with a sentence. Called by
 * store_open's callers: `serve` and the commands that change something, which hold the writer lock.
 *
 * Its one hard problem is to tell a new database from a lost one. To SQLite a file of no bytes is a
 * fine empty database; to us it is a truncated one, and starting with it would forget every key. So
 * a new database is made beside its place and renamed when it is whole: what stands in the place is
 * then always ours and complete, or damaged. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/file.h"
#include "store/migrations.h"
#include "store/sqlite.h"

/* Another process (a backup, an sqlite3 shell) may hold the file for a moment. */
enum { BUSY_TIMEOUT_MS = 5000 };

struct opening {
    const char *path;
    struct faults *faults;
    sqlite3 *db;
    struct stat file;
    char directory[PATH_MAX];
    int directory_fd;
};

static enum err refuse(const struct opening *o, const char *sentence, const char *why)
{
    faults_add(o->faults, o->path, 0, "store.url", "%s%s%s", sentence, why ? ": " : "",
               why ? why : "");
    return ERR_STORE;
}

/* `sentence` is what could not be done; damage is called by its name wherever it shows first. */
static enum err refuse_sql(const struct opening *o, const char *sentence)
{
    int code = o->db ? sqlite3_errcode(o->db) & 0xff : SQLITE_NOMEM;
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
        sentence = "the database is damaged, or is none; restore a backup";
    return refuse(o, sentence, o->db ? sqlite3_errmsg(o->db) : "out of memory");
}

static bool run_sql(const struct opening *o, const char *sql)
{
    return sqlite3_exec(o->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* The first column of the first row as text, cut to `size`. */
static bool ask(const struct opening *o, const char *sql, char *answer, size_t size)
{
    sqlite3_stmt *s = NULL;
    bool good =
        sqlite3_prepare_v2(o->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    const char *text = good ? (const char *)sqlite3_column_text(s, 0) : NULL;
    snprintf(answer, size, "%s", text ? text : "");
    sqlite3_finalize(s);
    return text != NULL;
}

static bool ask_number(const struct opening *o, const char *sql, long *number)
{
    char text[32];
    if (!ask(o, sql, text, sizeof text))
        return false;
    *number = strtol(text, NULL, 10);
    return true;
}

/* Nothing in the file may run code of its own or reach further than its tables. */
static enum err harden(const struct opening *o)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE,             1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA,        0},
        {SQLITE_DBCONFIG_ENABLE_FKEY,           1},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER,        0},
        {SQLITE_DBCONFIG_ENABLE_VIEW,           0},
        {SQLITE_DBCONFIG_DQS_DML,               0},
        {SQLITE_DBCONFIG_DQS_DDL,               0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA,       0}
    };
    for (size_t i = 0; i < COUNT_OF(options); i++)
        if (sqlite3_db_config(o->db, options[i].option, options[i].value, NULL) != SQLITE_OK)
            return refuse_sql(o, "SQLite lacks a safety option that is needed");
    sqlite3_busy_timeout(o->db, BUSY_TIMEOUT_MS);
    /* What SQLite has to put aside stays in memory: a file for it would be made in a folder that is
     * not ours, and a disk that is full there would refuse changes here. */
    if (!run_sql(o, "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL;"
                    "PRAGMA temp_store = MEMORY;"))
        return refuse_sql(o, "the database cannot be set up");
    return OK;
}

static enum err connect_to(struct opening *o, const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(path, &o->db, flags, NULL) != SQLITE_OK)
        return refuse_sql(o, "the database cannot be opened");
    sqlite3_extended_result_codes(o->db, 1);
    return harden(o);
}

/* Each missing step in a transaction of its own. */
static enum err migrate(const struct opening *o)
{
    long version;
    if (!ask_number(o, "PRAGMA user_version", &version))
        return refuse_sql(o, "the database's version cannot be read");
    for (const struct migration *m = migration_table(); m->sql; m++) {
        if (m->number <= version)
            continue;
        if (!run_sql(o, "BEGIN IMMEDIATE") || !run_sql(o, m->sql) || !run_sql(o, "COMMIT")) {
            enum err err = refuse_sql(o, "the database cannot be brought to this version's form");
            run_sql(o, "ROLLBACK");
            return err;
        }
        if (!ask_number(o, "PRAGMA user_version", &version))
            return refuse_sql(o, "the database's version cannot be read");
        invariant(version == m->number);
    }
    return OK;
}

static const char *const leftovers[] = {"", "-journal", "-wal", "-shm"};

static void remove_new(const char *new_path)
{
    char path[PATH_MAX + 16];
    for (size_t i = 0; i < COUNT_OF(leftovers); i++) {
        snprintf(path, sizeof path, "%s%s", new_path, leftovers[i]);
        unlink(path);
    }
}

static enum err fill_new(struct opening *o, const char *new_path)
{
    enum err err = connect_to(o, new_path);
    if (err == OK)
        err = migrate(o);
    if (sqlite3_close(o->db) != SQLITE_OK && err == OK)
        err = refuse(o, "the new database cannot be closed", NULL);
    o->db = NULL;
    return err;
}

/* Makes an empty database of today's form in its place, all at once. */
static enum err make(struct opening *o)
{
    char new_path[PATH_MAX + 8];
    struct stat wal;
    snprintf(new_path, sizeof new_path, "%s-wal", o->path);
    if (stat(new_path, &wal) == 0 && wal.st_size > 0)
        return refuse(o,
                      "the database is missing, but its -wal file is there: restore both from a "
                      "backup, or remove the -wal file to start anew",
                      NULL);
    snprintf(new_path, sizeof new_path, "%s.new", o->path);
    remove_new(new_path);
    int fd = file_open_private(o->directory_fd,
                               strrchr(new_path, '/') ? strrchr(new_path, '/') + 1 : new_path,
                               O_CREAT | O_EXCL);
    if (fd < 0)
        return refuse(o, "the database cannot be made", strerror(errno));
    close(fd);
    enum err err = fill_new(o, new_path);
    if (err == OK && (rename(new_path, o->path) < 0 || fsync(o->directory_fd) < 0))
        err = refuse(o, "the database cannot be put into its place", strerror(errno));
    if (err != OK)
        remove_new(new_path);
    return err;
}

/* Looks before SQLite does: a file that is not ours is not even opened. */
static enum err check_file(struct opening *o)
{
    if (lstat(o->path, &o->file) < 0)
        return refuse(o, "the database cannot be read", strerror(errno));
    if (!S_ISREG(o->file.st_mode))
        return refuse(o, "the database is not a regular file", NULL);
    if (o->file.st_size == 0)
        return refuse(o,
                      "the database is empty, so its content has been lost: restore a backup, or "
                      "remove the file to start anew",
                      NULL);
    if (o->file.st_mode & (S_IWGRP | S_IWOTH))
        return refuse(o, "others may write to the database: make its mode 0600", NULL);
    if (o->file.st_mode & (S_IRGRP | S_IROTH))
        faults_warn(o->faults, o->path, 0, "store.url",
                    "others may read the database: make its mode 0600");
    return OK;
}

static enum err check_content(const struct opening *o)
{
    long application, version;
    char answer[200];
    if (!ask_number(o, "PRAGMA application_id", &application) ||
        !ask_number(o, "PRAGMA user_version", &version))
        return refuse_sql(o, "the database cannot be read");
    if (application != STORE_APPLICATION_ID)
        return refuse(o, "this is a database, but not one of Sallyport's", NULL);
    if (version > migration_latest()) {
        faults_add(o->faults, o->path, 0, "store.url",
                   "the database has version %ld, but this sallyport knows versions up to %d only: "
                   "use the newer program, or restore a backup made before the upgrade",
                   version, migration_latest());
        return ERR_STORE;
    }
    if (sqlite3_db_readonly(o->db, "main"))
        return refuse(o, "the database cannot be written to", NULL);
    if (!ask(o, "PRAGMA quick_check(1)", answer, sizeof answer))
        return refuse_sql(o, "the database cannot be checked");
    if (strcmp(answer, "ok") != 0)
        return refuse(o, "the database is damaged; restore a backup", answer);
    return OK;
}

static enum err use_wal(const struct opening *o)
{
    char mode[16];
    if (!ask(o, "PRAGMA journal_mode = WAL", mode, sizeof mode) || strcmp(mode, "wal") != 0)
        return refuse_sql(o, "the database cannot use a write-ahead log");
    return OK;
}

static enum err open_existing(struct opening *o, struct database *database)
{
    TRY(connect_to(o, o->path));
    TRY(check_content(o));
    TRY(use_wal(o));
    TRY(migrate(o));
    database->db = o->db;
    return database_prepare(database) ? OK
                                      : refuse_sql(o, "the database has not the expected form");
}

enum err database_open(const char *path, struct database *database, struct stat *file,
                       struct faults *faults)
{
    struct opening o = {.path = path, .faults = faults, .directory_fd = -1};
    TRY(check_file(&o));
    if (file->st_ino && (file->st_dev != o.file.st_dev || file->st_ino != o.file.st_ino))
        return refuse(&o, "another file stands in the database's place", NULL);
    enum err err = open_existing(&o, database);
    database->db = o.db;
    *file = o.file;
    return err;
}

static enum err make_if_missing(struct opening *o)
{
    struct stat st;
    return lstat(o->path, &st) < 0 && errno == ENOENT ? make(o) : OK;
}

static enum err open_directory(struct opening *o)
{
    if (strlen(o->path) >= sizeof o->directory)
        return refuse(o, "the path is too long", NULL);
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", o->path);
    snprintf(o->directory, sizeof o->directory, "%s", dirname(copy));
    o->directory_fd = open(o->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return o->directory_fd < 0
               ? refuse(o, "the database's folder cannot be opened", strerror(errno))
               : OK;
}

static enum err open_store(struct opening *o, struct store *store)
{
    store->path = strdup(o->path);
    if (!store->path)
        return ERR_MEMORY;
    TRY(open_directory(o));
    TRY(make_if_missing(o));
    TRY(database_open(o->path, &store->database, &store->file, o->faults));
    store_watch_checkpoints(store);
    return OK;
}

enum err store_open(const char *path, struct store **opened, struct faults *faults)
{
    struct opening o = {.path = path, .faults = faults, .directory_fd = -1};
    *opened = NULL;
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return ERR_MEMORY;
    pthread_mutex_init(&store->turn, NULL);
    enum err err = open_store(&o, store);
    if (o.directory_fd >= 0)
        close(o.directory_fd);
    if (err == OK)
        *opened = store;
    else
        store_close(store);
    return err;
}
