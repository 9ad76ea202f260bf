/* What to tell a person about a mistake in configuration or on the command line: where it is and
 * how to mend it. Faults are collected so that all are shown at once. Not for the hot path. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/buffer.h"

/* At most this many are kept; a broken file of a thousand lines says so once and stops. */
#define FAULTS_MAX 50

struct fault {
    char *file;     /* "sallyport.toml", "environment", "command line"; owned */
    unsigned line;  /* 0 when there is none */
    char *option;   /* "server.listen"; owned, may be NULL */
    char *sentence; /* what is wrong and what was expected; owned */
    bool warning;   /* shown, but does not stop the start */
};

struct faults {
    struct fault list[FAULTS_MAX];
    unsigned count;
    unsigned errors; /* those that are not warnings, dropped ones included */
};

/* Adds one; copies its texts. `file` and `option` may be NULL. */
void faults_add(struct faults *faults, const char *file, unsigned line, const char *option,
                const char *format, ...) PRINTF_LIKE(5, 6);
void faults_warn(struct faults *faults, const char *file, unsigned line, const char *option,
                 const char *format, ...) PRINTF_LIKE(5, 6);
/* One line each: "file:line: option: sentence". */
void faults_print(const struct faults *faults, struct buffer *out);
void faults_finish(struct faults *faults);

#endif
