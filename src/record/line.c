/* Formats lines on the hot path, straight into ring memory: no printf, no allocation, the text of
 * the second kept from line to line. Called by recorder.c. The hard problem is bytes that were
 * chosen by an attacker: every string goes through print_field, which bounds, redacts and escapes
 * it. */
#include "record/line.h"

#include "base/clock.h"
#include "base/encode.h"

enum {
    CUT_REQUEST = 2048,
    CUT_PATH = 2048,
    CUT_MODEL = 256,
    CUT_WORD = 128, /* ids and names */
    CUT_MAX = 2048,
    CLIENT_GONE = 499, /* nginx's number for it */
};

#define KEY_MARK "sp_"
enum { KEY_ID_LEN = 12, KEY_HEAD_LEN = 3 + KEY_ID_LEN + 1 };

/* The length of an API key at the start of `s`, which begins with KEY_MARK; 0 when it is none. A
 * key that was cut short counts too: what is left of its secret is nobody's business. */
static size_t key_length(struct slice s)
{
    if (s.len < KEY_HEAD_LEN || s.ptr[KEY_HEAD_LEN - 1] != '_' ||
        !base62_valid(slice_make(s.ptr + 3, KEY_ID_LEN)))
        return 0;
    size_t len = KEY_HEAD_LEN;
    while (len < s.len && (s.ptr[len] == '_' || base62_valid(slice_make(s.ptr + len, 1))))
        len++;
    return len;
}

/* The last line of defence, for keys that came in where nobody expects one (a path, a model name).
 * `memory` holds CUT_MAX bytes; the result is never longer than `s`, for a key is longer than the
 * word that replaces it. */
static struct slice redact(struct slice s, char *memory)
{
    static const struct slice word = SLICE("[REDACTED]");
    struct buffer out = BUFFER_OVER(memory, CUT_MAX);
    const char *mark;
    while ((mark = memmem(s.ptr, s.len, KEY_MARK, 3))) {
        size_t before = (size_t)(mark - s.ptr);
        size_t len = key_length(slice_from(s, before));
        buffer_append(&out, slice_to(s, before));
        buffer_append(&out, len ? word : SLICE(KEY_MARK));
        s = slice_from(s, before + (len ? len : 3));
    }
    buffer_append(&out, s);
    return buffer_slice(&out);
}

static void print_field(struct buffer *out, struct slice s, size_t cut)
{
    char memory[CUT_MAX];
    if (s.len > cut) {
        /* Not in the middle of a UTF-8 sequence. */
        for (s.len = cut; s.len > cut - 4 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80; s.len--)
            ;
    }
    if (s.len > KEY_HEAD_LEN && memmem(s.ptr, s.len, KEY_MARK, 3))
        s = redact(s, memory);
    buffer_json_string(out, s);
}

#define PRINT(out, literal) buffer_append(out, SLICE(literal))

/* `number` / 10^decimals with all its decimals: (1234, 3) is "1.234". */
static void print_decimal(struct buffer *out, uint64_t number, unsigned decimals)
{
    char digits[24];
    size_t at = sizeof digits;
    for (unsigned i = 0; i < decimals; i++, number /= 10)
        digits[--at] = (char)('0' + number % 10);
    digits[--at] = '.';
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    buffer_append(out, slice_make(digits + at, sizeof digits - at));
}

static void second_update(struct second_text *second, uint64_t wall_us)
{
    uint64_t epoch_s = wall_us / SECOND_US;
    if (second->epoch_s == epoch_s)
        return;
    char memory[64];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    clock_print_rfc3339(&text, wall_us);
    if (text.failed || text.len != sizeof second->rfc3339)
        return; /* a year of five digits: the clock is wrong, the last second has to do */
    memcpy(second->rfc3339, memory, sizeof second->rfc3339);
    memcpy(second->plain, memory, sizeof second->plain);
    second->plain[10] = ' ';
    second->epoch_s = epoch_s;
}

unsigned line_status(const struct exchange_record *record)
{
    return record->status ? record->status : CLIENT_GONE;
}

enum log_level line_level(const struct exchange_record *record)
{
    unsigned status = line_status(record);
    return status >= 500 ? LOG_ERROR : status >= 400 ? LOG_WARNING : LOG_INFO;
}

static void print_address(struct buffer *out, const struct address *address)
{
    buffer_byte(out, '"');
    if (address->family == ADDRESS_V4) { /* inet_ntop goes through printf */
        for (unsigned i = 0; i < 4; i++) {
            if (i)
                buffer_byte(out, '.');
            buffer_number(out, address->bytes[i]);
        }
    } else {
        address_print(out, address);
    }
    buffer_byte(out, '"');
}

