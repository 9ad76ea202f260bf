/* Called by audit.c of this room. Its one hard problem is that a record holds what strangers chose:
 * JSON keeps it escaped, but a table on a terminal shows it plain, so control characters are
 * replaced there. Nothing is proved here; that is what `audit verify` is for. */
#include "cli/audit_show.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "record/audit_line.h"

/* The last records that fit, the newest first. */
struct shown {
    char **lines;
    uint64_t count, limit, strangers;
    bool starved;
};

/* A line that somebody else put there may look like a record and be no JSON. */
static bool is_json(struct slice line)
{
    json_t *object = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    json_decref(object);
    return object != NULL;
}

static bool take(void *context, struct slice line)
{
    struct shown *shown = context;
    if (shown->count == shown->limit)
        return false;
    if (!is_json(line)) {
        shown->strangers++;
        return true;
    }
    char *copy = strndup(line.ptr, line.len); /* JSON has no NUL byte */
    shown->starved |= !copy;
    if (copy)
        shown->lines[shown->count++] = copy;
    return !shown->starved;
}

/* Terminals obey control characters, those of U+0080 to U+009F too. */
static void print_plain(struct buffer *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        unsigned char next = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
        bool high = c == 0xc2 && next >= 0x80 && next < 0xa0;
        buffer_byte(out, c < 0x20 || c == 0x7f || high ? '?' : (char)c);
        i += high;
    }
}

static void print_member(struct buffer *out, const json_t *object, const char *member, int width)
{
    char memory[2 * AUDIT_LINE_MAX];
    const json_t *value = json_object_get(object, member);
    struct buffer cell = BUFFER_OVER(memory, sizeof memory - 1);
    if (json_is_string(value))
        print_plain(&cell, slice_make(json_string_value(value), json_string_length(value)));
    else if (json_is_integer(value))
        buffer_number(&cell, (uint64_t)json_integer_value(value));
    if (cell.len == 0)
        buffer_byte(&cell, '-');
    buffer_append(out, buffer_slice(&cell));
    for (int used = (int)cell.len; used < width; used++)
        buffer_byte(out, ' ');
    buffer_byte(out, ' ');
}

// clang-format off
static const struct {
    const char *title, *member;
    int width;
} columns[] = {
    {"SEQ",    "seq",       7 },
    {"TIME",   "timestamp", 24},
    {"EVENT",  "event",     13},
    {"ACTOR",  "actor",     16},
    {"IP",     "ip",        15},
    {"STATUS", "status",    6 },
    {"COUNT",  "count",     5 },
    {"METHOD", "method",    7 },
    {"PATH",   "path",      24},
    {"REASON", "reason",    0 },
};
// clang-format on

static void print_row(struct buffer *out, const char *line)
{
    json_t *object = line ? json_loads(line, JSON_ALLOW_NUL, NULL) : NULL;
    for (unsigned i = 0; i < COUNT_OF(columns); i++) {
        if (line)
            print_member(out, object, columns[i].member, columns[i].width);
        else
            buffer_printf(out, "%-*s ", columns[i].width, columns[i].title);
    }
    while (out->len && out->bytes[out->len - 1] == ' ')
        out->len--;
    buffer_byte(out, '\n');
    json_decref(object);
}

static bool put(FILE *out, struct buffer *text)
{
    bool good = !text->failed && fwrite(text->bytes, 1, text->len, out) == text->len;
    buffer_clear(text);
    return good;
}

/* Line by line, so that a long list needs no memory of its length twice. */
static bool print_all(const struct shown *shown, bool json, FILE *out)
{
    AUTO(buffer) text = BUFFER_MAX(16 * AUDIT_LINE_MAX);
    if (json)
        buffer_byte(&text, '[');
    else
        print_row(&text, NULL);
    bool good = true;
    for (uint64_t i = shown->count; good && i--;) {
        const char *line = shown->lines[i];
        if (json)
            buffer_printf(&text, "%s%s", i + 1 < shown->count ? ",\n" : "", line);
        else
            print_row(&text, line);
        good = put(out, &text);
    }
    if (json)
        buffer_text(&text, "]\n");
    return good && put(out, &text) && fflush(out) == 0;
}

static int find(const struct audit_wish *wish, char *const *paths, unsigned count,
                struct shown *shown)
{
    struct audit_search search = {.filter = wish->filter, .take = take, .context = shown};
    unsigned failed = 0;
    enum err err = audit_search(&search, paths, count, &failed);
    if (err != OK)
        fprintf(stderr, "sallyport audit: %s: %s\n", paths[failed],
                err == ERR_IO ? strerror(errno) : err_name(err));
    else if (shown->starved)
        fputs("sallyport audit: out of memory\n", stderr);
    uint64_t strangers = search.strangers + shown->strangers;
    if (strangers)
        fprintf(stderr,
                "sallyport audit: %llu lines are no records; see `sallyport audit verify`\n",
                (unsigned long long)strangers);
    return err == OK && !shown->starved ? 0 : 1;
}

int audit_show(const struct audit_wish *wish, char *const *paths, unsigned count, FILE *out)
{
    struct shown shown = {.limit = wish->limit};
    shown.lines = calloc(shown.limit, sizeof *shown.lines);
    int status = shown.lines ? find(wish, paths, count, &shown) : 1;
    if (shown.lines && !print_all(&shown, wish->json, out))
        status = 1;
    for (uint64_t i = 0; i < shown.count; i++)
        free(shown.lines[i]);
    free(shown.lines);
    return status;
}
