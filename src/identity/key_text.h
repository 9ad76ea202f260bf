/* The written form of a key: "sp_" id "_" secret checksum. */
#ifndef IDENTITY_KEY_TEXT_H
#define IDENTITY_KEY_TEXT_H

#include "base/secret.h"
#include "identity/key.h"

struct key_text {
    struct slice id, secret; /* parts of what was parsed */
};

/* Prefix, length, alphabet and checksum. ERR_SYNTAX. */
enum err key_text_parse(struct slice text, struct key_text *parts) MUST_CHECK;
/* A new key with a random id and secret. ERR_MEMORY. */
enum err key_text_make(struct secret *plain) MUST_CHECK;
/* Is it shaped like a key's public id? */
bool key_id_shaped(struct slice id);

#endif