/* What stands in the access log after document 003's seven members. */
static void print_access_rest(struct buffer *out, const struct exchange_record *record)
{
    PRINT(out, ",\"request_id\":");
    print_field(out, record->request_id, CUT_WORD);
    if (record->correlation_id.len) {
        PRINT(out, ",\"correlation_id\":");
        print_field(out, record->correlation_id, CUT_WORD);
    }
    PRINT(out, ",\"key\":");
    print_field(out, record->key_id, CUT_WORD);
    PRINT(out, ",\"model\":");
    print_field(out, record->model, CUT_MODEL);
    PRINT(out, ",\"upstream\":");
    print_field(out, record->upstream, CUT_WORD);
    if (record->queue_us) {
        PRINT(out, ",\"queue_ms\":");
        print_decimal(out, record->queue_us, 3);
    }
    PRINT(out, ",\"upstream_ms\":");
    print_decimal(out, record->upstream_us, 3);
    PRINT(out, ",\"overhead_us\":");
    buffer_number(out, record->overhead_us);
    if (record->tokens_in != UINT64_MAX) {
        PRINT(out, ",\"tokens_in\":");
        buffer_number(out, record->tokens_in);
    }
    if (record->tokens_out != UINT64_MAX) {
        PRINT(out, ",\"tokens_out\":");
        buffer_number(out, record->tokens_out);
    }
    if (record->streamed)
        PRINT(out, ",\"streamed\":true");
    if (record->incomplete)
        PRINT(out, ",\"incomplete\":true");
    PRINT(out, ",\"decision\":");
    print_field(out, slice_of(record->decision), CUT_WORD);
    PRINT(out, "}\n");
}

void line_print_access(struct buffer *out, const struct exchange_record *record,
                       struct second_text *second)
{
    second_update(second, record->wall_us + record->duration_us);
    PRINT(out, "{\"time\":\"");
    buffer_append(out, slice_make(second->rfc3339, sizeof second->rfc3339));
    PRINT(out, "\",\"remote_addr\":");
    print_address(out, &record->client);
    PRINT(out, ",\"request\":");
    print_field(out, record->request_line, CUT_REQUEST);
    PRINT(out, ",\"status\":\"");
    buffer_number(out, line_status(record));
    PRINT(out, "\",\"body_bytes_sent\":\"");
    buffer_number(out, record->body_bytes_sent);
    PRINT(out, "\",\"request_time\":\"");
    print_decimal(out, record->duration_us / 1000, 3);
    PRINT(out, "\",\"user\":");
    print_field(out, record->user, CUT_WORD);
    print_access_rest(out, record);
}

/* "POST /v1/chat/completions -> 200" as one JSON string. */
static void print_message(struct buffer *out, const struct exchange_record *record)
{
    size_t begin = out->len;
    print_field(out, record->method, CUT_WORD);
    if (out->failed || out->len == begin)
        return;
    out->bytes[out->len - 1] = ' '; /* the closing quote of one is the space before the other */
    size_t join = out->len;
    print_field(out, record->path, CUT_PATH);
    if (out->failed)
        return;
    memmove(out->bytes + join, out->bytes + join + 1, out->len - join - 1);
    out->len -= 2;
    PRINT(out, " -> ");
    buffer_number(out, line_status(record));
    PRINT(out, "\"");
}

void line_print_app(struct buffer *out, const struct exchange_record *record,
                    struct second_text *second)
{
    second_update(second, record->wall_us + record->duration_us);
    PRINT(out, "{\"timestamp\":\"");
    buffer_append(out, slice_make(second->plain, sizeof second->plain));
    PRINT(out, "\",\"level\":\"");
    buffer_text(out, log_level_name(line_level(record)));
    PRINT(out, "\",\"message\":");
    print_message(out, record);
    PRINT(out, ",\"request_id\":");
    print_field(out, record->request_id, CUT_WORD);
    PRINT(out, ",\"method\":");
    print_field(out, record->method, CUT_WORD);
    PRINT(out, ",\"path\":");
    print_field(out, record->path, CUT_PATH);
    PRINT(out, ",\"ip\":");
    print_address(out, &record->client);
    PRINT(out, ",\"user\":");
    if (record->user.len)
        print_field(out, record->user, CUT_WORD);
    else
        PRINT(out, "null");
    PRINT(out, ",\"status\":");
    buffer_number(out, line_status(record));
    PRINT(out, ",\"latency_ms\":");
    print_decimal(out, record->duration_us / 10, 2);
    PRINT(out, "}\n");
}
