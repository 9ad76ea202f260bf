/* A client's HTTP/1 connection: reads heads and bodies, carries one exchange after the other,
 * writes their answers. An idle connection owns no buffers. */
#ifndef GATEWAY_CONNECTION_H
#define GATEWAY_CONNECTION_H

#include "base/block.h"
#include "gateway/exchange.h"
#include "io/loop.h"
#include "io/stream.h"

enum connection_state {
    CONNECTION_HEAD,      /* between exchanges, or in the middle of a head */
    CONNECTION_BODY,      /* reading the exchange's body */
    CONNECTION_ANSWERING, /* the exchange is being decided or answered */
    CONNECTION_LINGERING, /* answered early and half-closed: the rest is read and thrown away */
    CONNECTION_CLOSED,
};

struct connection {
    struct grave grave;
    struct list link;
    struct watch watch;
    struct timer timer;
    struct task task; /* to go on in the next turn */
    struct stream stream;
    struct worker *worker;
    struct exchange *exchange;
    struct address peer;
    uint64_t peer_hash;
    struct buffer in;     /* bytes read and not used yet */
    struct slice pending; /* the same, while they still lie in the worker's scratch */
    struct body out;      /* bytes to write that the kernel did not take */
    size_t out_sent;      /* of the first block */
    size_t lingered_bytes;
    size_t looked_at; /* bytes of an incomplete head at the last attempt to read it */
    enum connection_state state;
    bool readable, writable, hung_up;
    bool head_incomplete; /* all of `in` was looked at */
    bool cap_counted;
    bool answer_chunked, answer_ended, keep_alive;
    bool reset;             /* connection_close sends a reset, not an orderly end */
    bool answer_to_end;     /* only the end of the connection ends the answer */
    bool in_turn;           /* connection_turn is on the stack and goes on by itself */
    bool broken;            /* an answer could not be kept: nothing more is written */
    unsigned turn_requests; /* heads read in this turn */
};

/* Takes over the descriptor. Closes it when there is no memory. */
void connection_start(struct worker *worker, int fd, const struct address *peer);
/* At once; an exchange in it is told that its client is gone. */
void connection_close(struct connection *connection);
/* Idle ones close now, busy ones after their answer. */
void connections_drain(struct worker *worker);

extern const struct front front_http1;

/* Between connection.c, which reads, and http1_front.c, which writes. */
void connection_flush(struct connection *connection);
void connection_turn(struct connection *connection);
/* Drops the next `n` bytes of the client's; false, and nothing dropped, when they are not all here.
 */
bool connection_skip(struct connection *connection, uint64_t n);

#endif
