#include "io/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/tls_session.h"

/* It may be called again at once, and has to be: an interruption is not followed by an event. */
static bool interrupted(ssize_t n)
{
    return n < 0 && errno == EINTR;
}

/* What a read of up to `size` bytes brought. */
static enum err received(struct stream *stream, ssize_t got, size_t size, size_t *n)
{
    stream->drained = got < (ssize_t)size;
    if (got > 0) {
        *n = (size_t)got;
        return OK;
    }
    if (got == 0)
        return ERR_CLOSED;
    return errno == EAGAIN ? ERR_AGAIN : ERR_IO;
}

enum err stream_read(struct stream *stream, char *bytes, size_t size, size_t *n)
{
    if (stream->tls)
        return tls_read(stream->tls, bytes, size, n, &stream->drained);
    ssize_t got;
    do
        got = recv(stream->fd, bytes, size, 0);
    while (interrupted(got));
    return received(stream, got, size, n);
}

enum err stream_read_pieces(struct stream *stream, const struct iovec *pieces, int count, size_t *n)
{
    if (stream->tls || count == 1)
        return stream_read(stream, pieces[0].iov_base, pieces[0].iov_len, n);
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t got;
    do
        got = recvmsg(stream->fd, &message, 0);
    while (interrupted(got));
    return received(stream, got, size, n);
}

enum err stream_write(struct stream *stream, const struct iovec *pieces, int count, size_t *n)
{
    if (stream->tls)
        return tls_write(stream->tls, pieces, count, n);
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t put;
    do
        put = count == 1 ? send(stream->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                         : sendmsg(stream->fd, &message, MSG_NOSIGNAL);
    while (interrupted(put));
    if (put >= 0) {
        *n = (size_t)put;
        return OK;
    }
    return errno == EAGAIN ? ERR_AGAIN : ERR_IO;
}

enum err stream_handshake(struct stream *stream)
{
    return stream->tls ? tls_handshake(stream->tls) : OK;
}

void stream_end_writing(struct stream *stream)
{
    if (stream->tls)
        tls_end(stream->tls);
    shutdown(stream->fd, SHUT_WR);
}

void stream_reset(struct stream *stream)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    tls_session_destroy(stream->tls); /* without close_notify, which would be an orderly end */
    stream->tls = NULL;
    stream_close(stream);
}

void stream_close(struct stream *stream)
{
    if (stream->tls) {
        tls_end(stream->tls);
        tls_session_destroy(stream->tls);
        stream->tls = NULL;
    }
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}
