/* What clients do wrong, counted: errors within a window, and patterns that no honest caller shows,
 * such as failing to sign in under many names. Two bounded tables for all loops and threads, each
 * place under a short lock; requests that are fine never come here. Nothing is decided for good:
 * the verdict says what is due, and the caller does it. Time is passed in. */
#ifndef GUARD_ABUSE_H
#define GUARD_ABUSE_H

#include "config/settings.h"

enum abuse_pattern {
    ABUSE_LOGIN_SPRAY,       /* an address fails to sign in under many names */
    ABUSE_MODEL_ENUMERATION, /* somebody asks for many models that are not there */
    ABUSE_KEY_ADDRESSES,     /* a key comes from many addresses */
    ABUSE_PATTERN_COUNT
};
const char *abuse_pattern_name(enum abuse_pattern pattern); /* "login_spray" */

struct abuse;
struct abuse *abuse_create(void); /* NULL: no memory */
void abuse_destroy(struct abuse *abuse);

/* One error of this identity (the hash of an address or a key). True when it makes
 * abuse.threshold_errors within abuse.window_seconds: the identity is to be banned, and its count
 * begins anew. An error that is older than the window never counts. */
bool abuse_error(struct abuse *abuse, const struct settings *settings, uint64_t identity,
                 uint64_t now_us);
/* The identity did something that is fine once, with a name, a model or an address whose hash is
 * `item`. True when it makes too many different ones, once in ten minutes; never before they are as
 * many. */
bool abuse_seen(struct abuse *abuse, enum abuse_pattern pattern, uint64_t identity, uint64_t item,
                uint64_t now_us);
/* What is to become of it; and in words, for the deny-list: "5 errors in 30s". */
enum pattern_action abuse_action(const struct settings *settings, enum abuse_pattern pattern);
void abuse_print_reason(const struct settings *settings, char *text, size_t size);

/* For metrics; any thread. */
void abuse_count_flag(struct abuse *abuse, enum abuse_pattern pattern);
uint64_t abuse_flags(struct abuse *abuse, enum abuse_pattern pattern);
/* How many identities have errors within the window; looks through the whole table. */
size_t abuse_tracked(struct abuse *abuse, const struct settings *settings, uint64_t now_us);

#endif
