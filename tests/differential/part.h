/* A part of a message, and the byte classes of the grammar. For the two strict readers: that of
 * what a client sent (said.c) and that of what the gateway made of it (canonical.c). */
#ifndef DIFFERENTIAL_PART_H
#define DIFFERENTIAL_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct part {
    const char *at;
    size_t len;
};

struct part_field {
    struct part name, value;
};

static inline bool part_equal(struct part a, struct part b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static inline bool part_is(struct part part, const char *text)
{
    return part_equal(part, (struct part){text, strlen(text)});
}

static inline bool part_is_nocase(struct part part, const char *text)
{
    return part.len == strlen(text) && strncasecmp(part.at, text, part.len) == 0;
}

/* Takes the bytes up to `end` (one byte) and that byte off the front; false when it is not there.
 */
static inline bool part_take(struct part *rest, char end, struct part *taken)
{
    const char *found = memchr(rest->at, end, rest->len);
    if (!found)
        return false;
    *taken = (struct part){rest->at, (size_t)(found - rest->at)};
    rest->len -= taken->len + 1;
    rest->at = found + 1;
    return true;
}

/* The same for a line, which ends in CRLF. */
static inline bool part_take_line(struct part *rest, struct part *line)
{
    if (!part_take(rest, '\n', line) || line->len == 0 || line->at[line->len - 1] != '\r')
        return false;
    line->len--;
    return true;
}

static inline bool part_visible(char byte)
{
    return byte >= 0x21 && byte <= 0x7e;
}

/* RFC 9110, 5.6.2, without "_", which some servers take for "-". */
static inline bool part_name_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || (byte && strchr("!#$%&'*+-.^`|~", byte));
}

/* "name:value" with white space around the value; the bytes of both are what they may be. */
static inline bool part_take_field(struct part line, struct part_field *field)
{
    if (!part_take(&line, ':', &field->name) || field->name.len == 0)
        return false;
    for (size_t i = 0; i < field->name.len; i++)
        if (!part_name_byte(field->name.at[i]))
            return false;
    for (size_t i = 0; i < line.len; i++)
        if (!part_visible(line.at[i]) && line.at[i] != ' ' && line.at[i] != '\t')
            return false;
    field->value = line;
    return true;
}

static inline struct part part_trim(struct part part)
{
    while (part.len && !part_visible(part.at[0]))
        part.at++, part.len--;
    while (part.len && !part_visible(part.at[part.len - 1]))
        part.len--;
    return part;
}

#endif
