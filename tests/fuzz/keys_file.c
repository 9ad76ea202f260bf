/* The YAML file of keys. libyaml reads it, so there is no other reader to compare with; but its
 * events, which we do not use, tell how many entries there are, and each of them is either a key or
 * a fault with its line. What was read is printed as `key create --yaml` prints it and read again
 * to the same. Comments, line ends and entries that are added change nothing about the others.
 *
 * A block scalar ("|", ">") at the end of a file takes a line's end that is added into its text, so
 * nothing is added to texts with those characters; nor to UTF-16, which libyaml reads too. */
#include "identity/keys_file.h"

#include <jansson.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/hash.h"
#include "cli/key_yaml.h"
#include "fuzz.h"
#include "identity/api_key.h"
#include "identity/key_text.h"
#include "identity/password.h"
#include "plain_text.h"

enum { INPUT_BYTES_MAX = 64 * 1024, TEXT_BYTES_MAX = 4 * 1024 * 1024 };

#define FILE_NAME "api_keys.yaml"
#define TAIL "zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"
#define HASH "$2b$04$" TAIL

/* --- what libyaml's events say ------------------------------------------------------------------
 */

struct shape {
    bool yaml, block; /* the list is written with dashes */
    unsigned entries; /* of the list, if the file has the one that it must have */
    size_t column;    /* where its dashes stand */
};

static void note_event(const yaml_event_t *event, struct shape *shape, unsigned *depth)
{
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
        if (*depth == 1) {
            shape->block = event->data.sequence_start.style == YAML_BLOCK_SEQUENCE_STYLE;
            shape->column = event->start_mark.column;
        }
        __attribute__((fallthrough));
    case YAML_MAPPING_START_EVENT:
        shape->entries += *depth == 2;
        ++*depth;
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        --*depth;
        break;
    case YAML_SCALAR_EVENT:
    case YAML_ALIAS_EVENT:
        shape->entries += *depth == 2;
        break;
    default:
        break;
    }
}

static struct shape shape_of(struct slice text)
{
    struct shape shape = {.yaml = true};
    unsigned depth = 0;
    yaml_parser_t parser;
    must(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.len ? text.ptr : ""),
                                 text.len);
    for (bool more = true; more;) {
        yaml_event_t event;
        shape.yaml = yaml_parser_parse(&parser, &event);
        more = shape.yaml && event.type != YAML_STREAM_END_EVENT;
        if (shape.yaml) {
            note_event(&event, &shape, &depth);
            yaml_event_delete(&event);
        }
    }
    yaml_parser_delete(&parser);
    return shape;
}

static bool is_utf16(struct slice text)
{
    return slice_starts(text, SLICE("\xff\xfe")) || slice_starts(text, SLICE("\xfe\xff"));
}

/* Of what YAML 1.1 takes for the end of a line: CR, LF, both, U+0085, U+2028, U+2029. */
static unsigned ends_of(struct slice text, const char *end)
{
    unsigned ends = 0;
    for (; text.len; text = slice_from(text, 1))
        ends += slice_starts(text, slice_of(end));
    return ends;
}

/* What stands behind the last end is a line when there is something. Of UTF-16 no more is said than
 * that it has not more lines than bytes. */
static unsigned lines_of(struct slice text)
{
    static const char *const ends[] = {"\r", "\n", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    unsigned lines = 0;
    bool ended = text.len == 0;
    if (is_utf16(text))
        return (unsigned)text.len;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        lines += ends_of(text, ends[i]);
        ended |= slice_ends(text, slice_of(ends[i]));
    }
    return lines - ends_of(text, "\r\n") + !ended;
}

/* --- one reading --------------------------------------------------------------------------------
 */

struct reading {
    struct shape shape;
    struct keys_file *table; /* NULL: it was refused as a whole */
    struct faults faults;
    unsigned lines;
};

static void reading_finish(struct reading *reading)
{
    keys_file_unref(reading->table);
    faults_finish(&reading->faults);
}

