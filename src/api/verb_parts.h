/* What the verbs are made of; for *_verbs.c only. */
#ifndef API_VERB_PARTS_H
#define API_VERB_PARTS_H

#include "api/verb.h"

typedef json_t *verb_fn(const struct desk *desk, const struct caller *caller,
                        const json_t *request);

/* key_verbs.c, key_change_verbs.c, key_import_verbs.c, user_verbs.c, session_verbs.c,
 * audit_verbs.c, denylist_verbs.c */
verb_fn verb_key_list, verb_key_show, verb_key_revoke, verb_key_prune;
verb_fn verb_key_create, verb_key_update, verb_key_rotate, verb_key_import;
verb_fn verb_user_create, verb_user_list, verb_user_show, verb_user_update, verb_user_delete;
verb_fn verb_login, verb_login_for_minutes, verb_refresh, verb_logout, verb_me, verb_session_list,
    verb_session_end;
verb_fn verb_audit_list, verb_audit_verify;
verb_fn verb_denylist_list, verb_denylist_add, verb_denylist_remove;

/* file_key_verbs.c, for the other verbs on keys. NULL: that is the id of no key of the file that
 * the caller may see. */
json_t *file_key_show(const struct desk *desk, const struct caller *caller, struct slice id);
/* Such a key is not changed here; `instead` is what can be done in the file. */
json_t *file_key_refuse(const struct desk *desk, const struct caller *caller, struct slice id,
                        const char *instead);
/* An imported key, of which the file still has the entry: it opens, whatever became of it here. */
json_t *file_key_remains(const struct desk *desk, struct slice id);
/* Pages of key_list from FILE_KEYS_AFTER on are the file's; NULL: no memory. */
#define FILE_KEYS_AFTER (INT64_C(1) << 52) /* which every reader of JSON knows exactly */
json_t *file_key_list(const struct desk *desk, const struct caller *caller, uint64_t after);
/* Fills the store's last page, of which `bytes` are used. Where the next one begins, or null; NULL:
 * no memory. */
json_t *file_key_append(const struct desk *desk, const struct caller *caller, json_t *keys,
                        size_t bytes);

/* --- requests -----------------------------------------------------------------------------------
 */

enum field_type {
    FIELD_TEXT,   /* struct slice */
    FIELD_NUMBER, /* int64_t */
    FIELD_DIGITS, /* the same; its digits are taken too: the query of a URL has only texts */
    FIELD_BOOL,   /* bool */
    FIELD_LIST,   /* const json_t * */
};

/* A member of a request. What is not there leaves its place as it was. */
struct field {
    const char *name;
    enum field_type type;
    bool required;
    size_t place;       /* in the struct that is filled */
    size_t given_place; /* of a bool that says whether it was there; 0: nobody asks */
    bool null_is_none;  /* null is as good as leaving it out, and not a wrong type */
    size_t null_place;  /* of a bool that says whether it was null; 0: that is a wrong type */
};
/* Fills `into` from the request; texts are borrowed from it. NULL when all is well, else the
 * refusal: a member that no field has, one that is missing, a wrong type. The table ends with a
 * NULL name. */
json_t *fields_read(const json_t *request, const struct field *fields, void *into);
/* The request is {"id": TEXT}; borrowed. */
json_t *read_only_id(const json_t *request, struct slice *id);
/* The request is {} or {"after": NUMBER}, as VERB_PAGE_BYTES makes them; 0 when it is not there. */
json_t *read_only_after(const json_t *request, uint64_t *after);

/* --- responses ----------------------------------------------------------------------------------
 */

/* For what went wrong while `what` ("making the key"). */
json_t *verb_failure(enum err err, const char *what);
/* {"ok": true, NAME: value}. Takes `value` over in any case, which json_pack does not. */
json_t *verb_success(const char *name, json_t *value);
/* A list is cut where it has this many bytes or more; what one member has on top of that fits into
 * VERB_LINE_MAX: a key at most 41 KB (identity/api_key.h). */
enum { VERB_PAGE_BYTES = 16 * 1024 };
/* {"ok": true, NAME: list, "next": where the next page goes on, or null}. Takes both values over.
 */
json_t *verb_page(const char *name, json_t *list, json_t *next);
/* {"ok": true} */
json_t *verb_done(void);
/* RFC 3339, or null for 0. */
json_t *time_value(uint64_t epoch_s);
json_t *text_value(struct slice text);
json_t *permissions_value(permissions set);

/* A member of an object that is being built; `value` is taken over. */
struct member {
    const char *name;
    json_t *value;
};
/* NULL when one of the values is, or there is no memory. */
json_t *object_of(const struct member *members, size_t count);

/* --- the record ---------------------------------------------------------------------------------
 */

/* A change of `event`'s kind to what `subject` names, as the audit log has it, before it is made.
 * ERR_DENIED: the caller's credential was revoked meanwhile; ERR_IO, ERR_MEMORY: it is not in the
 * log. It must not be made then. */
enum err verb_record(const struct desk *desk, const struct caller *caller, enum audit_event event,
                     struct slice subject, struct slice reason) MUST_CHECK;
/* Several of a kind, which wait for the disk together. `*recorded` is how many of them, from the
 * first on, are in the log, also after an error. */
struct verb_subject {
    struct slice id, reason;
};
enum err verb_record_all(const struct desk *desk, const struct caller *caller,
                         enum audit_event event, const struct verb_subject *subjects, size_t count,
                         size_t *recorded) MUST_CHECK;
void verb_record_failures(const struct desk *desk, const struct caller *caller,
                          enum audit_event event, const struct verb_subject *subjects, size_t count,
                          enum err why);
/* What was recorded did not come to be. */
void verb_record_failure(const struct desk *desk, const struct caller *caller,
                         enum audit_event event, struct slice subject, enum err why);
/* What has happened, whatever becomes of its record. `actor` instead of the caller's. */
void verb_note(const struct desk *desk, const struct caller *caller, enum audit_event event,
               struct slice actor, unsigned status, struct slice reason);
/* For what verb_record said about it. */
json_t *verb_unrecorded(enum err err, const char *what);

#endif
