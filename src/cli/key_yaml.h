/* `sallyport key create --yaml`: a key for the file of keys (004). */
#ifndef CLI_KEY_YAML_H
#define CLI_KEY_YAML_H

#include <jansson.h>

/* The response to a key_create with "yaml": true: the key, its bcrypt hash, and its entry, and
 * nothing is stored. NULL: that is not what was asked for, or there is no memory. */
json_t *key_yaml(const json_t *request);

#endif
