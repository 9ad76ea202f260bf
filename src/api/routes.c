#include "api/routes.h"

#include "api/native.h"
#include "base/clock.h"

/* How often an address may try to sign in, and to refresh a token. */
static const struct rate logins = {.requests = 5, .period_us = 60 * SECOND_US, .burst = 5},
                         refreshes = {.requests = 120, .period_us = 60 * SECOND_US, .burst = 120};

// clang-format off

/* What the routes below have done. */
static const struct errand_plan
    login =        {"login",             "tokens",   .status = 200, .lane = LANE_HASH, .signs = true},
    short_login =  {"login_for_minutes", "tokens",   .status = 200, .lane = LANE_HASH, .signs = true},
    refresh =      {"refresh",           "tokens",   .status = 200, .signs = true},
    logout =       {"logout",            NULL,       .status = 204, .signs = true},
    me =           {"me",                "me",       .status = 200},
    session_list = {"session_list",      "sessions", .status = 200, .list = true},
    session_end =  {"session_end",       NULL,       .status = 204},
    key_list =     {"key_list",          "keys",     .status = 200, .list = true},
    key_create =   {"key_create",        "key",      .status = 201},
    key_show =     {"key_show",          "key",      .status = 200},
    key_update =   {"key_update",        "key",      .status = 200},
    key_rotate =   {"key_rotate",        "key",      .status = 201},
    key_revoke =   {"key_revoke",        NULL,       .status = 204},
    user_list =    {"user_list",         "users",    .status = 200, .list = true},
    user_create =  {"user_create",       "user",     .status = 201, .lane = LANE_HASH},
    user_show =    {"user_show",         "user",     .status = 200},
    user_update =  {"user_update",       "user",     .status = 200, .lane = LANE_HASH},
    user_delete =  {"user_delete",       NULL,       .status = 204},
    audit_list =   {"audit_list",        "records",  .status = 200, .list = true, .lane = LANE_AUDIT},
    audit_verify = {"audit_verify",      "verdict",  .status = 200, .lane = LANE_AUDIT},
    denylist_list =   {"denylist_list",  "entries",  .status = 200, .list = true},
    denylist_add =    {"denylist_add",   "entry",    .status = 201},
    denylist_remove = {"denylist_remove", NULL,      .status = 204};

