/* What proxies in front of us say about the client (X-Forwarded-For, X-Forwarded-Proto), and how
 * far it is believed: only from proxies that the operator named, and no further than their chain.
 */
#ifndef GUARD_PROXIES_H
#define GUARD_PROXIES_H

#include "config/settings.h"
#include "proto/http.h"

/* Is this peer one of server.trusted_proxies? */
bool proxies_trust(const struct settings *settings, const struct address *peer);

/* The client behind `peer`: the rightmost address of X-Forwarded-For that is not a trusted proxy
 * itself, or `peer` when that is not trusted or says nothing. Linear, in 100 entries at most. */
struct address proxies_find_client(const struct settings *settings, const struct request_head *head,
                                   const struct address *peer);

/* Did the client speak TLS? `peer_speaks_tls` is about the connection to us; a trusted proxy's
 * X-Forwarded-Proto is about the one before it, and goes before. */
bool proxies_find_secure(const struct settings *settings, const struct request_head *head,
                         const struct address *peer, bool peer_speaks_tls);

/* Does the request say that a proxy passed it on, whether that is believed or not? */
bool proxies_passed(const struct request_head *head);
/* The same of a head that could not be read, by its lines. */
bool proxies_passed_unread(struct slice head);

#endif
