/* Streamed answers: any cut gives the same events and the same boundary, and what is not overlong
 * is read as a plain reading of the standards says: WHATWG HTML, 9.2.6, and one JSON text per line.
 */
#include "proto/events.h"

#include "fuzz.h"

enum { TEXT_BYTES_MAX = 1024 * 1024, SHORT_BOUND = 24, LONG_BOUND = 64 * 1024 };

struct seen {
    struct buffer text; /* the events, one behind the other */
    uint64_t count;
    bool at_boundary, in_event;
};

static void seen_finish(struct seen *seen)
{
    buffer_finish(&seen->text);
}

static void print_event(struct buffer *out, struct slice name, struct slice content)
{
    buffer_printf(out, "event %zu ", name.len);
    buffer_append(out, name);
    buffer_printf(out, " content %zu ", content.len);
    buffer_append(out, content);
    buffer_text(out, "\n");
}

static void on_event(void *context, struct slice name, struct slice content)
{
    struct seen *seen = context;
    print_event(&seen->text, name, content);
}

static bool take(void *context, struct slice piece)
{
    events_feed(context, piece);
    return true;
}

static void watch(struct seen *seen, struct slice input, enum event_framing framing, size_t bound,
                  unsigned cut)
{
    AUTO(events) events;
    *seen = (struct seen){.text = BUFFER_MAX(TEXT_BYTES_MAX)};
    events_init(&events, framing, bound, on_event, seen);
    fuzz_cut(input, cut, take, &events);
    must(events.line.len <= bound && events.content.len <= bound && events.name.len <= bound);
    seen->count = events.count;
    seen->at_boundary = events.at_boundary;
    seen->in_event = events.in_event;
}

static void check_cuts(struct slice input, enum event_framing framing, size_t bound)
{
    AUTO(seen) whole;
    watch(&whole, input, framing, bound, 0);
    for (unsigned cut = 1; cut < FUZZ_CUTS; cut++) {
        AUTO(seen) part;
        watch(&part, input, framing, bound, cut);
        must_equal(buffer_slice(&whole.text), buffer_slice(&part.text));
        must(whole.count == part.count && whole.in_event == part.in_event);
        must(whole.at_boundary == part.at_boundary);
    }
}

/* A line and its end off the front of `*rest`; false when the end has not come. */
static bool line_off(struct slice *rest, bool returns, struct slice *line)
{
    for (size_t n = 0; n < rest->len; n++) {
        char byte = rest->ptr[n];
        if (byte != '\n' && !(returns && byte == '\r'))
            continue;
        *line = slice_to(*rest, n);
        bool both = byte == '\r' && n + 1 < rest->len && rest->ptr[n + 1] == '\n';
        *rest = slice_from(*rest, n + (both ? 2 : 1));
        return true;
    }
    return false;
}

struct plain_event {
    struct buffer name, content;
    bool has_content, begun;
};

static void plain_event_finish(struct plain_event *event)
{
    buffer_finish(&event->name);
    buffer_finish(&event->content);
}

static void plain_field(struct plain_event *event, struct slice line)
{
    struct slice name = slice_to(line, slice_find(line, ':'));
    struct slice value = slice_from(line, name.len);
    if (value.len)
        value = slice_from(value, 1);
    if (slice_starts(value, SLICE(" ")))
        value = slice_from(value, 1);
    event->begun = true;
    if (slice_equal(name, SLICE("event"))) {
        buffer_clear(&event->name);
        buffer_append(&event->name, value);
    } else if (slice_equal(name, SLICE("data"))) {
        if (event->has_content)
            buffer_text(&event->content, "\n");
        buffer_append(&event->content, value);
        event->has_content = true;
    }
}

static void plain_sse(struct seen *seen, struct slice rest)
{
    AUTO(plain_event)
    event = {.name = BUFFER_MAX(TEXT_BYTES_MAX), .content = BUFFER_MAX(TEXT_BYTES_MAX)};
    struct slice line;
    while (line_off(&rest, true, &line)) {
        if (line.len && line.ptr[0] != ':')
            plain_field(&event, line);
        if (line.len)
            continue;
        if (event.has_content) {
            seen->count++;
            print_event(&seen->text, buffer_slice(&event.name), buffer_slice(&event.content));
        }
        buffer_clear(&event.name);
        buffer_clear(&event.content);
        event.has_content = event.begun = false;
    }
    seen->at_boundary = rest.len == 0 && !event.begun;
}

static void plain_ndjson(struct seen *seen, struct slice rest)
{
    struct slice line;
    while (line_off(&rest, false, &line)) {
        if (slice_ends(line, SLICE("\r")))
            line.len--;
        if (line.len == 0)
            continue;
        seen->count++;
        print_event(&seen->text, slice_make(NULL, 0), line);
    }
    seen->at_boundary = rest.len == 0;
}

static void check_plain(struct slice input, enum event_framing framing)
{
    AUTO(seen) ours;
    AUTO(seen) plain = {.text = BUFFER_MAX(TEXT_BYTES_MAX)};
    watch(&ours, input, framing, LONG_BOUND, 0);
    struct slice rest = input;
    if (slice_starts(rest, SLICE("\xef\xbb\xbf")) && rest.len > 3)
        rest = slice_from(rest, 3);
    framing == FRAMING_SSE ? plain_sse(&plain, rest) : plain_ndjson(&plain, rest);
    must_equal(buffer_slice(&ours.text), buffer_slice(&plain.text));
    must(ours.count == plain.count && ours.at_boundary == plain.at_boundary);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    static const enum event_framing framings[] = {FRAMING_SSE, FRAMING_NDJSON};
    for (size_t i = 0; i < COUNT_OF(framings); i++) {
        check_cuts(input, framings[i], SHORT_BOUND);
        check_cuts(input, framings[i], LONG_BOUND);
        if (size < LONG_BOUND)
            check_plain(input, framings[i]);
    }
    return 0;
}
