/* What `check` prints: each effective value with its origin, and the reference page. */
#include "config/load.h"
#include "config/value.h"

/* A path without its section: what stands behind the last dot. */
static const char *key_of(const struct option *option)
{
    return strrchr(option->path, '.') + 1;
}

static size_t section_length(const struct option *option)
{
    return (size_t)(key_of(option) - option->path - 1);
}

/* log.access is printed as tables when it was given as tables. */
static bool shown(const struct option *option, enum option_home home,
                  const struct settings *settings)
{
    return option->home == home && !(option->type == OPTION_ACCESS && settings->origins->access[0]);
}

struct page {
    const struct settings *settings;
    struct buffer *out;
};

/* --- for people
 * ------------------------------------------------------------------------------------ */

static void print_line(const struct option *option, const void *base, const char *from,
                       struct buffer *out)
{
    AUTO(buffer) value = BUFFER_MAX(1024 * 1024);
    value_print(option, base, &value);
    size_t start = out->len;
    bool unset = slice_equal(buffer_slice(&value), SLICE("null"));
    if (unset)
        buffer_printf(out, "# %s", key_of(option));
    else
        buffer_printf(out, "%s = %s", key_of(option), buffer_text_of(&value));
    do
        buffer_byte(out, ' ');
    while (!out->failed && out->len < start + 48);
    buffer_printf(out, "# %s\n", unset ? "not set" : from ? from : "default");
}

static void print_text_block(struct page *page, enum option_home home, const void *base,
                             const char **origins)
{
    const struct option *previous = NULL;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (!shown(option, home, page->settings))
            continue;
        size_t len = section_length(option);
        if (!previous || section_length(previous) != len ||
            strncmp(previous->path, option->path, len) != 0)
            buffer_printf(page->out, home == OF_SETTINGS ? "\n[%.*s]\n" : "\n[[%.*s]]\n", (int)len,
                          option->path);
        print_line(option, base, origins[i], page->out);
        previous = option;
    }
}

static void print_text(const struct settings *settings, struct buffer *out)
{
    struct page page = {settings, out};
    buffer_printf(out, "# %s\n", settings->file ? settings->file : "no configuration file");
    print_text_block(&page, OF_SETTINGS, settings, settings->origins->settings);
    for (unsigned i = 0; i < settings->log.access_count && settings->origins->access[i]; i++)
        print_text_block(&page, OF_ACCESS_LOG, &settings->log.access[i],
                         settings->origins->access[i]);
    for (unsigned i = 0; i < settings->limits.route_count; i++)
        print_text_block(&page, OF_LIMIT_ROUTE, &settings->limits.routes[i],
                         settings->origins->routes[i]);
    for (unsigned i = 0; i < settings->upstream_count; i++)
        print_text_block(&page, OF_UPSTREAM, &settings->upstreams[i],
                         settings->origins->upstreams[i]);
}

/* --- for programs
 * ---------------------------------------------------------------------------------- */

static void print_json_block(struct page *page, enum option_home home, unsigned index,
                             const void *base, const char **origins)
{
    bool first = true;
    struct buffer *out = page->out;
    if (home != OF_SETTINGS)
        buffer_printf(out, "%s{", index ? "," : "");
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (!shown(option, home, page->settings))
            continue;
        buffer_printf(out, "%s\"%s\":{\"value\":", first ? "" : ",",
                      home == OF_SETTINGS ? option->path : key_of(option));
        value_print(option, base, out);
        buffer_text(out, ",\"origin\":");
        buffer_json_string(out, slice_of(origins[i] ? origins[i] : "default"));
        buffer_byte(out, '}');
        first = false;
    }
    if (home != OF_SETTINGS)
        buffer_byte(out, '}');
}

static void print_json(const struct settings *settings, struct buffer *out)
{
    struct page page = {.settings = settings, .out = out};
    buffer_text(out, "{\"file\":");
    if (settings->file)
        buffer_json_string(out, slice_of(settings->file));
    else
        buffer_text(out, "null");
    buffer_text(out, ",\"options\":{");
    print_json_block(&page, OF_SETTINGS, 0, settings, settings->origins->settings);
    buffer_text(out, "},\"access_logs\":[");
    for (unsigned i = 0; i < settings->log.access_count && settings->origins->access[i]; i++)
        print_json_block(&page, OF_ACCESS_LOG, i, &settings->log.access[i],
                         settings->origins->access[i]);
    buffer_text(out, "],\"limit_routes\":[");
    for (unsigned i = 0; i < settings->limits.route_count; i++)
        print_json_block(&page, OF_LIMIT_ROUTE, i, &settings->limits.routes[i],
                         settings->origins->routes[i]);
    buffer_text(out, "],\"upstreams\":[");
    for (unsigned i = 0; i < settings->upstream_count; i++)
        print_json_block(&page, OF_UPSTREAM, i, &settings->upstreams[i],
                         settings->origins->upstreams[i]);
    buffer_text(out, "]}\n");
}

