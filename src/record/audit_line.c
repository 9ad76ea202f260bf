/* Printing and taking apart. Called by audit.c, audit_verify.c and `sallyport audit`. The hard
 * problem is bytes that were chosen by an attacker: audit_entry_set is the one way in, and copies
 * them bounded and without what is shaped like a credential, also behind percent-escapes; the
 * printer escapes them. */
#include "record/audit_line.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/utf8.h"
#include "identity/key_text.h"

static const struct slice redacted = SLICE("[REDACTED]");

/* How credentials begin, which bytes they go on with besides letters and digits, and the length
 * from which on there is something to hide. A key of ours has its secret behind the 16th. */
static const struct shape {
    struct slice mark, more;
    size_t shortest;
    bool ours;
} shapes[] = {
    {SLICE("sp_"), SLICE("_"),   3 + KEY_ID_LEN + 1, true }, /* even one that was cut short */
    {SLICE("sk-"), SLICE("-_"),  20,                 false}, /* OpenAI, Anthropic, LiteLLM */
    {SLICE("eyJ"), SLICE("-_."), 20,                 false}, /* a JWT: RFC 7519, {" in base64url */
};

/* The first byte of `s`, its percent-escape read (RFC 3986, section 2.1), and how long it is. */
static char decode(struct slice s, size_t *size)
{
    unsigned char byte;
    *size = 1;
    if (s.ptr[0] != '%' || s.len < 3 || hex_parse(slice_make(s.ptr + 1, 2), &byte, 1) != OK)
        return s.ptr[0];
    *size = 3;
    return (char)byte;
}

/* The length in `s` of what has this shape at its start; 0: nothing has. */
static size_t shape_length(const struct shape *shape, struct slice s)
{
    char head[3 + KEY_ID_LEN + 1];
    size_t count = 0, at = 0, size;
    for (; at < s.len; at += size, count++) {
        char c = decode(slice_from(s, at), &size);
        bool fits = count < shape->mark.len ? c == shape->mark.ptr[count]
                                            : base62_valid(slice_make(&c, 1)) ||
                                                  slice_find(shape->more, c) < shape->more.len;
        if (!fits)
            break;
        if (count < sizeof head)
            head[count] = c;
    }
    if (count < shape->shortest)
        return 0;
    if (shape->ours &&
        (!key_id_shaped(slice_make(head + 3, KEY_ID_LEN)) || head[sizeof head - 1] != '_'))
        return 0;
    return at;
}

static size_t credential_length(struct slice s)
{
    if (s.ptr[0] != 's' && s.ptr[0] != 'e' && s.ptr[0] != '%')
        return 0;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        size_t length = shape_length(&shapes[i], s);
        if (length)
            return length;
    }
    return 0;
}

/* Copies what fits whole: characters and redactions are never cut. Returns the length. */
static uint16_t copy(char *out, size_t size, struct slice s)
{
    size_t len = 0;
    while (s.len) {
        size_t hidden = credential_length(s);
        size_t sequence = utf8_sequence(s);
        struct slice piece = hidden ? redacted : slice_to(s, sequence ? sequence : 1);
        if (piece.len > size - len)
            break;
        memcpy(out + len, piece.ptr, piece.len);
        len += piece.len;
        s = slice_from(s, hidden ? hidden : piece.len);
    }
    return (uint16_t)len;
}

void audit_entry_set(struct audit_entry *entry, const struct audit_record *record)
{
    invariant(record->event > AUDIT_NONE && record->event < AUDIT_EVENT_COUNT);
    entry->wall_us = record->wall_us;
    entry->since_us = record->now_us;
    entry->count = 1;
    entry->event = record->event;
    entry->status = record->status;
    entry->ip = record->ip;
    entry->actor.len = copy(entry->actor.bytes, AUDIT_WORD_MAX, record->actor);
    entry->reason.len = copy(entry->reason.bytes, AUDIT_WORD_MAX, record->reason);
    entry->request_id.len = copy(entry->request_id.bytes, AUDIT_WORD_MAX, record->request_id);
    entry->method.len = copy(entry->method.bytes, AUDIT_METHOD_MAX, record->method);
    /* A query may hold anything, passwords too. */
    struct slice path = slice_to(record->path, slice_find(record->path, '?'));
    entry->path.len = copy(entry->path.bytes, AUDIT_PATH_MAX, path);
}

static void print_text(struct buffer *out, const char *name, const char *bytes, size_t len)
{
    buffer_printf(out, ",\"%s\":", name);
    buffer_json_string(out, slice_make(bytes, len));
}