static void check_key(const struct keys_file *table, const struct file_key *key, unsigned lines)
{
    struct slice hash = slice_of(key->hash), id = slice_of(key->key_id);
    must(id.len >= 1 && id.len <= KEYS_FILE_ID_BYTES_MAX && plain_text(id));
    must(strlen(key->owner) <= KEYS_FILE_OWNER_BYTES_MAX && plain_text(slice_of(key->owner)));
    must(slice_starts(hash, SLICE("$2")));
    must(password_check_stored(hash, PASSWORD_OF_ACCOUNT) == OK);
    must(key->permissions && (key->permissions & ~(permissions)PERMISSIONS_ALL) == 0);
    must(key->line >= 1 && key->line <= lines);
    must(keys_file_find(table, id) == key);
    if (key->public_id[0])
        must(key_id_shaped(slice_of(key->public_id)) &&
             keys_file_find_public(table, slice_of(key->public_id)) == key);
}

static void check_table(const struct keys_file *table, unsigned lines)
{
    size_t unnamed = 0, count = keys_file_count(table);
    must(count <= KEYS_FILE_ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        check_key(table, keys_file_at(table, i), lines);
        unnamed += keys_file_at(table, i)->public_id[0] == '\0';
    }
    must(unnamed == keys_file_unnamed(table) && unnamed <= KEYS_FILE_UNNAMED_MAX);
    must(!keys_file_find_public(table, SLICE("")));
    must_equal(slice_of(keys_file_path(table)), SLICE(FILE_NAME));
}

/* Each in its line, in words of ours alone. */
static void check_faults(const struct reading *reading)
{
    const struct faults *faults = &reading->faults;
    must(faults->errors == (reading->table ? 0 : 1));
    must(reading->table || faults->count == 1);
    for (unsigned i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->list[i];
        must(fault->line >= 1 && fault->line <= reading->lines);
        must(fault->file && strcmp(fault->file, FILE_NAME) == 0);
        must(fault->warning == (reading->table != NULL));
        struct slice sentence = slice_of(fault->sentence);
        if (fault->warning)
            must(slice_ends(sentence, SLICE("; the entry is left out")));
        else
            must(slice_equal(sentence, SLICE("not YAML")) ||
                 slice_starts(sentence, SLICE("must be one member \"keys\"")));
    }
}

/* Nothing is passed over: what became no key is a fault. */
static void check_number(const struct reading *reading)
{
    size_t said = keys_file_count(reading->table) + reading->faults.count;
    if (reading->faults.count < FAULTS_MAX)
        must(said == reading->shape.entries);
    else
        must(said <= reading->shape.entries);
}

static void read_file(struct reading *reading, struct slice text)
{
    *reading = (struct reading){.lines = lines_of(text)};
    char *copy = fuzz_copy(text);
    enum err err =
        keys_file_parse(slice_make(copy, text.len), FILE_NAME, &reading->faults, &reading->table);
    free(copy);
    must(err == OK || err == ERR_SYNTAX);
    must((err == OK) == (reading->table != NULL));
    check_faults(reading);
    if (reading->table) {
        reading->shape = shape_of(text);
        must(reading->shape.yaml);
        check_table(reading->table, reading->lines);
        check_number(reading);
    }
}

/* --- the same again -----------------------------------------------------------------------------
 */

static json_t *scopes_of(const struct file_key *key)
{
    AUTO(buffer) text = BUFFER_MAX(TEXT_BYTES_MAX);
    permissions_print_json(&text, key->permissions);
    json_t *scopes = json_loadb(text.bytes, text.len, 0, NULL);
    must(scopes);
    return scopes;
}

static void print_keys(struct buffer *out, const struct keys_file *table)
{
    buffer_text(out, "keys:\n");
    for (size_t i = 0; i < keys_file_count(table); i++) {
        json_t *scopes = scopes_of(keys_file_at(table, i));
        key_yaml_print(out, keys_file_at(table, i), scopes);
        json_decref(scopes);
    }
    must(!out->failed);
}

/* All that a reading says, with lines as they would be without the `added` ones at its beginning;
 * of what was refused only that it was. */
