/* What is asked for of a key that is to be made or changed, and whether who asks may have it; for
 * key_change_verbs.c only. */
#ifndef API_KEY_WISHES_H
#define API_KEY_WISHES_H

#include "api/verb_parts.h"

enum { KEY_LIST_MAX = 64 };

/* Texts and lists are borrowed from the request. `no_...`: null, the limit is lifted. */
struct key_wishes {
    struct slice id, name, owner, rate;
    const json_t *permissions, *scopes, *models, *endpoints, *ip_ranges;
    int64_t days, burst, grace_s;
    bool disabled, sets_disabled, has_days, has_burst;
    bool no_models, no_endpoints, no_ip_ranges, no_rate, no_burst, no_end;
    bool only_disables; /* which gives nobody anything, however much the key could */
};

enum key_change { KEY_MADE, KEY_CHANGED, KEY_ROTATED, KEY_CHANGES };

/* NULL: `wishes` is what the request asks for, in a form that a key can have, of a key that is none
 * of the file. Else the refusal. */
json_t *key_wishes_read(const struct desk *desk, const struct caller *caller, const json_t *request,
                        enum key_change change, struct key_wishes *wishes);
/* By its permissions or scopes, of which a request names one; without either `*set` stays. NULL, or
 * the refusal. */
json_t *key_wishes_permissions(const struct key_wishes *wishes, permissions *set);
/* NULL: it may be, and is no more than who asks for it has. */
json_t *key_wishes_check(const struct key_wishes *wishes, const struct caller *caller,
                         const struct key_request *wanted, uint64_t now_epoch_s);

/* A list of a key's, with what its words point to. */
struct key_words {
    json_t *owned; /* NULL: they are the request's or the caller's */
    struct slice items[KEY_LIST_MAX];
    size_t count;
};
/* False: not all of them are strings, or there are too many. */
bool key_words_read(struct key_words *words, const json_t *list);
/* Those of a list that was asked for; NULL for `list`: none was. NULL, or the refusal. */
json_t *key_words_wish(struct key_words *words, const json_t *list, const char *name);

#endif
