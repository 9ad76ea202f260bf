/* The verbs of signing in: login, refresh, logout, and one's own sessions. Its one hard problem is
 * to tell a stranger nothing: whatever was wrong with a login is one answer, in about one time. */
#include "api/verb_parts.h"
#include "base/clock.h"
#include "base/hash.h"
#include "guard/login_rate.h"
#include "identity/access_token.h"

enum { SESSIONS_SHOWN = SESSIONS_PER_ACCOUNT_MAX };

/* --- what is answered ---------------------------------------------------------------------------
 */

static json_t *account_value(const struct account *account)
{
    enum role role = atomic_load_explicit(&account->role, memory_order_relaxed);
    const struct member members[] = {
        {"id",          json_string(account->name)               },
        {"username",    json_string(account->name)               },
        {"role",        json_string(role_name(role))             },
        {"permissions", permissions_value(role_permissions(role))},
    };
    return object_of(members, COUNT_OF(members));
}

/* The pair of tokens, under all the names that clients look for. */
static json_t *tokens_value(const struct caller *caller, const struct session *session,
                            struct slice refresh, uint64_t lifetime_s)
{
    AUTO(secret) token = {0};
    uint64_t now = clock_credential_s(), expires;
    enum err err = access_token_make(caller->tokens, session, now, lifetime_s, &token, &expires);
    if (err != OK)
        return verb_failure(err, "signing the token");
    const struct member members[] = {
        {"token",         text_value(secret_reveal(&token))        },
        {"expires_at",    time_value(expires)                      },
        {"access_token",  text_value(secret_reveal(&token))        },
        {"token_type",    json_string("bearer")                    },
        {"expires_in",    json_integer((json_int_t)(expires - now))},
        {"refresh_token", text_value(refresh)                      },
        {"user",          account_value(session->account)          },
    };
    return verb_success("tokens", object_of(members, COUNT_OF(members)));
}

static uint64_t refresh_lifetime_s(const struct caller *caller)
{
    return caller->settings->security.refresh_token_days * 86400;
}

/* --- login --------------------------------------------------------------------------------------
 */

struct login_wishes {
    struct slice username, password;
    struct slice ignored; /* OAuth2's own members, which password forms send along */
};

// clang-format off
static const struct field login_fields[] = {
    {"username", FIELD_TEXT, true, offsetof(struct login_wishes, username), 0},
    {"password", FIELD_TEXT, true, offsetof(struct login_wishes, password), 0},
    {"grant_type", FIELD_TEXT, false, offsetof(struct login_wishes, ignored), 0},
    {"scope", FIELD_TEXT, false, offsetof(struct login_wishes, ignored), 0},
    {"client_id", FIELD_TEXT, false, offsetof(struct login_wishes, ignored), 0},
    {"client_secret", FIELD_TEXT, false, offsetof(struct login_wishes, ignored), 0},
    {0},
};
// clang-format on

static json_t *refuse_login(const struct desk *desk, const struct caller *caller, struct slice name,
                            const char *reason)
{
    verb_note(desk, caller, AUDIT_LOGIN_FAILED, SLICE(""), 401, slice_of(reason));
    json_t *refusal =
        verb_refusal("unauthenticated", NULL, "The user name or the password is not right.");
    json_object_set_new(refusal, "tried", json_integer((json_int_t)hash_bytes(name)));
    return refusal;
}

static json_t *charge_login(const struct caller *caller, struct slice name)
{
    struct rate_verdict verdict =
        login_charge(caller->rates, address_hash(&caller->ip), name, clock_now_us());
    if (verdict.admitted)
        return NULL;
    json_t *refusal = verb_refusal(
        "rate", NULL, "Too many attempts to sign in as this user. Wait, then try again.");
    json_object_set_new(refusal, "retry_after_s",
                        json_integer((json_int_t)((verdict.retry_in_us + 999999) / 1000000)));
    return refusal;
}

static json_t *sign_in(const struct desk *desk, const struct caller *caller, const json_t *request,
                       uint64_t lifetime_s)
{
    struct login_wishes wishes = {0};
    json_t *refusal = fields_read(request, login_fields, &wishes);
    if (refusal)
        return refusal;
    if (account_name_fault(wishes.username))
        return refuse_login(desk, caller, wishes.username, "no_such_name");
    refusal = charge_login(caller, wishes.username);
    if (refusal)
        return refusal;
    AUTO(secret) refresh = {0};
    struct session *session;
    enum err err =
        accounts_sign_in(desk->accounts, desk->store, wishes.username, wishes.password,
                         clock_credential_s(), refresh_lifetime_s(caller), &refresh, &session);
    if (err == ERR_DENIED)
        return refuse_login(desk, caller, wishes.username, "denied");
    if (err != OK)
        return verb_failure(err, "signing in");
    verb_note(desk, caller, AUDIT_LOGIN, slice_of(session->account->name), 200, SLICE(""));
    json_t *response = tokens_value(caller, session, secret_reveal(&refresh), lifetime_s);
    session_unref(session);
    return response;
}

json_t *verb_login(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    return sign_in(desk, caller, request, caller->settings->security.token_expiry_hours * 3600);
}

json_t *verb_login_for_minutes(const struct desk *desk, const struct caller *caller,
                               const json_t *request)
{
    return sign_in(desk, caller, request, caller->settings->security.access_token_minutes * 60);
}

/* --- refresh, logout ----------------------------------------------------------------------------
 */

