/* From text to fields, one small reader per type of option (option.h). Called while the
 * configuration is loaded, for every source. Its one hard problem: values of secrets must not
 * appear in what is said about them, so readers explain what was expected and never repeat a value.
 */
#include "config/value.h"

#include <stdio.h>

#include "base/utf8.h"
#include "config/settings.h"

enum { LIST_MAX = 1000 };

static void *field(const struct assignment *a)
{
    return (char *)a->object + a->option->offset;
}

static enum err explain(struct assignment *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    return ERR_SYNTAX;
}

static enum err copy(struct assignment *a, struct slice text, char **out)
{
    struct slice copied = arena_copy(a->arena, text);
    if (!copied.ptr)
        return ERR_MEMORY;
    *out = (char *)copied.ptr;
    return OK;
}

static enum err parse_bool(struct assignment *a, struct slice text)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"true",  true },
        {"1",     true },
        {"yes",   true },
        {"on",    true },
        {"false", false},
        {"0",     false},
        {"no",    false},
        {"off",   false}
    };
    for (unsigned i = 0; i < COUNT_OF(words); i++) {
        if (slice_equal_nocase(text, slice_of(words[i].word))) {
            *(bool *)field(a) = words[i].value;
            return OK;
        }
    }
    return ERR_SYNTAX;
}

static enum err store_number(struct assignment *a, uint64_t number)
{
    if (number < a->option->min || number > a->option->max)
        return ERR_RANGE;
    *(uint64_t *)field(a) = number;
    return OK;
}

static enum err parse_integer(struct assignment *a, struct slice text)
{
    uint64_t number;
    if (!slice_number(text, UINT64_MAX, &number))
        return ERR_SYNTAX;
    return store_number(a, number);
}

struct unit {
    const char *word;
    uint64_t worth;
};

static const struct unit size_units[] = {
    {"",    1      },
    {"B",   1      },
    {"KB",  1 << 10},
    {"MB",  1 << 20},
    {"GB",  1 << 30},
    {"K",   1 << 10},
    {"M",   1 << 20},
    {"G",   1 << 30},
    {"KiB", 1 << 10},
    {"MiB", 1 << 20},
    {"GiB", 1 << 30},
};
static const struct unit duration_units[] = {
    {"ms",  1000       },
    {"s",   1000000    },
    {"m",   60000000   },
    {"min", 60000000   },
    {"h",   3600000000 },
    {"d",   86400000000},
};

/* Digits, then one of the units; `bare` is what a number without a unit counts in. */
static enum err parse_quantity(struct slice text, const struct unit *units, unsigned count,
                               uint64_t bare, uint64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    struct slice word = slice_trim(slice_from(text, digits));
    for (unsigned i = 0; i < count; i++) {
        if (!slice_equal_nocase(word, slice_of(units[i].word)))
            continue;
        uint64_t worth = word.len == 0 && bare ? bare : units[i].worth;
        uint64_t number;
        if (!slice_number(slice_to(text, digits), UINT64_MAX / worth, &number))
            return ERR_SYNTAX;
        *out = number * worth;
        return OK;
    }
    return ERR_SYNTAX;
}

static enum err parse_size(struct assignment *a, struct slice text)
{
    uint64_t bytes;
    TRY(parse_quantity(text, size_units, COUNT_OF(size_units), a->unit, &bytes));
    return store_number(a, bytes);
}

static enum err parse_duration(struct assignment *a, struct slice text)
{
    uint64_t us;
    TRY(parse_quantity(text, duration_units, COUNT_OF(duration_units), 0, &us));
    return store_number(a, us);
}

static enum err parse_rate(struct assignment *a, struct slice text)
{
    struct rate parsed;
    TRY(rate_parse(text, &parsed));
    /* The burst has an option of its own and may have been set already. */
    struct rate *rate = field(a);
    rate->requests = parsed.requests;
    rate->period_us = parsed.period_us;
    return OK;
}

