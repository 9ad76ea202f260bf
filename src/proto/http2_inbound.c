/* The reading half of an HTTP/2 connection: what nghttp2 finds in the bytes, checked, paid for and
 * told to the owner. Called from http2_feed only.
 *
 * The hard problem is to stop in the middle of a read: a frame that breaks a bound fails nghttp2's
 * callback, which leaves the rest of the bytes unread; the GOAWAY is made after that. */
#include "proto/http2_session.h"

enum {
    /* HOSTILE H2-04. Heads of browsers and libraries need no CONTINUATION at all. */
    CONTINUATIONS_MAX = 8,
    HEAD_BLOCK_BYTES_MAX = 64 * 1024,
    /* Frames of ours that wait to be read by the peer (answers' bodies are not counted). Three for
     * each stream that may be open, and some. */
    OUTBOUND_FRAMES_MAX = 512,
};

/* --- frames -------------------------------------------------------------------------------------
 */

/* Fails the callback, which ends the feed. */
static int stop(struct http2 *h, enum http2_fault fault)
{
    if (!h->fault)
        h->fault = fault;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int spend(struct http2 *h, enum http2_budget_kind kind)
{
    return http2_budget_take(&h->budget, kind, h->now_us)
               ? 0
               : stop(h, (enum http2_fault)(HTTP2_FIRST_BUDGET + kind));
}

static struct codec_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* An empty frame that does not even end its body (CVE-2019-9518). */
static int pay_for_data(struct http2 *h, const struct codec_stream *stream,
                        const nghttp2_frame_hd *frame)
{
    if (frame->length > 0 || (stream && frame->flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    return spend(h, stream ? HTTP2_EMPTY_DATA : HTTP2_STRAY_FRAMES);
}

/* The parts of a head, before they are put together (CVE-2024-27316). */
static int count_head_block(struct http2 *h, const nghttp2_frame_hd *frame)
{
    size_t max =
        h->limits.head_bytes > HEAD_BLOCK_BYTES_MAX ? h->limits.head_bytes : HEAD_BLOCK_BYTES_MAX;
    if (frame->type == NGHTTP2_HEADERS)
        h->continuations = 0, h->head_block_bytes = 0;
    else
        h->continuations++;
    h->head_block_bytes += frame->length;
    if (h->continuations > CONTINUATIONS_MAX || h->head_block_bytes > max)
        return stop(h, HTTP2_CONTINUATIONS);
    return 0;
}

/* Each frame is paid for as soon as its first nine bytes are here, whatever comes of it. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *context)
{
    struct http2 *h = context;
    const struct codec_stream *stream = stream_of(session, frame->stream_id);
    if (h->dead) /* an answer found no memory */
        return stop(h, HTTP2_NO_MEMORY);
    if (!nghttp2_session_want_read(session)) { /* a farewell, and no stream is left */
        h->deaf = true;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (nghttp2_session_get_outbound_queue_size(session) > OUTBOUND_FRAMES_MAX)
        return stop(h, HTTP2_UNREAD_FRAMES);
    switch (frame->type) {
    case NGHTTP2_DATA:
        return pay_for_data(h, stream, frame);
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return count_head_block(h, frame);
    case NGHTTP2_RST_STREAM:
        return spend(h, stream && !stream->answer_complete ? HTTP2_RESETS : HTTP2_STRAY_FRAMES);
    case NGHTTP2_SETTINGS:
        return frame->flags & NGHTTP2_FLAG_ACK ? 0 : spend(h, HTTP2_SETTINGS);
    case NGHTTP2_PING:
        return spend(h, HTTP2_PINGS);
    case NGHTTP2_PRIORITY:
        return spend(h, HTTP2_PRIORITIES);
    case NGHTTP2_WINDOW_UPDATE:
        return spend(h, HTTP2_WINDOW_UPDATES);
    default:
        return spend(h, HTTP2_STRAY_FRAMES);
    }
}

/* Frames of unknown types are paid for like all others, which takes saying that we know them; what
 * is in them is passed over (RFC 9113, 5.5). */
static int pass_over(nghttp2_session *session, const nghttp2_frame_hd *frame, const uint8_t *bytes,
                     size_t len, void *context)
{
    (void)session, (void)frame, (void)bytes, (void)len, (void)context;
    return NGHTTP2_ERR_CANCEL;
}

static int pass_over_whole(nghttp2_session *session, void **payload, const nghttp2_frame_hd *frame,
                           void *context)
{
    (void)session, (void)payload, (void)frame, (void)context;
    return NGHTTP2_ERR_CANCEL;
}

void http2_inbound_options(nghttp2_option *option)
{
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
}

/* --- heads --------------------------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct http2 *h = context;
    http2_head_begin(&h->head, &h->limits, frame->headers.cat != NGHTTP2_HCAT_REQUEST);
    h->in_head = true;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    (void)session;
    (void)frame;
    (void)flags;
    struct http2 *h = context;
    if (http2_head_field(&h->head, slice_make((const char *)name, name_len),
                         slice_make((const char *)value, value_len)))
        return 0;
    return stop(h, HTTP2_HEAD_FLOOD);
}

static int reset(struct http2 *h, uint32_t id, uint32_t code)
{
    int result = nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, (int32_t)id, code);
    return result == NGHTTP2_ERR_NOMEM ? stop(h, HTTP2_NO_MEMORY) : 0;
}

/* A request that is under way breaks a rule with its body or trailers. */
static int reset_malformed(struct http2 *h, struct codec_stream *stream, enum http_fault fault)
{
    stream->reset = true;
    h->events->on_malformed(h->context, stream->id, stream->user, fault);
    return reset(h, stream->id, NGHTTP2_PROTOCOL_ERROR);
}

/* All streams get their turn: with what RFC 9218 calls non-incremental, the first large answer
 * would hold up all others. */
static int take_turns(struct http2 *h, uint32_t id)
{
    nghttp2_extpri priority = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    int result =
        nghttp2_session_change_extpri_stream_priority(h->session, (int32_t)id, &priority, 1);
    return result == NGHTTP2_ERR_NOMEM ? stop(h, HTTP2_NO_MEMORY) : 0;
}

/* Tells the owner of a request, or of one that it may refuse with a status. */
static int tell_request(struct http2 *h, struct codec_stream *stream, enum http_fault fault,
                        struct slice bytes)
{
    uint32_t id = stream->id;
    const struct request_head *head = h->scratch;
    if (fault) {
        stream->ignore_body = true;
        stream->user = h->events->on_bad_request(h->context, id, fault, bytes);
    } else {
        stream->has_length = head->content_length != HTTP_NO_LENGTH;
        stream->length_left = stream->has_length ? head->content_length : 0;
        stream->user = h->events->on_request(h->context, id, head, bytes);
    }
    if (h->dead)
        return stop(h, HTTP2_NO_MEMORY);
    if (stream->user)
        return take_turns(h, id);
    nghttp2_session_set_stream_user_data(h->session, (int32_t)id, NULL);
    codec_stream_destroy(h, stream);
    return reset(h, id, NGHTTP2_REFUSED_STREAM);
}

static int end_request_head(struct http2 *h, uint32_t id, bool ends_stream)
{
    struct slice bytes;
    enum http_fault fault;
    enum http2_outcome outcome = http2_head_end(&h->head, ends_stream, h->scratch, &bytes, &fault);
    if (outcome == HTTP2_HEAD_MALFORMED) {
        h->events->on_malformed(h->context, id, NULL, fault);
        return reset(h, id, NGHTTP2_PROTOCOL_ERROR);
    }
    struct codec_stream *stream =
        outcome == HTTP2_HEAD_NO_MEMORY ? NULL : codec_stream_create(h, id);
    if (!stream)
        return reset(h, id, NGHTTP2_REFUSED_STREAM);
    stream->request_ended = ends_stream;
    nghttp2_session_set_stream_user_data(h->session, (int32_t)id, stream);
    return tell_request(h, stream, fault, bytes);
}

/* --- bodies -------------------------------------------------------------------------------------
 */

static int end_request(struct http2 *h, struct codec_stream *stream)
{
    stream->request_ended = true;
    if (stream->reset || stream->ignore_body || stream->answer_complete)
        return 0;
    if (stream->length_left > 0)
        return reset_malformed(h, stream, HTTP_BAD_LENGTH);
    h->events->on_request_end(h->context, stream->user);
    return 0;
}

/* RFC 9113, 8.1: behind the body, and the end of the stream. What they say is dropped. */
static int end_trailers(struct http2 *h, struct codec_stream *stream, bool ends_stream)
{
    struct slice bytes;
    enum http_fault fault;
    enum http2_outcome outcome = http2_head_end(&h->head, ends_stream, h->scratch, &bytes, &fault);
    if (!stream || stream->reset)
        return 0;
    if (outcome != HTTP2_HEAD_READ && !stream->answer_complete)
        return reset_malformed(h, stream, fault);
    return end_request(h, stream);
}

/* It was answered already. Up to the bound the window stays open, so that the client gets through.
 */
static void discard(struct http2 *h, struct codec_stream *stream, size_t len)
{
    stream->discarded += len;
    if (stream->discarded > HTTP2_DISCARD_BYTES_MAX)
        http2_reset(h, stream->id, HTTP2_RESET_NO_ERROR);
    else
        http2_consume(h, stream->id, len);
}

static int on_body(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t len, void *context)
{
    (void)flags;
    struct http2 *h = context;
    struct codec_stream *stream = stream_of(session, id);
    if (nghttp2_session_consume_connection(session, len) == NGHTTP2_ERR_NOMEM)
        return stop(h, HTTP2_NO_MEMORY);
    if (!stream || stream->reset)
        return 0;
    if (stream->answer_complete) {
        discard(h, stream, len);
        return 0;
    }
    if (stream->ignore_body)
        return 0;
    if (stream->has_length && len > stream->length_left)
        return reset_malformed(h, stream, HTTP_BAD_LENGTH);
    if (stream->has_length)
        stream->length_left -= len;
    h->events->on_body(h->context, stream->user, slice_make((const char *)bytes, len));
    return 0;
}

/* --- what is complete ---------------------------------------------------------------------------
 */

static int on_data_frame(struct http2 *h, struct codec_stream *stream, const nghttp2_frame *frame)
{
    bool ends_stream = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (ends_stream)
        return stream ? end_request(h, stream) : 0;
    bool only_padding = frame->hd.length > 0 && frame->hd.length <= frame->data.padlen;
    return only_padding ? spend(h, HTTP2_EMPTY_DATA) : 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *h = context;
    struct codec_stream *stream = stream_of(session, frame->hd.stream_id);
    bool ends_stream = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_DATA)
        return on_data_frame(h, stream, frame);
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    h->in_head = false;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return end_request_head(h, (uint32_t)frame->hd.stream_id, ends_stream);
    return end_trailers(h, stream, ends_stream);
}

void codec_stream_end(struct http2 *h, struct codec_stream *stream)
{
    void *user = stream->user;
    bool complete = stream->answer_complete;
    codec_stream_destroy(h, stream);
    if (user)
        h->events->on_closed(h->context, user, complete);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    (void)code;
    struct codec_stream *stream = stream_of(session, id);
    if (stream) {
        nghttp2_session_set_stream_user_data(session, id, NULL);
        codec_stream_end(context, stream);
    }
    return 0;
}

void http2_inbound_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, pass_over);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, pass_over_whole);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_body);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

