/* See http2.h: the connection's life, bytes out and answers. What comes in is in http2_inbound.c.
 *
 * The hard problem is that a peer decides how much work a byte of its makes (HOSTILE 2.2). Every
 * frame that is not part of a request is paid from a bucket; every answer that nobody reads counts
 * against the queue; the protocol's state is allocated under a cap. Whichever runs out first, the
 * connection ends with a GOAWAY. */
#include "proto/http2_session.h"

#include <stdlib.h>

enum {
    /* nghttp2's own bounds, as a second line behind ours. */
    OUTBOUND_ACKS_MAX = 1000,
    /* Of one answer's head: the gateway's builder holds 160 KiB. */
    SEND_HEAD_BYTES_MAX = 256 * 1024,
    /* Tokens that a DATA frame of ours gives back: it is answered with up to two WINDOW_UPDATE, and
     * some libraries measure the line with a PING. */
    WINDOW_UPDATES_PER_DATA = 3,
};

/* --- memory -------------------------------------------------------------------------------------
 */

/* Before each piece. All pieces of a connection hang on one list and go at once when it ends:
 * nghttp2 1.52 frees some of them twice after an allocation failed in the wrong place, so once one
 * has failed nghttp2 is not called any more, not even to clean up. */
union piece {
    struct {
        struct list link;
        size_t bytes; /* with this header */
    };
    max_align_t align;
};

static union piece *piece_of(void *memory)
{
    return (union piece *)memory - 1;
}

/* `piece` is a new one, or NULL. */
static void *keep_piece(struct http2 *h, union piece *piece, size_t bytes)
{
    if (!piece)
        return NULL;
    piece->bytes = bytes;
    list_append(&h->pieces, &piece->link);
    h->session_bytes += bytes;
    return piece + 1;
}

static void drop_piece(struct http2 *h, union piece *piece)
{
    list_remove(&piece->link);
    h->session_bytes -= piece->bytes;
}

static bool has_room(const struct http2 *h, size_t size)
{
    return size <= HTTP2_MEMORY_BYTES_MAX &&
           h->session_bytes + sizeof(union piece) + size <= HTTP2_MEMORY_BYTES_MAX;
}

static void *session_malloc(size_t size, void *context)
{
    struct http2 *h = context;
    if (!has_room(h, size))
        return NULL;
    size += sizeof(union piece);
    return keep_piece(h, malloc(size), size);
}

static void *session_calloc(size_t count, size_t size, void *context)
{
    struct http2 *h = context;
    if (__builtin_mul_overflow(count, size, &size) || !has_room(h, size))
        return NULL;
    size += sizeof(union piece);
    return keep_piece(h, calloc(1, size), size);
}

static void session_free(void *memory, void *context)
{
    if (!memory)
        return;
    drop_piece(context, piece_of(memory));
    free(piece_of(memory));
}

static void *session_realloc(void *memory, size_t size, void *context)
{
    void *moved = session_malloc(size, context);
    if (!moved || !memory)
        return moved;
    size_t before = piece_of(memory)->bytes - sizeof(union piece);
    memcpy(moved, memory, before < size ? before : size);
    session_free(memory, context);
    return moved;
}

static void release_pieces(struct http2 *h)
{
    LIST_EACH(link, &h->pieces)
    free(CONTAINER_OF(link, union piece, link));
}

struct codec_stream *codec_stream_create(struct http2 *h, uint32_t id)
{
    struct codec_stream *stream = session_calloc(1, sizeof *stream, h);
    if (!stream)
        return NULL;
    stream->id = id;
    list_append(&h->streams, &stream->link);
    h->stream_count++;
    return stream;
}

void codec_stream_destroy(struct http2 *h, struct codec_stream *stream)
{
    list_remove(&stream->link);
    h->stream_count--;
    session_free(stream, h);
}

/* --- faults -------------------------------------------------------------------------------------
 */

// clang-format off
static const char *const fault_names[HTTP2_FIRST_BUDGET] = {
    [HTTP2_FINE]               = "fine",
    [HTTP2_PROTOCOL_ERROR]     = "protocol_error",
    [HTTP2_FLOW_CONTROL_ERROR] = "flow_control_error",
    [HTTP2_FRAME_SIZE_ERROR]   = "frame_size_error",
    [HTTP2_COMPRESSION_ERROR]  = "compression_error",
    [HTTP2_STREAM_CLOSED]      = "stream_closed",
    [HTTP2_NO_MEMORY]          = "no_memory",
    [HTTP2_HEAD_FLOOD]         = "head_flood",
    [HTTP2_CONTINUATIONS]      = "continuations",
    [HTTP2_UNREAD_FRAMES]      = "unread_frames",
};
// clang-format on

