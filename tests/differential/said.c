/* Reads what a client said, by the letter of RFC 9112 and without any of the leniency it allows;
 * see said.h. */
#include "said.h"

#include <stdlib.h>

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

static bool read_line(struct part line, struct said *said)
{
    if (!part_take(&line, ' ', &said->method) || !part_take(&line, ' ', &said->target))
        return false;
    for (size_t i = 0; i < said->method.len; i++)
        if (said->method.at[i] < 'A' || said->method.at[i] > 'Z')
            return false;
    for (size_t i = 0; i < said->target.len; i++)
        if (!part_visible(said->target.at[i]))
            return false;
    said->minor_version = part_is(line, "HTTP/1.1");
    return said->method.len && said->target.len &&
           (said->minor_version || part_is(line, "HTTP/1.0"));
}

static bool note_framing(const struct part_field *field, struct framing *framing)
{
    if (part_is_nocase(field->name, "Transfer-Encoding")) {
        bool again = framing->chunked;
        framing->chunked = true;
        return !again && part_is_nocase(field->value, "chunked");
    }
    if (!part_is_nocase(field->name, "Content-Length"))
        return true;
    if (framing->has_length || field->value.len == 0 || field->value.len > 18)
        return false;
    framing->has_length = true;
    for (size_t i = 0; i < field->value.len; i++) {
        char byte = field->value.at[i];
        if (byte < '0' || byte > '9')
            return false;
        framing->length = framing->length * 10 + (uint64_t)(byte - '0');
    }
    return true;
}

static bool read_fields(struct part *rest, struct said *said, struct framing *framing)
{
    struct part line;
    while (part_take_line(rest, &line)) {
        if (line.len == 0)
            return true;
        if (said->field_count == SAID_FIELDS_MAX)
            return false;
        struct part_field *field = &said->fields[said->field_count++];
        if (!part_take_field(line, field))
            return false;
        field->value = part_trim(field->value);
        if (!note_framing(field, framing))
            return false;
    }
    return false;
}

static bool take_body(struct part *rest, uint64_t len, struct said *said)
{
    if (rest->len < len || sizeof(said->body) - said->body_len < len)
        return false;
    memcpy(said->body + said->body_len, rest->at, len);
    said->body_len += len;
    rest->at += len;
    rest->len -= len;
    return true;
}

/* The size in front of the extensions, which are any visible text: where they end is plain. */
static bool read_size(struct part line, uint64_t *size)
{
    size_t digits = 0;
    for (*size = 0; digits < line.len && line.at[digits] != ';'; digits++) {
        const char *all = "0123456789abcdefABCDEF";
        const char *digit = line.at[digits] ? strchr(all, line.at[digits]) : NULL;
        if (!digit || digits == 16)
            return false;
        *size = *size << 4 | (uint64_t)(digit - all - (digit - all > 15 ? 6 : 0));
    }
    for (size_t i = digits; i < line.len; i++)
        if (!part_visible(line.at[i]) && line.at[i] != ' ' && line.at[i] != '\t')
            return false;
    return digits > 0;
}

static bool read_chunks(struct part *rest, struct said *said)
{
    struct part line;
    uint64_t size;
    do {
        if (!part_take_line(rest, &line) || !read_size(line, &size) || !take_body(rest, size, said))
            return false;
        if (size && (!part_take_line(rest, &line) || line.len))
            return false;
    } while (size);
    struct part_field trailer;
    while (part_take_line(rest, &line)) {
        if (line.len == 0)
            return true;
        if (!part_take_field(line, &trailer))
            return false;
    }
    return false;
}

bool said_read(struct part *rest, struct said *said)
{
    struct framing framing = {0};
    struct part line;
    said->field_count = 0;
    said->body_len = 0;
    if (rest->len && *rest->at == '\r' && (!part_take_line(rest, &line) || line.len))
        return false; /* one empty line may stand in front (RFC 9112, 2.2) */
    if (!part_take_line(rest, &line) || !read_line(line, said) ||
        !read_fields(rest, said, &framing))
        return false;
    if (framing.chunked)
        return !framing.has_length && said->minor_version && read_chunks(rest, said);
    return take_body(rest, framing.length, said);
}

/* A target in absolute form is sent on without scheme and authority, and a query that the endpoint
 * does not take is left out. */
static bool target_becomes(struct part said, struct part forwarded)
{
    struct part scheme, authority, path = said;
    if (said.at[0] != '/') {
        if (!part_take(&path, '/', &scheme) || !part_take(&path, '/', &authority) ||
            authority.len || !part_take(&path, '/', &authority))
            return false;
        path.at--;
        path.len++;
    }
    if (part_equal(path, forwarded))
        return true;
    struct part without_query;
    return part_take(&path, '?', &without_query) && part_equal(without_query, forwarded);
}

/* What may be repeated has to be the client's word. */
static bool repeats(const struct said *said, const struct part_field *field)
{
    for (unsigned i = 0; i < said->field_count; i++)
        if (part_equal(said->fields[i].value, field->value) &&
            part_is_nocase(said->fields[i].name, "X-Correlation-ID"))
            return true;
    return false;
}

const char *said_compare(const struct said *said, const struct canonical *forwarded,
                         const char *body)
{
    if (!part_equal(said->method, forwarded->method))
        return "the method is another";
    if (!target_becomes(said->target, forwarded->target))
        return "the target is another";
    unsigned next = 0;
    for (unsigned i = 0; i < forwarded->field_count; i++) {
        const struct part_field *field = &forwarded->fields[i];
        if (part_is(field->name, "X-Correlation-ID") && !repeats(said, field))
            return "the correlation id is another";
        if (canonical_is_own(field->name))
            continue;
        while (next < said->field_count && !(part_equal(said->fields[next].name, field->name) &&
                                             part_equal(said->fields[next].value, field->value)))
            next++;
        if (next++ == said->field_count)
            return "a field is another, or stands elsewhere";
    }
    if (said->body_len != forwarded->length || memcmp(said->body, body, said->body_len) != 0)
        return "the body is another";
    return NULL;
}
