/* The demo model: a deterministic little responder that speaks the OpenAI, Ollama and Anthropic
 * protocols, streaming included, and says in its answers that it is a demo. Sans-I/O: it is handed
 * the bytes of HTTP/1.1 requests and hands out the bytes of answers with the pauses between them,
 * so the gateway can put it behind a socket pair as if it were a server. */
#ifndef LLM_DEMO_H
#define LLM_DEMO_H

#include "base/buffer.h"
#include "base/err.h"

struct demo; /* one connection */

struct demo *demo_create(void); /* NULL: no memory */
void demo_destroy(struct demo *demo);

/* Takes bytes of requests (keep-alive and pipelining work). ERR_SYNTAX: it answers 400 and wants
 * the connection closed; ERR_LIMIT, ERR_MEMORY. */
enum err demo_receive(struct demo *demo, struct slice bytes) MUST_CHECK;

/* Appends the next piece of the answer to `out`. OK: wait `*pause_us` (may be 0), send, ask again.
 * ERR_AGAIN: nothing to say until more bytes come. ERR_CLOSED: close the connection. */
enum err demo_next(struct demo *demo, struct buffer *out, uint64_t *pause_us) MUST_CHECK;

#endif