/* --- bytes in -----------------------------------------------------------------------------------
 */

/* nghttp2 gave up. */
static enum http2_fault fault_of(struct http2 *h, ssize_t result)
{
    switch (result) {
    case NGHTTP2_ERR_CALLBACK_FAILURE: /* one of ours */
        return h->fault ? h->fault : HTTP2_PROTOCOL_ERROR;
    case NGHTTP2_ERR_NOMEM:
        return HTTP2_NO_MEMORY;
    case NGHTTP2_ERR_FLOODED:
        return HTTP2_UNREAD_FRAMES;
    default: /* the preface is not HTTP/2's */
        return HTTP2_PROTOCOL_ERROR;
    }
}

void http2_feed(struct http2 *h, struct slice bytes, uint64_t now_us)
{
    invariant(!h->inside);
    h->now_us = now_us;
    if (h->dead || h->deaf || h->fault || !bytes.len)
        return;
    h->inside = true;
    ssize_t result = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes.ptr, bytes.len);
    h->inside = false;
    if (result < 0 && !h->deaf) {
        enum http2_fault fault = fault_of(h, result);
        h->fault = HTTP2_FINE;
        http2_fail(h, fault);
        http2_check(h, (int)result);
    }
    if (!h->in_head || h->fault) /* an idle connection owns no buffers */
        http2_head_finish(&h->head);
}
