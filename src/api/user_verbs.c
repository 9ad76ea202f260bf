/* The verbs on accounts. Who may manage users gives nobody more rights than they have themselves,
 * and does not touch accounts that have more: else whoever could make an account could make an
 * admin, or take one over by a new password. */
#include "api/verb_parts.h"
#include <stdlib.h>

#include "base/clock.h"
#include "identity/account_keys.h"

enum { NAME_SHOWN = 64 };

static json_t *user_value(const struct account_view *view)
{
    const struct member members[] = {
        {"id",                  json_string(view->name)                        },
        {"username",            json_string(view->name)                        },
        {"role",                json_string(role_name(view->role))             },
        {"permissions",         permissions_value(role_permissions(view->role))},
        {"disabled",            json_boolean(view->disabled)                   },
        {"sessions",            json_integer(view->sessions)                   },
        {"created_at",          time_value(view->created_epoch_s)              },
        {"password_changed_at", time_value(view->password_epoch_s)             },
        {"last_login_at",       time_value(view->last_login_epoch_s)           },
    };
    return object_of(members, COUNT_OF(members));
}

static json_t *no_such_user(struct slice name)
{
    return verb_refusal("not_found", "id", "no user is named \"%.*s\"",
                        (int)(name.len < NAME_SHOWN ? name.len : NAME_SHOWN), name.ptr);
}

static json_t *show(const struct desk *desk, struct slice name)
{
    struct account_view view;
    return accounts_view(desk->accounts, name, &view) == OK
               ? verb_success("user", user_value(&view))
               : no_such_user(name);
}

/* NULL: may manage users at all. */
static json_t *refuse_stranger(const struct caller *caller)
{
    if (caller->permissions & MANAGE_USERS)
        return NULL;
    return verb_refusal("denied", NULL, "this needs the permission manage_users");
}

/* A role is for all models; a key may be for some. */
static json_t *refuse_above(const struct caller *caller, enum role role, const char *param)
{
    bool all_models = !caller->key || !caller->key->models;
    if (all_models && !(role_permissions(role) & ~caller->permissions))
        return NULL;
    return verb_refusal("denied", param,
                        "the role %s has rights that who asks for this does not have",
                        role_name(role));
}

/* NULL: `*role` is it. */
static json_t *read_role(struct slice name, enum role *role)
{
    if (role_parse(name, role) == OK)
        return NULL;
    return verb_refusal("usage", "role", "role: must be admin, user, service or guest");
}

/* NULL: `stored` is what is kept of the password. */
static json_t *hash(struct slice plain, char stored[PASSWORD_STORED_SIZE])
{
    enum err err = password_hash_new(plain, stored);
    if (err == OK)
        return NULL;
    if (err == ERR_MEMORY)
        return verb_failure(err, "hashing the password");
    return verb_refusal("usage", "password",
                        "password: must have %d characters or more, at most %d bytes, in UTF-8 "
                        "without control characters",
                        PASSWORD_NEW_CHARACTERS_MIN, PASSWORD_BYTES_MAX);
}

/* Which of a change's refusals it was. */
static json_t *failure(enum err err, struct slice name, const char *what)
{
    if (err == ERR_NOT_FOUND)
        return no_such_user(name);
    if (err == ERR_DENIED)
        return verb_refusal("conflict", NULL,
                            "%s: nobody would be left who may administer; make another admin first",
                            what);
    if (err == ERR_EXISTS)
        return verb_refusal("conflict", "username", "a user of that name exists already");
    if (err == ERR_RANGE)
        return verb_refusal("denied", "id", "%s: the user has got more rights meanwhile", what);
    return verb_failure(err, what);
}

/* --- user_create --------------------------------------------------------------------------------
 */

