/* The writing side of a client's HTTP/1 connection: answers into bytes, and bytes into the socket.
 * Small pieces are gathered so that a small answer is one write; what the kernel does not take
 * waits in pooled blocks while the upstream is paused. */
#include "gateway/connection.h"

enum {
    GATHER_BYTES = 4096, /* pieces up to this size are copied rather than written on their own */
    PIECES_MAX = 16,
    LINGER_US = 5 * 1000 * 1000
};

static struct connection *connection_of(const struct exchange *x)
{
    return x->front_owner;
}

/* --- bytes into the socket ----------------------------------------------------------------------
 */

static void keep(struct connection *c, struct slice bytes)
{
    if (!c->broken && body_append(&c->out, &c->worker->answer_blocks, bytes) != OK)
        c->broken = true; /* no memory to hold it: the answer can only break off */
}

static int gather(const struct connection *c, struct iovec *pieces, int max)
{
    int count = 0;
    size_t skip = c->out_sent;
    for (struct block *block = c->out.first; block && count < max; block = block->next) {
        pieces[count++] = (struct iovec){block->bytes + skip, block->len - skip};
        skip = 0;
    }
    return count;
}

/* Drops `n` written bytes from the front of `out`; what is left of `n` belongs to what came after.
 */
static size_t drop_written(struct connection *c, size_t n)
{
    while (c->out.first) {
        struct block *block = c->out.first;
        size_t left = block->len - c->out_sent;
        if (n < left) {
            c->out_sent += n;
            c->out.len -= n;
            return 0;
        }
        n -= left;
        c->out.len -= left;
        c->out_sent = 0;
        struct body gone = {.first = block, .last = block};
        c->out.first = block->next;
        if (!c->out.first)
            c->out.last = NULL;
        block->next = NULL;
        body_release(&gone, &c->worker->answer_blocks);
    }
    return n;
}

/* Writes `out` and then `more`, as far as the kernel takes it. Returns how much of `more` went. */
static size_t write_out(struct connection *c, const struct iovec *more, int more_count)
{
    struct iovec pieces[PIECES_MAX];
    int count = gather(c, pieces, PIECES_MAX - more_count);
    bool all = count == 0 || (count < PIECES_MAX - more_count);
    for (int i = 0; all && i < more_count; i++)
        pieces[count++] = more[i];
    if (count == 0)
        return 0;
    size_t n;
    enum err err = stream_write(&c->stream, pieces, count, &n);
    if (err == ERR_AGAIN) {
        c->writable = false;
        return 0;
    }
    if (err) {
        c->broken = true;
        return 0;
    }
    return drop_written(c, n);
}

