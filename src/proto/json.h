/* The strict streaming JSON scanner (RFC 8259; HOSTILE 2.10). It reads a body once, as it arrives,
 * in pieces of any size, and says whether all of it is one JSON text that can be read in only one
 * way: valid UTF-8, no byte order mark, no duplicate key in any object (compared after unescaping),
 * depth at most JSON_DEPTH_MAX, at most JSON_MEMBERS_MAX members, numbers of at most 64 characters
 * and without an absurd exponent, no lone surrogate, nothing but white space after the end.
 *
 * While it reads it tells a listener the facts that policy needs. It never builds a tree and never
 * allocates without bound: duplicate keys are found through 64-bit seeded hashes in a bounded set.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum { JSON_DEPTH_MAX = 64, JSON_MEMBERS_MAX = 100000, JSON_KEY_KEPT = 64, JSON_PATH_KEPT = 8 };

enum json_event {
    JSON_SAW_OBJECT_BEGIN,
    JSON_SAW_OBJECT_END,
    JSON_SAW_ARRAY_BEGIN,
    JSON_SAW_ARRAY_END,
    JSON_SAW_STRING, /* whole, when it was asked for and short enough; else only its length */
    JSON_SAW_NUMBER,
    JSON_SAW_TRUE,
    JSON_SAW_FALSE,
    JSON_SAW_NULL,
};

enum json_fault {
    JSON_FINE = 0,
    JSON_SYNTAX,
    JSON_UTF8,
    JSON_SURROGATE,
    JSON_DUPLICATE_KEY,
    JSON_TOO_DEEP,
    JSON_TOO_MANY_MEMBERS,
    JSON_NUMBER_TOO_LONG,
    JSON_NUMBER_RANGE, /* would not fit a double */
    JSON_TRAILING,     /* something after the end */
    JSON_INCOMPLETE,   /* the body ended too early, or is empty */
    JSON_MEMORY,
    JSON_FAULT_COUNT
};
const char *json_fault_name(enum json_fault fault);     /* "duplicate_key" */
const char *json_fault_sentence(enum json_fault fault); /* "an object has the same key twice" */

/* Where a value stands: path[i] is the key (unescaped, cut at JSON_KEY_KEPT) or empty for an array
 * element, from the outermost inwards; only the first JSON_PATH_KEPT levels are kept. */
struct json_value {
    enum json_event event;
    unsigned depth; /* of this value: members of the top object have 1 */
    const struct slice *path;
    struct slice text;   /* STRING: unescaped, if kept; NUMBER: as written */
    bool kept;           /* STRING: text is whole (at most JSON_STRING_KEPT bytes unescaped) */
    uint64_t characters; /* STRING: Unicode characters */
    uint64_t begin,
        end; /* byte offsets in the body, quotes included; a container's events: its bracket */
};
enum { JSON_STRING_KEPT = 512 };

/* Called for each value (not for keys). Slices are valid during the call. The values before a fault
 * have been told when it is found: act on them only after json_end. */
typedef void json_listener_fn(void *context, const struct json_value *value);

struct json;
/* All memory comes from `arena` (a few KiB; the duplicate set grows with the members, bounded).
 * NULL when there is none. */
struct json *json_create(struct arena *arena, json_listener_fn *listener, void *context);
/* ERR_SYNTAX: see json_fault; stays so. OK otherwise. */
enum err json_feed(struct json *json, struct slice bytes) MUST_CHECK;
/* No more bytes will come. ERR_SYNTAX when the text is not complete. */
enum err json_end(struct json *json) MUST_CHECK;
enum json_fault json_fault(const struct json *json);
uint64_t json_offset(const struct json *json); /* bytes read; where the fault is */
void json_reset_listener(struct json *json, json_listener_fn *listener, void *context);

#endif
