/* Keys, as the verbs answer them, for people and for scripts. The buffer may end up with a plain
 * key in it: whoever owns it wipes it. */
#ifndef CLI_KEY_PRINT_H
#define CLI_KEY_PRINT_H

#include "base/buffer.h"

struct json_t;

/* An object or an array of them, on one line. */
void key_print_json(struct buffer *out, const struct json_t *document);
void key_print_table(struct buffer *out, const struct json_t *keys);
void key_print_one(struct buffer *out, const struct json_t *key);
void key_print_created(struct buffer *out, const struct json_t *key);
void key_print_revoked(struct buffer *out, const struct json_t *key);

#endif
