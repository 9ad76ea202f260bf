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

void buffer_json_string(struct buffer *b, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    buffer_byte(b, '"');
    for (size_t i = pass_plain(s, 0), run = 0;; i++) {
        /* `run` is where the bytes that need no change begin; they are copied in one piece. */
        unsigned char c = i < s.len ? (unsigned char)s.ptr[i] : '"';
        if (i < s.len && c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        size_t sequence = i < s.len && c >= 0x80 ? utf8_sequence(slice_from(s, i)) : 0;
        bool separator = sequence == 3 && c == 0xe2 && (unsigned char)s.ptr[i + 1] == 0x80 &&
                         ((unsigned char)s.ptr[i + 2] | 1) == 0xa9;
        if (sequence && !separator) {
            i += sequence - 1;
            continue;
        }
        buffer_append(b, slice_make(s.ptr + run, i - run));
        if (i >= s.len)
            break;
        if (separator) {
            buffer_text(b, (unsigned char)s.ptr[i + 2] == 0xa8 ? "\\u2028" : "\\u2029");
            i += 2;
        } else if (c >= 0x80) {
            buffer_text(b, "\\ufffd");
        } else if (c == '"' || c == '\\') {
            buffer_byte(b, '\\');
            buffer_byte(b, (char)c);
        } else if (c == '\n') {
            buffer_text(b, "\\n");
        } else {
            buffer_append(b,
                          slice_make((char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6));
        }
        run = i + 1;
        i = pass_plain(s, run) - 1;
    }
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
