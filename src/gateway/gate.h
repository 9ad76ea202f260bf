/* The gate: the table of checkpoints that every exchange passes, in order. The page to read first
 * is gate.c. */
#ifndef GATEWAY_GATE_H
#define GATEWAY_GATE_H

#include "gateway/exchange.h"

/* Walks on from where the exchange stands, until it is refused, waits, or is being answered. The
 * exchange may have ended when this returns. */
void gate_run(struct exchange *x);

/* One file each: check_NAME.c. */
enum verdict check_address(struct exchange *x);
enum verdict check_host(struct exchange *x);
enum verdict check_route(struct exchange *x);
enum verdict check_identity(struct exchange *x);
enum verdict check_right(struct exchange *x);
enum verdict check_limit(struct exchange *x);
enum verdict check_body(struct exchange *x);
enum verdict check_model(struct exchange *x);
enum verdict check_admit(struct exchange *x);
enum verdict give_answer(struct exchange *x);

/* The exchange in front of its limits, and one step of charging it (check_limit.c). */
struct limit_request limit_request_of(const struct exchange *x);
enum verdict charge_limits(struct exchange *x, limits_charge_fn *charge);
/* Whether the client, or the key that it came with, is on the deny-list (check_ban.c). */
enum verdict check_ban_of_client(struct exchange *x);
enum verdict check_ban_of_key(struct exchange *x);
/* Either of them, now. */
bool exchange_is_banned(const struct exchange *x);
/* Is whoever sends the bytes banned? Not a trusted proxy, which speaks for many: those are asked
 * for one by one. */
bool peer_is_banned(struct worker *worker, const struct address *peer);
/* May the client be banned without anybody's asking for it? Nobody can who may be speaking for
 * others: a trusted proxy, one that says it forwards, one of abuse.protect. */
bool client_is_bannable(const struct exchange *x);

/* A native route of this path that needs no credential; NULL: none. */
const struct native_route *find_open_route(const struct exchange *x);

/* What is sent along to a native endpoint. */
enum native_body {
    NATIVE_NO_BODY,
    NATIVE_JSON,
    NATIVE_MAYBE_JSON, /* or nothing */
    NATIVE_FORM,       /* JSON, or what a web form sends */
};
enum { NATIVE_BODY_MAX = 64 * 1024 };

struct errand_plan;

/* A native endpoint: one row of the table that api/ brings along. */
struct native_route {
    /* Exact; one that ends in a '/' of its own stands for all below it, and a '*' for one part that
     * is not empty. */
    const char *path;
    enum http_method method;
    permissions right;
    const char *name; /* a bounded label for metrics */
    void (*answer)(struct exchange *x);
    bool open;         /* needs no credential */
    bool charged;      /* open, but to the address it is not free */
    bool names_caller; /* open, but says more to a caller it knows */
    bool unlimited;    /* no limit counts it, however wide its pattern */
    /* How often an address may try, under its other limits; NULL: as those say. */
    const struct rate *tries;
    enum native_body body;
    const struct errand_plan *plan; /* api/'s own */
    /* Open to callers that this accepts although they carry no credential; NULL: none. */
    bool (*admits)(const struct exchange *x);
};

/* Answers a browser's question whether a page may ask (preflight.c). It stands for every path, so
 * that nobody learns from it which ones exist. */
extern const struct native_route preflight_route;

/* Sends the exchange to its upstream (forward.c). */
enum verdict forward(struct exchange *x);

#endif
