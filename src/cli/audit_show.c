/* Called by audit.c of this room. Its one hard problem is that a record holds what strangers chose:
 * JSON keeps it escaped, but a table on a terminal shows it plain, so control characters are
 * replaced there. Nothing is proved here; that is what `audit verify` is for. */
#include "cli/audit_show.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "record/audit_line.h"

/* The last lines that fit: a ring of `limit` copies. */
struct shown {
    char **lines;
    uint64_t count; /* ever; the ring holds the last `limit` */
    uint64_t limit, strangers;
};

static bool text_fits(const json_t *object, const char *member, const char *wanted)
{
    const json_t *value = json_object_get(object, member);
    return !wanted || (json_is_string(value) &&
                       slice_equal(slice_make(json_string_value(value), json_string_length(value)),
                                   slice_of(wanted)));
}

static bool fits(const struct audit_filter *filter, const json_t *object)
{
    uint64_t epoch_s = 0;
    const char *timestamp = json_string_value(json_object_get(object, "timestamp"));
    if (filter->since_epoch_s && (clock_parse_rfc3339(slice_of(timestamp), &epoch_s) != OK ||
                                  epoch_s < filter->since_epoch_s))
        return false;
    return text_fits(object, "event", filter->event) && text_fits(object, "actor", filter->actor) &&
           text_fits(object, "ip", filter->ip);
}

static bool keep(struct shown *shown, const char *line)
{
    char **place = &shown->lines[shown->count++ % shown->limit];
    free(*place);
    *place = strdup(line);
    return *place != NULL;
}

/* Takes one line; false: no memory. */
static bool take(struct shown *shown, const struct audit_filter *filter, char *line, size_t len)
{
    struct audit_parts parts;
    if (len && line[len - 1] == '\n')
        line[--len] = '\0';
    json_t *object = audit_line_parse(slice_make(line, len), &parts) == OK
                         ? json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
                         : NULL;
    bool good = true;
    if (!object)
        shown->strangers++;
    else if (fits(filter, object))
        good = keep(shown, line);
    json_decref(object);
    return good;
}

static int read_file(struct shown *shown, const struct audit_filter *filter, const char *path)
{
    char line[AUDIT_LINE_MAX + 2];
    FILE *file = fopen(path, "re");
    bool good = file != NULL, whole = true;
    while (good && fgets(line, sizeof line, file)) {
        size_t len = strlen(line); /* a NUL is never in a line of ours: what is behind it is lost */
        bool ends = len && line[len - 1] == '\n';
        if (whole)
            good = take(shown, filter, line, len);
        whole = ends;
    }
    if (!good || ferror(file)) {
        fprintf(stderr, "sallyport audit: %s: %s\n", path, strerror(errno));
        good = false;
    }
    if (file)
        fclose(file);
    return good ? 0 : 1;
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
    uint64_t first = shown->count > shown->limit ? shown->count - shown->limit : 0;
    if (json)
        buffer_byte(&text, '[');
    else
        print_row(&text, NULL);
    bool good = true;
    for (uint64_t i = first; good && i < shown->count; i++) {
        const char *line = shown->lines[i % shown->limit];
        if (json)
            buffer_printf(&text, "%s%s", i > first ? ",\n" : "", line);
        else
            print_row(&text, line);
        good = put(out, &text);
    }
    if (json)
        buffer_text(&text, "]\n");
    return good && put(out, &text) && fflush(out) == 0;
}

int audit_show(const struct audit_filter *filter, char *const *paths, unsigned count, FILE *out)
{
    struct shown shown = {.limit = filter->limit};
    shown.lines = calloc(shown.limit, sizeof *shown.lines);
    int status = shown.lines ? 0 : 1;
    for (unsigned i = 0; i < count && shown.lines; i++)
        status |= read_file(&shown, filter, paths[i]);
    if (shown.lines && !print_all(&shown, filter->json, out))
        status = 1;
    if (shown.strangers)
        fprintf(stderr,
                "sallyport audit: %llu lines are no records; see `sallyport audit verify`\n",
                (unsigned long long)shown.strangers);
    for (uint64_t i = 0; i < shown.limit && shown.lines; i++)
        free(shown.lines[i]);
    free(shown.lines);
    return status;
}