json_t *verb_refresh(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    static const struct field fields[] = {
        {"refresh_token", FIELD_TEXT, true, 0, 0},
        {0          }
    };
    struct slice presented;
    json_t *refusal = fields_read(request, fields, &presented);
    if (refusal)
        return refusal;
    AUTO(secret) next = {0};
    struct session *session;
    enum err err = accounts_refresh(desk->accounts, desk->store, presented, clock_credential_s(),
                                    refresh_lifetime_s(caller), &next, &session);
    struct slice actor = session ? slice_of(session->account->name) : SLICE("");
    json_t *response;
    if (err == OK) {
        verb_note(desk, caller, AUDIT_REFRESH, actor, 200, SLICE(""));
        response = tokens_value(caller, session, secret_reveal(&next),
                                caller->settings->security.access_token_minutes * 60);
    } else if (err == ERR_EXISTS || err == ERR_DENIED) {
        verb_note(desk, caller, err == ERR_EXISTS ? AUDIT_REFRESH_REUSE : AUDIT_LOGIN_FAILED, actor,
                  401, err == ERR_EXISTS ? SLICE("refresh_reuse") : SLICE("refresh"));
        response = verb_refusal("unauthenticated", NULL,
                                "The refresh token is not valid any more. Sign in again.");
    } else {
        response = verb_failure(err, "refreshing");
    }
    session_unref(session);
    return response;
}

/* Ends the session of the caller's token, and of the refresh token that came along, if that is the
 * caller's too. */
json_t *verb_logout(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    // clang-format off
    static const struct field fields[] = {
        {"refresh_token", FIELD_TEXT, .null_is_none = true},
        {0},
    };
    // clang-format on
    struct slice refresh = {0};
    json_t *refusal = fields_read(request, fields, &refresh);
    if (refusal)
        return refusal;
    if (!caller->account)
        return verb_refusal("denied", NULL,
                            "only somebody who has signed in can sign out; an API key is revoked");
    uint64_t now = clock_credential_s();
    enum err err = accounts_end_session(desk->accounts, desk->store, caller->session, now);
    if (refresh.ptr && (err == OK || err == ERR_NOT_FOUND))
        err = accounts_end_session_of_refresh(desk->accounts, desk->store, caller->account, refresh,
                                              now);
    if (err != OK && err != ERR_NOT_FOUND)
        return verb_failure(err, "signing out");
    verb_note(desk, caller, AUDIT_LOGOUT, slice_of(caller->account->name), 204, SLICE(""));
    return verb_done();
}

/* --- who one is, and where one is signed in -----------------------------------------------------
 */

json_t *verb_me(const struct desk *desk, const struct caller *caller, const json_t *request)
{
    static const struct field fields[] = {{0}};
    (void)desk;
    json_t *refusal = fields_read(request, fields, NULL);
    if (refusal)
        return refusal;
    if (caller->account)
        return verb_success("me", account_value(caller->account));
    const struct member members[] = {
        {"id",          caller->key ? json_string(caller->key->id) : json_null()             },
        {"username",    text_value(caller->key ? slice_of(caller->key->name) : caller->actor)},
        {"role",        json_null()                                                          },
        {"permissions", permissions_value(caller->permissions)                               },
    };
    return verb_success("me", object_of(members, COUNT_OF(members)));
}

static json_t *refuse_unsigned(const struct caller *caller)
{
    if (caller->account)
        return NULL;
    return verb_refusal("denied", NULL, "an API key has no sessions; sign in first");
}

static json_t *session_value(const struct caller *caller, const struct session_view *view)
{
    // clang-format off
    const struct member members[] = {
        {"id", json_string(view->id)},
        {"created_at", time_value(view->created_epoch_s)},
        {"expires_at", time_value(view->expires_epoch_s)},
        {"current", json_boolean(slice_equal(caller->session, slice_of(view->id)))},
    };
    // clang-format on
    return object_of(members, COUNT_OF(members));
}

json_t *verb_session_list(const struct desk *desk, const struct caller *caller,
                          const json_t *request)
{
    static const struct field fields[] = {{0}};
    json_t *refusal = refuse_unsigned(caller);
    if (!refusal)
        refusal = fields_read(request, fields, NULL);
    if (refusal)
        return refusal;
    struct session_view views[SESSIONS_SHOWN];
    size_t count = accounts_list_sessions(desk->accounts, slice_of(caller->account->name), views,
                                          SESSIONS_SHOWN);
    json_t *list = json_array();
    int failed = 0;
    for (size_t i = 0; i < count; i++)
        failed |= json_array_append_new(list, session_value(caller, &views[i]));
    if (!failed)
        return verb_success("sessions", list);
    json_decref(list);
    return NULL;
}

/* One's own of that id, or all of one's own when none is named. */
json_t *verb_session_end(const struct desk *desk, const struct caller *caller,
                         const json_t *request)
{
    static const struct field fields[] = {
        {"id",   FIELD_TEXT, false, 0, 0},
        {0}
    };
    struct slice id = {0};
    json_t *refusal = refuse_unsigned(caller);
    if (!refusal)
        refusal = fields_read(request, fields, &id);
    if (refusal)
        return refusal;
    struct session_view views[SESSIONS_SHOWN];
    size_t count = accounts_list_sessions(desk->accounts, slice_of(caller->account->name), views,
                                          SESSIONS_SHOWN);
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (id.ptr && !slice_equal(id, slice_of(views[i].id)))
            continue;
        enum err err = accounts_end_session(desk->accounts, desk->store, slice_of(views[i].id),
                                            clock_credential_s());
        if (err != OK && err != ERR_NOT_FOUND)
            return verb_failure(err, "ending the session");
        any = true;
        verb_note(desk, caller, AUDIT_LOGOUT, slice_of(caller->account->name), 204,
                  slice_of(views[i].id));
    }
    return any || !id.ptr ? verb_done()
                          : verb_refusal("not_found", "id", "you have no session of that id");
}
