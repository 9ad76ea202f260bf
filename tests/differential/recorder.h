/* The recording upstream: what stands behind the gateway, in the event loop of the clients. It
 * holds each request to oracle O2, answers it with a serial number, and keeps it until a client
 * says that it saw that number. */
#ifndef DIFFERENTIAL_RECORDER_H
#define DIFFERENTIAL_RECORDER_H

#include "canonical.h"

/* Something in the event loop; its owner embeds it. */
struct watch {
    void (*ready)(struct watch *watch);
};

struct record {
    uint64_t serial;
    char *bytes; /* head and body; NULL: this place is free */
    size_t head_len, len;
};

struct recorder {
    struct watch watch;
    int loop, descriptor;
    unsigned port;
    char authority[32], authorization[128];
    struct canonical_own own;
    uint64_t request_count, list_count; /* lists: the gateway's own questions */
    uint64_t open_count;                /* recorded and not yet claimed */
    /* Told what rule the bytes break. */
    void (*complain)(const char *rule, const char *bytes, size_t len);
};

/* Listens on a free port of the loopback. False: errno says why. */
bool recorder_start(struct recorder *recorder, int loop, const char *key);
/* The request that was answered with this number, which nobody can claim again; the caller frees
 * its bytes. False: there is none, or it was claimed before. */
bool recorder_claim(struct recorder *recorder, uint64_t serial, struct record *record);

#endif
