/* The verbs that read the audit log: the files, not what a gateway has in memory, so a record is
 * found once it is on disk. They change nothing. The hard problem is a log of any length: a search
 * ends after so many bytes and says where to go on, a proof when nobody waits for it any more. */
#include <errno.h>
#include <string.h>

#include "api/verb_parts.h"
#include "base/clock.h"
#include "record/audit_files.h"
#include "record/audit_proof.h"
#include "record/audit_search.h"

enum {
    SHOWN_DEFAULT = 50,
    SHOWN_MAX = 500,                   /* AUDIT_LINE_MAX each: within an answer's 4 MiB */
    READ_BYTES_MAX = 64 * 1024 * 1024, /* in one search */
};

static enum err find_files(const struct caller *caller, struct audit_files *files, json_t **refusal)
{
    if (!caller->settings->security.audit_logging_enabled) {
        *refusal = verb_refusal("not_found", NULL,
                                "There is no audit log here: it is turned off by "
                                "security.audit_logging_enabled.");
        return ERR_NOT_FOUND;
    }
    enum err err = audit_files_find(files, caller->settings->log.audit);
    if (err != OK)
        *refusal = verb_failure(err == ERR_MEMORY ? err : ERR_IO, "finding the audit log");
    return err;
}

/* --- search -------------------------------------------------------------------------------------
 */

struct search_wishes {
    struct slice since, until, event, actor, ip;
    int64_t limit, before;
};

// clang-format off
static const struct field search_fields[] = {
    {"since",  FIELD_TEXT,   false, offsetof(struct search_wishes, since),  0},
    {"until",  FIELD_TEXT,   false, offsetof(struct search_wishes, until),  0},
    {"event",  FIELD_TEXT,   false, offsetof(struct search_wishes, event),  0},
    {"actor",  FIELD_TEXT,   false, offsetof(struct search_wishes, actor),  0},
    {"ip",     FIELD_TEXT,   false, offsetof(struct search_wishes, ip),     0},
    {"limit",  FIELD_DIGITS, false, offsetof(struct search_wishes, limit),  0},
    {"before", FIELD_DIGITS, false, offsetof(struct search_wishes, before), 0},
    {0},
};
// clang-format on

static json_t *read_time(const char *name, struct slice text, uint64_t *epoch_s)
{
    if (!text.len || clock_parse_rfc3339(text, epoch_s) == OK)
        return NULL;
    return verb_refusal("usage", name, "%s: must be a time such as 2025-11-03T10:30:00Z", name);
}

static json_t *read_words(const struct search_wishes *wishes, struct audit_filter *filter)
{
    enum audit_event event;
    struct address address;
    if (wishes->event.len && audit_event_find(wishes->event, &event) != OK)
        return verb_refusal("usage", "event", "event: there is no event \"%.64s\"",
                            wishes->event.ptr);
    if (wishes->ip.len && !slice_equal(wishes->ip, SLICE("unix")) &&
        address_parse(wishes->ip, &address) != OK)
        return verb_refusal("usage", "ip", "ip: must be an address");
    if (wishes->limit < 1 || wishes->limit > SHOWN_MAX)
        return verb_refusal("usage", "limit", "limit: must be 1 to %d", SHOWN_MAX);
    if (wishes->before < 0)
        return verb_refusal("usage", "before", "before: must not be negative");
    filter->event = wishes->event;
    filter->actor = wishes->actor;
    filter->ip = wishes->ip;
    filter->before_seq = (uint64_t)wishes->before;
    return NULL;
}

struct shown {
    json_t *list;
    size_t limit;
    bool starved;
};

static bool take(void *context, struct slice line)
{
    struct shown *shown = context;
    json_t *record;
    if (json_array_size(shown->list) == shown->limit)
        return false;
    enum err err = json_read_quoted(line, &record);
    if (err == ERR_SYNTAX) /* somebody else's line: the proof is there to find it */
        return true;
    shown->starved |= err != OK || json_array_append_new(shown->list, record) != 0;
    return !shown->starved;
}

static json_t *search(const struct audit_files *files, const struct audit_filter *filter,
                      size_t limit)
{
    struct shown shown = {.list = json_array(), .limit = limit};
    struct audit_search search = {
        .filter = *filter, .take = take, .context = &shown, .read_bytes_max = READ_BYTES_MAX};
    unsigned failed;
    enum err err =
        shown.list ? audit_search(&search, files->paths, files->count, &failed) : ERR_MEMORY;
    if (err == OK && !shown.starved)
        return verb_page("records", shown.list,
                         search.next_seq ? json_integer((json_int_t)search.next_seq) : json_null());
    json_decref(shown.list);
    return verb_failure(err == OK ? ERR_MEMORY : err, "reading the audit log");
}

json_t *verb_audit_list(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct search_wishes wishes = {.limit = SHOWN_DEFAULT};
    struct audit_filter filter = {0};
    AUTO(audit_files) files = {0};
    (void)desk;
    json_t *refusal = fields_read(request, search_fields, &wishes);
    if (!refusal)
        refusal = read_time("since", wishes.since, &filter.since_epoch_s);
    if (!refusal)
        refusal = read_time("until", wishes.until, &filter.until_epoch_s);
    if (!refusal)
        refusal = read_words(&wishes, &filter);
    if (refusal || find_files(caller, &files, &refusal) != OK)
        return refusal;
    return search(&files, &filter, (size_t)wishes.limit);
}

/* --- proof --------------------------------------------------------------------------------------
 */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static json_t *verdict_value(const struct audit_proof *proof, const struct audit_files *files)
{
    const struct audit_verdict *verdict = &proof->verdict;
    if (!verdict->fault)
        return json_pack("{s:b, s:I, s:I, s:i}", "ok", 1, "records", (json_int_t)verdict->records,
                         "last_seq", (json_int_t)proof->last_seq, "files", (int)files->count);
    return json_pack("{s:b, s:I, s:s, s:I, s:I, s:s}", "ok", 0, "records",
                     (json_int_t)verdict->records, "file", base_name(files->paths[verdict->file]),
                     "line", (json_int_t)verdict->line, "seq", (json_int_t)verdict->seq, "fault",
                     audit_fault_sentence(verdict->fault));
}

/* What the sentence names lies on our disk: it is for the operator's log, not for the caller. */
static json_t *refuse_proof(const struct faults *faults, enum err err)
{
    if (err == ERR_CLOSED)
        return verb_refusal("closing", NULL, "The gateway is shutting down.");
    AUTO(buffer) said = BUFFER_MAX(4096);
    faults_print(faults, &said);
    log_error("the audit log cannot be proved: %s", buffer_text_of(&said));
    return verb_refusal(err == ERR_MEMORY ? "memory" : "store", NULL,
                        "The audit log cannot be proved at present: its key, its checkpoint or the "
                        "log itself cannot be read. The application log says why.");
}

json_t *verb_audit_verify(const struct desk *desk, const struct caller *caller,
                          const json_t *request)
{
    static const struct field no_fields[] = {{0}};
    AUTO(audit_files) files = {0};
    AUTO(faults) faults = {0};
    (void)desk;
    json_t *refusal = fields_read(request, no_fields, NULL);
    if (refusal || find_files(caller, &files, &refusal) != OK)
        return refusal;
    struct audit_proof proof = {.is_wanted = caller->is_wanted, .context = caller->waiter};
    enum err err = audit_prove(&proof, caller->settings->store.directory, &files, &faults);
    return err == OK ? verb_success("verdict", verdict_value(&proof, &files))
                     : refuse_proof(&faults, err);
}
