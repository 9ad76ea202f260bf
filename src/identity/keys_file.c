/* Reads the YAML file of keys into a table. libyaml makes a tree of the text, in which every node
 * knows its line; this file walks the tree and believes nothing of it. Its one hard problem is that
 * people edit the file by hand: a mistake must neither lock the others out nor let anybody in. */
#include "identity/keys_file.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/clock.h"
#include "base/map.h"
#include "identity/api_key.h"
#include "identity/key_text.h"
#include "identity/password.h"

/* Texts of one entry, with their NULs. */
enum {
    ENTRY_TEXTS_MAX =
        KEYS_FILE_ID_BYTES_MAX + PASSWORD_STORED_SIZE + KEYS_FILE_OWNER_BYTES_MAX + KEY_ID_LEN + 4
};

struct keys_file {
    _Atomic unsigned references;
    size_t count, unnamed;
    struct file_key *entries;
    struct map by_id, by_public_id; /* of entries */
    char *path;
    char *texts; /* what the entries point to */
    size_t texts_bytes, texts_used;
};

/* One reading of one file. */
struct reading {
    struct slice text;
    unsigned lines; /* of it */
    struct keys_file *table;
    yaml_document_t document;
    const char *file;
    struct faults *faults;
};

/* --- the table ----------------------------------------------------------------------------------
 */

static void destroy(struct keys_file *table)
{
    map_finish(&table->by_id);
    map_finish(&table->by_public_id);
    if (table->texts)
        explicit_bzero(table->texts, table->texts_bytes);
    free(table->texts);
    free(table->path);
    free(table->entries);
    free(table);
}

static struct keys_file *create(const char *path, size_t entries)
{
    struct keys_file *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    atomic_init(&table->references, 1);
    map_init(&table->by_id, KEYS_FILE_ENTRIES_MAX);
    map_init(&table->by_public_id, KEYS_FILE_ENTRIES_MAX);
    table->entries = calloc(entries ? entries : 1, sizeof *table->entries);
    table->texts_bytes = (entries ? entries : 1) * ENTRY_TEXTS_MAX;
    table->texts = malloc(table->texts_bytes);
    table->path = strdup(path);
    if (!table->entries || !table->texts || !table->path) {
        free(table->texts); /* nothing to wipe yet */
        table->texts = NULL;
        destroy(table);
        return NULL;
    }
    return table;
}

void keys_file_ref(struct keys_file *table)
{
    /* Relaxed: whoever adds a reference holds one, so nothing can be freed meanwhile. */
    atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
}

void keys_file_unref(struct keys_file *table)
{
    if (table && atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) == 1)
        destroy(table);
}

const char *keys_file_path(const struct keys_file *table)
{
    return table->path;
}

size_t keys_file_count(const struct keys_file *table)
{
    return table->count;
}

size_t keys_file_unnamed(const struct keys_file *table)
{
    return table->unnamed;
}

const struct file_key *keys_file_at(const struct keys_file *table, size_t i)
{
    return &table->entries[i];
}

const struct file_key *keys_file_find(const struct keys_file *table, struct slice key_id)
{
    return map_find(&table->by_id, key_id);
}

const struct file_key *keys_file_find_public(const struct keys_file *table, struct slice public_id)
{
    return map_find(&table->by_public_id, public_id);
}

const struct file_key *keys_file_find_hash(const struct keys_file *table, struct slice hash)
{
    for (size_t i = 0; i < table->count; i++)
        if (slice_equal(slice_of(table->entries[i].hash), hash))
            return &table->entries[i];
    return NULL;
}

/* --- lines --------------------------------------------------------------------------------------
 */

/* The length of what ends a line at the start of `at`, as YAML 1.1 and the library have it, or 0.
 */
static size_t line_end(struct slice at)
{
    static const struct slice ends[] = {SLICE("\r\n"),         SLICE("\r"),
                                        SLICE("\n"),           SLICE("\xc2\x85"),
                                        SLICE("\xe2\x80\xa8"), SLICE("\xe2\x80\xa9")};
    for (size_t i = 0; i < COUNT_OF(ends); i++)
        if (slice_starts(at, ends[i]))
            return ends[i].len;
    return 0;
}

/* What stands behind the last end is a line when there is something. */
static unsigned lines_in(struct slice text)
{
    unsigned lines = 0;
    bool open = false;
    while (text.len) {
        size_t end = line_end(text);
        open = end == 0;
        lines += !open;
        text = slice_from(text, open ? 1 : end);
    }
    return lines + open;
}

