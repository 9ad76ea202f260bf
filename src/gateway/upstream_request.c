/* What travels on an upstream connection: the request's bytes out, the answer's head and body in.
 */
#include "base/clock.h"
#include "base/log.h"
#include "gateway/upstream_wire.h"

enum {
    READS_PER_TURN = 4, /* of SCRATCH_BYTES each; then other connections have their turn */
    INTERIM_HEADS_MAX = 8,
    PIECES_MAX = 16,
    KEPT_IDLE_S = 4, /* uvicorn and Node close after 5 s without saying so */
};

static const struct http_limits answer_limits = {.line_bytes = 32 * 1024, .head_bytes = 128 * 1024};

void upstream_request_start(struct upstream_request *request)
{
    request->begun = request->sent = request->got_bytes = request->paused = false;
    upstream_connection_get(request);
}

/* The connection has no request any more. */
static struct upstream_request *detach(struct upstream_connection *c)
{
    struct upstream_request *request = c->request;
    c->request = NULL;
    request->connection = NULL;
    return request;
}

void upstream_request_cancel(struct upstream_request *request)
{
    struct upstream_connection *c = request->connection;
    if (!c)
        return;
    detach(c);
    upstream_connection_close(c);
}

/* Safe to send again: nothing of an answer came on a kept connection that the upstream may have
 * closed in the meantime, and doing it twice does no harm. A POST may have been run and billed. */
static bool may_retry(const struct upstream_connection *c, const struct upstream_request *request,
                      enum err why)
{
    bool idempotent = request->method == METHOD_GET || request->method == METHOD_HEAD;
    bool unsent = c->head_sent == 0;
    return c->reused && !request->got_bytes && !request->retried && why != ERR_TIMEOUT &&
           (idempotent || unsent);
}

void upstream_wire_fail(struct upstream_connection *c, enum err why)
{
    struct upstream_request *request = detach(c);
    bool retry = may_retry(c, request, why);
    upstream_connection_close(c);
    if (retry) {
        request->retried = true;
        request->begun = false;
        upstream_connection_get(request);
        return;
    }
    request->listener->fail(request, why);
}

/* --- time ---------------------------------------------------------------------------------------
 */

/* What comes next must come within `us`. */
static void expect_within(struct upstream_connection *c, uint64_t us)
{
    uint64_t deadline_us = c->worker->loop.now_us + us, until_us = c->request->until_us;
    timer_arm(&c->worker->loop, &c->timer,
              until_us && until_us < deadline_us ? until_us : deadline_us);
}

/* All was sent, or some of an answer came. An answer that has begun may pause for as long as
 * read_timeout says; before that, and after an interim one, it may still be thinking. */
