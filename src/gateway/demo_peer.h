/* The demo model behind a socket pair: to the gate it is an upstream like any other, but no port is
 * opened and no process started. */
#ifndef GATEWAY_DEMO_PEER_H
#define GATEWAY_DEMO_PEER_H

#include "gateway/worker.h"

/* Serves one connection; takes over the descriptor on OK. ERR_MEMORY, ERR_IO. */
enum err demo_peer_start(struct worker *worker, int fd) MUST_CHECK;
void demo_peers_finish(struct worker *worker);

#endif
