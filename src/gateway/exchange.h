/* An exchange: one request and its answer (RFC 9110, section 3.4), whatever protocol carries it. It
 * is made when a head was read, walks through the checkpoints of gate.c, is answered, and is
 * written down. It lives on one worker's loop and owns its arena, its body and its part of the
 * upstream's slots. */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "base/arena.h"
#include "gateway/answer.h"
#include "gateway/upstream_request.h"
#include "gateway/worker.h"
#include "guard/limits.h"
#include "identity/credentials.h"
#include "proto/chunked.h"
#include "proto/events.h"
#include "record/refusal.h"

enum verdict {
    PASS,   /* on to the next checkpoint */
    REFUSE, /* exchange->refusal says how to answer */
    WAIT,   /* gate_run will be called again, at this checkpoint */
};

/* How an exchange speaks to its client. One struct per protocol, never called once its client is
 * gone. */
struct front {
    /* Sends the head; the body follows. Any of these may find the client gone. */
    void (*send_head)(struct exchange *x, const struct answer *answer);
    /* ERR_LIMIT, ERR_MEMORY: no room to hold it for a client that is slow; break off. */
    enum err (*send_body)(struct exchange *x, struct slice piece);
    /* Hands what was sent to the kernel, as far as it takes it. */
    void (*flush)(struct exchange *x);
    /* The answer is complete. */
    void (*finish)(struct exchange *x);
    /* The answer cannot be completed: break off so that the client sees it. */
    void (*break_off)(struct exchange *x);
    /* The body may come now; a client that expects 100 (Continue) is told so. */
    void (*want_body)(struct exchange *x);
    /* Is the client slow, so that more should not be read from upstream? front calls
     * exchange_unblocked when it is not any more. */
    bool (*blocked)(const struct exchange *x);
};

/* What the one pass over a body needs; pooled, given back when the body was read. */
struct body_scan {
    struct arena arena;
    struct json *json;
    struct call_reader reader;
    char memory[12 * 1024];
};

/* Who is calling, once check_identity knows. */
struct principal {
    permissions permissions;
    struct api_key *key;           /* a reference; NULL: not by key */
    struct session *session;       /* a reference; NULL: not by token */
    struct credential *credential; /* a reference; NULL: by none that is slow to verify */
    bool shared;                   /* by security.api_key, which nobody in particular has */
    uint64_t rate_hash;            /* its identity in the rate table; 0: it has none of its own */
    uint64_t user_hash; /* whose it is, for limits over all keys of a user; 0: the same */
    uint64_t ban_hash;  /* of a key in the deny-list; 0: it is never banned as one */
    bool known;         /* identity was established */
};

enum answer_state { ANSWER_NOT_BEGUN, ANSWER_BEGUN, ANSWER_COMPLETE, ANSWER_BROKEN };

struct exchange {
    struct grave grave;
    struct worker *worker;
    struct snapshot_use *use;
    const struct front *front;
    void *front_owner; /* the connection, or the HTTP/2 stream; NULL once the client is gone */
    struct arena arena;

    /* The request. */
    const struct request_head *head; /* slices into the arena; NULL: it could not be read */
    struct address peer;             /* who sends the bytes: a proxy, perhaps */
    struct address client;           /* who that speaks for (guard/proxies.h); else the peer */
    uint64_t client_hash;            /* of the client's identity: for limits and caps */
    bool secure;                     /* the client speaks TLS, to us or to a proxy that we trust */
    char request_id[33];
    uint64_t began_us, began_wall_us;
    struct slice request_line; /* for the record; redacted where needed */

    /* What the checkpoints found out. */
    unsigned step;
    enum refusal refusal;
    const char *message, *param; /* instead of the refusal row's; in the arena or static */
    uint64_t retry_after_s;
    const struct native_route *native;
    const struct endpoint *endpoint;
    unsigned path_methods;          /* bits of what the path has, for Allow */
    struct slice path_rest;         /* behind a prefix route */
    const char *handler;            /* bounded label */
    struct verification_wait *wait; /* check_identity's; in the arena */
    uint64_t tried_name;            /* a hash of the name that somebody signs in under; 0: none */
    struct principal principal;
    bool in_flight_counted, parallel_counted; /* in the caps, until the end */

    /* The body. */
    bool has_body, body_complete;
    bool body_is_form; /* a native route's: not JSON, but what a web form sends */
    bool over_limit;   /* of its connection */
    uint64_t body_began_us;
    uint64_t body_left; /* of a Content-Length */
    struct chunked chunked;
    struct body body;
    struct body_scan *scan;
    struct call call;

