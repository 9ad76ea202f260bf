/* A folder of the process's own, in $TMPDIR, for the targets that read files. It goes when the
 * process calls exit; libFuzzer does not, so tests/fuzz/run brings a $TMPDIR that it takes away. */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include "base/slice.h"

/* Writes one file, made anew; returns its path. At most FOLDER_FILES names in a process. */
enum { FOLDER_FILES = 4 };
const char *folder_write(const char *name, struct slice bytes);
/* The path of an empty folder inside it. */
const char *folder_empty(void);

#endif
