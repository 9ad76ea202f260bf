/* The table of audit events: adding an event is adding a row. What is coalesced can be caused as
 * often as a stranger likes; what is strict is a change that somebody asked for. */
#include "record/audit.h"

// clang-format off
static const struct audit_event_row rows[AUDIT_EVENT_COUNT] = {
    /*                       name             level        coalesced strict */
    [AUDIT_LOGIN]         = {"login",         LOG_INFO,    false,    false},
    [AUDIT_LOGIN_FAILED]  = {"login_failed",  LOG_WARNING, true,     false},
    [AUDIT_LOGOUT]        = {"logout",        LOG_INFO,    false,    false},
    [AUDIT_REFRESH]       = {"refresh",       LOG_INFO,    false,    false},
    [AUDIT_REFRESH_REUSE] = {"refresh_reuse", LOG_WARNING, false,    false},
    [AUDIT_KEY_CREATE]    = {"key_create",    LOG_INFO,    false,    true },
    [AUDIT_KEY_REVOKE]    = {"key_revoke",    LOG_INFO,    false,    true },
    [AUDIT_KEY_UPDATE]    = {"key_update",    LOG_INFO,    false,    true },
    [AUDIT_USER_CREATE]   = {"user_create",   LOG_INFO,    false,    true },
    [AUDIT_USER_UPDATE]   = {"user_update",   LOG_INFO,    false,    true },
    [AUDIT_USER_DELETE]   = {"user_delete",   LOG_INFO,    false,    true },
    [AUDIT_DENIED]        = {"denied",        LOG_WARNING, true,     false},
    [AUDIT_RATE_LIMITED]  = {"rate_limited",  LOG_WARNING, true,     false},
    [AUDIT_FLAG]          = {"flag",          LOG_WARNING, true,     false},
    [AUDIT_BAN]           = {"ban",           LOG_WARNING, false,    true },
    [AUDIT_UNBAN]         = {"unban",         LOG_INFO,    false,    true },
    [AUDIT_CONFIG_CHANGE] = {"config_change", LOG_INFO,    false,    true },
    [AUDIT_MODEL_ADD]     = {"model_add",     LOG_INFO,    false,    true },
    [AUDIT_MODEL_DELETE]  = {"model_delete",  LOG_INFO,    false,    true },
    [AUDIT_START]         = {"start",         LOG_INFO,    false,    true },
    [AUDIT_STOP]          = {"stop",          LOG_INFO,    false,    true },
};
// clang-format on

const struct audit_event_row *audit_event_get(enum audit_event event)
{
    invariant(event > AUDIT_NONE && event < AUDIT_EVENT_COUNT);
    return &rows[event];
}

enum err audit_event_find(struct slice name, enum audit_event *event)
{
    for (unsigned i = AUDIT_NONE + 1; i < AUDIT_EVENT_COUNT; i++) {
        if (slice_equal(name, slice_of(rows[i].name))) {
            *event = (enum audit_event)i;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}
