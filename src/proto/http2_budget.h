/* What a peer may do on one HTTP/2 connection that costs us work and brings it nothing: a bucket
 * for each kind (GCRA, one number each), filled again with time. Pure: the time is passed in, in
 * microseconds of the monotonic clock. An honest client stays far below every row; a flood
 * (HOSTILE H2-02 to H2-05) runs into one and its connection ends. */
#ifndef PROTO_HTTP2_BUDGET_H
#define PROTO_HTTP2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum http2_budget_kind {
    HTTP2_RESETS,          /* streams the peer gave up before their answer was complete */
    HTTP2_FAULTY_STREAMS,  /* streams that we reset because the peer broke a rule */
    HTTP2_REFUSED_STREAMS, /* streams that we refused: too many at once, or no room */
    HTTP2_SETTINGS,
    HTTP2_PINGS,
    HTTP2_PRIORITIES,
    HTTP2_WINDOW_UPDATES,
    HTTP2_EMPTY_DATA,
    HTTP2_STRAY_FRAMES, /* of an unknown type, or for a stream that is over */
    HTTP2_BUDGET_COUNT
};

struct http2_budget {
    uint64_t full_at_us[HTTP2_BUDGET_COUNT]; /* when the bucket is full again; 0: full */
    uint32_t owed[HTTP2_BUDGET_COUNT];       /* on top of it: answers to what we did */
};

struct http2_budget_row {
    const char *name; /* for logs and metrics */
    unsigned burst;   /* at once */
    unsigned per_second;
};

/* HTTP2_BUDGET_COUNT rows, by kind. */
const struct http2_budget_row *http2_budget_table(void);

/* Takes one; false when there is none left. A zeroed struct is full. */
bool http2_budget_take(struct http2_budget *budget, enum http2_budget_kind kind, uint64_t now_us);
/* We did what `n` such frames are the answer to: they are owed, whenever they come. A peer that has
 * not read for a while answers thousands of frames of ours at once. Bounded; what is beyond is
 * lost. */
void http2_budget_give(struct http2_budget *budget, enum http2_budget_kind kind, unsigned n);

#endif