static const struct native_route routes[] = {
    /* path                method         right             name          answer */
    {"/",                  METHOD_GET,    PERMISSIONS_NONE, "root",       answer_root,   .open = true},
    {"/health",            METHOD_GET,    PERMISSIONS_NONE, "health",     answer_health, .open = true},
    {"/livez",             METHOD_GET,    PERMISSIONS_NONE, "livez",      answer_live,   .open = true, .unlimited = true},
    {"/readyz",            METHOD_GET,    PERMISSIONS_NONE, "readyz",     answer_ready,  .open = true, .names_caller = true},
    {"/ready",             METHOD_GET,    PERMISSIONS_NONE, "readyz",     answer_ready,  .open = true, .names_caller = true},
    {"/metrics",           METHOD_GET,    READ_METRICS,     "metrics",    answer_metrics, .admits = metrics_admit},
    {"/metrics/prometheus", METHOD_GET,   READ_METRICS,     "metrics",    answer_metrics_prometheus, .admits = metrics_admit},
    {"/metrics/json",      METHOD_GET,    READ_METRICS,     "metrics",    answer_metrics_json, .admits = metrics_admit},
    {"/.well-known/acme-challenge/", METHOD_GET, PERMISSIONS_NONE, "acme", answer_acme, .open = true, .charged = true},

    {"/api/v1/auth/login",   METHOD_POST, PERMISSIONS_NONE, "login",      answer_errand, .open = true, .charged = true, .body = NATIVE_FORM, .plan = &login, .tries = &logins},
    {"/login",               METHOD_POST, PERMISSIONS_NONE, "login",      answer_errand, .open = true, .charged = true, .body = NATIVE_FORM, .plan = &short_login, .tries = &logins},
    {"/api/v1/auth/refresh", METHOD_POST, PERMISSIONS_NONE, "refresh",    answer_errand, .open = true, .charged = true, .body = NATIVE_JSON, .plan = &refresh, .tries = &refreshes},
    {"/token/refresh",       METHOD_POST, PERMISSIONS_NONE, "refresh",    answer_errand, .open = true, .charged = true, .body = NATIVE_JSON, .plan = &refresh, .tries = &refreshes},
    {"/api/v1/auth/logout",  METHOD_POST, PERMISSIONS_NONE, "logout",     answer_errand, .body = NATIVE_MAYBE_JSON, .plan = &logout},
    {"/logout",              METHOD_POST, PERMISSIONS_NONE, "logout",     answer_errand, .body = NATIVE_MAYBE_JSON, .plan = &logout},
    {"/api/v1/auth/me",      METHOD_GET,  PERMISSIONS_NONE, "me",         answer_errand, .plan = &me},
    {"/api/v1/auth/sessions",   METHOD_GET,    PERMISSIONS_NONE, "sessions", answer_errand, .plan = &session_list},
    {"/api/v1/auth/sessions",   METHOD_DELETE, PERMISSIONS_NONE, "sessions", answer_errand, .plan = &session_end},
    {"/api/v1/auth/sessions/*", METHOD_DELETE, PERMISSIONS_NONE, "sessions", answer_errand, .plan = &session_end},

    /* manage_users, or one's own: the verbs see to it. */
    {"/api/v1/auth/api-keys",   METHOD_GET,    PERMISSIONS_NONE, "api_keys", answer_errand, .plan = &key_list},
    {"/api/v1/auth/api-keys",   METHOD_POST,   PERMISSIONS_NONE, "api_keys", answer_errand, .body = NATIVE_JSON, .plan = &key_create},
    {"/api/v1/auth/api-keys/*", METHOD_GET,    PERMISSIONS_NONE, "api_keys", answer_errand, .plan = &key_show},
    {"/api/v1/auth/api-keys/*", METHOD_PATCH,  PERMISSIONS_NONE, "api_keys", answer_errand, .body = NATIVE_JSON, .plan = &key_update},
    {"/api/v1/auth/api-keys/*/rotate", METHOD_POST, PERMISSIONS_NONE, "api_keys", answer_errand, .body = NATIVE_MAYBE_JSON, .plan = &key_rotate},
    {"/api/v1/auth/api-keys/*", METHOD_DELETE, PERMISSIONS_NONE, "api_keys", answer_errand, .plan = &key_revoke},

    {"/api/v1/users",        METHOD_GET,    MANAGE_USERS, "users",        answer_errand, .plan = &user_list},
    {"/api/v1/users",        METHOD_POST,   MANAGE_USERS, "users",        answer_errand, .body = NATIVE_JSON, .plan = &user_create},
    {"/api/v1/users/*",      METHOD_GET,    MANAGE_USERS, "users",        answer_errand, .plan = &user_show},
    {"/api/v1/users/*",      METHOD_PATCH,  MANAGE_USERS, "users",        answer_errand, .body = NATIVE_JSON, .plan = &user_update},
    {"/api/v1/users/*",      METHOD_DELETE, MANAGE_USERS, "users",        answer_errand, .plan = &user_delete},

    {"/api/v1/denylist",     METHOD_GET,    WRITE_CONFIG, "denylist",     answer_errand, .plan = &denylist_list},
    {"/api/v1/denylist",     METHOD_POST,   WRITE_CONFIG, "denylist",     answer_errand, .body = NATIVE_JSON, .plan = &denylist_add},
    {"/api/v1/denylist",     METHOD_DELETE, WRITE_CONFIG, "denylist",     answer_errand, .plan = &denylist_remove},

    {"/api/v1/audit",        METHOD_GET,    VIEW_AUDIT_LOGS, "audit",     answer_errand, .plan = &audit_list},
    {"/api/v1/audit/verify", METHOD_GET,    VIEW_AUDIT_LOGS, "audit",     answer_errand, .plan = &audit_verify},
    {0},
};
// clang-format on

const struct native_route *api_routes(void)
{
    return routes;
}
