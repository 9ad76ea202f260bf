/* Watches a streamed answer go by and tells its events, for usage and for ending a broken stream at
 * the right place. Called by the exchange for every piece that was passed on. The hard problem: the
 * stream belongs to upstream, which may never end a line, so nothing is kept beyond the bound and
 * nothing here can stop the stream: what is too long is passed over, as a whole event. */
#include "proto/events.h"

void events_init(struct events *events, enum event_framing framing, size_t max_event_bytes,
                 event_fn *on_event, void *context)
{
    *events = (struct events){
        .framing = framing, .at_boundary = true, .on_event = on_event, .context = context};
    buffer_init(&events->line, max_event_bytes);
    buffer_init(&events->content, max_event_bytes);
    buffer_init(&events->name, max_event_bytes);
}

void events_finish(struct events *events)
{
    buffer_finish(&events->line);
    buffer_finish(&events->content);
    buffer_finish(&events->name);
}

static void tell(struct events *events, struct slice content)
{
    events->count++;
    if (events->on_event && !events->content.failed && !events->name.failed)
        events->on_event(events->context, buffer_slice(&events->name), content);
}

/* Data lines are joined by newlines; each leaves one behind, the last of which does not count. */
static void end_event(struct events *events)
{
    struct buffer *content = &events->content;
    if (content->failed)
        tell(events, slice_make(NULL, 0));
    else if (content->len)
        tell(events, slice_make(content->bytes, content->len - 1));
    buffer_clear(content);
    buffer_clear(&events->name);
    events->in_event = false;
}

static void field_line(struct events *events, struct slice line)
{
    struct slice value = line, name = slice_cut(&value, ':');
    if (name.len == line.len)
        value = slice_make(NULL, 0);
    else if (value.len && value.ptr[0] == ' ')
        value = slice_from(value, 1);
    if (slice_equal(name, SLICE("data"))) {
        if (value.len >= events->content.max - events->content.len)
            events->content.failed = ERR_LIMIT;
        buffer_append(&events->content, value);
        buffer_byte(&events->content, '\n');
    } else if (slice_equal(name, SLICE("event"))) {
        buffer_clear(&events->name);
        buffer_append(&events->name, value);
    }
    events->in_event = true;
}

static void sse_line(struct events *events, struct slice line, bool overlong)
{
    bool comment = line.len && line.ptr[0] == ':';
    if (overlong) {
        if (!comment) {
            events->content.failed = ERR_LIMIT;
            events->in_event = true;
        }
    } else if (line.len == 0) {
        end_event(events);
    } else if (!comment) {
        field_line(events, line);
    }
}

static void ndjson_line(struct events *events, struct slice line, bool overlong)
{
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (overlong)
        events->count++;
    else if (line.len)
        tell(events, line);
}

/* `line` is whole and without its end; of an overlong one it is the beginning. */
static void end_line(struct events *events, struct slice line)
{
    if (!events->began && slice_starts(line, SLICE("\xef\xbb\xbf")))
        line = slice_from(line, 3);
    events->began = true;
    if (events->framing == FRAMING_SSE)
        sse_line(events, line, events->overlong);
    else
        ndjson_line(events, line, events->overlong);
    events->overlong = false;
    events->at_boundary = !events->in_event;
    buffer_clear(&events->line);
}

/* Keeps a part of a line, as far as the bound allows. */
static void keep(struct events *events, struct slice part)
{
    size_t room = events->line.max - events->line.len;
    if (part.len > room) {
        events->overlong = true;
        part.len = room;
    }
    buffer_append(&events->line, part);
    if (events->line.failed)
        events->overlong = true;
    events->at_boundary = false;
}

/* One line, or what there is of it; returns what follows. */
static struct slice read_line(struct events *events, struct slice bytes)
{
    bool sse = events->framing == FRAMING_SSE;
    size_t n = 0;
    while (n < bytes.len && bytes.ptr[n] != '\n' && !(sse && bytes.ptr[n] == '\r'))
        n++;
    struct slice part = slice_to(bytes, n);
    if (n == bytes.len) {
        keep(events, part);
        return slice_from(bytes, n);
    }
    events->carriage_return = bytes.ptr[n] == '\r';
    if (events->line.len == 0 && !events->overlong && n <= events->line.max) {
        end_line(events, part);
    } else {
        keep(events, part);
        end_line(events, buffer_slice(&events->line));
    }
    return slice_from(bytes, n + 1);
}

void events_feed(struct events *events, struct slice bytes)
{
    if (events->framing == FRAMING_NONE)
        return;
    while (bytes.len) {
        /* CR LF is one line end, also when a piece ends between them. */
        if (events->carriage_return && bytes.ptr[0] == '\n')
            bytes = slice_from(bytes, 1);
        events->carriage_return = false;
        if (bytes.len)
            bytes = read_line(events, bytes);
    }
}
