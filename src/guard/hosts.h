/* Which hosts this gateway answers for (server.trusted_hosts): a page that was led here under
 * another name (DNS rebinding) and whoever probes addresses get no further. */
#ifndef GUARD_HOSTS_H
#define GUARD_HOSTS_H

#include "config/settings.h"

/* `authority` is a valid Host, with or without port; empty when the request has none. An empty list
 * allows any. */
bool hosts_allow(const struct text_list *hosts, struct slice authority);

/* `authority` without `port` (":80"), if it ends in it. */
struct slice host_without_port(struct slice authority, struct slice port);

#endif