/* The library takes the end of a text for a line of its own, where nobody finds anything. */
static unsigned line_of(const struct reading *reading, const yaml_mark_t *mark)
{
    return mark->line < reading->lines ? (unsigned)mark->line + 1 : reading->lines;
}

/* --- members of an entry ------------------------------------------------------------------------
 */

/* An entry as it stands in the file. */
struct raw_key {
    struct slice key_id, hash, owner, public_id;
    permissions permissions;
    uint64_t created_epoch_s, expires_epoch_s;
};

static struct slice text_of(const yaml_node_t *node)
{
    return slice_make((const char *)node->data.scalar.value, node->data.scalar.length);
}

static bool is_null(const yaml_node_t *node)
{
    struct slice text = text_of(node);
    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text.len == 0 || slice_equal(text, SLICE("~")) ||
            slice_equal_nocase(text, SLICE("null")));
}

/* Each reads one member, and says what it must be when it is not; NULL: all is well. */

static const char *read_key_id(struct reading *reading, const yaml_node_t *node,
                               struct raw_key *key)
{
    (void)reading;
    if (node->type == YAML_SCALAR_NODE)
        key->key_id = text_of(node);
    return key_word_valid(key->key_id, KEYS_FILE_ID_BYTES_MAX)
               ? NULL
               : "key_id must be 1 to 64 bytes of UTF-8 without control characters";
}

static const char *read_hash(struct reading *reading, const yaml_node_t *node, struct raw_key *key)
{
    (void)reading;
    if (node->type == YAML_SCALAR_NODE)
        key->hash = text_of(node);
    return slice_starts(key->hash, SLICE("$2")) &&
                   password_check_stored(key->hash, PASSWORD_OF_ACCOUNT) == OK
               ? NULL
               : "hash must be a bcrypt hash of a bearable cost";
}

static const char *read_owner(struct reading *reading, const yaml_node_t *node, struct raw_key *key)
{
    (void)reading;
    if (node->type == YAML_SCALAR_NODE && is_null(node))
        return NULL;
    if (node->type == YAML_SCALAR_NODE)
        key->owner = text_of(node);
    return key_word_valid(key->owner, KEYS_FILE_OWNER_BYTES_MAX)
               ? NULL
               : "owner must be 1 to 254 bytes of UTF-8 without control characters";
}

static const char *read_public_id(struct reading *reading, const yaml_node_t *node,
                                  struct raw_key *key)
{
    (void)reading;
    if (node->type == YAML_SCALAR_NODE)
        key->public_id = text_of(node);
    return key_id_shaped(key->public_id) ? NULL : "public_id must be 12 letters and digits";
}

/* One or a list of them. None at all would be a key that opens nothing, which nobody means. */
static const char *read_scopes(struct reading *reading, const yaml_node_t *node,
                               struct raw_key *key)
{
    static const char rule[] = "scopes must be a list of *, chat:read, chat:write or permissions";
    if (node->type == YAML_SCALAR_NODE)
        return scope_parse(text_of(node), &key->permissions) == OK ? NULL : rule;
    if (node->type != YAML_SEQUENCE_NODE)
        return rule;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *scope = yaml_document_get_node(&reading->document, *item);
        if (!scope || scope->type != YAML_SCALAR_NODE ||
            scope_parse(text_of(scope), &key->permissions) != OK)
            return rule;
    }
    return key->permissions ? NULL : rule;
}

/* "2026-01-01T00:00:00Z", without a zone in UTC, or the day alone. */
static bool read_time(const yaml_node_t *node, uint64_t *epoch_s)
{
    char memory[64];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    if (node->type != YAML_SCALAR_NODE)
        return false;
    if (is_null(node))
        return true;
    struct slice said = text_of(node);
    if (clock_parse_rfc3339(said, epoch_s) == OK)
        return *epoch_s > 0;
    buffer_append(&text, said);
    buffer_text(&text, said.len == 10 ? "T00:00:00Z" : "Z");
    return !text.failed && clock_parse_rfc3339(buffer_slice(&text), epoch_s) == OK && *epoch_s > 0;
}

static const char *read_created(struct reading *reading, const yaml_node_t *node,
                                struct raw_key *key)
{
    (void)reading;
    return read_time(node, &key->created_epoch_s)
               ? NULL
               : "created_at must be a time, as 2026-01-01T00:00:00Z";
}

