/* A stream of bytes over a connected socket, plain or TLS: the one interface that connections read
 * and write through, so that TLS slides under them. Non-blocking; with edge-triggered events the
 * caller goes on until ERR_AGAIN or until `drained` says that nothing more is waiting. */
#ifndef IO_STREAM_H
#define IO_STREAM_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/slice.h"

struct tls_session; /* tls_session.h */

struct stream {
    int fd;                  /* -1 when closed */
    struct tls_session *tls; /* NULL: plain */
    bool drained;            /* the last read took all there was */
};

static inline struct stream stream_of(int fd)
{
    return (struct stream){.fd = fd};
}

/* OK: `*n` is 1 to `size`. ERR_AGAIN, ERR_CLOSED (an orderly end), ERR_IO (a reset), ERR_TLS. */
enum err stream_read(struct stream *stream, char *bytes, size_t size, size_t *n) MUST_CHECK;
/* The same into several pieces, in order; over TLS perhaps only the first. */
enum err stream_read_pieces(struct stream *stream, const struct iovec *pieces, int count,
                            size_t *n) MUST_CHECK;
/* OK: `*n` bytes were taken, perhaps not all. ERR_AGAIN: none. ERR_IO, ERR_TLS. What was offered
 * and not taken must be offered again, in the same order. */
enum err stream_write(struct stream *stream, const struct iovec *pieces, int count,
                      size_t *n) MUST_CHECK;
/* Goes on with a TLS handshake; OK at once on a plain stream. ERR_AGAIN, ERR_TLS, ERR_IO. */
enum err stream_handshake(struct stream *stream) MUST_CHECK;
/* No more bytes will be written; the peer's may still be read. */
void stream_end_writing(struct stream *stream);
void stream_close(struct stream *stream);
/* Closes so that the peer cannot take it for an orderly end. */
void stream_reset(struct stream *stream);

#endif