static void tell(struct buffer *out, const struct reading *reading, unsigned added)
{
    if (!reading->table) {
        buffer_text(out, "refused\n");
        return;
    }
    print_keys(out, reading->table);
    for (size_t i = 0; i < keys_file_count(reading->table); i++)
        buffer_printf(out, "line %u\n", keys_file_at(reading->table, i)->line - added);
    for (unsigned i = 0; i < reading->faults.count; i++)
        buffer_printf(out, "line %u: %s\n", reading->faults.list[i].line - added,
                      reading->faults.list[i].sentence);
}

static void must_tell_the_same(const struct reading *first, struct slice text, unsigned added)
{
    AUTO(buffer) one = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(buffer) other = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(reading) again;
    read_file(&again, text);
    tell(&one, first, 0);
    tell(&other, &again, added);
    must_equal(buffer_slice(&one), buffer_slice(&other));
}

static void check_printed(const struct reading *reading)
{
    AUTO(buffer) before = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(buffer) after = BUFFER_MAX(TEXT_BYTES_MAX);
    AUTO(reading) again;
    print_keys(&before, reading->table);
    if (before.len > KEYS_FILE_BYTES_MAX)
        return;
    read_file(&again, buffer_slice(&before));
    must(again.table && again.faults.count == 0);
    must(keys_file_count(again.table) == keys_file_count(reading->table));
    for (size_t i = 0; i < keys_file_count(again.table); i++) {
        const struct file_key *a = keys_file_at(reading->table, i);
        const struct file_key *b = keys_file_at(again.table, i);
        must(strcmp(a->key_id, b->key_id) == 0 && strcmp(a->hash, b->hash) == 0);
        must(strcmp(a->owner, b->owner) == 0 && strcmp(a->public_id, b->public_id) == 0);
        must(a->permissions == b->permissions && a->created_epoch_s == b->created_epoch_s);
        must(a->expires_epoch_s == b->expires_epoch_s);
    }
    print_keys(&after, again.table);
    must_equal(buffer_slice(&before), buffer_slice(&after));
}

static bool has(struct slice text, char byte)
{
    return slice_find(text, byte) < text.len;
}

static void check_comments(const struct reading *reading, struct slice text)
{
    AUTO(buffer) more = BUFFER_MAX(TEXT_BYTES_MAX);
    /* A byte order mark stands at the very beginning or nowhere. */
    bool marked = slice_starts(text, SLICE("\xef\xbb\xbf"));
    buffer_text(&more, marked ? "" : "# keys\n");
    buffer_append(&more, text);
    buffer_text(&more, "\n# the end\n");
    must_tell_the_same(reading, buffer_slice(&more), marked ? 0 : 1);
}

/* A text that has CRs of its own is only read again. */
static void check_line_ends(const struct reading *reading, struct slice text)
{
    AUTO(buffer) crlf = BUFFER_MAX(TEXT_BYTES_MAX);
    bool mixed = has(text, '\r');
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\n' && !mixed)
            buffer_text(&crlf, "\r\n");
        else
            buffer_byte(&crlf, text.ptr[i]);
    must_tell_the_same(reading, buffer_slice(&crlf), 0);
}

/* --- entries that are added ---------------------------------------------------------------------
 */

static bool same_fault(const struct fault *a, const struct fault *b)
{
    return a->line == b->line && strcmp(a->sentence, b->sentence) == 0;
}

/* Nothing of what `before` said is said otherwise by `after`. */
static void check_kept(const struct reading *before, const struct reading *after)
{
    must(keys_file_count(after->table) >= keys_file_count(before->table));
    must(after->faults.count >= before->faults.count);
    for (size_t i = 0; i < keys_file_count(before->table); i++) {
        const struct file_key *a = keys_file_at(before->table, i);
        const struct file_key *b = keys_file_at(after->table, i);
        must(strcmp(a->key_id, b->key_id) == 0 && strcmp(a->hash, b->hash) == 0);
        must(a->permissions == b->permissions && a->expires_epoch_s == b->expires_epoch_s);
        must(strcmp(a->public_id, b->public_id) == 0 && a->line == b->line);
    }
    for (unsigned i = 0; i < before->faults.count; i++)
        must(same_fault(&before->faults.list[i], &after->faults.list[i]));
}

