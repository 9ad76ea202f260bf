/* See http2_answer.h. */
#include "proto/http2_answer.h"

/* What may stand in HPACK's table, which is shared by all answers of a connection: values that are
 * nobody's secret and come again and again. All others are sent as never-indexed literals (RFC
 * 7541, 7.1.3): their values would push these out, and what is secret could be guessed by watching
 * lengths. */
static const struct slice indexed[] = {
    SLICE(":status"),          SLICE("cache-control"),     SLICE("content-security-policy"),
    SLICE("content-type"),     SLICE("referrer-policy"),   SLICE("vary"),
    SLICE("www-authenticate"), SLICE("x-accel-buffering"), SLICE("x-content-type-options"),
    SLICE("x-frame-options"),
};

static bool may_index(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(indexed); i++)
        if (slice_equal(name, indexed[i]))
            return true;
    return false;
}

static void lower(char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] = (char)(at[i] | 0x20);
}

static void add(struct http2_answer *answer, struct slice name, struct slice value)
{
    struct buffer *bytes = &answer->bytes;
    size_t at = bytes->len;
    if (answer->count == HTTP2_ANSWER_FIELDS_MAX) {
        answer->too_many = true;
        return;
    }
    buffer_append(bytes, name);
    buffer_append(bytes, value);
    if (bytes->failed)
        return;
    lower(bytes->bytes + at, name.len);
    answer->fields[answer->count++] = (struct http2_answer_field){
        .name_at = at,
        .name_len = name.len,
        .value_at = at + name.len,
        .value_len = value.len,
        .may_index = may_index(slice_make(bytes->bytes + at, name.len)),
    };
}

void http2_answer_begin(struct http2_answer *answer, unsigned status, char *room, size_t size)
{
    invariant(status >= 100 && status <= 999);
    answer->bytes = BUFFER_OVER(room, size);
    answer->count = 0;
    answer->too_many = false;
    char digits[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10)};
    add(answer, SLICE(":status"), slice_make(digits, sizeof digits));
}

void http2_answer_field(void *context, struct slice name, struct slice value)
{
    const struct field_row *row = field_find(name);
    if (!row || !(row->rules & FIELD_HOP))
        add(context, name, value);
}

bool http2_answer_whole(const struct http2_answer *answer)
{
    return !answer->bytes.failed && !answer->too_many;
}
