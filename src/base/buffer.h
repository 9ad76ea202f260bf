/* A buffer that is born with its maximum. Appending past it, or a failed allocation, sets `failed`
 * and appends nothing more (a truncated text is never mistaken for a whole one); the builder checks
 * once, at the end. Lengths are never computed apart from the copy. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/err.h"
#include "base/slice.h"

struct buffer {
    char *bytes;
    size_t len;
    size_t size;     /* allocated */
    size_t max;      /* never grows past this */
    enum err failed; /* OK, ERR_LIMIT or ERR_MEMORY; sticky */
    bool borrowed;   /* bytes belong to the caller and do not grow */
};

/* An empty buffer that allocates on first use and holds at most `max` bytes. */
#define BUFFER_MAX(limit) ((struct buffer){.max = (limit)})
/* A buffer over memory of the caller's. */
#define BUFFER_OVER(memory, memory_size)                                                           \
    ((struct buffer){                                                                              \
        .bytes = (memory), .size = (memory_size), .max = (memory_size), .borrowed = true})

void buffer_init(struct buffer *b, size_t max);
/* Releases the memory; the buffer is empty and usable again with the same maximum. */
void buffer_finish(struct buffer *b);
/* Empties it and forgets a failure; keeps the memory. */
void buffer_clear(struct buffer *b);

void buffer_append(struct buffer *b, struct slice s);
void buffer_byte(struct buffer *b, char c);
void buffer_text(struct buffer *b, const char *text);
void buffer_number(struct buffer *b, uint64_t number);
void buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* A JSON string literal with its quotes. Quotes, backslashes and what a terminal would obey
 * (control characters, ends of lines, marks of direction) are escaped; a byte that is not valid
 * UTF-8 becomes U+FFFD. The result is always one line of valid JSON. */
void buffer_json_string(struct buffer *b, struct slice s);

/* Room for at least `n` more bytes to be written at the end, or NULL (and `failed` is set). What
 * was written is taken over by buffer_grow. */
char *buffer_reserve(struct buffer *b, size_t n);
void buffer_grow(struct buffer *b, size_t n);

/* Drops the first `n` bytes. */
void buffer_consume(struct buffer *b, size_t n);

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_make(b->bytes, b->len);
}

/* A NUL behind the end (not counted); "" when it failed. */
const char *buffer_text_of(struct buffer *b);

#endif
