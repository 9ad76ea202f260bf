/* One log file: whole lines are gathered and written with few system calls by the writer thread. A
 * disk that is full, or a reader that is gone, costs lines, which are counted, and never a torn
 * line that could be taken for a whole one. */
#ifndef RECORD_SINK_H
#define RECORD_SINK_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/slice.h"

enum { SINK_BATCH_BYTES = 64 * 1024 };

struct sink {
    char *path; /* a copy; "-": standard output; NULL: standard error */
    int fd;
    bool owned;  /* fd was opened here */
    bool stream; /* a pipe, socket or terminal: it may block */
    _Atomic bool
        failing;       /* the last write did not succeed, and this was said; read by any thread */
    bool torn;         /* the last byte written was not the end of a line */
    uint64_t lost_now; /* lines lost since it began to fail */
    _Atomic uint64_t lost;
    size_t len;
    char *batch; /* SINK_BATCH_BYTES */
};

/* Opens it, with its directories (0750) and itself (0640) made as needed. What cannot be opened
 * becomes standard error, with a warning. ERR_MEMORY. */
enum err sink_open(struct sink *sink, const char *path) MUST_CHECK;
/* Writes what is gathered and closes. A sink of zeroes with fd -1 may be finished too. */
void sink_finish(struct sink *sink);
/* Opens the file again under its name; keeps the old one, with a warning, when that fails. */
void sink_reopen(struct sink *sink);
/* Gathers one line, newline included, of at most SINK_BATCH_BYTES. */
void sink_add(struct sink *sink, struct slice line);
/* Writes what is gathered. */
void sink_flush(struct sink *sink);

#endif
