/* `sallyport key import FILE`: the file's text, for whoever is the writer. */
#ifndef CLI_KEY_IMPORT_H
#define CLI_KEY_IMPORT_H

#include <jansson.h>

/* Reads the file that the request's "id" names into its "text". The exit status: 0, 1; says itself
 * what is wrong. */
int key_import_read(json_t *request);

#endif
