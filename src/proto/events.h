/* The two framings of a streamed answer: server-sent events (WHATWG HTML, 9.2) and
 * newline-delimited JSON. Resumable at any byte; an event or line longer than the bound is passed
 * over, not kept. Used to observe streams that are passed on unchanged. */
#ifndef PROTO_EVENTS_H
#define PROTO_EVENTS_H

#include "base/buffer.h"
#include "base/err.h"

enum event_framing { FRAMING_NONE, FRAMING_SSE, FRAMING_NDJSON };

/* One event: `name` is empty for unnamed ones; `content` is the joined data lines or the JSON line.
 */
typedef void event_fn(void *context, struct slice name, struct slice content);

struct events {
    enum event_framing framing;
    struct buffer line, content; /* bounded; freed by events_finish */
    struct buffer name;
    bool overlong;        /* the current line is being passed over */
    bool in_event;        /* SSE: a field of an event was read, its empty line was not */
    bool at_boundary;     /* between two events: nothing unfinished was passed on */
    bool carriage_return; /* the last byte was CR */
    bool began;           /* a byte order mark can only stand before this */
    uint64_t count;       /* events seen, those passed over included */
    event_fn *on_event;
    void *context;
};

void events_init(struct events *events, enum event_framing framing, size_t max_event_bytes,
                 event_fn *on_event, void *context);
void events_feed(struct events *events, struct slice bytes);
void events_finish(struct events *events);

#endif