void config_print_effective(const struct settings *settings, bool json, struct buffer *out)
{
    if (json)
        print_json(settings, out);
    else
        print_text(settings, out);
}

/* --- the reference page
 * ----------------------------------------------------------------------------- */

static const char *const type_names[OPTION_TYPES] = {
    [OPTION_BOOL] = "true or false",
    [OPTION_INTEGER] = "number",
    [OPTION_SIZE] = "size",
    [OPTION_DURATION] = "time",
    [OPTION_RATE] = "rate",
    [OPTION_CHOICE] = "word",
    [OPTION_TEXT] = "text",
    [OPTION_PATH] = "path",
    [OPTION_URL] = "URL",
    [OPTION_TEXT_LIST] = "list of texts",
    [OPTION_PATTERNS] = "list of paths",
    [OPTION_LISTEN] = "list of addresses",
    [OPTION_PATH_LIST] = "path, or list of paths",
    [OPTION_ORIGINS] = "list of origins",
    [OPTION_HOSTS] = "list of hosts",
    [OPTION_METHODS] = "list of methods",
    [OPTION_FIELDS] = "list of header fields",
    [OPTION_CIDR_LIST] = "list of ranges",
    [OPTION_DATABASE] = "database URL",
    [OPTION_ACCESS] = "path",
    [OPTION_SECRET] = "secret",
};

static void print_default(const struct option *option, struct buffer *out)
{
    buffer_printf(out, " | ");
    if (option->standard)
        buffer_printf(out, "`%s`", option->standard);
    if (option->agents)
        buffer_printf(out, " (agents: `%s`)", option->agents);
}

static void print_range(const struct option *option, struct buffer *out)
{
    buffer_text(out, " | ");
    for (const struct choice *choice = option->choices; choice && choice->word; choice++)
        buffer_printf(out, "%s`%s`", choice == option->choices ? "" : " ", choice->word);
    if (!option->max)
        return;
    value_print_number(option->type, option->min, out);
    buffer_text(out, " to ");
    value_print_number(option->type, option->max, out);
}

static void print_names(const struct option *option, struct buffer *out)
{
    char own[OPTION_NAME_MAX];
    bool any = option_own_name(option, own);
    buffer_text(out, " | ");
    if (any)
        buffer_printf(out, "`%s`", own);
    if (any && option->type == OPTION_SECRET)
        buffer_printf(out, " `%s_FILE`", own);
    for (unsigned i = 0; i < OPTION_NAMES_MAX && option->names[i].name; i++)
        buffer_printf(out, " `%s`", option->names[i].name);
}

static void print_heading(const struct option *option, struct buffer *out)
{
    const char *before = option->home == OF_SETTINGS ? "[" : "[[";
    const char *after = option->home == OF_SETTINGS ? "]" : "]]";
    buffer_printf(out, "\n## `%s%.*s%s`\n\n", before, (int)section_length(option), option->path,
                  after);
    buffer_text(out, "| option | type | default | allowed | environment | while running | |\n"
                     "|---|---|---|---|---|---|---|\n");
}

void config_print_reference(struct buffer *out)
{
    buffer_text(out,
                "# Options\n\nDrawn from the option table by `sallyport check --reference`.\n");
    const struct option *previous = NULL;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (!previous || section_length(previous) != section_length(option) ||
            strncmp(previous->path, option->path, section_length(option)) != 0)
            print_heading(option, out);
        buffer_printf(out, "| `%s` | %s", key_of(option), type_names[option->type]);
        print_default(option, out);
        print_range(option, out);
        print_names(option, out);
        buffer_printf(out, " | %s | %s |\n", option->fixed ? "fixed" : "changes", option->help);
        previous = option;
    }
}

/* --- what a reload cannot change
 * --------------------------------------------------------------------- */

void config_print_fixed_changes(const struct settings *running, const struct settings *wanted,
                                struct buffer *out)
{
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (!option->fixed || option->home != OF_SETTINGS)
            continue;
        AUTO(buffer) before = BUFFER_MAX(1024 * 1024);
        AUTO(buffer) after = BUFFER_MAX(1024 * 1024);
        value_print(option, running, &before);
        value_print(option, wanted, &after);
        if (!slice_equal(buffer_slice(&before), buffer_slice(&after)))
            buffer_printf(out, "%s%s", out->len ? ", " : "", option->path);
    }
}
