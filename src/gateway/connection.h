/* A client's connection: the socket, what goes out through it, and its end. What the bytes mean is
 * the business of its protocol, of which it has one at a time: a TLS handshake, then HTTP/1 or
 * HTTP/2, at last perhaps lingering. An idle connection owns no buffers. */
#ifndef GATEWAY_CONNECTION_H
#define GATEWAY_CONNECTION_H

#include "base/block.h"
#include "gateway/exchange.h"
#include "gateway/http1.h"
#include "gateway/worker.h"
#include "io/loop.h"
#include "io/stream.h"

struct connection;

/* How long a client that was answered before its request was complete is still heard (CONTRACT 10).
 */
#define CONNECTION_LINGER_US (5 * SECOND_US)

/* What a connection does at the moment. None of these is called once it is closed. */
struct protocol {
    /* The socket has news, or the connection's task runs. */
    void (*turn)(struct connection *c);
    void (*on_time)(struct connection *c);
    /* Everything that was to go out is with the kernel. */
    void (*written)(struct connection *c);
    /* Another protocol follows, or the connection closes: exchanges are told that their client is
     * gone, memory is given back. */
    void (*end)(struct connection *c);
    /* The gateway shuts down: close when idle, else after what is under way. */
    void (*drain)(struct connection *c);
};

struct connection {
    struct grave grave;
    struct list link;    /* in worker->all_connections */
    struct list waiting; /* in worker->waiting_connections, while it serves nobody */
    struct watch watch;
    struct timer timer;
    struct task task; /* to go on in the next turn */
    struct stream stream;
    struct worker *worker;
    const struct protocol *protocol;
    struct address peer;
    uint64_t peer_hash;
    uint64_t waiting_since_us;
    struct body out; /* bytes to write that the kernel did not take */
    size_t out_sent; /* of the first block */
    size_t lingered_bytes;
    size_t piece_bytes; /* of a body, to be read before the next look at the clock */
    bool readable, writable, hung_up;
    bool cap_counted, secure;
    bool over_limit; /* beyond server.max_connections: health checks only */
    bool reset;      /* connection_close sends a reset, not an orderly end */
    bool in_turn;    /* connection_turn is on the stack and goes on by itself */
    bool in_task;    /* that is `task`, not an event */
    bool stalled;    /* `out` waits for the client to read, and the timer is for that */
    bool broken;     /* an answer could not be kept: nothing more is written */
    bool closed;
    union {
        struct http1 http1;
        struct http2_connection *http2;
    };
};

/* Takes over the descriptor. Closes it when there is no memory. `tls`: its listener speaks it. */
void connection_start(struct worker *worker, int fd, const struct address *peer, bool tls);
/* At once; its exchanges are told that their client is gone. */
void connection_close(struct connection *c);
/* Idle ones close now, busy ones after their answers. */
void connections_drain(struct worker *worker);
/* Those who are banned are shown out: their connections, and behind a trusted proxy, which speaks
 * for many, their exchanges alone. */
void connections_cut(struct worker *worker);
/* All of them close now, whatever they still carry. */
void connections_end(struct worker *worker);
/* Closes the connection that has served nobody for the longest time; one that has just asked is
 * spared. False: there is none but such as came, or were spared, in this turn. */
bool connections_shed(struct worker *worker);

/* --- for protocols ------------------------------------------------------------------------------
 */

void connection_become(struct connection *c, const struct protocol *protocol);
/* No more is written; what the client still sends is read and thrown away, unparsed, so that it
 * sees our answer and not a reset (CONTRACT 10: 32 MB or 5 s at most), then the connection closes.
 */
void connection_linger(struct connection *c);
void connection_turn(struct connection *c);
/* The protocol's turn runs again in the loop's next turn. */
void connection_defer(struct connection *c);
/* The loop has been in its turn for so long that others should have theirs: what can wait goes on
 * in the next one. Time is the measure and not bytes, for a byte of a body costs from half a
 * nanosecond to sixty, as the sender likes. */
bool connection_turn_is_long(const struct connection *c);
/* `n` bytes of a body took from `begun_us` until now: fits `piece_bytes`. */
void connection_fit_piece(struct connection *c, size_t n, uint64_t begun_us);
void connection_arm(struct connection *c, uint64_t delay_us);
/* It asks: one beyond server.max_connections gets a place now, if another waits. Closes that. */
void connection_make_room(struct connection *c);
struct exchange_origin connection_origin(const struct connection *c);
/* Does it serve somebody? One that does not can be shed. */
void connection_set_waiting(struct connection *c, bool waiting);

/* ERR_AGAIN: nothing is there now. Any other error: the client is gone, and the connection closed.
 */
enum err connection_read(struct connection *c, char *room, size_t size, size_t *n) MUST_CHECK;
enum err connection_read_pieces(struct connection *c, const struct iovec *pieces, int count,
                                size_t *n) MUST_CHECK;

/* Bytes to go out, behind those that wait already. `keep` copies them and writes nothing yet; `put`
 * writes at once when that is worth a system call of its own. ERR_LIMIT, ERR_MEMORY: there is no
 * room for them, and the connection ends with its next flush. */
enum { GATHER_BYTES = 4096 };
enum err connection_keep(struct connection *c, struct slice bytes);
enum err connection_put(struct connection *c, const struct iovec *pieces, int count);
/* Hands what waits to the kernel, as far as it takes it. May close the connection. */
void connection_flush(struct connection *c);

#endif
