/* `sallyport key create` on a terminal: asks for what the flags would have said. */
#ifndef CLI_KEY_ASK_H
#define CLI_KEY_ASK_H

#include <jansson.h>

/* Adds name, owner, scopes and expiry to the request, as 004's script asked for them. The exit
 * status: 0; 1 when nothing more comes; 2 when an answer is none. */
int key_ask(json_t *request);

#endif
