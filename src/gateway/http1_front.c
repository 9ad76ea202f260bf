/* The writing side of HTTP/1: answers into bytes, and what follows an answer. */
#include "gateway/connection.h"
#include "gateway/exchange.h"

enum { SMALL_ANSWER_BYTES = 16 * 1024 };

static struct connection *connection_of(const struct exchange *x)
{
    return x->front_owner;
}

/* --- the end of an answer -----------------------------------------------------------------------
 */

/* The request ended where the client thinks it does; what follows can only be another one. */
static bool was_read_whole(const struct exchange *x)
{
    return x->head && (x->body_complete || !request_has_body(x->head));
}

static void next_request(struct connection *c)
{
    if (c->worker->draining && !http1_has_unread(c)) { /* it was told otherwise earlier */
        connection_linger(c);
        return;
    }
    c->http1.state = HTTP1_HEAD;
    connection_set_waiting(c, true);
    connection_arm(c, worker_settings(c->worker)->server.idle_timeout_us);
    if (c->hung_up)
        c->readable = true;
    if (!c->in_turn && (c->http1.in.len || c->readable))
        connection_defer(c);
}

/* Nothing more will come that turns a close into a reset, before which the answer may not have been
 * read (RFC 9112, 9.6): the client itself said that this is its last request, sent all of it, and
 * the answer is too small to wait in the kernel for long. */
static bool may_close(const struct connection *c, const struct exchange *x)
{
    return x->answer_state != ANSWER_BROKEN && was_read_whole(x) && !x->head->keep_alive &&
           x->body_bytes_sent <= SMALL_ANSWER_BYTES && !http1_has_unread(c);
}

/* Everything of the answer is with the kernel. */
static void answer_written(struct connection *c)
{
    struct http1 *h = &c->http1;
    struct exchange *x = h->exchange;
    bool close = c->hung_up || may_close(c, x);
    /* An orderly end would look like the answer's. */
    c->reset = x->answer_state == ANSWER_BROKEN && h->answer_to_end;
    h->exchange = NULL;
    exchange_end(x);
    if (h->keep_alive)
        next_request(c);
    else if (c->reset || close)
        connection_close(c);
    else
        connection_linger(c);
}

void http1_written(struct connection *c)
{
    struct http1 *h = &c->http1;
    if (h->answer_ended && h->exchange)
        answer_written(c);
    else if (h->exchange)
        exchange_unblocked(h->exchange);
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
    return was_read_whole(x) && x->head->keep_alive && !x->worker->draining && !x->over_limit;
}

static void print_framing(struct buffer *out, struct connection *c, const struct exchange *x,
                          const struct answer *answer)
{
    bool old = x->head && x->head->minor_version == 0;
    bool known = answer->content_length != HTTP_NO_LENGTH;
    bool bodiless = answer->status == 204 || answer->status == 304;
    c->http1.keep_alive = may_keep_alive(x) && (known || bodiless || !old || x->head_only);
    c->http1.answer_chunked = !known && !old && !bodiless && !x->head_only;
    c->http1.answer_to_end = !known && old && !bodiless && !x->head_only;
    if (known && !bodiless) {
        buffer_append(out, SLICE("Content-Length: "));
        buffer_number(out, answer->content_length);
        buffer_append(out, SLICE("\r\n"));
    } else if (!bodiless && !old && !known) {
        buffer_append(out, SLICE("Transfer-Encoding: chunked\r\n"));
    }
    if (!c->http1.keep_alive)
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
    x->body_complete = http1_skip(c, x->head->content_length);
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
        connection_keep(c, buffer_slice(&out));
}

static enum err send_body(struct exchange *x, struct slice piece)
{
    struct connection *c = connection_of(x);
    if (!c || x->body_forbidden || piece.len == 0)
        return OK;
    x->body_bytes_sent += piece.len;
    struct iovec pieces[3];
    int count = 0;
    char size[24];
    if (c->http1.answer_chunked) {
        static const char digits[] = "0123456789abcdef";
        size_t at = sizeof size;
        size[--at] = '\n';
        size[--at] = '\r';
        for (size_t left = piece.len; left; left >>= 4)
            size[--at] = digits[left & 15];
        pieces[count++] = (struct iovec){size + at, sizeof size - at};
    }
    pieces[count++] = (struct iovec){(void *)piece.ptr, piece.len};
    if (c->http1.answer_chunked)
        pieces[count++] = (struct iovec){(void *)"\r\n", 2};
    return connection_put(c, pieces, count);
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
    if (c->http1.answer_chunked)
        connection_keep(c, SLICE("0\r\n\r\n"));
    c->http1.answer_ended = true;
    connection_flush(c);
    if (!c->closed && c->http1.exchange == x) /* it waits for the client only */
        connection_set_waiting(c, true);
}

static void break_off(struct exchange *x)
{
    struct connection *c = connection_of(x);
    /* What was said stays said; there is no last chunk, and the connection closes behind it. */
    c->http1.answer_ended = true;
    c->http1.keep_alive = false;
    connection_flush(c);
}

static void want_body(struct exchange *x)
{
    struct connection *c = connection_of(x);
    c->http1.state = HTTP1_BODY;
    x->body_began_us = c->worker->loop.now_us;
    if (x->head->expect_continue && !http1_has_unread(c)) {
        connection_keep(c, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
        connection_flush(c);
    }
    if (!c->in_turn && !c->closed) /* the exchange waited: nobody else goes on to read */
        connection_defer(c);
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