const char *http2_fault_name(enum http2_fault fault)
{
    invariant((unsigned)fault < HTTP2_FAULT_COUNT);
    if (fault < HTTP2_FIRST_BUDGET)
        return fault_names[fault];
    return http2_budget_table()[fault - HTTP2_FIRST_BUDGET].name;
}

/* What nghttp2 finds wrong in a frame has a GOAWAY already. */
static uint32_t goaway_code(enum http2_fault fault)
{
    return fault == HTTP2_PROTOCOL_ERROR ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM;
}

void http2_fail(struct http2 *h, enum http2_fault fault)
{
    if (h->fault)
        return;
    h->fault = fault;
    h->dead = fault == HTTP2_NO_MEMORY ||
              nghttp2_session_terminate_session(h->session, goaway_code(fault)) != 0;
}

void http2_check(struct http2 *h, int result)
{
    if (result == NGHTTP2_ERR_NOMEM) {
        http2_fail(h, HTTP2_NO_MEMORY);
        h->dead = true; /* also when another fault came first */
    }
}

bool http2_spend(struct http2 *h, enum http2_budget_kind kind)
{
    if (http2_budget_take(&h->budget, kind, h->now_us))
        return true;
    http2_fail(h, (enum http2_fault)(HTTP2_FIRST_BUDGET + kind));
    return false;
}

/* --- life ---------------------------------------------------------------------------------------
 */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context);
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *context);

static int new_session(struct http2 *h, const nghttp2_session_callbacks *callbacks,
                       const nghttp2_option *option)
{
    nghttp2_mem memory = {.mem_user_data = h,
                          .malloc = session_malloc,
                          .free = session_free,
                          .calloc = session_calloc,
                          .realloc = session_realloc};
    return nghttp2_session_server_new3(&h->session, callbacks, h, option, &memory);
}

static enum err make_session(struct http2 *h)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int result = NGHTTP2_ERR_NOMEM;
    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        http2_inbound_callbacks(callbacks);
        http2_inbound_options(option);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
        nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_no_http_messaging(option, 1); /* http2_head.c does it, and says why */
        nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS_MAX);
        /* It counts reads, not frames: a slow client would be taken for a flood. */
        nghttp2_option_set_max_continuations(option, SIZE_MAX / 2);
        nghttp2_option_set_max_send_header_block_length(option, SEND_HEAD_BYTES_MAX);
        result = new_session(h, callbacks, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return result == 0 ? OK : ERR_MEMORY;
}

/* Priorities are the client's wish for the order of its answers: RFC 9113 has given its tree up,
 * and all streams get their turn here. No push: a server that does not push needs no setting for
 * it. */
static enum err submit_settings(struct http2 *h)
{
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX             },
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,    HTTP2_STREAM_WINDOW_BYTES     },
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,   (uint32_t)h->limits.head_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES,  1                             },
    };
    if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, COUNT_OF(entries)) != 0 ||
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                              HTTP2_CONNECTION_WINDOW_BYTES) != 0)
        return ERR_MEMORY;
    return OK;
}

struct http2 *http2_create(const struct http_limits *limits, struct request_head *scratch,
                           const struct http2_events *events, void *context, uint64_t now_us)
{
    struct http2 *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->limits = *limits;
    h->scratch = scratch;
    h->events = events;
    h->context = context;
    h->now_us = now_us;
    list_init(&h->streams);
    list_init(&h->pieces);
    if (make_session(h) != OK || submit_settings(h) != OK) {
        http2_destroy(h);
        return NULL;
    }
    return h;
}

void http2_destroy(struct http2 *h)
{
    if (!h)
        return;
    invariant(!h->inside);
    h->inside = true; /* what is called from here finds a connection that does nothing more */
    h->dead = true;
    LIST_EACH(link, &h->streams)
    codec_stream_end(h, LIST_OF(link, struct codec_stream, link));
    release_pieces(h);
    http2_head_finish(&h->head);
    free(h);
}

