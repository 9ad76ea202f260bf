/* A password from whoever runs a command. */
#ifndef CLI_ASK_PASSWORD_H
#define CLI_ASK_PASSWORD_H

#include "base/secret.h"

/* From a terminal: asks twice on standard error, without echo. Else: one line of standard input,
 * without its end; nothing behind that line is read. The caller finishes `password`, which is as it
 * was typed, unchecked. What is wrong is told on standard error behind `command` ("sallyport
 * hash-password"). ERR_NOT_FOUND: nothing was given; ERR_LIMIT: longer than PASSWORD_BYTES_MAX;
 * ERR_DENIED: the two differ; ERR_IO; ERR_MEMORY. */
enum err ask_password(const char *command, struct secret *password) MUST_CHECK;

#endif