/* Sends pieces after what waits already. */
static void put(struct connection *c, const struct iovec *pieces, int count)
{
    size_t total = 0, went = 0;
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    if (c->broken)
        return;
    if (total > GATHER_BYTES && c->writable)
        went = write_out(c, pieces, count);
    for (int i = 0; i < count; i++) {
        size_t skip = went < pieces[i].iov_len ? went : pieces[i].iov_len;
        keep(c, slice_make((char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip));
        went -= skip;
    }
}

/* --- the end of an answer -----------------------------------------------------------------------
 */

static void begin_lingering(struct connection *c)
{
    struct loop *loop = &c->worker->loop;
    stream_end_writing(&c->stream);
    c->state = CONNECTION_LINGERING;
    timer_arm(loop, &c->timer, loop->now_us + LINGER_US);
    if (!c->in_turn)
        loop_defer(loop, &c->task);
}

/* The request ended where the client thinks it does; what follows can only be another one. */
static bool was_read_whole(const struct exchange *x)
{
    return x->head && (x->body_complete || !request_has_body(x->head));
}

static void next_request(struct connection *c)
{
    struct loop *loop = &c->worker->loop;
    if (c->worker->draining && !c->in.len && !c->pending.len) { /* it was told otherwise earlier */
        begin_lingering(c);
        return;
    }
    c->state = CONNECTION_HEAD;
    timer_arm(loop, &c->timer, loop->now_us + worker_settings(c->worker)->server.idle_timeout_us);
    if (c->hung_up)
        c->readable = true;
    if (!c->in_turn && (c->in.len || c->readable))
        loop_defer(loop, &c->task);
}

/* Everything of the answer is with the kernel. */
static void answer_written(struct connection *c)
{
    struct exchange *x = c->exchange;
    bool broken = x->answer_state == ANSWER_BROKEN, read_whole = was_read_whole(x);
    c->exchange = NULL;
    exchange_end(x);
    c->reset = broken && c->answer_to_end; /* an orderly end would look like the answer's */
    if (c->keep_alive)
        next_request(c);
    else if (c->reset || (!broken && read_whole && !c->in.len && !c->pending.len))
        connection_close(c); /* nothing more can come that would turn the close into a reset */
    else
        begin_lingering(c);
}

void connection_flush(struct connection *c)
{
    while (c->out.len && c->writable && !c->broken)
        write_out(c, NULL, 0);
    if (c->broken) {
        connection_close(c);
        return;
    }
    if (c->out.len) {
        /* A client that reads nothing for this long is gone. */
        struct loop *loop = &c->worker->loop;
        timer_arm(loop, &c->timer,
                  loop->now_us + worker_settings(c->worker)->server.idle_timeout_us);
        return;
    }
    if (c->answer_ended && c->exchange)
        answer_written(c);
    else if (c->exchange)
        exchange_unblocked(c->exchange);
}

/* --- answers into bytes -------------------------------------------------------------------------
 */

static void print_field(void *context, struct slice name, struct slice value)
{
    http_print_field(context, name, value);
}

/* The client may send another request on this connection: it asked for that, its body was read to
 * the end (else its rest would be taken for a request), and we are not shutting down. */
static bool may_keep_alive(const struct exchange *x)
{
    return was_read_whole(x) && x->head->keep_alive && !x->worker->draining;
}

static void print_framing(struct buffer *out, struct connection *c, const struct exchange *x,
                          const struct answer *answer)
{
    bool old = x->head && x->head->minor_version == 0;
    bool known = answer->content_length != HTTP_NO_LENGTH;
    bool bodiless = answer->status == 204 || answer->status == 304;
    c->keep_alive = may_keep_alive(x) && (known || bodiless || !old || x->head_only);
    c->answer_chunked = !known && !old && !bodiless && !x->head_only;
    c->answer_to_end = !known && old && !bodiless && !x->head_only;
    if (known && !bodiless) {
        buffer_append(out, SLICE("Content-Length: "));
        buffer_number(out, answer->content_length);
        buffer_append(out, SLICE("\r\n"));
    } else if (!bodiless && !old && !known) {
        buffer_append(out, SLICE("Transfer-Encoding: chunked\r\n"));
    }
    if (!c->keep_alive)
        buffer_append(out, SLICE("Connection: close\r\n"));
    else if (old)
        buffer_append(out, SLICE("Connection: keep-alive\r\n"));
}

/* A request that is refused before its body was looked at: a short body is here already, and once
 * it is dropped the connection can go on. Its length is known, so nothing of it can pass for a
 * request. */
static void drop_short_body(struct connection *c, struct exchange *x)
{
    if (!x->head || x->has_body || x->body_complete || x->head->chunked ||
        x->head->content_length == HTTP_NO_LENGTH)
        return;
    x->body_complete = connection_skip(c, x->head->content_length);
}

static void send_head(struct exchange *x, const struct answer *answer)
{
    struct connection *c = connection_of(x);
    if (!c)
        return;
    drop_short_body(c, x);
    struct buffer out = BUFFER_OVER(c->worker->builder, BUILDER_BYTES);
    buffer_append(&out, SLICE("HTTP/1.1 "));
    buffer_number(&out, answer->status);
    buffer_byte(&out, ' ');
    buffer_text(&out, status_reason(answer->status));
    buffer_append(&out, SLICE("\r\n"));
    answer_each_field(x, answer, print_field, &out);
    print_framing(&out, c, x, answer);
    buffer_append(&out, SLICE("\r\n"));
    x->body_forbidden = x->head_only || answer->status == 204 || answer->status == 304;
    if (out.failed)
        c->broken = true;
    else
        keep(c, buffer_slice(&out));
}

static void send_body(struct exchange *x, struct slice piece)
{
    struct connection *c = connection_of(x);
    if (!c || x->body_forbidden || piece.len == 0)
        return;
    x->body_bytes_sent += piece.len;
    struct iovec pieces[3];
    int count = 0;
    char size[24];
    if (c->answer_chunked) {
        static const char digits[] = "0123456789abcdef";
        size_t at = sizeof size;
        size[--at] = '\n';
        size[--at] = '\r';
        for (size_t left = piece.len; left; left >>= 4)
            size[--at] = digits[left & 15];
        pieces[count++] = (struct iovec){size + at, sizeof size - at};
    }
    pieces[count++] = (struct iovec){(void *)piece.ptr, piece.len};
    if (c->answer_chunked)
        pieces[count++] = (struct iovec){(void *)"\r\n", 2};
    put(c, pieces, count);
}

static void flush(struct exchange *x)
{
    struct connection *c = connection_of(x);
    if (c)
        connection_flush(c);
}

static void finish(struct exchange *x)
{
    struct connection *c = connection_of(x);
    if (!c) {
        exchange_end(x);
        return;
    }
    if (c->answer_chunked)
        keep(c, SLICE("0\r\n\r\n"));
    c->answer_ended = true;
    connection_flush(c);
}

static void break_off(struct exchange *x)
{
    struct connection *c = connection_of(x);
    if (!c) {
        exchange_end(x);
        return;
    }
    /* What was said stays said; there is no last chunk, and the connection closes behind it. */
    c->answer_ended = true;
    c->keep_alive = false;
    connection_flush(c);
}

static void want_body(struct exchange *x)
{
    struct connection *c = connection_of(x);
    c->state = CONNECTION_BODY;
    if (x->head->expect_continue && !c->pending.len && !c->in.len) {
        keep(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
        connection_flush(c);
    }
}

static bool blocked(const struct exchange *x)
{
    const struct connection *c = connection_of(x);
    return c->out.len > GATHER_BYTES && !c->writable;
}

const struct front front_http1 = {
    .send_head = send_head,
    .send_body = send_body,
    .flush = flush,
    .finish = finish,
    .break_off = break_off,
    .want_body = want_body,
    .blocked = blocked,
};
