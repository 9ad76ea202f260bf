/* Finds out what kind of server an upstream is, by asking it: Ollama answers /api/version,
 * llama.cpp answers /props, everything else that answers /v1/models is taken for OpenAI's protocol.
 */
#ifndef GATEWAY_PROBE_H
#define GATEWAY_PROBE_H

#include "config/settings.h"

/* Blocks for a few seconds at most; for a worker thread or the time before the start. KIND_ASK:
 * nobody answered. An https upstream is taken for OpenAI's without asking. */
enum upstream_kind probe_kind(const struct upstream_settings *upstream);

#endif
