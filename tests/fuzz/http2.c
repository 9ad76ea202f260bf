/* HTTP/2 connections: any cut of the bytes tells the same events; a head that is accepted is an
 * HTTP/1 head to another reader, holds nothing it should not, and belongs to a request that nghttp2
 * itself, with its own rules for messages, accepts too. Whatever comes, every stream that was
 * begun ends once, and the memory stays within its bound. The input follows the client's preface.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "fuzz.h"
#include "heads.h"
#include "other_reader.h"
#include "proto/http2.h"

enum { STREAMS = 4096, EVENTS_BYTES_MAX = 1024 * 1024 };

static const struct slice preface = SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

struct stream {
    uint32_t id;
    bool open, answered;
    size_t body_bytes;
};

struct reading {
    struct http2 *h;
    struct buffer events;
    struct stream streams[STREAMS];
    unsigned begun, ended;
    bool answer; /* each request at once */
};

static struct reading readings[2]; /* the whole, and the parts */
static struct request_head scratch;

/* --- the owner ----------------------------------------------------------------------------------
 */

/* The text of an accepted head, as HTTP/1.1, is one head to the other reader too. */
static void check_head(const struct request_head *head, struct slice text)
{
    AUTO(buffer) copy = BUFFER_MAX(64 * 1024);
    AUTO(buffer) ours = BUFFER_MAX(64 * 1024);
    AUTO(other_message) theirs = {.response = false};
    size_t version = (size_t)(head->line.ptr - text.ptr) + head->line.len - 3;
    buffer_append(&copy, text);
    must_equal(slice_make(copy.bytes + version, 3), SLICE("2.0"));
    memcpy(copy.bytes + version, "1.1", 3);
    other_message_read(&theirs, buffer_slice(&copy));
    must_equal(slice_of(theirs.reason && !theirs.accepted ? theirs.reason : ""), SLICE(""));
    must(theirs.head_complete && !theirs.chunked && !head->chunked);
    buffer_printf(&ours, "%s ", http_method_name(head->method));
    head_text(&ours, head->target, 1, head->fields, head->field_count);
    must_equal(buffer_slice(&ours), buffer_slice(&theirs.head));
    must((head->content_length != HTTP_NO_LENGTH) == theirs.has_length);
    must(!head->streamed || head->content_length == HTTP_NO_LENGTH);
    heads_check_fields(head->fields, head->field_count, false);
    must(head->major_version == 2 && head->keep_alive && head->host.len > 0);
}

static void *begin(struct reading *reading, uint32_t id)
{
    struct stream *stream = &reading->streams[reading->begun++ % STREAMS];
    must(!stream->open);
    *stream = (struct stream){.id = id, .open = true};
    return stream;
}

static void answer(struct reading *reading, uint32_t id)
{
    char room[200];
    struct http2_answer fields;
    http2_answer_begin(&fields, 200, room, sizeof room);
    http2_answer_field(&fields, SLICE("Content-Type"), SLICE("text/plain"));
    http2_send_head(reading->h, id, &fields, false);
}

static void *on_request(void *context, uint32_t id, const struct request_head *head,
                        struct slice head_bytes)
{
    struct reading *reading = context;
    check_head(head, head_bytes);
    buffer_printf(&reading->events, "%u request %d\n%.*s", (unsigned)id, request_has_body(head),
                  SLICE_ARG(head_bytes));
    if (id % 16 == 15)
        return NULL;
    if (reading->answer)
        answer(reading, id);
    return begin(reading, id);
}

static void *on_bad_request(void *context, uint32_t id, enum http_fault fault,
                            struct slice head_bytes)
{
    struct reading *reading = context;
    must(fault != HTTP_FINE);
    buffer_printf(&reading->events, "%u bad %s\n%.*s", (unsigned)id, http_fault_name(fault),
                  SLICE_ARG(head_bytes));
    return begin(reading, id);
}

static void on_malformed(void *context, uint32_t id, void *user, enum http_fault fault)
{
    struct reading *reading = context;
    const struct stream *stream = user;
    must(fault != HTTP_FINE);
    must(!stream || stream->id == id);
    buffer_printf(&reading->events, "%u malformed %s %d\n", (unsigned)id, http_fault_name(fault),
                  stream != NULL);
}

/* Pieces come as they are cut; their sum is told with the end. */
static void on_body(void *context, void *user, struct slice piece)
{
    struct reading *reading = context;
    struct stream *stream = user;
    must(stream->open && !stream->answered);
    stream->body_bytes += piece.len;
    if (stream->id % 8 != 5)
        http2_consume(reading->h, stream->id, piece.len);
}

