/* The verbs about the deny-list. As with every change, the record comes first: a ban that cannot be
 * written down is not made. They wait for the disk and for the event loops: what they answer holds
 * already. */
#include "api/verb_parts.h"
#include "base/clock.h"
#include "gateway/denylist_file.h"

enum { ENTRY_TEXT_MAX = 96 };

static json_t *refuse_entry(struct slice text)
{
    return verb_refusal(
        "usage", "entry",
        "entry: \"%.64s\" is not an address, a range without bits behind its length "
        "(10.0.0.0/8), or key: and the id of a key",
        text.len ? text.ptr : "");
}

/* The command has none while the file cannot be read. */
static json_t *refuse_without(const struct desk *desk)
{
    return desk->denylist ? NULL
                          : verb_refusal("store", NULL,
                                         "The deny-list's file cannot be read; `sallyport check` "
                                         "says why.");
}

static json_t *refuse_change(enum err err, const char *what)
{
    if (err == ERR_IO)
        return verb_refusal(
            "store", NULL,
            "%s: the deny-list's file could not be written; nothing was changed. Is "
            "the disk full or read-only?",
            what);
    return verb_failure(err, what);
}

/* --- listing ------------------------------------------------------------------------------------
 */

static json_t *entry_value(const struct deny_entry *entry, uint32_t line)
{
    char memory[ENTRY_TEXT_MAX];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    deny_entry_print(&text, entry);
    const struct member members[] = {
        {"entry",      text_value(buffer_slice(&text))                                    },
        {"kind",       json_string(deny_kind_name(entry->kind))                           },
        {"reason",     text_value(slice_of(entry->reason))                                },
        {"banned_at",  time_value(entry->at_epoch_s)                                      },
        {"expires_at", time_value(entry->seconds ? entry->at_epoch_s + entry->seconds : 0)},
        {"line",       line ? json_integer(line) : json_null()                            },
    };
    return object_of(members, COUNT_OF(members));
}

struct page {
    json_t *list;
    size_t bytes;
    uint32_t last; /* line */
    bool more, starved;
};

static bool show(void *context, const struct deny_entry *entry, uint32_t line)
{
    struct page *page = context;
    page->more = page->bytes >= VERB_PAGE_BYTES;
    if (page->more)
        return false;
    json_t *value = entry_value(entry, line);
    page->bytes += value ? json_dumpb(value, NULL, 0, JSON_COMPACT) : 0;
    page->starved = json_array_append_new(page->list, value) != 0;
    page->last = line;
    return !page->starved;
}

json_t *verb_denylist_list(const struct desk *desk, const struct caller *caller,
                           const json_t *request)
{
    struct {
        int64_t after;
    } wishes = {0};
    static const struct field fields[] = {
        {"after", FIELD_DIGITS, false, 0, 0},
        {0 }
    };
    (void)caller;
    json_t *refusal = fields_read(request, fields, &wishes);
    if (!refusal)
        refusal = refuse_without(desk);
    if (!refusal && (wishes.after < 0 || wishes.after > UINT32_MAX))
        refusal = verb_refusal("usage", "after", "after: must be the number of a line");
    if (refusal)
        return refusal;
    struct page page = {.list = json_array()};
    if (page.list)
        denylist_each(desk->denylist, (uint32_t)wishes.after, show, &page);
    if (page.list && !page.starved)
        return verb_page("entries", page.list, page.more ? json_integer(page.last) : json_null());
    json_decref(page.list);
    return verb_failure(ERR_MEMORY, "listing the bans");
}

/* --- changing -----------------------------------------------------------------------------------
 */

struct ban_wishes {
    struct slice entry, reason;
    int64_t seconds;
};

// clang-format off
static const struct field add_fields[] = {
    {"entry",   FIELD_TEXT,   true,  offsetof(struct ban_wishes, entry),   0},
    {"reason",  FIELD_TEXT,   false, offsetof(struct ban_wishes, reason),  0},
    {"seconds", FIELD_NUMBER, false, offsetof(struct ban_wishes, seconds), 0},
    {0},
};

static const struct field remove_fields[] = {
    {"entry",   FIELD_TEXT,   true,  offsetof(struct ban_wishes, entry),   0},
    {0},
};
// clang-format on

static json_t *read_ban(const json_t *request, struct deny_entry *entry)
{
    struct ban_wishes wishes = {.reason = SLICE("by hand")};
    json_t *refusal = fields_read(request, add_fields, &wishes);
    if (refusal)
        return refusal;
    if (deny_entry_parse(wishes.entry, entry) != OK)
        return refuse_entry(wishes.entry);
    if (!deny_reason_valid(wishes.reason))
        return verb_refusal("usage", "reason", "reason: must be 1 to %d bytes on one line",
                            DENY_REASON_MAX);
    if (wishes.seconds < 0 || wishes.seconds > DENY_SECONDS_MAX)
        return verb_refusal("usage", "seconds",
                            "seconds: must be 1 to %d, or 0: until it is removed",
                            DENY_SECONDS_MAX);
    memcpy(entry->reason, wishes.reason.ptr, wishes.reason.len);
    entry->seconds = (uint64_t)wishes.seconds;
    return NULL;
}

/* Writes the record, and then has `change` made. NULL: it was. */
static json_t *make_change(const struct desk *desk, const struct caller *caller,
                           enum audit_event event, struct deny_entry *entry,
                           enum err (*change)(struct denylist *denylist, struct deny_entry *entry))
{
    const char *what = event == AUDIT_BAN ? "banning" : "lifting the ban";
    char memory[ENTRY_TEXT_MAX];
    struct buffer subject = BUFFER_OVER(memory, sizeof memory);
    deny_entry_print(&subject, entry);
    enum err err =
        verb_record(desk, caller, event, buffer_slice(&subject), slice_of(entry->reason));
    if (err)
        return verb_unrecorded(err, what);
    err = change(desk->denylist, entry);
    if (err)
        verb_record_failure(desk, caller, event, buffer_slice(&subject), err);
    return err ? refuse_change(err, what) : NULL;
}

json_t *verb_denylist_add(const struct desk *desk, const struct caller *caller,
                          const json_t *request)
{
    struct deny_entry entry;
    json_t *refusal = read_ban(request, &entry);
    if (!refusal)
        refusal = refuse_without(desk);
    if (!refusal)
        refusal = make_change(desk, caller, AUDIT_BAN, &entry, denylist_add);
    return refusal ? refusal : verb_success("entry", entry_value(&entry, 0));
}

static enum err remove_entry(struct denylist *denylist, struct deny_entry *entry)
{
    return denylist_remove(denylist, entry);
}

json_t *verb_denylist_remove(const struct desk *desk, const struct caller *caller,
                             const json_t *request)
{
    struct ban_wishes wishes = {0};
    struct deny_entry entry;
    json_t *refusal = fields_read(request, remove_fields, &wishes);
    if (!refusal && deny_entry_parse(wishes.entry, &entry) != OK)
        refusal = refuse_entry(wishes.entry);
    if (!refusal)
        refusal = refuse_without(desk);
    if (!refusal && !denylist_has(desk->denylist, &entry))
        refusal = verb_refusal("not_found", "entry", "\"%.64s\" is not on the deny-list",
                               wishes.entry.ptr);
    if (!refusal)
        refusal = make_change(desk, caller, AUDIT_UNBAN, &entry, remove_entry);
    return refusal ? refusal : verb_success("entry", entry_value(&entry, 0));
}