static const char *read_expires(struct reading *reading, const yaml_node_t *node,
                                struct raw_key *key)
{
    (void)reading;
    return read_time(node, &key->expires_epoch_s)
               ? NULL
               : "expires_at must be a time, as 2026-01-01T00:00:00Z, or null";
}

// clang-format off
static const struct key_member {
    const char *name;
    const char *(*read)(struct reading *reading, const yaml_node_t *node, struct raw_key *key);
    bool needed;
} members[] = {
    {"key_id",     read_key_id,    true},
    {"hash",       read_hash,      true},
    {"owner",      read_owner,     false},
    {"scopes",     read_scopes,    false},
    {"created_at", read_created,   false},
    {"expires_at", read_expires,   false},
    {"public_id",  read_public_id, false},
};
// clang-format on

/* --- entries ------------------------------------------------------------------------------------
 */

static void report(struct reading *reading, const yaml_mark_t *mark, const char *what)
{
    faults_warn(reading->faults, reading->file, line_of(reading, mark), NULL,
                "%s" KEYS_FILE_LEFT_OUT, what);
}

static size_t find_member(const yaml_node_t *name)
{
    size_t i = 0;
    while (i < COUNT_OF(members) && (name->type != YAML_SCALAR_NODE ||
                                     !slice_equal(text_of(name), slice_of(members[i].name))))
        i++;
    return i;
}

/* What is wrong with it, and where; NULL: nothing. */
static const char *read_members(struct reading *reading, const yaml_node_t *entry,
                                struct raw_key *key, const yaml_node_t **where)
{
    unsigned seen = 0;
    *where = entry;
    if (entry->type != YAML_MAPPING_NODE)
        return "not an entry: key_id, hash and so on";
    for (const yaml_node_pair_t *pair = entry->data.mapping.pairs.start;
         pair < entry->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(&reading->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&reading->document, pair->value);
        if (!name || !value)
            return "damaged";
        *where = name;
        size_t i = find_member(name);
        if (i == COUNT_OF(members))
            return "a member that no key has (known are key_id, hash, owner, scopes, created_at, "
                   "expires_at, public_id)";
        if (seen & 1u << i)
            return "a member that is given twice";
        seen |= 1u << i;
        const char *fault = members[i].read(reading, value, key);
        if (fault)
            return fault;
    }
    *where = entry;
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (members[i].needed && !(seen & 1u << i))
            return "key_id or hash is missing";
    if (!key->permissions && scope_parse(SLICE("chat:read"), &key->permissions) != OK)
        return "damaged";
    return NULL;
}

static const char *refuse_double(const struct reading *reading, const struct raw_key *key)
{
    if (keys_file_find(reading->table, key->key_id))
        return "another entry has the same key_id";
    if (key->public_id.len && keys_file_find_public(reading->table, key->public_id))
        return "another entry has the same public_id";
    if (reading->table->count == KEYS_FILE_ENTRIES_MAX)
        return "more than the 1000 entries that a file may have";
    if (!key->public_id.len && reading->table->unnamed == KEYS_FILE_UNNAMED_MAX)
        return "more than 16 entries without public_id, each of which every unknown key must be "
               "tried on; `sallyport key create --yaml` gives one";
    return NULL;
}

/* Copies a text, whose length was checked, to the table's room. */
static const char *keep(struct keys_file *table, struct slice text)
{
    invariant(table->texts_bytes - table->texts_used > text.len);
    char *start = table->texts + table->texts_used;
    if (text.len)
        memcpy(start, text.ptr, text.len);
    start[text.len] = '\0';
    table->texts_used += text.len + 1;
    return start;
}

static enum err add(struct reading *reading, const struct raw_key *key, unsigned line)
{
    struct keys_file *table = reading->table;
    struct file_key *entry = &table->entries[table->count];
    *entry = (struct file_key){
        .key_id = keep(table, key->key_id),
        .hash = keep(table, key->hash),
        .owner = keep(table, key->owner),
        .public_id = keep(table, key->public_id),
        .permissions = key->permissions,
        .created_epoch_s = key->created_epoch_s,
        .expires_epoch_s = key->expires_epoch_s,
        .line = line,
    };
    TRY(map_add(&table->by_id, slice_of(entry->key_id), entry));
    if (key->public_id.len)
        TRY(map_add(&table->by_public_id, slice_of(entry->public_id), entry));
    else
        table->unnamed++;
    table->count++;
    return OK;
}