    /* The upstream. */
    struct upstream *upstream; /* a reference is held through the snapshot */
    bool slot_taken;
    struct upstream_request request;
    bool request_running;
    uint64_t upstream_began_us, upstream_us;

    /* The answer. */
    enum answer_state answer_state;
    unsigned status;
    bool head_only, streaming, body_forbidden;
    bool cut;          /* its caller was banned meanwhile */
    bool passed_on;    /* a head that could not be read says that a proxy passed it on */
    bool length_given; /* the upstream's answer has a Content-Length: nothing may be added to it */
    uint64_t body_bytes_sent;
    struct events events; /* watches a stream's framing */
    void *native_state;   /* a native handler's own, in the arena */
    /* The client is gone: stop what was begun, be it a native handler's or what check_identity
     * waits for; or NULL. */
    void (*native_cancel)(struct exchange *x);

    struct limits_held limits;
    char memory[4096]; /* the arena's first piece */
};

static inline struct settings *exchange_settings(const struct exchange *x)
{
    return x->use->snapshot->settings;
}

/* What a connection knows of where its requests come from. */
struct exchange_origin {
    struct address peer;
    bool secure;     /* the connection is TLS */
    bool over_limit; /* it is beyond server.max_connections: health checks only */
};

/* `head` is copied. Begins nothing yet. NULL: no memory. */
struct exchange *exchange_create(struct worker *worker, const struct front *front,
                                 void *front_owner, const struct exchange_origin *origin,
                                 const struct request_head *head, struct slice head_bytes);
/* For a head that could not be read, so that its refusal has an id and a record. */
struct exchange *exchange_create_faulty(struct worker *worker, const struct front *front,
                                        void *front_owner, const struct exchange_origin *origin,
                                        struct slice first_bytes);

/* Does a query carry something that looks like a key, or the shared one? Such a request is refused,
 * and its query is not written down. */
bool query_holds_key(struct slice query, const struct secret *shared);

/* Sets how to refuse; returns REFUSE, for `return refuse(x, REFUSE_...)`. */
enum verdict refuse(struct exchange *x, enum refusal refusal);
enum verdict refuse_with(struct exchange *x, enum refusal refusal, const char *param,
                         const char *format, ...) PRINTF_LIKE(4, 5);
/* Did a browser send it for a page of another site (Fetch Metadata, Sec-Fetch-Site)? Whoever sits
 * in front of it may know nothing of that. Anybody can say so; it must excuse nothing else. */
bool exchange_is_of_foreign_page(const struct exchange *x);
/* Answers with x->refusal; or breaks an answer off that has begun. */
void exchange_refuse(struct exchange *x);
/* Answers a head that could not be read, which costs its address as much as a request. */
void exchange_refuse_fault(struct exchange *x, enum http_fault fault);

/* Bytes of the request's body, as framed on the wire. On any error x->refusal is set. `*used` is
 * how many belong to this body. Sets body_complete. */
enum err exchange_feed_body(struct exchange *x, struct slice bytes, size_t *used) MUST_CHECK;
/* The protocol says that the body is over (HTTP/2). Errors as above. */
enum err exchange_end_body(struct exchange *x) MUST_CHECK;
/* When more of the body must have come: server.body_timeout from now on, or earlier when it comes
 * more slowly than server.min_body_rate. */
uint64_t exchange_body_deadline_us(const struct exchange *x);
/* `n` bytes were read straight into the body's rooms; they are scanned. Content-Length bodies only.
 */
enum err exchange_take_body(struct exchange *x, const struct body_rooms *rooms,
                            size_t n) MUST_CHECK;
/* How many bytes the body may have: server.max_body, and less for native routes. */
uint64_t exchange_body_max(const struct exchange *x);
/* Makes the scanner and checks limits; REFUSE_... set on error. Called by check_body. */
enum err exchange_begin_body(struct exchange *x) MUST_CHECK;

/* The client is gone: whatever runs for it stops, and the exchange ends. */
void exchange_client_gone(struct exchange *x);
/* The client reads again. */
void exchange_unblocked(struct exchange *x);
/* The answer was handed over (or broke off): settle, record, release. */
void exchange_end(struct exchange *x);

/* What the caller is called in logs: the key's or the account's name, "shared", "anonymous", or
 * empty. */
struct slice exchange_user(const struct exchange *x);
/* What the audit log calls them: the key by its public id. */
struct slice exchange_actor(const struct exchange *x);

/* A whole answer at once; its content_length is set here. The exchange may have ended when this
 * returns. */
void exchange_send(struct exchange *x, struct answer *answer, struct slice body);
/* Answers of native handlers: a whole body. */
void exchange_answer(struct exchange *x, unsigned status, const char *content_type,
                     struct slice body);

#endif
