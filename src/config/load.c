/* How a value from any source reaches its field: read, or reported with the place it stands in. */
#include "config/load.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "config/nearest.h"
#include "config/value.h"

enum { SHOWN_BYTES = 80 };

enum err load_origin(struct load *load, const char **origin, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    *origin = arena_copy(&load->settings->arena, slice_of(text)).ptr;
    return *origin ? OK : ERR_MEMORY;
}

/* What was written may be repeated, unless it is a secret or could hold one (a password in a URL).
 */
static bool may_show(const struct option *option, struct slice text)
{
    bool address = option->type == OPTION_URL || option->type == OPTION_DATABASE;
    return option->type != OPTION_SECRET && !(address && slice_find(text, '@') < text.len);
}

static void suggest(const struct option *option, struct slice text, struct buffer *out)
{
    struct nearest nearest = nearest_to(text);
    for (const struct choice *choice = option->choices; choice && choice->word; choice++)
        nearest_try(&nearest, choice->word);
    if (nearest.word)
        buffer_printf(out, "; did you mean \"%s\"?", nearest.word);
}

static void report(struct load *load, const struct option *option, struct slice text,
                   const struct assignment *assignment, const struct source *source)
{
    AUTO(buffer) sentence = BUFFER_MAX(4096);
    if (assignment->why[0]) {
        buffer_text(&sentence, assignment->why);
    } else {
        buffer_text(&sentence, "expected ");
        value_print_expected(option, &sentence);
    }
    if (may_show(option, text)) {
        buffer_text(&sentence, assignment->why[0] ? " (it says " : ", not ");
        buffer_json_string(&sentence,
                           slice_to(text, text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES));
        buffer_text(&sentence, assignment->why[0] ? ")" : "");
        suggest(option, text, &sentence);
    }
    faults_add(load->faults, source->file, source->line, source->option, "%s",
               buffer_text_of(&sentence));
}

static struct assignment assign_to(struct load *load, struct object object,
                                   const struct option *option, const struct source *source)
{
    return (struct assignment){
        .option = option,
        .object = object.base,
        .arena = &load->settings->arena,
        .directory = source->directory,
        .unit = source->unit,
    };
}

static enum err fill_default(struct load *load, struct object object, const struct option *option)
{
    const char *text = option_default(option, load->settings->server.preset == PRESET_AGENTS);
    if (!text)
        return OK;
    struct source nowhere = {0};
    struct assignment assignment = assign_to(load, object, option, &nowhere);
    enum err err = value_parse(&assignment, slice_of(text));
    invariant(err == OK || err == ERR_MEMORY); /* the table's own defaults are well formed */
    return err;
}

enum err load_value(struct load *load, struct object object, const struct option *option,
                    struct slice text, const struct source *source)
{
    struct assignment assignment = assign_to(load, object, option, source);
    object.origins[option_index(option)] = source->origin;
    if (option->type == OPTION_ACCESS)
        memset(load->settings->origins->access, 0, sizeof load->settings->origins->access);
    enum err err = value_parse(&assignment, text);
    if (err == OK || err == ERR_MEMORY)
        return err;
    report(load, option, text, &assignment, source);
    /* The default stands in, so that later rules do not stumble over the same mistake. */
    return fill_default(load, object, option);
}

enum err load_item(struct load *load, struct object object, const struct option *option,
                   struct slice text, bool first, const struct source *source)
{
    struct assignment assignment = assign_to(load, object, option, source);
    object.origins[option_index(option)] = source->origin;
    if (first)
        value_clear(&assignment);
    enum err err = value_append(&assignment, text);
    if (err == OK || err == ERR_MEMORY)
        return err;
    report(load, option, text, &assignment, source);
    return OK;
}

enum err load_defaults(struct load *load, struct object object, enum option_home home)
{
    bool agents = load->settings->server.preset == PRESET_AGENTS;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (option->home != home || object.origins[i])
            continue;
        object.origins[i] = agents && option->agents ? "preset agents" : "default";
        TRY(fill_default(load, object, option));
    }
    return OK;
}

static enum err new_origins(struct load *load, const char ***origins)
{
    *origins = arena_alloc(&load->settings->arena, option_count() * sizeof **origins);
    return *origins ? OK : ERR_MEMORY;
}

enum err load_upstream_at(struct load *load, unsigned index, struct object *object)
{
    struct settings *settings = load->settings;
    *object = (struct object){0};
    if (index >= UPSTREAMS_MAX)
        return OK;
    if (!settings->upstreams)
        settings->upstreams =
            arena_alloc(&settings->arena, UPSTREAMS_MAX * sizeof *settings->upstreams);
    if (!settings->upstreams)
        return ERR_MEMORY;
    if (!settings->origins->upstreams[index])
        TRY(new_origins(load, &settings->origins->upstreams[index]));
    if (settings->upstream_count <= index)
        settings->upstream_count = index + 1;
    *object = (struct object){&settings->upstreams[index], settings->origins->upstreams[index]};
    return OK;
}

enum err load_access_at(struct load *load, unsigned index, struct object *object)
{
    struct settings *settings = load->settings;
    *object = (struct object){0};
    if (index >= ACCESS_LOGS_MAX)
        return OK;
    if (!settings->log.access)
        settings->log.access =
            arena_alloc(&settings->arena, ACCESS_LOGS_MAX * sizeof *settings->log.access);
    if (!settings->log.access)
        return ERR_MEMORY;
    if (!settings->origins->access[index])
        TRY(new_origins(load, &settings->origins->access[index]));
    load->object.origins[option_index(option_find(SLICE("log.access")))] = "[[log.access]]";
    if (settings->log.access_count <= index)
        settings->log.access_count = index + 1;
    *object = (struct object){&settings->log.access[index], settings->origins->access[index]};
    return OK;
}

enum err load_route_at(struct load *load, unsigned index, struct object *object)
{
    struct settings *settings = load->settings;
    *object = (struct object){0};
    if (index >= LIMIT_ROUTES_MAX)
        return OK;
    if (!settings->limits.routes)
        settings->limits.routes =
            arena_alloc(&settings->arena, LIMIT_ROUTES_MAX * sizeof *settings->limits.routes);
    if (!settings->limits.routes)
        return ERR_MEMORY;
    if (!settings->origins->routes[index])
        TRY(new_origins(load, &settings->origins->routes[index]));
    if (settings->limits.route_count <= index)
        settings->limits.route_count = index + 1;
    *object = (struct object){&settings->limits.routes[index], settings->origins->routes[index]};
    return OK;
}

enum err load_routes(struct load *load)
{
    struct settings *settings = load->settings;
    for (unsigned i = 0; i < settings->limits.route_count; i++) {
        struct limit_route_settings *row = &settings->limits.routes[i];
        struct object object = {row, settings->origins->routes[i]};
        TRY(load_defaults(load, object, OF_LIMIT_ROUTE));
        if (row->rate.burst == 0)
            row->rate.burst = row->rate.requests;
        const uint64_t words[4] = {hash_bytes(SLICE("route")), hash_bytes(slice_of(row->path)),
                                   row->per, 3};
        row->identity = hash_bytes(slice_make((const char *)words, sizeof words));
    }
    return OK;
}
