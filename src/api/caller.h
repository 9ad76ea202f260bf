/* Who asks for something to be done (verb.h). All borrowed for the time of the call. */
#ifndef API_CALLER_H
#define API_CALLER_H

#include "config/settings.h"
#include "guard/rate.h"
#include "identity/account.h"
#include "identity/credentials.h"
#include "identity/key.h"
#include "identity/token_keys.h"
#include "proto/address.h"

struct caller {
    bool local; /* a command: whoever may open the data folder may do everything */
    permissions permissions;
    const struct api_key *key;           /* NULL: by other means */
    struct account *account;             /* signed in; else NULL */
    struct slice session;                /* the id of the session */
    const struct session *signed_in;     /* the session itself: whether it still stands */
    const struct credential *credential; /* remembered, of a request without the two; else NULL */
    struct slice actor;                  /* for the audit log */
    struct address ip;
    struct slice method, path, request_id;
    /* NULL for a command. */
    const struct settings *settings;
    const struct token_keys *tokens;
    struct rate_table *rates;
    /* Whether somebody still waits for the answer; NULL: always. For what only reads, and long. */
    bool (*is_wanted)(void *waiter);
    void *waiter;
};

/* A command on this machine. */
extern const struct caller local_caller;

#endif
