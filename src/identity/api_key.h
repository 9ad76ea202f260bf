/* Making an api_key out of its stored form and back; for the keyring and its verbs only. */
#ifndef IDENTITY_API_KEY_H
#define IDENTITY_API_KEY_H

#include "identity/key.h"
#include "store/store.h"

/* All of a key as JSON is at most 41 KB, for api/key_verbs.c to count on. */
enum {
    KEY_NAME_BYTES_MAX = 64,
    KEY_MODELS_MAX = 64,
    KEY_MODEL_BYTES_MAX = 256,
    KEY_ENDPOINTS_MAX = 32,
    KEY_ENDPOINT_BYTES_MAX = 128,
    KEY_IP_RANGES_MAX = 64,
    KEY_IP_RANGE_BYTES_MAX = 49, /* eight groups with an IPv4 address in them, and a prefix */
    KEY_RATE_BYTES_MAX = 32,
    KEY_BURST_MAX = 1000000,
};

/* One reference, the caller's. ERR_STORE when the row cannot be what we wrote; ERR_MEMORY. */
enum err api_key_from_stored(const struct stored_key *stored, struct api_key **key) MUST_CHECK;
/* The same of a row in the making, with its owner's account as the store has that now. */
enum err api_key_make(struct store *store, struct stored_key *row, struct api_key **key) MUST_CHECK;
/* What the owner's account may do now; PERMISSIONS_ALL when there is none. ERR_STORE for a role
 * that is none. */
enum err api_key_bound(const struct stored_owner *account, permissions *bound) MUST_CHECK;
/* A name, an owner or a model: UTF-8 of 1 to `max` bytes without control characters. */
bool key_word_valid(struct slice word, size_t max);
/* A path or the beginning of one and a '*', in printable ASCII that needs no escaping. */
bool key_endpoint_valid(struct slice endpoint);
bool key_ip_range_valid(struct slice range);
/* Empty: none of its own. `burst` 0: as many as the rate has. ERR_RANGE. */
enum err key_rate_parse(struct slice text, uint64_t burst, struct rate *rate) MUST_CHECK;

#endif