static enum err parse_choice(struct assignment *a, struct slice text)
{
    for (const struct choice *choice = a->option->choices; choice->word; choice++) {
        if (!slice_equal_nocase(text, slice_of(choice->word)))
            continue;
        if (a->option->size == sizeof(bool))
            *(bool *)field(a) = choice->value != 0;
        else
            *(int *)field(a) = choice->value;
        return OK;
    }
    return ERR_RANGE;
}

static enum err parse_text(struct assignment *a, struct slice text)
{
    if (text.len == 0)
        return explain(a, "it is empty; leave it out instead");
    return copy(a, text, field(a));
}

enum err path_resolve(struct assignment *a, struct slice text, char **path)
{
    if (text.len == 0) {
        *path = NULL;
        return OK;
    }
    if (!a->directory || text.ptr[0] == '/' || slice_equal(text, SLICE("-")))
        return copy(a, text, path);
    AUTO(buffer) joined = BUFFER_MAX(64 * 1024);
    buffer_printf(&joined, "%s/", a->directory);
    buffer_append(&joined, text);
    if (joined.failed)
        return joined.failed == ERR_MEMORY ? ERR_MEMORY : explain(a, "the path is too long");
    return copy(a, buffer_slice(&joined), path);
}

static enum err parse_path(struct assignment *a, struct slice text)
{
    return path_resolve(a, text, field(a));
}

static enum err parse_url(struct assignment *a, struct slice text)
{
    struct upstream_settings *upstream = a->object;
    if (slice_equal(text, SLICE("demo:"))) {
        upstream->url = (struct url){0};
        return copy(a, text, &upstream->url_text);
    }
    char *kept;
    if (slice_find(text, '@') < text.len)
        return explain(a, "a URL carries no name and password here; give the key as api_key");
    TRY(copy(a, text, &kept));
    struct url url = {0};
    if (url_parse(slice_make(kept, text.len), &url) != OK)
        return ERR_SYNTAX;
    upstream->url_text = kept;
    upstream->url = url;
    return OK;
}

static enum err parse_secret(struct assignment *a, struct slice text)
{
    if (text.len == 0)
        return explain(a, "it is empty; leave it out instead");
    struct secret *secret = field(a);
    secret_finish(secret);
    return secret_set(secret, text);
}

static enum err parse_access(struct assignment *a, struct slice text)
{
    struct settings *settings = a->object;
    settings->log.access_count = 0;
    if (text.len == 0)
        return OK;
    if (!settings->log.access)
        settings->log.access =
            arena_alloc(a->arena, ACCESS_LOGS_MAX * sizeof *settings->log.access);
    if (!settings->log.access)
        return ERR_MEMORY;
    TRY(path_resolve(a, text, &settings->log.access->path));
    settings->log.access_count = 1;
    return OK;
}

/* Both kinds of list begin alike; room doubles, because an arena takes nothing back. */
static enum err grow(struct assignment *a, void **items, unsigned count, size_t item_size)
{
    if (count >= LIST_MAX)
        return explain(a, "the list is too long: 1000 items are allowed");
    bool full = (count & (count - 1)) == 0 && !(count == 0 && *items);
    if (!full)
        return OK;
    void *larger = arena_alloc(a->arena, (count ? 2 * (size_t)count : 1) * item_size);
    if (!larger)
        return ERR_MEMORY;
    if (count)
        memcpy(larger, *items, count * item_size);
    *items = larger;
    return OK;
}

static enum err check_pattern(struct assignment *a, struct slice item)
{
    if (slice_equal(item, SLICE("default")) && !strcmp(a->option->path, "endpoints.allow"))
        return OK; /* llm/endpoint.c: the safe list */
    if (item.len == 0 || item.ptr[0] != '/')
        return explain(a, "a path begins with '/'");
    size_t star = slice_find(item, '*');
    if (star + 1 < item.len)
        return explain(a, "'*' stands at the end of a path only");
    return OK;
}

/* An item of a list of paths. */
static enum err path_parse(struct assignment *a, struct slice item, struct slice *out)
{
    char *path = NULL;
    TRY(path_resolve(a, item, &path));
    *out = slice_of(path);
    return OK;
}