static enum err read_entry(struct reading *reading, const yaml_node_t *node)
{
    struct raw_key key = {0};
    const yaml_node_t *where;
    const char *fault = read_members(reading, node, &key, &where);
    if (!fault)
        fault = refuse_double(reading, &key);
    if (fault) {
        report(reading, &where->start_mark, fault);
        return OK;
    }
    return add(reading, &key, line_of(reading, &node->start_mark));
}

/* --- the file -----------------------------------------------------------------------------------
 */

static enum err refuse_shape(struct reading *reading, const yaml_node_t *where)
{
    faults_add(reading->faults, reading->file, line_of(reading, &where->start_mark), NULL,
               "must be one member \"keys\", which is a list of entries");
    return ERR_SYNTAX;
}

/* The list of entries; NULL with OK: there is none, in an empty file or behind "keys:". */
static enum err find_list(struct reading *reading, const yaml_node_t **list)
{
    const yaml_node_t *root = yaml_document_get_root_node(&reading->document);
    *list = NULL;
    if (!root || (root->type == YAML_SCALAR_NODE && is_null(root)))
        return OK;
    if (root->type != YAML_MAPPING_NODE)
        return refuse_shape(reading, root);
    const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
    if (root->data.mapping.pairs.top - pair != 1)
        return refuse_shape(reading, root);
    const yaml_node_t *name = yaml_document_get_node(&reading->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(&reading->document, pair->value);
    if (!name || !value || name->type != YAML_SCALAR_NODE ||
        !slice_equal(text_of(name), SLICE("keys")))
        return refuse_shape(reading, root);
    if (value->type == YAML_SCALAR_NODE && is_null(value))
        return OK;
    if (value->type != YAML_SEQUENCE_NODE)
        return refuse_shape(reading, value);
    *list = value;
    return OK;
}

static enum err read_document(struct reading *reading)
{
    const yaml_node_t *list;
    TRY(find_list(reading, &list));
    size_t count =
        list ? (size_t)(list->data.sequence.items.top - list->data.sequence.items.start) : 0;
    reading->table =
        create(reading->file, count < KEYS_FILE_ENTRIES_MAX ? count : KEYS_FILE_ENTRIES_MAX);
    if (!reading->table)
        return ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *node =
            yaml_document_get_node(&reading->document, list->data.sequence.items.start[i]);
        TRY(node ? read_entry(reading, node) : ERR_SYNTAX);
    }
    return OK;
}

/* Where the library gave up. Of bytes that are no characters, or none that YAML allows, it tells
 * how many stand before them, and no line. */
static unsigned line_of_problem(const yaml_parser_t *parser, const struct reading *reading)
{
    if (parser->error == YAML_READER_ERROR && parser->problem_offset < reading->text.len)
        return lines_in(slice_to(reading->text, parser->problem_offset + 1));
    return line_of(reading, &parser->problem_mark);
}

/* The next document; an empty one when there is none. */
static enum err load(yaml_parser_t *parser, struct reading *reading, yaml_document_t *document)
{
    if (yaml_parser_load(parser, document))
        return OK;
    if (parser->error == YAML_MEMORY_ERROR)
        return ERR_MEMORY;
    /* Not the library's whole sentence: it may quote what stands there. */
    faults_add(reading->faults, reading->file, line_of_problem(parser, reading), NULL, "not YAML");
    return ERR_SYNTAX;
}

/* A second document would be ignored, and with it what its author meant. */
static enum err expect_end(yaml_parser_t *parser, struct reading *reading)
{
    yaml_document_t more;
    TRY(load(parser, reading, &more));
    const yaml_node_t *root = yaml_document_get_root_node(&more);
    enum err err = root ? refuse_shape(reading, root) : OK;
    yaml_document_delete(&more);
    return err;
}

enum err keys_file_parse(struct slice text, const char *file, struct faults *faults,
                         struct keys_file **table)
{
    struct reading reading = {.text = text, .file = file, .faults = faults};
    reading.lines = lines_in(text);
    yaml_parser_t parser;
    if (text.len > KEYS_FILE_BYTES_MAX)
        return ERR_LIMIT;
    if (!yaml_parser_initialize(&parser))
        return ERR_MEMORY;
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    enum err err = load(&parser, &reading, &reading.document);
    if (err == OK) {
        err = expect_end(&parser, &reading);
        if (err == OK)
            err = read_document(&reading);
        yaml_document_delete(&reading.document);
    }
    yaml_parser_delete(&parser);
    if (err == OK) {
        *table = reading.table;
        return OK;
    }
    if (reading.table)
        destroy(reading.table);
    return err;
}