/* All up to `seq`. */
static void print_event(struct buffer *out, const struct audit_entry *entry)
{
    const struct audit_event_row *row = audit_event_get(entry->event);
    buffer_text(out, "{\"timestamp\":\"");
    clock_print_rfc3339_ms(out, entry->wall_us);
    buffer_printf(out, "\",\"level\":\"%s\",\"event\":\"%s\"", log_level_name(row->level),
                  row->name);
    print_text(out, "actor", entry->actor.bytes, entry->actor.len);
    buffer_text(out, ",\"ip\":\"");
    if (entry->ip.family != ADDRESS_NONE)
        address_print(out, &entry->ip);
    buffer_text(out, "\"");
    print_text(out, "method", entry->method.bytes, entry->method.len);
    print_text(out, "path", entry->path.bytes, entry->path.len);
    if (entry->status)
        buffer_printf(out, ",\"status\":%u", entry->status);
    else
        buffer_text(out, ",\"status\":null");
    print_text(out, "reason", entry->reason.bytes, entry->reason.len);
    print_text(out, "request_id", entry->request_id.bytes, entry->request_id.len);
    if (entry->count > 1)
        buffer_printf(out, ",\"count\":%llu", (unsigned long long)entry->count);
}

#define SEQ ",\"seq\":"
#define PREV ",\"prev\":\""
#define HASH "\",\"hash\":\""
#define END "\"}"

enum err audit_line_print(struct buffer *out, const struct audit_entry *entry,
                          const struct audit_key *key, struct audit_link *link)
{
    char memory[AUDIT_LINE_MAX], hash[AUDIT_HASH_LEN];
    struct buffer line = BUFFER_OVER(memory, sizeof memory);
    print_event(&line, entry);
    buffer_printf(&line, SEQ "%llu" PREV, (unsigned long long)link->seq + 1);
    buffer_append(&line, slice_make(link->hash, AUDIT_HASH_LEN));
    buffer_byte(&line, '"');
    invariant(!line.failed);
    TRY(audit_key_seal(key, buffer_slice(&line), hash));
    buffer_append(&line, slice_from(SLICE(HASH), 1));
    buffer_append(&line, slice_make(hash, sizeof hash));
    buffer_append(&line, SLICE(END "\n"));
    invariant(!line.failed);
    if (line.len > out->max - out->len)
        return ERR_LIMIT;
    buffer_append(out, buffer_slice(&line));
    if (out->failed)
        return out->failed;
    link->seq++;
    memcpy(link->hash, hash, sizeof hash);
    return OK;
}

/* Takes `tail` off the end of `*s`. */
static bool cut_end(struct slice *s, struct slice tail)
{
    if (!slice_ends(*s, tail))
        return false;
    *s = slice_to(*s, s->len - tail.len);
    return true;
}

static bool cut_hash(struct slice *s, struct slice *hash)
{
    if (s->len < AUDIT_HASH_LEN)
        return false;
    *hash = slice_from(*s, s->len - AUDIT_HASH_LEN);
    *s = slice_to(*s, s->len - AUDIT_HASH_LEN);
    return true;
}

/* From the end, where all has its fixed length but for the number. The text before it, whose bytes
 * others chose, is not looked at: the hash answers for it. */
enum err audit_line_parse(struct slice line, struct audit_parts *parts)
{
    struct slice s = line;
    if (!slice_starts(s, SLICE("{\"timestamp\":\"")) || !cut_end(&s, SLICE(END)) ||
        !cut_hash(&s, &parts->hash) || !cut_end(&s, SLICE(HASH)))
        return ERR_SYNTAX;
    parts->sealed = slice_to(line, s.len + 1);
    if (!cut_hash(&s, &parts->prev) || !cut_end(&s, SLICE(PREV)))
        return ERR_SYNTAX;
    size_t at = s.len;
    while (at > 0 && s.ptr[at - 1] >= '0' && s.ptr[at - 1] <= '9')
        at--;
    struct slice number = slice_from(s, at);
    s = slice_to(s, at);
    if (!cut_end(&s, SLICE(SEQ)) || !slice_number(number, INT64_MAX, &parts->seq) ||
        parts->seq == 0)
        return ERR_SYNTAX;
    return OK;
}

/* Takes `mark` and what follows up to a quotation mark off the start of `*s`. */
static bool cut_word(struct slice *s, struct slice mark, struct slice *word)
{
    if (!slice_starts(*s, mark))
        return false;
    *s = slice_from(*s, mark.len);
    *word = slice_to(*s, slice_find(*s, '"'));
    *s = slice_from(*s, word->len);
    return s->len > 0;
}

/* The length of the JSON string that `s` begins with (RFC 8259, section 7); 0: it has no end. */
static size_t string_length(struct slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"')
            return i + 1;
        i += s.ptr[i] == '\\';
    }
    return 0;
}

enum err audit_line_front(struct slice line, struct audit_front *front)
{
    static const struct slice before_actor = SLICE("\",\"actor\":");
    struct slice s = line, level;
    if (!cut_word(&s, SLICE("{\"timestamp\":\""), &front->timestamp) ||
        !cut_word(&s, SLICE("\",\"level\":\""), &level) ||
        !cut_word(&s, SLICE("\",\"event\":\""), &front->event) || !slice_starts(s, before_actor))
        return ERR_SYNTAX;
    s = slice_from(s, before_actor.len);
    front->actor = slice_to(s, string_length(s));
    s = slice_from(s, front->actor.len);
    return front->actor.len && cut_word(&s, SLICE(",\"ip\":\""), &front->ip) ? OK : ERR_SYNTAX;
}