static json_t *create(const struct desk *desk, const struct caller *caller, struct slice name,
                      const char *stored, enum role role)
{
    struct account_view view;
    if (accounts_view(desk->accounts, name, &view) == OK)
        return failure(ERR_EXISTS, name, "making the user");
    enum err err = verb_record(desk, caller, AUDIT_USER_CREATE, name, slice_of(role_name(role)));
    if (err != OK)
        return verb_unrecorded(err, "making the user");
    err = account_keys_add(desk->accounts, desk->keyring, desk->store, name, stored, role,
                           clock_credential_s());
    if (err == OK)
        return show(desk, name);
    verb_record_failure(desk, caller, AUDIT_USER_CREATE, name, err);
    return failure(err, name, "making the user");
}

struct user_wishes {
    struct slice username, password, role;
};

json_t *verb_user_create(const struct desk *desk, const struct caller *caller,
                         const json_t *request)
{
    static const struct field fields[] = {
        {"username", FIELD_TEXT, true, offsetof(struct user_wishes, username), 0},
        {"password",      FIELD_TEXT, true, offsetof(struct user_wishes, password), 0},
        {"role", FIELD_TEXT, false, offsetof(struct user_wishes, role), 0},
        {0         },
    };
    struct user_wishes wishes = {.role = SLICE("user")};
    enum role role = ROLE_GUEST;
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, fields, &wishes);
    if (refusal)
        return refusal;
    const char *fault = account_name_fault(wishes.username);
    if (fault)
        return verb_refusal("usage", "username", "username: %s", fault);
    refusal = read_role(wishes.role, &role);
    if (!refusal)
        refusal = refuse_above(caller, role, "role");
    if (refusal)
        return refusal;
    char stored[PASSWORD_STORED_SIZE];
    refusal = hash(wishes.password, stored);
    json_t *response = refusal ? refusal : create(desk, caller, wishes.username, stored, role);
    explicit_bzero(stored, sizeof stored);
    return response;
}

/* --- user_list, user_show -----------------------------------------------------------------------
 */

/* Those with numbers behind `after`, as many as fit. */
static json_t *page_of(const struct account_view *views, size_t count, uint64_t after)
{
    json_t *list = json_array();
    size_t at = 0, bytes = 0;
    int failed = 0;
    while (at < count && views[at].number <= after)
        at++;
    for (; at < count && bytes < VERB_PAGE_BYTES; at++) {
        json_t *user = user_value(&views[at]);
        bytes += json_dumpb(user, NULL, 0, JSON_COMPACT) + 1;
        failed |= json_array_append_new(list, user);
    }
    if (!failed)
        return verb_page("users", list,
                         at < count ? json_integer((json_int_t)views[at - 1].number) : json_null());
    json_decref(list);
    return NULL;
}

/* {"after": number}, and "next" in the response, as of key_list. */
json_t *verb_user_list(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    uint64_t after;
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = read_only_after(request, &after);
    if (refusal)
        return refusal;
    struct account_view *views;
    size_t count;
    enum err err = accounts_list(desk->accounts, &views, &count);
    if (err != OK)
        return verb_failure(err, "listing the users");
    json_t *response = page_of(views, count, after);
    free(views);
    return response;
}

/* NULL: `*name` is the user's (borrowed from the request), and who asks may deal with them. */
static json_t *read_name(const struct desk *desk, const struct caller *caller,
                         const json_t *request, struct slice *name)
{
    struct account_view view;
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = read_only_id(request, name);
    if (refusal)
        return refusal;
    return accounts_view(desk->accounts, *name, &view) == OK ? NULL : no_such_user(*name);
}

json_t *verb_user_show(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    struct slice name;
    json_t *refusal = read_name(desk, caller, request, &name);
    return refusal ? refusal : show(desk, name);
}

/* --- user_update --------------------------------------------------------------------------------
 */

struct user_changes {
    struct slice name, password, role;
    bool disabled, sets_disabled;
};

