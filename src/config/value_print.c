/* From fields to text: what `check --effective`, the reference page and error messages show.
 * Secrets leave as a mask whatever asks. */
#include <inttypes.h>

#include "config/settings.h"
#include "config/value.h"

struct unit_name {
    uint64_t worth;
    const char *word;
};

// clang-format off
static const struct unit_name sizes[] = {{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "KB"}, {1, ""}};
static const struct unit_name durations[] = {
    {3600000000, "h"}, {60000000, "m"}, {1000000, "s"}, {1000, "ms"}, {1, "us"}};
static const struct unit_name periods[] = {
    {86400000000, "day"}, {3600000000, "hour"}, {60000000, "minute"}, {1000000, "second"}};
// clang-format on

/* The largest unit that divides the number; the last one divides all. */
static const struct unit_name *unit_of(const struct unit_name *units, uint64_t number)
{
    while (number % units->worth)
        units++;
    return units;
}

void value_print_number(enum option_type type, uint64_t number, struct buffer *out)
{
    const struct unit_name *unit = type == OPTION_SIZE && number       ? unit_of(sizes, number)
                                   : type == OPTION_DURATION && number ? unit_of(durations, number)
                                                                       : NULL;
    buffer_number(out, unit ? number / unit->worth : number);
    buffer_text(out, unit ? unit->word : type == OPTION_DURATION ? "s" : "");
}

static void print_text(const char *text, struct buffer *out)
{
    if (text)
        buffer_json_string(out, slice_of(text));
    else
        buffer_text(out, "null");
}

static void print_quantity(const struct option *option, uint64_t number, struct buffer *out)
{
    buffer_byte(out, '"');
    value_print_number(option->type, number, out);
    buffer_byte(out, '"');
}

static void print_rate(const struct rate *rate, struct buffer *out)
{
    const char *period = "";
    for (unsigned i = 0; i < COUNT_OF(periods); i++)
        if (rate->period_us == periods[i].worth)
            period = periods[i].word;
    buffer_printf(out, "\"%" PRIu64 "/%s\"", rate->requests, period);
}

static void print_choice(const struct option *option, const void *at, struct buffer *out)
{
    int value = option->size == sizeof(bool) ? *(const bool *)at : *(const int *)at;
    for (const struct choice *choice = option->choices; choice->word; choice++)
        if (choice->value == value) {
            print_text(choice->word, out);
            return;
        }
    buffer_text(out, "null");
}

static void print_texts(const struct text_list *list, struct buffer *out)
{
    buffer_byte(out, '[');
    for (unsigned i = 0; i < list->count; i++) {
        buffer_text(out, i ? ", " : "");
        print_text(list->items[i], out);
    }
    buffer_byte(out, ']');
}

static void print_cidrs(const struct cidr_list *list, struct buffer *out)
{
    buffer_byte(out, '[');
    for (unsigned i = 0; i < list->count; i++) {
        buffer_text(out, i ? ", \"" : "\"");
        address_print(out, &list->items[i].network);
        if (list->items[i].network.family != ADDRESS_UNIX)
            buffer_printf(out, "/%u", list->items[i].bits);
        buffer_byte(out, '"');
    }
    buffer_byte(out, ']');
}

/* Nothing of the list when its tables are printed one by one. */
static void print_access(const struct settings *settings, struct buffer *out)
{
    buffer_text(out, settings->log.access_count > 1 ? "[" : "");
    for (unsigned i = 0; i < settings->log.access_count; i++) {
        buffer_text(out, i ? ", " : "");
        print_text(settings->log.access[i].path, out);
    }
    if (settings->log.access_count != 1)
        buffer_text(out, settings->log.access_count ? "]" : "\"\"");
}

void value_print(const struct option *option, const void *object, struct buffer *out)
{
    const void *at = (const char *)object + option->offset;
    if (option->type == OPTION_CIDR_LIST) {
        print_cidrs(at, out);
        return;
    }
    if (option_is_list(option)) {
        print_texts(at, out);
        return;
    }
    switch (option->type) {
    case OPTION_BOOL:
        buffer_text(out, *(const bool *)at ? "true" : "false");
        return;
    case OPTION_INTEGER:
        buffer_number(out, *(const uint64_t *)at);
        return;
    case OPTION_SIZE:
    case OPTION_DURATION:
        print_quantity(option, *(const uint64_t *)at, out);
        return;
    case OPTION_RATE:
        print_rate(at, out);
        return;
    case OPTION_CHOICE:
        print_choice(option, at, out);
        return;
    case OPTION_TEXT:
    case OPTION_PATH:
    case OPTION_URL:
    case OPTION_DATABASE:
        print_text(*(char *const *)at, out);
        return;
    case OPTION_ACCESS:
        print_access(object, out);
        return;
    case OPTION_SECRET:
        buffer_text(out, secret_empty(at) ? "null" : SECRET_MASK);
        return;
    default:
        break;
    }
    invariant(!"a type of option");
}

// clang-format off
static const struct {
    const char *what, *example;
} expectations[OPTION_TYPES] = {
    [OPTION_BOOL] = {"true or false", ""},
    [OPTION_INTEGER] = {"a whole number", ""},
    [OPTION_SIZE] = {"a size", ", such as \"10MB\" or a number of bytes"},
    [OPTION_DURATION] = {"a time",
                         ", with its unit, such as \"500ms\", \"30s\", \"15m\" or \"24h\""},
    [OPTION_RATE] = {"a rate such as \"60/minute\" (per second, minute, hour or day)", ""},
    [OPTION_CHOICE] = {"one of ", ""},
    [OPTION_TEXT] = {"a text", ""},
    [OPTION_PATH] = {"a path", ""},
    [OPTION_URL] =
        {"a URL such as \"http://127.0.0.1:11434\", \"https://host/base\" or \"unix:/path\"", ""},
    [OPTION_TEXT_LIST] = {"a list of texts", ""},
    [OPTION_PATTERNS] = {"a list of paths such as [\"/v1/models\", \"/v1/chat/*\"]", ""},
    [OPTION_LISTEN] = {"a list of addresses such as [\"127.0.0.1:8080\"]", ""},
    [OPTION_PATH_LIST] = {"a path, or a list of paths", ""},
    [OPTION_ORIGINS] = {"a list of origins such as [\"https://chat.example.org\"]", ""},
    [OPTION_HOSTS] = {"a list of hosts such as [\"llm.example.org\", \"*.example.org\"]", ""},
    [OPTION_METHODS] = {"a list of methods such as [\"POST\", \"GET\"]", ""},
    [OPTION_FIELDS] = {"a list of header fields such as [\"Authorization\"]", ""},
    [OPTION_CIDR_LIST] = {"a list of addresses or ranges such as [\"10.0.0.0/8\", \"::1\"]", ""},
    [OPTION_DATABASE] = {"a database such as \"sqlite:sallyport-data/sallyport.db\"", ""},
    [OPTION_ACCESS] = {"a path, or tables [[log.access]]", ""},
    [OPTION_SECRET] = {"a text", ""},
};
// clang-format on

void value_print_expected(const struct option *option, struct buffer *out)
{
    buffer_text(out, expectations[option->type].what);
    if (option->type == OPTION_CHOICE)
        for (const struct choice *choice = option->choices; choice->word; choice++)
            buffer_printf(out, "%s\"%s\"", choice == option->choices ? "" : ", ", choice->word);
    if (option->max) {
        buffer_text(out, " from ");
        value_print_number(option->type, option->min, out);
        buffer_text(out, " to ");
        value_print_number(option->type, option->max, out);
    }
    buffer_text(out, expectations[option->type].example);
}
