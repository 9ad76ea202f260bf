/* CORS: which web pages may read what the gateway answers, decided from the configured lists alone.
 * Nothing is ever reflected: an origin is shown only when its very bytes are in the list. */
#ifndef GUARD_CORS_H
#define GUARD_CORS_H

#include "config/settings.h"
#include "proto/http.h"

/* Is CORS on? If not, no answer speaks of it. */
bool cors_enabled(const struct settings *settings);

/* The value of Access-Control-Allow-Origin for a request's `origin`: an item of the list, or "*".
 * Empty: none, which goes for "null" under any list too. */
struct slice cors_allow_origin(const struct settings *settings, struct slice origin);

/* Is this head a browser's question whether it may send the real request (Fetch, 3.2.2)? */
bool cors_is_preflight(const struct settings *settings, const struct request_head *head);
/* Whether it may: origin, method and every header field are in their lists. */
bool cors_preflight_allowed(const struct settings *settings, const struct request_head *head);

#endif
