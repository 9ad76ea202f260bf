/* Reads the gateway's answers; see answer.h. A connection is read to its end before it is looked
 * at, so an answer that is not whole is a broken one. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

/* The line at `*at` without its CRLF, of bytes that may be shown; NULL when it is none. */
static const char *take_line(const char **at, const char *end, size_t *len)
{
    const char *line = *at, *lf = memchr(line, '\n', (size_t)(end - line));
    if (!lf || lf == line || lf[-1] != '\r')
        return NULL;
    *len = (size_t)(lf - 1 - line);
    for (size_t i = 0; i < *len; i++)
        if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e)
            return NULL;
    *at = lf + 1;
    return line;
}

static const char *field_value(const char *line, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    if (len < name_len + 2 || strncasecmp(line, name, name_len) != 0 ||
        memcmp(line + name_len, ": ", 2) != 0)
        return NULL;
    return line + name_len + 2;
}

static const char *read_field(const char *line, size_t len, struct answer *answer,
                              struct framing *framing)
{
    const char *value;
    if (!memchr(line, ':', len) || line[0] == ' ' || line[0] == ':')
        return "a field line of an answer is malformed";
    if ((value = field_value(line, len, "Content-Length"))) {
        if (framing->has_length || framing->chunked)
            return "an answer is framed twice";
        framing->has_length = true;
        framing->length = strtoull(value, NULL, 10); /* stops at the CR */
    } else if ((value = field_value(line, len, "Transfer-Encoding"))) {
        if (framing->has_length || framing->chunked || strncmp(value, "chunked\r\n", 9) != 0)
            return "an answer is framed twice";
        framing->chunked = true;
    } else if ((value = field_value(line, len, "Connection"))) {
        answer->closes = strncmp(value, "close\r\n", 7) == 0;
    } else if ((value = field_value(line, len, ANSWER_SERIAL))) {
        answer->has_serial = true;
        answer->serial = strtoull(value, NULL, 10);
    }
    return NULL;
}

static const char *read_head(const char **at, const char *end, struct answer *answer,
                             struct framing *framing)
{
    size_t len;
    const char *line = take_line(at, end, &len);
    *answer = (struct answer){0};
    *framing = (struct framing){0};
    if (!line || len < 13 || memcmp(line, "HTTP/1.1 ", 9) != 0 || line[12] != ' ')
        return "the status line of an answer is malformed";
    answer->status = (unsigned)strtoul(line + 9, NULL, 10);
    while ((line = take_line(at, end, &len)) && len) {
        const char *wrong = read_field(line, len, answer, framing);
        if (wrong)
            return wrong;
    }
    return line ? NULL : "the head of an answer is malformed";
}

static const char *skip(const char **at, const char *end, uint64_t len)
{
    if ((uint64_t)(end - *at) < len)
        return "an answer ends within its body";
    *at += len;
    return NULL;
}

static const char *skip_chunks(const char **at, const char *end)
{
    for (;;) {
        size_t len;
        const char *line = take_line(at, end, &len), *wrong;
        if (!line || len == 0 || len > 8)
            return "a chunk of an answer is malformed";
        uint64_t size = strtoull(line, NULL, 16);
        if ((wrong = skip(at, end, size + 2)))
            return wrong;
        if (memcmp(*at - 2, "\r\n", 2) != 0)
            return "a chunk of an answer does not end";
        if (size == 0)
            return NULL;
    }
}

const char *answer_read(const char **at, const char *end, bool to_head, struct answer *answer)
{
    struct framing framing;
    const char *wrong;
    do {
        if ((wrong = read_head(at, end, answer, &framing)))
            return wrong;
    } while (answer->status < 200);
    if (answer->status == 204 || to_head)
        return NULL;
    if (framing.chunked)
        return skip_chunks(at, end);
    if (framing.has_length)
        return skip(at, end, framing.length);
    if (!answer->closes)
        return "an answer without framing on a connection that stays open";
    *at = end;
    return NULL;
}
