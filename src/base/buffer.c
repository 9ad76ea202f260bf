#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

void buffer_init(struct buffer *b, size_t max)
{
    *b = BUFFER_MAX(max);
}

void buffer_finish(struct buffer *b)
{
    if (!b->borrowed)
        free(b->bytes);
    *b = BUFFER_MAX(b->max);
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->failed = OK;
}

static bool fail(struct buffer *b, enum err why)
{
    b->failed = why;
    return false;
}

static bool make_room(struct buffer *b, size_t n)
{
    if (b->failed)
        return false;
    if (n <= b->size - b->len)
        return true;
    if (b->borrowed || n > b->max || b->len > b->max - n)
        return fail(b, ERR_LIMIT);
    size_t wanted = b->size ? b->size : 256;
    while (wanted < b->len + n)
        wanted = wanted > b->max / 2 ? b->max : wanted * 2;
    if (wanted > b->max)
        wanted = b->max;
    char *bytes = realloc(b->bytes, wanted);
    if (!bytes)
        return fail(b, ERR_MEMORY);
    b->bytes = bytes;
    b->size = wanted;
    return true;
}

char *buffer_reserve(struct buffer *b, size_t n)
{
    return make_room(b, n) ? b->bytes + b->len : NULL;
}

void buffer_grow(struct buffer *b, size_t n)
{
    invariant(n <= b->size - b->len);
    b->len += n;
}

void buffer_append(struct buffer *b, struct slice s)
{
    if (s.len == 0 || !make_room(b, s.len))
        return;
    memcpy(b->bytes + b->len, s.ptr, s.len);
    b->len += s.len;
}

void buffer_byte(struct buffer *b, char c)
{
    if (make_room(b, 1))
        b->bytes[b->len++] = c;
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_append(b, slice_of(text));
}

void buffer_number(struct buffer *b, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    buffer_append(b, slice_make(digits + at, sizeof digits - at));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[256];
    int n = vsnprintf(small, sizeof small, format, args);
    if (n >= 0 && (size_t)n < sizeof small) {
        buffer_append(b, slice_make(small, (size_t)n));
    } else if (n >= 0) {
        /* vsnprintf also writes a NUL, so ask for one byte more than is kept. */
        char *room = buffer_reserve(b, (size_t)n + 1);
        if (room) {
            vsnprintf(room, (size_t)n + 1, format, again);
            buffer_grow(b, (size_t)n);
        }
    }
    va_end(again);
    va_end(args);
}

/* Passes over bytes that stand in a JSON string as they are, eight at a time; stops within eight
 * bytes of one that does not. Most of what is logged and answered is such text. */
static size_t pass_plain(struct slice s, size_t i)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t word;
    for (; s.len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, s.ptr + i, sizeof word);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        uint64_t odd = (word + ones) | (word - ones * 0x20); /* from 0x7f on; below 0x20 */
        if ((odd | (quote - ones) | (backslash - ones)) & highs)
            break;
    }
    return i;
}

/* What a terminal or a viewer obeys instead of showing it: C1 controls, ends of lines and of
 * paragraphs, marks that turn the direction of what follows. */
static bool obeyed(uint32_t point)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x80,   0x9f  },
        {0x61c,  0x61c },
        {0x200e, 0x200f},
        {0x2028, 0x202e},
        {0x2066, 0x2069}
    };
    for (size_t i = 0; i < COUNT_OF(ranges); i++)
        if (point >= ranges[i].first && point <= ranges[i].last)
            return true;
    return false;
}

/* How many bytes at the start of `s` are one character, and which: U+FFFD for one that is none.
 * False: it can stand as it is, and `point` says nothing. */
static inline bool needs_escape(struct slice s, size_t *len, uint32_t *point)
{
    unsigned char c = (unsigned char)s.ptr[0];
    *len = 1;
    *point = c;
    if (c < 0x80)
        return c < 0x20 || c == 0x7f || c == '"' || c == '\\';
    size_t sequence = utf8_sequence(s);
    *point = 0xfffd;
    if (!sequence)
        return true;
    *len = sequence;
    if (c != 0xc2 && c != 0xd8 && c != 0xe2) /* no other begins one that is obeyed */
        return false;
    const unsigned char *bytes = (const unsigned char *)s.ptr;
    *point = sequence == 2 ? (c & 0x1fu) << 6 | (bytes[1] & 0x3fu)
                           : (c & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
    return obeyed(*point);
}

static void append_escape(struct buffer *b, uint32_t point)
{
    static const char hex[] = "0123456789abcdef";
    char text[] = {'\\', 'u', '0', '0', '0', '0'};
    if (point == '"' || point == '\\' || point == '\n') {
        text[1] = point == '\n' ? 'n' : (char)point;
        buffer_append(b, slice_make(text, 2));
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        text[5 - i] = hex[point >> 4 * i & 15];
    buffer_append(b, slice_make(text, sizeof text));
}

void buffer_json_string(struct buffer *b, struct slice s)
{
    buffer_byte(b, '"');
    size_t run = 0; /* where the bytes that need no change begin; they are copied in one piece */
    for (size_t i = pass_plain(s, 0), len; i < s.len;) {
        uint32_t point;
        bool escape = needs_escape(slice_from(s, i), &len, &point);
        if (escape) {
            buffer_append(b, slice_make(s.ptr + run, i - run));
            append_escape(b, point);
            run = i + len;
        }
        i = escape ? pass_plain(s, run) : i + len;
    }
    buffer_append(b, slice_from(s, run));
    buffer_byte(b, '"');
}

void buffer_consume(struct buffer *b, size_t n)
{
    invariant(n <= b->len);
    if (n == 0)
        return;
    memmove(b->bytes, b->bytes + n, b->len - n);
    b->len -= n;
}

const char *buffer_text_of(struct buffer *b)
{
    if (!make_room(b, 1))
        return "";
    b->bytes[b->len] = '\0';
    return b->bytes;
}