/* False: with that behind it the text is not the same list with one entry more. */
static bool read_with(struct reading *after, const struct reading *before, struct slice text,
                      const char *entry)
{
    AUTO(buffer) more = BUFFER_MAX(TEXT_BYTES_MAX);
    buffer_append(&more, text);
    buffer_printf(&more, "\n%*s- %s\n", (int)before->shape.column, "", entry);
    must(!more.failed);
    read_file(after, buffer_slice(&more));
    struct shape shape = shape_of(buffer_slice(&more));
    if (!shape.yaml || shape.entries != before->shape.entries + 1)
        return false;
    must(after->table);
    check_kept(before, after);
    return true;
}

static void add_bad(const struct reading *before, struct slice text, const char *entry)
{
    AUTO(reading) after;
    if (!read_with(&after, before, text, entry))
        return;
    must(keys_file_count(after.table) == keys_file_count(before->table));
    if (before->faults.count == FAULTS_MAX)
        return;
    must(after.faults.count == before->faults.count + 1);
    must(after.faults.list[before->faults.count].line == after.lines);
}

/* Whatever stands before it, it counts. */
static void add_good(const struct reading *before, struct slice text)
{
    static const struct slice id = SLICE("one more"), public_id = SLICE("ZZZZZZZZZZZZ");
    AUTO(reading) after = {.table = NULL};
    if (keys_file_find(before->table, id) || keys_file_find_public(before->table, public_id) ||
        keys_file_count(before->table) == KEYS_FILE_ENTRIES_MAX)
        return;
    if (!read_with(&after, before, text,
                   "{key_id: one more, hash: " HASH ", public_id: ZZZZZZZZZZZZ}"))
        return;
    must(after.faults.count == before->faults.count);
    const struct file_key *key = keys_file_find(after.table, id);
    must(key && key == keys_file_find_public(after.table, public_id));
    must(key == keys_file_at(after.table, keys_file_count(before->table)));
    must(key->line == after.lines && strcmp(key->hash, HASH) == 0);
}

static void add_double(const struct reading *before, struct slice text)
{
    AUTO(buffer) entry = BUFFER_MAX(TEXT_BYTES_MAX);
    if (keys_file_count(before->table) == 0)
        return;
    struct file_key twice = *keys_file_at(before->table, 0);
    json_t *id = json_string(twice.key_id);
    char *quoted = json_dumps(id, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    must(quoted);
    /* Characters above U+FFFF are two escapes in JSON, which YAML does not put together. */
    if (!strstr(quoted, "\\u"))
        buffer_printf(&entry, "{key_id: %s, hash: " HASH "}", quoted);
    free(quoted);
    json_decref(id);
    if (entry.len)
        add_bad(before, text, buffer_text_of(&entry));
}

static void check_added(const struct reading *before, struct slice text)
{
    static const char *const bad[] = {
        "bad",
        "[key_id, x]",
        "{key_id: one more}",
        "{key_id: one more, hash: plain-text}",
        "{key_id: one more, hash: $2b$31$" TAIL "}",
        "{key_id: one more, hash: " HASH ", expire_at: 2026-01-01}",
        "{key_id: one more, hash: " HASH ", expires_at: 2026-02-30}",
        "{key_id: one more, hash: " HASH ", scopes: []}",
    };
    if (!before->table || !before->shape.block)
        return;
    add_bad(before, text, bad[fuzz_row(text) / 2 % COUNT_OF(bad)]);
    add_double(before, text);
    add_good(before, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice text = slice_make((const char *)bytes, size);
    static bool seeded;
    AUTO(reading) reading = {.table = NULL};
    if (size > INPUT_BYTES_MAX)
        return 0;
    if (!seeded)
        hash_seed();
    seeded = true;
    read_file(&reading, text);
    if (reading.table)
        check_printed(&reading);
    if (is_utf16(text)) {
        must_tell_the_same(&reading, text, 0);
        return 0;
    }
    check_line_ends(&reading, text);
    if (has(text, '|') || has(text, '>'))
        return 0;
    check_comments(&reading, text);
    check_added(&reading, text);
    return 0;
}
