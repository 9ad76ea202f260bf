/* `sallyport key create --yaml`: a key for the file of keys (004). */
#ifndef CLI_KEY_YAML_H
#define CLI_KEY_YAML_H

#include <jansson.h>

#include "base/buffer.h"
#include "identity/keys_file.h"

/* The response to a key_create with "yaml": true: the key, its bcrypt hash, and its entry, and
 * nothing is stored. NULL: that is not what was asked for, or there is no memory. */
json_t *key_yaml(const json_t *request);

/* A key's entry, in the order and with the words of 004, as identity/keys_file.h reads it. What it
 * may do is named by `scopes`, a list of texts, not by its permissions. */
void key_yaml_print(struct buffer *out, const struct file_key *key, const json_t *scopes);

#endif
