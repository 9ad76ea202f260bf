/* What the tests of the store share: a folder of their own, a store in it, keys, and what is seen
 * of them. */
#ifndef TESTS_STORE_PLACE_H
#define TESTS_STORE_PLACE_H

#include <ftw.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"

struct place {
    char directory[64], path[96];
};

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

static inline int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/test_store_XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/keys.db", place->directory);
    *state = place;
    return 0;
}

static inline int remove_place(void **state)
{
    struct place *place = *state;
    nftw(place->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(place);
    return 0;
}

static inline struct store *open_good(const struct place *place)
{
    struct store *store;
    AUTO(faults) faults = {0};
    AUTO(buffer) text = BUFFER_MAX(4096);
    enum err err = store_open(place->path, &store, &faults);
    faults_print(&faults, &text);
    if (err != OK)
        print_message("%s", buffer_text_of(&text));
    assert_int_equal(err, OK);
    assert_int_equal(faults.count, 0);
    return store;
}

/* Opening fails, and the sentence has `word` in it. */
static inline void assert_refused(const struct place *place, const char *word)
{
    struct store *store = NULL;
    AUTO(faults) faults = {0};
    assert_int_equal(store_open(place->path, &store, &faults), ERR_STORE);
    assert_null(store);
    assert_int_equal(faults.errors, 1);
    if (!strstr(faults.list[0].sentence, word))
        print_message("said: %s\n", faults.list[0].sentence);
    assert_non_null(strstr(faults.list[0].sentence, word));
}

/* As somebody does who edits the file by hand: nothing is enforced but the columns' types. */
static inline void run_sql(const struct place *place, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    chmod(place->path, 0600);
}

static inline struct stored_key sample(const char *id, unsigned char digest)
{
    struct stored_key key = {.id = slice_of(id),
                             .name = SLICE("a name with ' and \" and \xc3\xa9"),
                             .owner = SLICE("x'); DROP TABLE api_keys; --"),
                             .permissions = 0x203,
                             .models_json = SLICE("[\"m\"]"),
                             .created_epoch_s = 1700000000,
                             .expires_epoch_s = 1800000000,
                             .last_used_epoch_s = 7};
    memset(key.secret_sha256, digest, sizeof key.secret_sha256);
    return key;
}

struct seen {
    unsigned count, stop_after;
    char ids[8][13];
    uint64_t revoked[8], used[8], numbers[8];
    struct stored_key last;
    char name[64], owner[64], models[64];
};

static inline enum err note(void *context, const struct stored_key *key)
{
    struct seen *seen = context;
    unsigned at = seen->count++;
    assert_true(at < 8);
    memcpy(seen->ids[at], key->id.ptr, 12);
    seen->revoked[at] = key->revoked_epoch_s;
    seen->used[at] = key->last_used_epoch_s;
    seen->numbers[at] = key->number;
    seen->last = *key;
    snprintf(seen->name, sizeof seen->name, "%.*s", SLICE_ARG(key->name));
    snprintf(seen->owner, sizeof seen->owner, "%.*s", SLICE_ARG(key->owner));
    snprintf(seen->models, sizeof seen->models, "%.*s", SLICE_ARG(key->models_json));
    return seen->count == seen->stop_after ? ERR_LIMIT : OK;
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