bool http2_is_done(const struct http2 *h)
{
    if (h->dead)
        return true;
    return !h->out.len && !nghttp2_session_want_read(h->session) &&
           !nghttp2_session_want_write(h->session);
}

enum http2_fault http2_fault_of(const struct http2 *h)
{
    return h->fault;
}

bool http2_inside(const struct http2 *h)
{
    return h->inside;
}

unsigned http2_stream_count(const struct http2 *h)
{
    return h->stream_count;
}

size_t http2_memory(const struct http2 *h)
{
    return sizeof *h + h->session_bytes + h->head.text.size + h->head.pseudo.size +
           h->head.cookie.size;
}

/* --- bytes out ----------------------------------------------------------------------------------
 */

/* What nghttp2 found wrong with the connection is known by what it says about it. */
static void note_goaway(struct http2 *h, uint32_t code)
{
    static const enum http2_fault faults[] = {
        [NGHTTP2_PROTOCOL_ERROR] = HTTP2_PROTOCOL_ERROR,
        [NGHTTP2_INTERNAL_ERROR] = HTTP2_NO_MEMORY,
        [NGHTTP2_FLOW_CONTROL_ERROR] = HTTP2_FLOW_CONTROL_ERROR,
        [NGHTTP2_STREAM_CLOSED] = HTTP2_STREAM_CLOSED,
        [NGHTTP2_FRAME_SIZE_ERROR] = HTTP2_FRAME_SIZE_ERROR,
        [NGHTTP2_COMPRESSION_ERROR] = HTTP2_COMPRESSION_ERROR,
    };
    if (h->fault || code == NGHTTP2_NO_ERROR)
        return;
    h->fault = code < COUNT_OF(faults) && faults[code] ? faults[code] : HTTP2_PROTOCOL_ERROR;
}

/* Resets that the peer provoked cost us a stream each (HOSTILE H2-03). */
static void note_reset(struct http2 *h, const struct codec_stream *stream, uint32_t code)
{
    if (code == NGHTTP2_REFUSED_STREAM)
        http2_spend(h, HTTP2_REFUSED_STREAMS);
    else if (code != NGHTTP2_NO_ERROR && !(stream && stream->reset_by_owner))
        http2_spend(h, HTTP2_FAULTY_STREAMS);
}

static void note_answer_end(struct http2 *h, struct codec_stream *stream)
{
    stream->answer_complete = true;
    http2_budget_give(&h->budget, HTTP2_STRAY_FRAMES, 1);
    if (stream->request_ended || stream->reset)
        return;
    /* RFC 9113, 8.1 lets us stop the rest of the request at once. A client that is still sending it
     * may take that for a failure and throw the answer away, as curl 7.88 does: let it finish. */
    int32_t unread =
        nghttp2_session_get_stream_effective_recv_data_length(h->session, (int32_t)stream->id);
    if (unread > 0)
        http2_consume(h, stream->id, (size_t)unread);
    h->events->on_answered(h->context, stream->user);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *h = context;
    struct codec_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        http2_budget_give(&h->budget, HTTP2_WINDOW_UPDATES, WINDOW_UPDATES_PER_DATA);
        http2_budget_give(&h->budget, HTTP2_PINGS, 1);
        break;
    case NGHTTP2_HEADERS:
        break;
    case NGHTTP2_RST_STREAM:
        note_reset(h, stream, frame->rst_stream.error_code);
        return 0;
    case NGHTTP2_GOAWAY:
        note_goaway(h, frame->goaway.error_code);
        return 0;
    default:
        return 0;
    }
    if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        note_answer_end(h, stream);
    return 0;
}

/* A head that cannot be sent would leave its stream open for ever. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *context)
{
    struct http2 *h = context;
    if (frame->hd.type == NGHTTP2_HEADERS &&
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) &&
        error != NGHTTP2_ERR_STREAM_CLOSED && error != NGHTTP2_ERR_STREAM_CLOSING)
        http2_reset(h, (uint32_t)frame->hd.stream_id, HTTP2_RESET_INTERNAL_ERROR);
    return 0;
}

/* Makes the next frame ready; false: there is none. It lies in nghttp2's memory until the next one
 * is made. */
static bool next_frame(struct http2 *h)
{
    const uint8_t *bytes;
    h->inside = true;
    ssize_t n = nghttp2_session_mem_send(h->session, &bytes);
    h->inside = false;
    if (n < 0) {
        http2_check(h, NGHTTP2_ERR_NOMEM); /* there is no other reason */
        return false;
    }
    h->out = slice_make((const char *)bytes, (size_t)n);
    return n > 0;
}

