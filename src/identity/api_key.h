/* Making an api_key out of its stored form and back; for the keyring and its verbs only. */
#ifndef IDENTITY_API_KEY_H
#define IDENTITY_API_KEY_H

#include "identity/key.h"
#include "store/store.h"

enum { KEY_MODELS_MAX = 64, KEY_MODEL_BYTES_MAX = 256, KEY_NAME_BYTES_MAX = 64 };

/* One reference, the caller's. ERR_STORE when the row cannot be what we wrote; ERR_MEMORY. */
enum err api_key_from_stored(const struct stored_key *stored, struct api_key **key) MUST_CHECK;
/* A name, an owner or a model: UTF-8 of 1 to `max` bytes without control characters. */
bool key_word_valid(struct slice word, size_t max);

#endif
