/* What the tests of the audit log share: a folder of their own, a log in it, and what happened. */
#ifndef TESTS_RECORD_AUDIT_PLACE_H
#define TESTS_RECORD_AUDIT_PLACE_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "record/audit_verify.h"

#define WALL_US UINT64_C(1762165800123000) /* 2025-11-03 10:30:00.123 */

struct place {
    char directory[64], path[96], checkpoint[96], key[96];
    struct audit_options options;
    struct audit *audit;
    uint64_t now_us;
};

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st, (void)kind, (void)walk;
    return remove(path);
}

static inline int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/test_audit_XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->path, sizeof place->path, "%s/logs/audit.log", place->directory);
    snprintf(place->checkpoint, sizeof place->checkpoint, "%s/audit.checkpoint", place->directory);
    snprintf(place->key, sizeof place->key, "%s/audit.key", place->directory);
    place->options = (struct audit_options){.path = place->path, .directory = place->directory};
    place->now_us = 1000 * SECOND_US;
    *state = place;
    return 0;
}

static inline int remove_place(void **state)
{
    struct place *place = *state;
    nftw(place->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(place);
    return 0;
}

/* What audit_open says goes to `said`, which may be NULL. */
static inline enum err open_log_saying(struct place *place, char *said, size_t size)
{
    struct faults faults = {0};
    struct buffer out = BUFFER_MAX(65536);
    enum err err = audit_open(&place->options, WALL_US, place->now_us, &place->audit, &faults);
    faults_print(&faults, &out);
    if (said)
        snprintf(said, size, "%s", buffer_text_of(&out));
    else if (err != OK)
        print_message("%s", buffer_text_of(&out));
    assert_true((err == OK) == (faults.errors == 0));
    buffer_finish(&out);
    faults_finish(&faults);
    return err;
}

static inline void open_log(struct place *place)
{
    assert_int_equal(open_log_saying(place, NULL, 0), OK);
}

static inline void close_log(struct place *place)
{
    audit_close(place->audit, WALL_US, place->now_us);
    place->audit = NULL;
}

static inline struct audit_record happened(struct place *place, enum audit_event event,
                                           const char *actor, const char *reason)
{
    struct audit_record record = {
        .wall_us = WALL_US,
        .now_us = place->now_us,
        .event = event,
        .actor = slice_of(actor),
        .ip = {.family = ADDRESS_V4, .bytes = {192, 0, 2, 1}},
        .method = SLICE("POST"),
        .path = SLICE("/api/v1/keys"),
        .status = 201,
        .reason = slice_of(reason),
        .request_id = SLICE("id-1")
    };
    return record;
}

static inline enum err append(struct place *place, enum audit_event event, const char *reason)
{
    struct audit_record record = happened(place, event, "admin", reason);
    return audit_append(place->audit, &record);
}

static inline void note(struct place *place, enum audit_event event, const char *actor,
                        const char *reason)
{
    struct audit_record record = happened(place, event, actor, reason);
    audit_note(place->audit, &record);
}

/* The whole of a file, to be freed. */
static inline struct slice read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(1, size + 1);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
    return slice_make(bytes, size);
}

static inline void write_file(const char *path, struct slice bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static inline unsigned count_of(struct slice text, const char *needle)
{
    unsigned count = 0;
    for (const char *at; (at = memmem(text.ptr, text.len, needle, strlen(needle))); count++)
        text = slice_from(text, (size_t)(at - text.ptr) + strlen(needle));
    return count;
}

/* How often `needle` stands in the log. */
static inline unsigned logged(const struct place *place, const char *needle)
{
    struct slice text = read_file(place->path);
    unsigned count = count_of(text, needle);
    free((void *)text.ptr);
    return count;
}

/* Proves the files against key and checkpoint of the place. */
static inline struct audit_verdict prove(const struct place *place, char *const *paths,
                                         unsigned count)
{
    struct audit_key key = {0};
    struct audit_checkpoint checkpoint;
    struct faults faults = {0};
    struct audit_verifier verifier;
    unsigned failed;
    assert_int_equal(audit_key_load(&key, place->directory, &faults), OK);
    assert_int_equal(audit_checkpoint_load(&checkpoint, &key, place->directory, &faults), OK);
    audit_verifier_init(&verifier, &key, NULL, &checkpoint);
    assert_int_equal(audit_verify_files(&verifier, paths, count, &failed), OK);
    struct audit_verdict verdict = *audit_verifier_end(&verifier);
    audit_key_finish(&key);
    faults_finish(&faults);
    return verdict;
}

static inline void assert_whole(struct place *place, uint64_t records)
{
    char *paths[] = {place->path};
    struct audit_verdict verdict = prove(place, paths, 1);
    if (verdict.fault)
        fail_msg("line %u: record %u %s", (unsigned)verdict.line, (unsigned)verdict.seq,
                 audit_fault_sentence(verdict.fault));
    assert_int_equal(verdict.records, records);
}

#endif
