/* Decodes the chunked coding. Called with whatever bytes of a body arrived; content is handed out
 * as slices of the input, only the framing is read byte by byte.
 *
 * The hard problem is that a lenient reader here is a smuggled request: every byte of the framing
 * has one state that expects it, a line ends in CRLF and nothing else, and no white space is
 * allowed where RFC 9112, 7.1.1 would have "bad" white space skipped. */
#include "proto/chunked.h"

#include "proto/octet.h"

enum {
    SIZE_DIGITS_MAX = 16,
    EXTENSION_BYTES_MAX = 256, /* of a whole message */
    TRAILER_BYTES_MAX = 8 * 1024,
    TRAILER_LINES_MAX = 32,
    /* Framing may be at most this much, and this many times the content: so chunks of one byte
     * (five of framing each) end after some 50,000, while a stream of short words goes on for ever.
     */
    OVERHEAD_BYTES_FREE = 100 * 1024,
    OVERHEAD_PER_CONTENT = 3,
};

enum chunked_state {
    SIZE_START,
    SIZE,
    EXTENSION_NAME_START, /* after ';' */
    EXTENSION_NAME,
    EXTENSION_VALUE_START, /* after '=' */
    EXTENSION_VALUE,
    EXTENSION_QUOTED,
    EXTENSION_ESCAPED, /* after '\' */
    EXTENSION_END,     /* after the closing quote */
    SIZE_LF,
    CONTENT,
    CONTENT_CR,
    CONTENT_LF,
    TRAILER_START, /* at the beginning of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    FAILED,
};

void chunked_init(struct chunked *chunked)
{
    *chunked = (struct chunked){.state = SIZE_START};
}

/* All these return the next state. */

static unsigned fail(struct chunked *chunked, enum http_fault fault)
{
    chunked->fault = fault;
    return FAILED;
}

static unsigned refuse(struct chunked *chunked)
{
    return fail(chunked, HTTP_BAD_CHUNK);
}

static unsigned digit_value(char byte)
{
    return byte <= '9' ? (unsigned)(byte - '0') : (unsigned)((byte | 0x20) - 'a' + 10);
}

static unsigned read_digit(struct chunked *chunked, char byte)
{
    if (++chunked->digits > SIZE_DIGITS_MAX || chunked->left > (INT64_MAX >> 4))
        return refuse(chunked);
    chunked->left = chunked->left << 4 | digit_value(byte);
    return SIZE;
}

/* A byte after the digits, or after a whole extension. */
static unsigned read_size_end(struct chunked *chunked, char byte)
{
    if (byte == '\r')
        return SIZE_LF;
    return byte == ';' ? EXTENSION_NAME_START : refuse(chunked);
}

/* RFC 9112, 7.1.1: ";" token [ "=" ( token / quoted-string ) ], ignored. */
static unsigned read_extension(struct chunked *chunked, char byte)
{
    if (byte != '\r' && ++chunked->extension_bytes > EXTENSION_BYTES_MAX)
        return refuse(chunked);
    bool printable = octet_is(byte, OCTET_VISIBLE) || byte == ' ' || byte == '\t';
    switch (chunked->state) {
    case EXTENSION_NAME_START:
        return octet_is(byte, OCTET_TOKEN) ? EXTENSION_NAME : refuse(chunked);
    case EXTENSION_NAME:
        if (octet_is(byte, OCTET_TOKEN))
            return EXTENSION_NAME;
        return byte == '=' ? EXTENSION_VALUE_START : read_size_end(chunked, byte);
    case EXTENSION_VALUE_START:
        if (byte == '"')
            return EXTENSION_QUOTED;
        return octet_is(byte, OCTET_TOKEN) ? EXTENSION_VALUE : refuse(chunked);
    case EXTENSION_VALUE:
        return octet_is(byte, OCTET_TOKEN) ? EXTENSION_VALUE : read_size_end(chunked, byte);
    case EXTENSION_QUOTED:
        if (byte == '"')
            return EXTENSION_END;
        if (byte == '\\')
            return EXTENSION_ESCAPED;
        return printable ? EXTENSION_QUOTED : refuse(chunked);
    case EXTENSION_ESCAPED:
        return printable ? EXTENSION_QUOTED : refuse(chunked);
    default:
        return read_size_end(chunked, byte);
    }
}

/* The size line is complete. */
static unsigned begin_chunk(struct chunked *chunked)
{
    if (chunked->left > INT64_MAX - chunked->content_bytes)
        return refuse(chunked);
    uint64_t content = chunked->content_bytes + chunked->left;
    if (chunked->overhead_bytes > OVERHEAD_BYTES_FREE &&
        (chunked->overhead_bytes - OVERHEAD_BYTES_FREE) / OVERHEAD_PER_CONTENT > content)
        return fail(chunked, HTTP_CHUNK_OVERHEAD);
    chunked->digits = 0;
    return chunked->left ? CONTENT : TRAILER_START;
}

/* Names that frame, route or authenticate a message may not come after it (RFC 9110, 6.5.1). */
static bool name_forbidden(const struct chunked *chunked)
{
    size_t kept =
        chunked->name_bytes < sizeof(chunked->name) ? chunked->name_bytes : sizeof(chunked->name);
    const struct field_row *row = field_find(slice_make(chunked->name, kept));
    return row && row->rules & (FIELD_UNIQUE | FIELD_HOP | FIELD_SECRET);
}

static unsigned read_trailer_name(struct chunked *chunked, char byte)
{
    if (byte == ':')
        return chunked->name_bytes && !name_forbidden(chunked) ? TRAILER_VALUE : refuse(chunked);
    if (!octet_is(byte, OCTET_NAME))
        return refuse(chunked);
    if (chunked->name_bytes < sizeof(chunked->name))
        chunked->name[chunked->name_bytes] = byte;
    chunked->name_bytes++;
    return TRAILER_NAME;
}

static unsigned read_trailer(struct chunked *chunked, char byte)
{
    if (chunked->state == TRAILER_START && byte == '\r')
        return END_LF;
    if (++chunked->trailer_bytes > TRAILER_BYTES_MAX)
        return refuse(chunked);
    switch (chunked->state) {
    case TRAILER_START:
        chunked->name_bytes = 0;
        if (++chunked->trailer_lines > TRAILER_LINES_MAX)
            return refuse(chunked);
        return read_trailer_name(chunked, byte);
    case TRAILER_NAME:
        return read_trailer_name(chunked, byte);
    default:
        if (byte == '\r')
            return TRAILER_LF;
        return octet_is(byte, OCTET_VISIBLE) || byte == ' ' || byte == '\t' ? TRAILER_VALUE
                                                                            : refuse(chunked);
    }
}

/* One byte of framing. */
static unsigned read_byte(struct chunked *chunked, char byte)
{
    switch (chunked->state) {
    case SIZE_START:
        return octet_is(byte, OCTET_HEX) ? read_digit(chunked, byte) : refuse(chunked);
    case SIZE:
        return octet_is(byte, OCTET_HEX) ? read_digit(chunked, byte) : read_size_end(chunked, byte);
    case SIZE_LF:
        return byte == '\n' ? begin_chunk(chunked) : refuse(chunked);
    case CONTENT_CR:
        return byte == '\r' ? CONTENT_LF : refuse(chunked);
    case CONTENT_LF:
        return byte == '\n' ? SIZE_START : refuse(chunked);
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return read_trailer(chunked, byte);
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_START : refuse(chunked);
    case END_LF:
        return byte == '\n' ? DONE : refuse(chunked);
    default:
        return read_extension(chunked, byte);
    }
}

static void take_content(struct chunked *chunked, struct slice *bytes, struct slice *content)
{
    size_t len = bytes->len < chunked->left ? bytes->len : (size_t)chunked->left;
    *content = slice_to(*bytes, len);
    *bytes = slice_from(*bytes, len);
    chunked->content_bytes += len;
    chunked->left -= len;
    if (chunked->left == 0)
        chunked->state = CONTENT_CR;
}

enum err chunked_next(struct chunked *chunked, struct slice *bytes, struct slice *content)
{
    *content = slice_make(NULL, 0);
    for (;;) {
        if (chunked->state == FAILED)
            return ERR_SYNTAX;
        if (chunked->state == DONE)
            return ERR_CLOSED;
        if (bytes->len == 0)
            return ERR_AGAIN;
        if (chunked->state == CONTENT) {
            take_content(chunked, bytes, content);
            return OK;
        }
        char byte = bytes->ptr[0];
        *bytes = slice_from(*bytes, 1);
        chunked->overhead_bytes++;
        chunked->state = read_byte(chunked, byte);
    }
}
