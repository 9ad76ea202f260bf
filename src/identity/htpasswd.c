/* Reads an htpasswd file into a table. Called when the file is read or has changed, and by whatever
 * checks Basic credentials, from the job pool. Its one hard problem: a file that somebody edits by
 * hand has mistakes, and one of them must neither lock the others out nor let anybody in. */
#include "identity/htpasswd.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "identity/api_key.h"
#include "identity/password.h"

struct entry {
    struct slice name, stored; /* parts of the table's text */
    unsigned line;
};

struct htpasswd {
    _Atomic unsigned references;
    size_t count;
    struct entry *entries;
    struct map by_name; /* of entries */
    char *text;
    size_t text_bytes;
};

/* One reading of one file. */
struct reading {
    struct htpasswd *table;
    const char *file;
    struct faults *faults;
    unsigned line, bad, weak;
};

static void destroy(struct htpasswd *table)
{
    map_finish(&table->by_name);
    if (table->text)
        explicit_bzero(table->text, table->text_bytes);
    free(table->text);
    free(table->entries);
    free(table);
}

static struct htpasswd *create(struct slice text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    if (lines > HTPASSWD_ENTRIES_MAX)
        lines = HTPASSWD_ENTRIES_MAX;
    struct htpasswd *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    atomic_init(&table->references, 1);
    map_init(&table->by_name, HTPASSWD_ENTRIES_MAX);
    table->entries = calloc(lines, sizeof *table->entries);
    table->text = malloc(text.len ? text.len : 1);
    table->text_bytes = text.len;
    if (!table->entries || !table->text) {
        table->text_bytes = 0; /* nothing to wipe yet */
        destroy(table);
        return NULL;
    }
    if (text.len)
        memcpy(table->text, text.ptr, text.len);
    return table;
}

static void report(struct reading *reading, const char *what)
{
    if (reading->bad++ < HTPASSWD_FAULTS_MAX)
        faults_warn(reading->faults, reading->file, reading->line, NULL, "%s; the line is left out",
                    what);
}

static const char *why_refused(enum err err)
{
    switch (err) {
    case ERR_UNSUPPORTED:
        return "the password is in none of the forms Argon2id, bcrypt, SHA-crypt, Apache MD5 and "
               "{SHA}; plain text and DES are not accepted";
    case ERR_RANGE:
        return "the password's cost parameters are out of bounds";
    default:
        return "the password begins like a known form, but is cut short or damaged";
    }
}

/* Anything but ERR_MEMORY is reported here and drops this line only. */
static enum err add(struct reading *reading, struct slice name, struct slice stored)
{
    struct htpasswd *table = reading->table;
    struct entry *known = map_find(&table->by_name, name);
    if (known) {
        char what[64];
        snprintf(what, sizeof what, "the same name as in line %u", known->line);
        report(reading, what);
        return OK;
    }
    if (table->count == HTPASSWD_ENTRIES_MAX) {
        report(reading, "more entries than the 10000 that a file may have");
        return OK;
    }
    struct entry *entry = &table->entries[table->count];
    *entry = (struct entry){name, stored, reading->line};
    TRY(map_add(&table->by_name, name, entry));
    table->count++;
    reading->weak += password_is_weak(stored);
    return OK;
}

static enum err read_line(struct reading *reading, struct slice line)
{
    if (line.len == 0 || line.ptr[0] == '#')
        return OK;
    struct slice rest = line;
    struct slice name = slice_cut(&rest, ':');
    if (name.len == line.len) {
        report(reading, "not an entry: name, colon, stored password");
        return OK;
    }
    if (!key_word_valid(name, HTPASSWD_NAME_BYTES_MAX)) {
        report(reading, "the name must be 1 to 64 bytes of UTF-8 without control characters");
        return OK;
    }
    /* nginx allows a comment behind a second colon. */
    struct slice stored = slice_cut(&rest, ':');
    enum err err = password_check_stored(stored, PASSWORD_OF_HTPASSWD);
    if (err != OK) {
        report(reading, why_refused(err));
        return OK;
    }
    return add(reading, name, stored);
}

static enum err read_lines(struct reading *reading)
{
    struct slice rest = slice_make(reading->table->text, reading->table->text_bytes);
    /* A mark that some editors put before UTF-8; it would become part of the first name. */
    if (slice_starts(rest, SLICE("\xef\xbb\xbf")))
        rest = slice_from(rest, 3);
    while (rest.len > 0) {
        reading->line++;
        struct slice line = slice_cut(&rest, '\n');
        if (slice_ends(line, SLICE("\r")))
            line.len--;
        TRY(read_line(reading, slice_trim(line)));
    }
    return OK;
}

static void summarize(const struct reading *reading)
{
    if (reading->bad > HTPASSWD_FAULTS_MAX)
        faults_warn(reading->faults, reading->file, 0, NULL, "%u more lines are left out",
                    reading->bad - HTPASSWD_FAULTS_MAX);
    if (reading->weak)
        faults_warn(reading->faults, reading->file, 0, NULL,
                    "%u of %zu passwords are in a weak form (Apache MD5 or {SHA}), which is undone "
                    "quickly when the file leaks; `sallyport hash-password` makes better ones",
                    reading->weak, reading->table->count);
}

enum err htpasswd_parse(struct slice text, const char *file, struct faults *faults,
                        struct htpasswd **table)
{
    if (text.len > HTPASSWD_BYTES_MAX)
        return ERR_LIMIT;
    struct reading reading = {.table = create(text), .file = file, .faults = faults};
    if (!reading.table)
        return ERR_MEMORY;
    enum err err = read_lines(&reading);
    if (err != OK) {
        destroy(reading.table);
        return err;
    }
    summarize(&reading);
    *table = reading.table;
    return OK;
}

void htpasswd_ref(struct htpasswd *table)
{
    /* Relaxed: whoever adds a reference holds one, so nothing can be freed meanwhile. */
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
}

void htpasswd_unref(struct htpasswd *table)
{
    if (table && atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) == 1)
        destroy(table);
}

size_t htpasswd_count(const struct htpasswd *table)
{
    return table->count;
}

struct slice htpasswd_find(const struct htpasswd *table, struct slice name)
{
    const struct entry *entry = map_find(&table->by_name, name);
    return entry ? entry->stored : (struct slice){0};
}

struct slice htpasswd_decoy(const struct htpasswd *table, struct slice name)
{
    /* By the seeded hash: nobody outside can tell which entry a name would meet. */
    return table->count ? table->entries[hash_bytes(name) % table->count].stored
                        : (struct slice){0};
}

enum err htpasswd_verify(const struct htpasswd *table, struct slice name, struct slice plain)
{
    struct slice stored = htpasswd_find(table, name);
    return stored.ptr ? password_verify(stored, plain, PASSWORD_OF_HTPASSWD)
                      : password_verify_nobody(htpasswd_decoy(table, name), plain);
}
