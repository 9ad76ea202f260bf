/* The header-field table: every field whose meaning matters to a gateway is one row that says how
 * often it may stand in a message, whether it ends here (hop-by-hop), whether it goes upstream or
 * back to the client, and whether its value is secret. A field without a row is passed on. */
#ifndef PROTO_FIELD_H
#define PROTO_FIELD_H

#include "base/slice.h"

enum field_id {
    FIELD_OTHER = 0, /* no row */
    FIELD_ACCEPT,
    FIELD_ACCEPT_ENCODING,
    FIELD_AUTHORIZATION,
    FIELD_API_KEY,   /* Azure's api-key */
    FIELD_X_API_KEY, /* ours and Anthropic's */
    FIELD_CONNECTION,
    FIELD_CONTENT_ENCODING,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_HTTP2_SETTINGS,
    FIELD_KEEP_ALIVE,
    FIELD_LOCATION,
    FIELD_ORIGIN,
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_RETRY_AFTER,
    FIELD_SERVER,
    FIELD_SET_COOKIE,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_TRACEPARENT,
    FIELD_SEC_FETCH_SITE,
    FIELD_UPGRADE,
    FIELD_USER_AGENT,
    FIELD_VIA,
    FIELD_X_CORRELATION_ID,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_REQUEST_ID,
    FIELD_WWW_AUTHENTICATE,
    /* further rows for what is dropped in one direction need an id only when code names them */
    FIELD_DROPPED, /* any other row of the table */
    FIELD_COUNT
};

enum field_rule {
    FIELD_UNIQUE = 1 << 0,       /* a second line with this name is a malformed message */
    FIELD_HOP = 1 << 1,          /* hop-by-hop: never forwarded in either direction */
    FIELD_NOT_UPSTREAM = 1 << 2, /* dropped from requests before they go upstream */
    FIELD_NOT_CLIENT = 1 << 3,   /* dropped from answers before they go to the client */
    FIELD_SECRET = 1 << 4,       /* its value is never written to any record */
};

struct field_row {
    const char *name; /* lower case; a '*' at the end stands for any further bytes */
    enum field_id id;
    unsigned rules; /* enum field_rule */
};

/* The row of `name` in any case, or NULL. One probe; a second one when there is no row of just that
 * name, since it may belong to a family ("x-forwarded*"). Identity headers from outside
 * (x-forwarded-user, x-remote-user, x-client-cert, x-ssl-*, x-original-url ...) are dropped. */
const struct field_row *field_find(struct slice name);

/* All rows, for documentation and tests; ends with a NULL name. */
const struct field_row *field_table(void);

/* One field line of a message; slices point into the head's bytes. */
struct field {
    struct slice name, value; /* value without white space around it */
    const struct field_row *row;
};

enum { FIELDS_MAX = 100 };

#endif
