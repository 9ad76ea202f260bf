/* A small file read whole, bounded, and wiped when it goes, because it may hold secrets. */
#ifndef CONFIG_FILE_TEXT_H
#define CONFIG_FILE_TEXT_H

#include "base/err.h"
#include "base/slice.h"

struct file_text {
    char *bytes;
    size_t len, size;
};

/* ERR_NOT_FOUND; ERR_LIMIT: more than `max_bytes`; ERR_MEMORY; ERR_IO with errno. */
enum err file_text_read(struct file_text *text, const char *path, size_t max_bytes) MUST_CHECK;
void file_text_finish(struct file_text *text);
/* Without one newline at the end, as editors and `echo` leave it. */
struct slice file_text_line(const struct file_text *text);
/* "it does not exist", for a sentence. */
const char *file_text_why(enum err err);

#endif
