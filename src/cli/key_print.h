/* Keys, as the verbs answer them, for people. The buffer may end up with a plain key in it: whoever
 * owns it wipes it. */
#ifndef CLI_KEY_PRINT_H
#define CLI_KEY_PRINT_H

#include <jansson.h>

#include "base/buffer.h"

void key_print_table(struct buffer *out, const json_t *keys);
void key_print_one(struct buffer *out, const json_t *key);
void key_print_created(struct buffer *out, const json_t *key);
void key_print_pruned(struct buffer *out, const json_t *pruned);
void key_print_imported(struct buffer *out, const json_t *imported);
void key_print_revoked(struct buffer *out, const json_t *key);

#endif