static void await_answer(struct upstream_connection *c)
{
    const struct upstream_settings *settings = c->settings;
    if (c->receiving != RECEIVE_HEAD || c->in.len)
        expect_within(c, settings->read_timeout_us);
    else
        expect_within(c, settings->first_byte_timeout_us);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static int gather(struct upstream_connection *c, struct iovec *pieces)
{
    int count = 0;
    struct slice head = slice_from(c->request->head, c->head_sent);
    if (head.len)
        pieces[count++] = (struct iovec){(void *)head.ptr, head.len};
    size_t skip = c->block_sent;
    for (struct block *block = c->block; block && count < PIECES_MAX; block = block->next) {
        pieces[count++] = (struct iovec){block->bytes + skip, block->len - skip};
        skip = 0;
    }
    return count;
}

static void count_sent(struct upstream_connection *c, size_t n)
{
    c->request->begun = true;
    size_t head_left = c->request->head.len - c->head_sent;
    size_t of_head = n < head_left ? n : head_left;
    c->head_sent += of_head;
    for (n -= of_head; n;) {
        size_t block_left = c->block->len - c->block_sent;
        if (n < block_left) {
            c->block_sent += n;
            break;
        }
        n -= block_left;
        c->block = c->block->next;
        c->block_sent = 0;
    }
}

/* Sends what the socket takes. An error is not ours to judge: an answer may be waiting to be read.
 */
static enum err send_request(struct upstream_connection *c)
{
    while (!c->sent_all) {
        struct iovec pieces[PIECES_MAX];
        int count = gather(c, pieces);
        if (count == 0) {
            c->sent_all = c->request->sent = true;
            if (c->in.len == 0) /* see receive_in_time */
                await_answer(c);
            break;
        }
        size_t n;
        enum err err = stream_write(&c->stream, pieces, count, &n);
        if (err == ERR_AGAIN) {
            c->writable = false;
            return OK;
        }
        TRY(err);
        count_sent(c, n);
        if (c->in.len == 0)
            expect_within(c, c->settings->send_timeout_us);
    }
    return OK;
}

/* --- receiving ----------------------------------------------------------------------------------
 */

bool upstream_wire_quiet(struct upstream_connection *c)
{
    if (!c->readable)
        return true;
    char byte;
    size_t n;
    c->readable = false;
    return stream_read(&c->stream, &byte, 1, &n) == ERR_AGAIN;
}

static void finish(struct upstream_connection *c, bool clean)
{
    struct upstream_request *request = detach(c);
    upstream_connection_put(c, clean && c->keep_alive && c->sent_all && upstream_wire_quiet(c));
    request->listener->end(request);
}

static enum err settle_framing(struct upstream_connection *c, const struct response_head *head)
{
    c->keep_alive = head->keep_alive;
    uint64_t seconds = head->idle_seconds ? head->idle_seconds - 1 : KEPT_IDLE_S;
    c->idle_max_us = (seconds < 60 ? seconds : 60) * SECOND_US;
    c->left = 0;
    if (head->no_body) {
        c->receiving = RECEIVE_LENGTH;
    } else if (head->chunked) {
        c->receiving = RECEIVE_CHUNKED;
        chunked_init(&c->chunked);
    } else if (head->content_length != HTTP_NO_LENGTH) {
        c->receiving = RECEIVE_LENGTH;
        c->left = head->content_length;
    } else {
        c->receiving = RECEIVE_TO_END;
        c->keep_alive = false;
    }
    return OK;
}

/* Why an answer makes no sense is told here, that the request failed by whoever asked. */
static enum err unreadable(const struct upstream_connection *c, const char *why, enum err err)
{
    log_warning("upstream %s: its answer cannot be read: %s", c->settings->name, why);
    return err;
}

/* Reads heads until the final one. ERR_AGAIN: more bytes are needed and all of `*bytes` was kept.
 */
static enum err receive_head(struct upstream_connection *c, struct slice *bytes)
{
    struct upstream_request *request = c->request;
    for (;;) {
        struct response_head head;
        enum http_fault fault;
        size_t used;
        enum err err =
            response_head_parse(*bytes, &answer_limits, request->method, &head, &used, &fault);
        if (err)
            return err == ERR_AGAIN ? err : unreadable(c, http_fault_name(fault), err);
        *bytes = slice_from(*bytes, used);
        if (head.status >= 200) {
            TRY(settle_framing(c, &head));
            request->listener->head(request, &head);
            return OK;
        }
        /* 100, 102, 103 are consumed; 101 answers a question that was never asked. */
        if (head.status == 101)
            return unreadable(c, "it switches protocols", ERR_SYNTAX);
        if (++c->interim_count > INTERIM_HEADS_MAX)
            return unreadable(c, "too many interim heads", ERR_SYNTAX);
    }
}

/* The rest of the answer that `bytes` hold. ERR_CLOSED: the answer is complete. */
static enum err receive_body(struct upstream_connection *c, struct slice *bytes)
{
    struct upstream_request *request = c->request;
    if (c->receiving == RECEIVE_CHUNKED) {
        for (;;) {
            struct slice piece;
            enum err err = chunked_next(&c->chunked, bytes, &piece);
            if (err == ERR_AGAIN || err == ERR_CLOSED) /* ERR_CLOSED: it is complete */
                return err;
            if (err)
                return unreadable(c, http_fault_name(c->chunked.fault), err);
            request->listener->body(request, piece);
            if (c->request != request)
                return ERR_AGAIN;
        }
    }
    size_t n = bytes->len;
    if (c->receiving == RECEIVE_LENGTH) {
        n = n < c->left ? n : c->left;
        c->left -= n;
    }
    struct slice piece = slice_to(*bytes, n);
    *bytes = slice_from(*bytes, n);
    if (n)
        request->listener->body(request, piece);
    if (c->request != request)
        return ERR_AGAIN;
    return c->receiving == RECEIVE_LENGTH && c->left == 0 ? ERR_CLOSED : ERR_AGAIN;
}

/* What one read brought. OK: go on reading. ERR_CLOSED: the answer is complete. Else it failed. */
static enum err receive(struct upstream_connection *c, struct slice bytes)
{
    struct upstream_request *request = c->request;
    request->got_bytes = true;
    if (c->receiving == RECEIVE_HEAD) {
        bool kept = c->in.len > 0;
        if (kept) {
            buffer_append(&c->in, bytes);
            TRY(c->in.failed);
            bytes = buffer_slice(&c->in);
        }
        struct slice all = bytes;
        enum err err = receive_head(c, &bytes);
        if (c->request != request)
            return OK;
        if (err == ERR_AGAIN) {
            if (kept) {
                buffer_consume(&c->in, all.len - bytes.len);
                return OK;
            }
            buffer_append(&c->in, bytes);
            return c->in.failed;
        }
        TRY(err);
    }
    enum err err = receive_body(c, &bytes);
    if (c->request != request)
        return OK;
    buffer_finish(
        &c->in); /* `bytes` may have been in it; only its length is looked at from here on */
    if (err == ERR_CLOSED && bytes.len)
        c->keep_alive = false; /* it talks on: nobody asked */
    return err == ERR_AGAIN ? OK : err;
}

/* Each read is a sign of life and begins the time anew, but for those that only prolong a head: it
 * must be complete within read_timeout of its first byte, whatever is sent meanwhile, or an
 * upstream that drips it would hold the request for ever. Interim heads are a bounded number. */
static enum err receive_in_time(struct upstream_connection *c, struct slice bytes)
{
    struct upstream_request *request = c->request;
    bool head_begun = c->in.len > 0;
    unsigned interim_count = c->interim_count;
    enum err err = receive(c, bytes);
    if (err || c->request != request)
        return err;
    if (!head_begun || c->receiving != RECEIVE_HEAD || c->interim_count != interim_count)
        await_answer(c);
    return OK;
}

/* The upstream hung up. That is an end only where the framing says so. */
static void end_of_stream(struct upstream_connection *c, enum err why)
{
    if (why == ERR_CLOSED && c->receiving == RECEIVE_TO_END)
        finish(c, false);
    else
        upstream_wire_fail(c, why);
}

/* Reads for a while. False when the connection is not this request's any more. */
static bool read_answer(struct upstream_connection *c)
{
    struct upstream_request *request = c->request;
    struct loop *loop = &c->worker->loop;
    for (int reads = 0; c->readable && !request->paused; reads++) {
        if (reads == READS_PER_TURN) {
            loop_defer(loop, &c->task);
            break;
        }
        size_t n;
        enum err err = stream_read(&c->stream, c->worker->scratch, SCRATCH_BYTES, &n);
        /* After a hang-up there is no further event: read on until the end shows itself. */
        c->readable = err == OK ? !c->stream.drained || c->hung_up : false;
        if (err == ERR_AGAIN)
            break;
        if (err) {
            end_of_stream(c, err);
            return false;
        }
        err = receive_in_time(c, slice_make(c->worker->scratch, n));
        if (c->request != request)
            return false;
        if (err == ERR_CLOSED) {
            finish(c, true);
            return false;
        }
        if (err) {
            upstream_wire_fail(c, err);
            return false;
        }
    }
    return true;
}

void upstream_wire_turn(struct upstream_connection *c)
{
    struct upstream_request *request = c->request;
    enum err err = OK;
    if (c->writable && !c->sent_all)
        err = send_request(c);
    if (!read_answer(c))
        return;
    if (err && !c->readable && !request->paused) /* it took no more, and had nothing to say */
        upstream_wire_fail(c, err);
    else if (request->got_bytes)
        request->listener->turn_end(request);
}

void upstream_wire_begin(struct upstream_connection *c)
{
    c->state = UPSTREAM_BUSY;
    c->settings = c->request->upstream->settings;
    c->head_sent = c->block_sent = 0;
    c->block = c->request->body ? c->request->body->first : NULL;
    c->sent_all = false;
    c->writable = true;
    c->receiving = RECEIVE_HEAD;
    c->interim_count = 0;
    expect_within(c, c->settings->send_timeout_us); /* and no longer what an idle one may wait */
    if (send_request(c) != OK) /* the next turn judges that, once it has read what was said */
        c->readable = true;
    if (c->readable) /* it spoke, or hung up, before it was asked: no further event says so */
        loop_defer(&c->worker->loop, &c->task);
}

void upstream_request_pause(struct upstream_request *request)
{
    request->paused = true;
}

void upstream_request_resume(struct upstream_request *request)
{
    if (!request->paused)
        return;
    request->paused = false;
    struct upstream_connection *c = request->connection;
    if (c && c->state == UPSTREAM_BUSY && c->readable)
        loop_defer(&c->worker->loop, &c->task);
}
