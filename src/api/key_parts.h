/* What key_verbs.c, key_change_verbs.c and key_wishes.c share; nobody else includes it. */
#ifndef API_KEY_PARTS_H
#define API_KEY_PARTS_H

#include "api/verb_parts.h"

/* May deal with the keys of others? */
bool key_caller_manages(const struct caller *caller);
/* A key with that owner exists for this caller? */
bool key_is_own(const struct caller *caller, struct slice owner);
/* NULL: may deal with keys at all. */
json_t *key_refuse_stranger(const struct caller *caller);
/* NULL: it can be a key's id. */
json_t *key_check_id(struct slice id);
json_t *key_none_live(struct slice id);
/* A list as the store has it. NULL: it is none, or there is no memory. */
json_t *key_list_value(struct slice stored);
/* The response that shows a key as it is now. `plain` is its text, for who made it; else empty.
 * `done` is what has happened to the key already, and stands whatever comes of reading it back;
 * NULL: nothing. */
json_t *key_show(struct store *store, const struct caller *caller, struct slice id,
                 struct slice plain, const char *done);

#endif
