/* key_import: the entries of a file of keys become keys of the store, all or none. Only commands
 * ask for it. The file's text comes along, so that whoever runs the command reads the file, and
 * whoever is the writer judges it. Its one hard problem is to name every entry that is wrong: who
 * imports a file must not have to guess which of their callers were left out. */
#include <stdlib.h>

#include "api/key_parts.h"
#include "base/clock.h"
#include "identity/api_key.h"
#include "identity/key_import.h"

enum { COMPLAINT_BYTES_MAX = 32 * 1024, REASON_BYTES = 256 };

struct importing {
    const struct desk *desk;
    const struct caller *caller;
    struct keys_file *file;
    struct key_import *imports;
    struct verb_subject *subjects; /* of the keys that are to be made */
    char (*reasons)[REASON_BYTES];
    size_t recorded; /* of `subjects` */
    json_t *refusal;
};

struct import_wishes {
    struct slice file, text;
};

/* --- what is wrong ------------------------------------------------------------------------------
 */

/* The store's rows are narrower than the file's. */
static void check_owners(const struct keys_file *file, struct faults *faults)
{
    for (size_t i = 0; i < keys_file_count(file); i++) {
        const struct file_key *entry = keys_file_at(file, i);
        if (strlen(entry->owner) > KEY_NAME_BYTES_MAX)
            faults_add(faults, keys_file_path(file), entry->line, NULL,
                       "owner: the store takes at most %d bytes", KEY_NAME_BYTES_MAX);
    }
}

/* Each with its line. What the reader says of an entry that it leaves out is not so here. */
static json_t *refuse_faults(const struct faults *faults)
{
    AUTO(buffer) text = BUFFER_MAX(COMPLAINT_BYTES_MAX);
    buffer_text(&text, "nothing was imported:");
    for (unsigned i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->list[i];
        struct slice sentence = slice_of(fault->sentence), end = SLICE(KEYS_FILE_LEFT_OUT);
        if (slice_ends(sentence, end))
            sentence = slice_to(sentence, sentence.len - end.len);
        buffer_printf(&text, "\n%s:%u: %.*s", fault->file, fault->line, SLICE_ARG(sentence));
    }
    if (faults->count == FAULTS_MAX)
        buffer_text(&text, "\nand perhaps more");
    json_t *refusal = verb_refusal("conflict", "text", "nothing was imported");
    if (!text.failed)
        json_object_set_new(refusal, "message", text_value(buffer_slice(&text)));
    return refusal;
}

static json_t *refuse_file(enum err err, const struct faults *faults)
{
    if (err == ERR_LIMIT)
        return verb_refusal("conflict", "text", "a file of keys has at most %d bytes",
                            KEYS_FILE_BYTES_MAX);
    return faults->count ? refuse_faults(faults) : verb_failure(err, "reading the file");
}

static json_t *refuse_import(const struct importing *importing, enum err err)
{
    if (importing->refusal)
        return importing->refusal;
    if (err == ERR_LIMIT)
        return verb_refusal("limit", NULL,
                            "nothing was imported: of keys without public_id the store takes %d, "
                            "each of which every unknown key must be tried on; replace some by "
                            "`sallyport key create`",
                            KEYS_UNNAMED_MAX);
    if (err == ERR_EXISTS)
        return verb_refusal("conflict", NULL,
                            "nothing was imported: two entries have the same hash");
    return verb_failure(err, "importing the keys");
}

/* --- the record ---------------------------------------------------------------------------------
 */

static struct slice id_of(const struct key_import *import)
{
    return slice_make(import->id, KEY_ID_LEN);
}

/* What the record says of one key. It has room for no more than this. */
static struct slice describe(const struct file_key *entry, char memory[REASON_BYTES])
{
    struct buffer reason = BUFFER_OVER(memory, REASON_BYTES);
    buffer_printf(&reason, "imported \"%s\" permissions ", entry->key_id);
    permissions_print_json(&reason, entry->permissions);
    return buffer_slice(&reason);
}

/* Called with the keyring's lock, before any key is made. */
static enum err record(void *context)
{
    struct importing *importing = context;
    size_t count = 0;
    for (size_t i = 0; i < keys_file_count(importing->file); i++) {
        const struct key_import *import = &importing->imports[i];
        if (import->fate != KEY_TAKEN)
            continue;
        importing->subjects[count] = (struct verb_subject){
            id_of(import), describe(import->entry, importing->reasons[count])};
        count++;
    }
    enum err err = verb_record_all(importing->desk, importing->caller, AUDIT_KEY_CREATE,
                                   importing->subjects, count, &importing->recorded);
    if (err != OK)
        importing->refusal = verb_unrecorded(err, "importing the keys");
    return err;
}

