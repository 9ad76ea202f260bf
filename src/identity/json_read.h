/* jansson, as it has to be used here: for documents that are short and not on the hot path. */
#ifndef IDENTITY_JSON_READ_H
#define IDENTITY_JSON_READ_H

#include <jansson.h>

#include "base/err.h"
#include "base/slice.h"

/* From here on jansson wipes all memory that it frees, so that no copy of a secret stays behind,
 * and json_read can tell when there was none. Called once, before any thread and any document. */
void json_watch_memory(void);

/* Reads one text, duplicate keys refused. ERR_SYNTAX: `wrong` (may be NULL) says why, and quotes
 * what it read, which may be a secret. ERR_MEMORY: also when jansson does not say so: an allocation
 * that fails while it reads a string costs the string some bytes, and nothing else. */
enum err json_read(struct slice text, json_t **document, json_error_t *wrong) MUST_CHECK;
/* The same for what quotes strangers, whose strings may hold NUL. */
enum err json_read_quoted(struct slice text, json_t **document) MUST_CHECK;

#endif
