/* What goes out through a connection. Small pieces are gathered so that a small answer is one
 * write; what the kernel does not take waits in pooled blocks while its source is paused. */
#include "gateway/connection.h"

enum { PIECES_MAX = 16 };

enum err connection_keep(struct connection *c, struct slice bytes)
{
    if (c->broken)
        return OK;
    enum err err = body_append(&c->out, &c->worker->output_blocks, bytes);
    c->broken = err != OK;
    return err;
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

/* Writes `out` and then `more`, as far as the kernel takes it. Returns how much of `more` went.
 */
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
    return body_drop(&c->out, &c->worker->output_blocks, &c->out_sent, n);
}

enum err connection_put(struct connection *c, const struct iovec *pieces, int count)
{
    size_t total = 0, went = 0;
    for (int i = 0; i < count; i++)
        total += pieces[i].iov_len;
    if (c->broken)
        return OK;
    if (total > GATHER_BYTES && c->writable)
        went = write_out(c, pieces, count);
    for (int i = 0; i < count; i++) {
        size_t skip = went < pieces[i].iov_len ? went : pieces[i].iov_len;
        TRY(connection_keep(
            c, slice_make((char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip)));
        went -= skip;
    }
    return OK;
}

void connection_flush(struct connection *c)
{
    size_t before = c->out.len;
    while (c->out.len && c->writable && !c->broken)
        write_out(c, NULL, 0);
    if (c->broken) {
        connection_close(c);
        return;
    }
    bool progress = c->out.len < before;
    if (progress && !list_empty(&c->waiting)) /* it reads: others have waited longer */
        connection_set_waiting(c, true);
    if (c->out.len && (!c->stalled || progress)) /* one that reads nothing for this long is gone */
        connection_arm(c, worker_settings(c->worker)->server.idle_timeout_us);
    c->stalled = c->out.len != 0;
    if (!c->stalled)
        c->protocol->written(c);
}