/* --- what was done ------------------------------------------------------------------------------
 */

static json_t *taken_value(const struct key_import *import)
{
    const struct member members[] = {
        {"id",   text_value(id_of(import))         },
        {"name", json_string(import->entry->key_id)},
    };
    return object_of(members, COUNT_OF(members));
}

static json_t *skipped_value(const struct key_import *import)
{
    const struct member members[] = {
        {"name", json_string(import->entry->key_id)                                                              },
        {"line", json_integer(import->entry->line)                                                               },
        {"why",  json_string(import->fate == KEY_OVER ? "it has expired"
                                                     : "it is in the store, or was revoked there")},
    };
    return object_of(members, COUNT_OF(members));
}

/* The file that the gateway reads, when entries of it were imported: they open still. */
static json_t *served_value(const struct importing *importing)
{
    const struct desk *desk = importing->desk;
    struct keys_file *served = desk->file_keys ? desk->file_keys(desk->context) : NULL;
    bool same = false;
    for (size_t i = 0; served && i < keys_file_count(importing->file) && !same; i++)
        same = keys_file_find_hash(served, slice_of(importing->imports[i].entry->hash)) != NULL;
    json_t *path = same ? json_string(keys_file_path(served)) : json_null();
    keys_file_unref(served);
    return path;
}

static json_t *show_import(const struct importing *importing)
{
    json_t *taken = json_array(), *skipped = json_array();
    int failed = 0;
    for (size_t i = 0; i < keys_file_count(importing->file); i++) {
        const struct key_import *import = &importing->imports[i];
        failed |= import->fate == KEY_TAKEN ? json_array_append_new(taken, taken_value(import))
                                            : json_array_append_new(skipped, skipped_value(import));
    }
    const struct member members[] = {
        {"keys",      taken                  },
        {"skipped",   skipped                },
        {"served_in", served_value(importing)},
    };
    json_t *response = verb_success("imported", object_of(members, COUNT_OF(members)));
    if (!failed)
        return response;
    json_decref(response);
    return NULL;
}

/* --- key_import ---------------------------------------------------------------------------------
 */

static json_t *import_entries(struct importing *importing)
{
    const struct desk *desk = importing->desk;
    enum err err = keyring_import(desk->keyring, desk->store, importing->file, clock_credential_s(),
                                  record, importing, importing->imports);
    if (err == OK)
        return show_import(importing);
    verb_record_failures(desk, importing->caller, AUDIT_KEY_CREATE, importing->subjects,
                         importing->recorded, err);
    return refuse_import(importing, err);
}

static json_t *import_file(struct importing *importing)
{
    size_t room = keys_file_count(importing->file) + 1; /* an empty file is one, too */
    importing->imports = calloc(room, sizeof *importing->imports);
    importing->subjects = calloc(room, sizeof *importing->subjects);
    importing->reasons = calloc(room, sizeof *importing->reasons);
    bool good = importing->imports && importing->subjects && importing->reasons;
    json_t *response = good ? import_entries(importing) : NULL;
    free(importing->imports);
    free(importing->subjects);
    free(importing->reasons);
    return response;
}

static json_t *read_and_import(const struct desk *desk, const struct caller *caller,
                               const struct import_wishes *wishes)
{
    AUTO(faults) faults = {0};
    struct importing importing = {.desk = desk, .caller = caller};
    enum err err = keys_file_parse(wishes->text, wishes->file.ptr, &faults, &importing.file);
    if (err != OK)
        return refuse_file(err, &faults);
    check_owners(importing.file, &faults);
    json_t *response = faults.count ? refuse_faults(&faults) : import_file(&importing);
    keys_file_unref(importing.file);
    return response;
}

json_t *verb_key_import(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    static const struct field fields[] = {
        {"file", FIELD_TEXT, true, offsetof(struct import_wishes, file)},
        {"text",  FIELD_TEXT, true, offsetof(struct import_wishes, text)},
        {0},
    };
    struct import_wishes wishes = {0};
    if (!caller->local)
        return verb_refusal("denied", NULL, "keys are imported by a command");
    json_t *refusal = fields_read(request, fields, &wishes);
    return refusal ? refusal : read_and_import(desk, caller, &wishes);
}