size_t http2_output(struct http2 *h, char *room, size_t size)
{
    invariant(!h->inside);
    size_t n = 0;
    while (n < size && !h->dead && (h->out.len || next_frame(h))) {
        size_t part = h->out.len < size - n ? h->out.len : size - n;
        memcpy(room + n, h->out.ptr, part);
        h->out = slice_from(h->out, part);
        n += part;
    }
    return n;
}

bool http2_wants_output(const struct http2 *h)
{
    return !h->dead && (h->out.len || nghttp2_session_want_write(h->session));
}

/* --- answers ------------------------------------------------------------------------------------
 */

static struct codec_stream *find_stream(const struct http2 *h, uint32_t id)
{
    return h->dead ? NULL : nghttp2_session_get_stream_user_data(h->session, (int32_t)id);
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)source;
    struct http2 *h = context;
    struct codec_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (!stream || stream->reset)
        return NGHTTP2_ERR_DEFERRED;
    bool end = false;
    size_t n = h->events->read_body(h->context, stream->user, (char *)room, size, &end);
    invariant(n <= size);
    if (end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return n || end ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
}

static size_t fields_of(const struct http2_answer *answer, nghttp2_nv *fields)
{
    for (unsigned i = 0; i < answer->count; i++) {
        const struct http2_answer_field *field = &answer->fields[i];
        fields[i] = (nghttp2_nv){
            .name = (uint8_t *)answer->bytes.bytes + field->name_at,
            .value = (uint8_t *)answer->bytes.bytes + field->value_at,
            .namelen = field->name_len,
            .valuelen = field->value_len,
            .flags = field->may_index ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX,
        };
    }
    return answer->count;
}

void http2_send_head(struct http2 *h, uint32_t id, const struct http2_answer *answer, bool ends)
{
    struct codec_stream *stream = find_stream(h, id);
    if (!stream || stream->reset)
        return;
    invariant(!stream->answered);
    stream->answered = true;
    if (!http2_answer_whole(answer)) {
        http2_reset(h, id, HTTP2_RESET_INTERNAL_ERROR);
        return;
    }
    nghttp2_nv fields[HTTP2_ANSWER_FIELDS_MAX];
    nghttp2_data_provider body = {.read_callback = read_body};
    http2_check(h, nghttp2_submit_response(h->session, (int32_t)id, fields,
                                           fields_of(answer, fields), ends ? NULL : &body));
}

void http2_send_continue(struct http2 *h, uint32_t id)
{
    struct codec_stream *stream = find_stream(h, id);
    if (!stream || stream->answered || stream->reset)
        return;
    char room[16];
    struct http2_answer answer;
    nghttp2_nv fields[HTTP2_ANSWER_FIELDS_MAX];
    http2_answer_begin(&answer, 100, room, sizeof room);
    http2_check(h, nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, (int32_t)id, NULL, fields,
                                          fields_of(&answer, fields), NULL));
}

void http2_resume(struct http2 *h, uint32_t id)
{
    if (find_stream(h, id)) /* not waiting, says nghttp2 otherwise, and that is as well */
        http2_check(h, nghttp2_session_resume_data(h->session, (int32_t)id));
}

void http2_reset(struct http2 *h, uint32_t id, enum http2_reset code)
{
    struct codec_stream *stream = find_stream(h, id);
    if (!stream || stream->reset)
        return;
    stream->reset = stream->reset_by_owner = true;
    http2_check(
        h, nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, (int32_t)id, (uint32_t)code));
}

void http2_consume(struct http2 *h, uint32_t id, size_t n)
{
    if (find_stream(h, id))
        http2_check(h, nghttp2_session_consume_stream(h->session, (int32_t)id, n));
}

void http2_shutdown_notice(struct http2 *h)
{
    if (h->dead || h->notice_sent || h->goaway_sent)
        return;
    h->notice_sent = true;
    http2_check(h, nghttp2_submit_shutdown_notice(h->session));
}

void http2_goaway(struct http2 *h)
{
    if (h->dead || h->goaway_sent)
        return;
    h->goaway_sent = true;
    http2_check(h, nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                         nghttp2_session_get_last_proc_stream_id(h->session),
                                         NGHTTP2_NO_ERROR, NULL, 0));
}