static void on_request_end(void *context, void *user)
{
    struct reading *reading = context;
    struct stream *stream = user;
    must(stream->open);
    buffer_printf(&reading->events, "%u end %zu\n", (unsigned)stream->id, stream->body_bytes);
}

static size_t read_body(void *context, void *user, char *room, size_t size, bool *end)
{
    (void)context;
    const struct stream *stream = user;
    must(stream->open);
    *end = stream->id % 4 == 1;
    memset(room, 'a', size < 10 ? size : 10);
    return *end ? (size < 10 ? size : 10) : 0;
}

static void on_answered(void *context, void *user)
{
    struct reading *reading = context;
    struct stream *stream = user;
    must(stream->open && !stream->answered);
    stream->answered = true;
    if (stream->id % 16 == 1)
        http2_reset(reading->h, stream->id, HTTP2_RESET_NO_ERROR);
}

static void on_closed(void *context, void *user, bool complete)
{
    struct reading *reading = context;
    struct stream *stream = user;
    must(stream->open);
    stream->open = false;
    reading->ended++;
    buffer_printf(&reading->events, "%u closed %d\n", (unsigned)stream->id, complete);
}

static const struct http2_events events = {
    .on_request = on_request,
    .on_bad_request = on_bad_request,
    .on_malformed = on_malformed,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .read_body = read_body,
    .on_answered = on_answered,
    .on_closed = on_closed,
};

/* --- readings -----------------------------------------------------------------------------------
 */

static void drain(struct reading *reading)
{
    char room[700];
    while (http2_output(reading->h, room, sizeof room))
        ;
}

static bool take(void *context, struct slice piece)
{
    struct reading *reading = context;
    http2_feed(reading->h, piece, 0);
    must(http2_memory(reading->h) <= HTTP2_MEMORY_BYTES_MAX + 16 * 1024);
    must(http2_stream_count(reading->h) == reading->begun - reading->ended);
    must(http2_stream_count(reading->h) <= HTTP2_STREAMS_MAX);
    if (reading->answer)
        drain(reading);
    return true;
}

/* Without answers nothing is written before the end, so that events do not depend on the cut. */
static void read_cut(struct reading *reading, struct slice input, unsigned cut, bool answers)
{
    buffer_clear(&reading->events);
    reading->events.max = EVENTS_BYTES_MAX;
    reading->begun = reading->ended = 0;
    reading->answer = answers;
    reading->h = http2_create(&head_limits, &scratch, &events, reading, 0);
    must(reading->h);
    take(reading, preface);
    fuzz_cut(input, cut, take, reading);
    buffer_printf(&reading->events, "fault %s\n", http2_fault_name(http2_fault_of(reading->h)));
    drain(reading);
    must(!http2_fault_of(reading->h) || http2_is_done(reading->h));
    http2_destroy(reading->h);
    must(reading->begun == reading->ended);
}

/* --- the other reader ---------------------------------------------------------------------------
 */

static int their_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        buffer_printf(context, "\n%d accepted\n", frame->hd.stream_id);
    return 0;
}

/* Each request of ours is one of theirs. They keep on reading where our budgets end. */
static void check_other_reader(struct slice ours, struct slice input)
{
    AUTO(buffer) theirs = BUFFER_MAX(EVENTS_BYTES_MAX);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;
    must(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, their_frame);
    nghttp2_option_set_no_closed_streams(option, 1); /* else a late HEADERS ends the connection */
    must(nghttp2_session_server_new2(&session, callbacks, &theirs, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX        },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,  1                        },
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries, COUNT_OF(entries));
    nghttp2_session_mem_recv(session, (const uint8_t *)preface.ptr, preface.len);
    nghttp2_session_mem_recv(session, (const uint8_t *)input.ptr, input.len);
    nghttp2_session_del(session);
    while (ours.len) {
        struct slice line = slice_cut(&ours, '\n');
        size_t space = slice_find(line, ' ');
        if (!slice_starts(slice_from(line, space), SLICE(" request ")))
            continue;
        char wanted[40];
        snprintf(wanted, sizeof wanted, "\n%.*s accepted\n", (int)space, line.ptr);
        must(theirs.len && strstr(buffer_text_of(&theirs), wanted));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make((const char *)bytes, size);
    struct reading *whole = &readings[0], *part = &readings[1];
    read_cut(whole, input, 0, false);
    for (unsigned cut = 1; cut < FUZZ_CUTS; cut++) {
        read_cut(part, input, cut, false);
        must_equal(buffer_slice(&whole->events), buffer_slice(&part->events));
    }
    read_cut(part, input, 4, true);
    check_other_reader(buffer_slice(&whole->events), input);
    buffer_finish(&whole->events);
    buffer_finish(&part->events);
    return 0;
}