static json_t *change(const struct desk *desk, const struct caller *caller,
                      const struct user_changes *wanted, struct account_change *made)
{
    char memory[128];
    struct buffer what = BUFFER_OVER(memory, sizeof memory);
    if (made->password)
        buffer_text(&what, "password ");
    if (made->sets_role)
        buffer_printf(&what, "role %s ", role_name(made->role));
    if (made->sets_disabled)
        buffer_text(&what, made->disabled ? "disabled " : "enabled ");
    struct slice reason = slice_trim(buffer_slice(&what));
    enum err err = verb_record(desk, caller, AUDIT_USER_UPDATE, wanted->name, reason);
    if (err != OK)
        return verb_unrecorded(err, "changing the user");
    err = account_keys_change(desk->accounts, desk->keyring, desk->store, wanted->name, made,
                              clock_credential_s());
    if (err == OK)
        return show(desk, wanted->name);
    verb_record_failure(desk, caller, AUDIT_USER_UPDATE, wanted->name, err);
    return failure(err, wanted->name, "changing the user");
}

/* NULL: the change is one that this caller may make. */
static json_t *check_change(const struct desk *desk, const struct caller *caller,
                            const struct user_changes *wanted, struct account_change *made)
{
    struct account_view view;
    if (accounts_view(desk->accounts, wanted->name, &view) != OK)
        return no_such_user(wanted->name);
    json_t *refusal = refuse_above(caller, view.role, "id");
    if (refusal)
        return refusal;
    made->sets_disabled = wanted->sets_disabled;
    made->disabled = wanted->disabled;
    made->sets_role = wanted->role.ptr != NULL;
    if (made->sets_role) {
        refusal = read_role(wanted->role, &made->role);
        if (!refusal)
            refusal = refuse_above(caller, made->role, "role");
    }
    if (!refusal && !made->sets_role && !made->sets_disabled && !wanted->password.ptr)
        refusal = verb_refusal("usage", NULL,
                               "nothing is to be changed: give password, role or "
                               "disabled");
    return refusal;
}

json_t *verb_user_update(const struct desk *desk, const struct caller *caller,
                         const json_t *request)
{
    static const struct field fields[] = {
        {"id",        FIELD_TEXT, true, offsetof(struct user_changes, name), 0},
        {"password",       FIELD_TEXT, false, offsetof(struct user_changes, password), 0},
        {"role",      FIELD_TEXT, false, offsetof(struct user_changes, role), 0},
        {"disabled",           FIELD_BOOL, false, offsetof(struct user_changes, disabled),
         offsetof(struct user_changes, sets_disabled)},
        {0},
    };
    struct user_changes wanted = {0};
    /* Whoever changes their own password stays signed in where they did it. */
    struct account_change made = {.spared = caller->session, .beyond = ~caller->permissions};
    char stored[PASSWORD_STORED_SIZE];
    json_t *refusal = refuse_stranger(caller);
    if (!refusal)
        refusal = fields_read(request, fields, &wanted);
    if (!refusal)
        refusal = check_change(desk, caller, &wanted, &made);
    if (!refusal && wanted.password.ptr) {
        refusal = hash(wanted.password, stored);
        made.password = stored;
    }
    json_t *response = refusal ? refusal : change(desk, caller, &wanted, &made);
    explicit_bzero(stored, sizeof stored);
    return response;
}

/* --- user_delete --------------------------------------------------------------------------------
 */

json_t *verb_user_delete(const struct desk *desk, const struct caller *caller,
                         const json_t *request)
{
    struct slice name;
    struct account_view view;
    json_t *refusal = read_name(desk, caller, request, &name);
    if (refusal)
        return refusal;
    if (accounts_view(desk->accounts, name, &view) != OK)
        return no_such_user(name);
    refusal = refuse_above(caller, view.role, "id");
    if (refusal)
        return refusal;
    enum err err = verb_record(desk, caller, AUDIT_USER_DELETE, name, SLICE(""));
    if (err != OK)
        return verb_unrecorded(err, "deleting the user");
    err =
        account_keys_delete(desk->accounts, desk->keyring, desk->store, name, clock_credential_s());
    if (err != OK)
        verb_record_failure(desk, caller, AUDIT_USER_DELETE, name, err);
    return err == OK ? verb_success("user", user_value(&view))
                     : failure(err, name, "deleting the user");
}