static enum err (*const item_parsers[OPTION_TYPES])(struct assignment *, struct slice,
                                                    struct slice *) = {
    [OPTION_LISTEN] = listen_parse,     [OPTION_ORIGINS] = origin_parse,
    [OPTION_HOSTS] = host_parse,        [OPTION_METHODS] = method_parse,
    [OPTION_FIELDS] = field_name_parse, [OPTION_PATH_LIST] = path_parse,
};

static enum err append_text(struct assignment *a, struct slice item)
{
    struct text_list *list = field(a);
    if (item.len == 0)
        return explain(a, "an item of the list is empty");
    if (a->option->type == OPTION_PATTERNS)
        TRY(check_pattern(a, item));
    if (item_parsers[a->option->type])
        TRY(item_parsers[a->option->type](a, item, &item));
    for (unsigned i = 0; i < list->count; i++)
        if (slice_equal(slice_of(list->items[i]), item) && !slice_ends(item, SLICE(":0")))
            return explain(a, "the same item is there twice");
    TRY(grow(a, (void **)&list->items, list->count, sizeof *list->items));
    TRY(copy(a, item, &list->items[list->count]));
    list->count++;
    return OK;
}

static enum err append_cidr(struct assignment *a, struct slice item)
{
    struct cidr_list *list = field(a);
    struct cidr cidr = {.network.family = ADDRESS_UNIX};
    struct slice ranges = slice_of(range_word(item));
    while (ranges.len)
        TRY(append_cidr(a, slice_trim(slice_cut(&ranges, ','))));
    if (range_word(item))
        return OK;
    if (!slice_equal(item, SLICE("unix")))
        TRY(cidr_parse(item, &cidr));
    TRY(grow(a, (void **)&list->items, list->count, sizeof *list->items));
    list->items[list->count++] = cidr;
    return OK;
}

/* No option has a use for control bytes, and in a key or a path they are an attack on headers, logs
 * and terminals. */
static enum err check_bytes(struct assignment *a, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return explain(a, "it holds a control character");
    if (!utf8_valid(text))
        return explain(a, "it is not valid UTF-8");
    return OK;
}

enum err value_append(struct assignment *a, struct slice item)
{
    TRY(check_bytes(a, item));
    return a->option->type == OPTION_CIDR_LIST ? append_cidr(a, item) : append_text(a, item);
}

void value_clear(const struct assignment *a)
{
    if (a->option->type == OPTION_CIDR_LIST)
        ((struct cidr_list *)field(a))->count = 0;
    else
        ((struct text_list *)field(a))->count = 0;
}

static enum err parse_list(struct assignment *a, struct slice text)
{
    value_clear(a);
    if (a->option->type == OPTION_LISTEN && text.len == 0)
        return explain(a, "at least one address is needed");
    while (text.len)
        TRY(value_append(a, slice_trim(slice_cut(&text, ','))));
    return OK;
}

static enum err (*const parsers[OPTION_TYPES])(struct assignment *, struct slice) = {
    [OPTION_BOOL] = parse_bool,         [OPTION_INTEGER] = parse_integer,
    [OPTION_SIZE] = parse_size,         [OPTION_DURATION] = parse_duration,
    [OPTION_RATE] = parse_rate,         [OPTION_CHOICE] = parse_choice,
    [OPTION_TEXT] = parse_text,         [OPTION_PATH] = parse_path,
    [OPTION_URL] = parse_url,           [OPTION_TEXT_LIST] = parse_list,
    [OPTION_PATTERNS] = parse_list,     [OPTION_LISTEN] = parse_list,
    [OPTION_ORIGINS] = parse_list,      [OPTION_HOSTS] = parse_list,
    [OPTION_METHODS] = parse_list,      [OPTION_FIELDS] = parse_list,
    [OPTION_PATH_LIST] = parse_list,    [OPTION_CIDR_LIST] = parse_list,
    [OPTION_DATABASE] = database_parse, [OPTION_ACCESS] = parse_access,
    [OPTION_SECRET] = parse_secret,
};

enum err value_parse(struct assignment *a, struct slice text)
{
    TRY(check_bytes(a, text));
    return parsers[a->option->type](a, text);
}
