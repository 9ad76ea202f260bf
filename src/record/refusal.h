/* The refusal table: every way in which the gate says no is one row. No other place writes an error
 * body, and every row has a reason for log and metrics (oracle O8). */
#ifndef RECORD_REFUSAL_H
#define RECORD_REFUSAL_H

#include "base/buffer.h"
#include "proto/http.h"
#include "record/audit.h"

enum refusal {
    REFUSE_NONE = 0,
    /* address */
    REFUSE_BANNED_ADDRESS,       /* 403 deny-list */
    REFUSE_TOO_MANY_CONNECTIONS, /* 429 connections_per_ip */
    REFUSE_TOO_MANY_IN_FLIGHT,   /* 429 requests_in_flight_per_ip */
    REFUSE_IP_RATE,              /* 429 */
    REFUSE_IP_MINUTE,            /* 429 twice max_requests_per_minute */
    REFUSE_IP_HOUR,              /* 429 twice max_requests_per_hour */
    REFUSE_ROUTE_RATE,           /* 429 [[limits.route]], here and in the step limit */
    REFUSE_OVERLOADED,           /* 503 max_connections, or no memory for this request */
    /* http */
    REFUSE_BAD_REQUEST,       /* 400; the message says which http_fault */
    REFUSE_TARGET_TOO_LONG,   /* 414 */
    REFUSE_HEADERS_TOO_LARGE, /* 431 */
    REFUSE_BAD_METHOD,        /* 501 */
    REFUSE_BAD_VERSION,       /* 505 */
    REFUSE_UNKNOWN_CODING,    /* 501 */
    REFUSE_BAD_EXPECT,        /* 417 */
    REFUSE_HEADER_TIMEOUT,    /* 408 */
    REFUSE_BODY_TIMEOUT,      /* 408 */
    REFUSE_PLAIN_HTTP,        /* 400 on a port that speaks TLS */
    REFUSE_BAD_HOST,          /* 400 */
    REFUSE_UNTRUSTED_HOST,    /* 400 trusted_hosts */
    REFUSE_HTTPS_ONLY,        /* 403 https_redirect, for what cannot be redirected */
    REFUSE_TLS_REQUIRED,      /* 403 tls_required */
    REFUSE_PREFLIGHT,         /* 400 cors_origins, cors_methods, cors_headers */
    /* route and identity */
    REFUSE_NOT_FOUND,             /* 404 native path */
    REFUSE_METHOD_NOT_ALLOWED,    /* 405 with Allow */
    REFUSE_NO_CREDENTIAL,         /* 401 */
    REFUSE_BAD_CREDENTIAL,        /* 401; one answer whatever was wrong */
    REFUSE_BAD_PASSWORD,          /* 401; the same answer, and the event of a login */
    REFUSE_AMBIGUOUS_CREDENTIALS, /* 400 */
    REFUSE_KEY_IN_URL,            /* 400 */
    REFUSE_BAD_LOGIN,             /* 401 name, password or refresh token */
    REFUSE_LOGIN_RATE,            /* 429 */
    REFUSE_KEY_ADDRESS,           /* 403 the key is good, but not from there */
    REFUSE_BANNED_KEY,            /* 403 deny-list */
    REFUSE_LOGIN_BUSY,            /* 503 the lane for passwords is full */
    /* right */
    REFUSE_PERMISSION,   /* 403 */
    REFUSE_ENDPOINT,     /* 403 a path that is not on the allow-list */
    REFUSE_KEY_ENDPOINT, /* 403 a path that is not on the key's own list */
    REFUSE_STREAMING,    /* 403 use_streaming is missing */
    /* limit */
    REFUSE_KEY_RATE,     /* 429 */
    REFUSE_KEY_PARALLEL, /* 429 */
    REFUSE_USER_MINUTE,  /* 429 max_requests_per_minute */
    REFUSE_USER_HOUR,    /* 429 max_requests_per_hour */
    /* body */
    REFUSE_LENGTH_REQUIRED,  /* 411 */
    REFUSE_BODY_TOO_LARGE,   /* 413 */
    REFUSE_CONTENT_TYPE,     /* 415 */
    REFUSE_CONTENT_ENCODING, /* 415 */
    REFUSE_BAD_JSON,         /* 400; the message says which json_fault and where */
    REFUSE_BAD_PARAMETER,    /* 400; `param` names the member */
    /* native routes */
    REFUSE_CONFLICT,   /* 409 it exists already, or something else stands in the way */
    REFUSE_STORE,      /* 503 the store or the audit log could not be written */
    REFUSE_TURNED_OFF, /* 404; the message names the option */
    /* model, admission, upstream */
    REFUSE_MODEL,             /* 404: unknown and not allowed look the same */
    REFUSE_UPSTREAM_BUSY,     /* 503 max_concurrency */
    REFUSE_NO_UPSTREAM,       /* 503 none configured */
    REFUSE_UPSTREAM_REFUSED,  /* 502 could not connect */
    REFUSE_UPSTREAM_TLS,      /* 502 */
    REFUSE_UPSTREAM_BROKEN,   /* 502 bad answer, or cut before the head was complete */
    REFUSE_UPSTREAM_REJECTED, /* 502 it answered 401, 403, 407 or 500 */
    REFUSE_UPSTREAM_TIMEOUT,  /* 504 connect, send, first byte or between reads */
    REFUSE_SHUTTING_DOWN,     /* 503 */
    REFUSE_INTERNAL,          /* 500 */
    REFUSAL_COUNT
};

/* Whether it counts against the client that caused it (guard/abuse.h). */
enum refusal_abuse {
    ABUSE_NONE,
    ABUSE_ERROR,    /* what no working client does again and again */
    ABUSE_UPSTREAM, /* the model server's failure: counts with abuse.count_upstream_errors only */
};

struct refusal_row {
    unsigned status;
    const char *code;       /* "RATE_LIMITED" */
    const char *type;       /* "rate_limit_error" */
    const char *message;    /* for the caller; names the fix where there is one */
    const char *reason;     /* for log, audit and metrics: "ip_rate" */
    enum audit_event audit; /* what it is in the audit log; AUDIT_NONE: nothing */
    enum refusal_abuse abuse;
};
const struct refusal_row *refusal_get(enum refusal refusal);
/* The row for a malformed head or chunk. */
enum refusal refusal_of_http_fault(enum http_fault fault);

enum error_shape {
    ERROR_COMMON, /* one body in which OpenAI, Anthropic, FastAPI and our own clients find their
                     field */
    ERROR_OLLAMA, /* {"error":"..."} */
    ERROR_PLAIN,  /* the bare reason, for Accept: text/plain */
};

struct error_facts {
    enum refusal refusal;
    enum error_shape shape;
    const char *message; /* NULL: the row's */
    const char *param;   /* NULL: null */
    struct slice request_id;
};
/* The body of the answer. */
void refusal_print_body(struct buffer *out, const struct error_facts *facts);
const char *refusal_content_type(enum error_shape shape);

#endif
