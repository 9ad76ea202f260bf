/* The model servers: those of the command line win over the file's; without either, the environment
 * may name one. Then each gets a kind, a name of its own and its defaults. */
#include <stdio.h>

#include "config/load.h"

enum { NAME_MAX_BYTES = 64 };

static const struct option *row(const char *path)
{
    const struct option *option = option_find(slice_of(path));
    invariant(option);
    return option;
}

static bool said(struct object object, const char *path)
{
    return object.origins[option_index(row(path))] != NULL;
}

static void drop_all(struct load *load)
{
    struct settings *settings = load->settings;
    for (unsigned i = 0; i < settings->upstream_count; i++) {
        secret_finish(&settings->upstreams[i].api_key);
        settings->upstreams[i] = (struct upstream_settings){0};
        settings->origins->upstreams[i] = NULL;
    }
    settings->upstream_count = 0;
}

/* The word before the first '=' of "ollama=http://host", if that comes before any of ":/?" of a
 * URL. */
static struct slice cut_kind(struct slice *text)
{
    struct slice rest = *text, word = slice_cut(&rest, '=');
    if (word.len == text->len || slice_find(word, ':') < word.len ||
        slice_find(word, '/') < word.len)
        return slice_make(NULL, 0);
    *text = rest;
    return word;
}

static enum err add_argument(struct load *load, unsigned index, const char *argument)
{
    const struct source source = {
        .file = "command line", .option = "--upstream", .origin = "command line"};
    struct object object;
    TRY(load_upstream_at(load, index, &object));
    if (!object.base) {
        faults_add(load->faults, source.file, 0, source.option, "at most %d may be given",
                   UPSTREAMS_MAX);
        return OK;
    }
    struct slice url = slice_of(argument), kind = cut_kind(&url);
    if (slice_equal(url, SLICE("demo")))
        url = SLICE("demo:");
    if (kind.len)
        TRY(load_value(load, object, row("upstream.kind"), kind, &source));
    return load_value(load, object, row("upstream.url"), url, &source);
}

/* The options of one upstream that have variables. `whole` also takes what names it. */
static enum err add_variables(struct load *load, struct object object, bool whole)
{
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (option->home == OF_UPSTREAM && (whole || !object.origins[i]))
            TRY(load_option_variables(load, object, option));
    }
    return OK;
}

/* The first variable SALLYPORT_UPSTREAM_... that is set; false when there is none. */
static bool any_variable(struct load *load, bool only_url, char name[OPTION_NAME_MAX])
{
    const struct variables *layers[] = {&load->environment, &load->dotenv, &load->secrets};
    struct variable found;
    for (unsigned i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (option->home != OF_UPSTREAM || (only_url && option->type != OPTION_URL))
            continue;
        option_own_name(option, name);
        for (unsigned n = 0; n < COUNT_OF(layers); n++)
            if (variables_find(layers[n], name, &found))
                return true;
        if (option->type != OPTION_SECRET)
            continue;
        memcpy(name + strlen(name), "_FILE", sizeof "_FILE"); /* option_own_name leaves room */
        for (unsigned n = 0; n < COUNT_OF(layers); n++)
            if (variables_find(layers[n], name, &found))
                return true;
    }
    return false;
}

static enum err from_arguments(struct load *load)
{
    const struct config_arguments *arguments = load->arguments;
    char name[OPTION_NAME_MAX];
    drop_all(load);
    for (unsigned i = 0; i < arguments->upstream_count; i++)
        TRY(add_argument(load, i, arguments->upstream[i]));
    /* A key in the environment belongs to the URL beside it, and must not go to another server. */
    if (any_variable(load, true, name) || !any_variable(load, false, name))
        return OK;
    if (arguments->upstream_count > 1) {
        faults_add(
            load->faults, "environment", 0, name,
            "it is about one upstream, and the command line names %u; use a configuration file",
            arguments->upstream_count);
        return OK;
    }
    struct object object;
    TRY(load_upstream_at(load, 0, &object));
    return add_variables(load, object, false);
}

static enum err from_demo(struct load *load)
{
    const struct source source = {
        .file = "command line", .option = "--demo", .origin = "command line"};
    struct object object;
    drop_all(load);
    TRY(load_upstream_at(load, 0, &object));
    TRY(load_value(load, object, row("upstream.kind"), SLICE("demo"), &source));
    return load_value(load, object, row("upstream.url"), SLICE("demo:"), &source);
}

static enum err from_environment(struct load *load)
{
    char name[OPTION_NAME_MAX];
    struct object object;
    bool configured = load->settings->upstream_count > 0;
    if (!any_variable(load, !configured, name)) {
        if (!configured && any_variable(load, false, name))
            faults_warn(load->faults, "environment", 0, name,
                        "it is not used: SALLYPORT_UPSTREAM_URL is not set");
        return OK;
    }
    if (configured) {
        faults_warn(load->faults, "environment", 0, name,
                    "it is not used: the configuration file has [[upstream]] tables");
        return OK;
    }
    TRY(load_upstream_at(load, 0, &object));
    return add_variables(load, object, true);
}

/* The demo model has no address, and whatever has its address is the demo model. */
static enum err settle_kind(struct load *load, struct object object, unsigned index)
{
    struct upstream_settings *upstream = object.base;
    bool demo_url = upstream->url_text && strcmp(upstream->url_text, "demo:") == 0;
    if (upstream->kind == KIND_ASK && demo_url)
        upstream->kind = KIND_DEMO;
    if (!upstream->url_text && !said(object, "upstream.url")) {
        if (upstream->kind != KIND_DEMO) {
            faults_add(load->faults, load->settings->file, 0, "upstream.url",
                       "upstream number %u has no url", index + 1);
            return OK;
        }
        upstream->url_text = (char *)arena_copy(&load->settings->arena, SLICE("demo:")).ptr;
        return upstream->url_text ? OK : ERR_MEMORY;
    }
    if (upstream->url_text && demo_url != (upstream->kind == KIND_DEMO))
        faults_add(load->faults, load->settings->file, 0, "upstream.kind",
                   "upstream number %u: kind \"demo\" and the url \"demo:\" belong together",
                   index + 1);
    return OK;
}

static bool name_taken(const struct settings *settings, unsigned index, const char *name)
{
    for (unsigned i = 0; i < settings->upstream_count; i++)
        if (i != index && settings->upstreams[i].name &&
            strcmp(settings->upstreams[i].name, name) == 0)
            return true;
    return false;
}

/* Names stand in metrics and logs. */
static void check_name(struct load *load, unsigned index)
{
    const char *name = load->settings->upstreams[index].name;
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (name[good] || strlen(name) > NAME_MAX_BYTES)
        faults_add(load->faults, load->settings->file, 0, "upstream.name",
                   "upstream number %u: a name has at most %d letters, digits, '.', '_' and '-'",
                   index + 1, NAME_MAX_BYTES);
    for (unsigned i = 0; i < index; i++)
        if (load->settings->upstreams[i].name &&
            strcmp(load->settings->upstreams[i].name, name) == 0)
            faults_add(load->faults, load->settings->file, 0, "upstream.name",
                       "two upstreams are called \"%.64s\"", name);
}

/* The kind's name, with a number when that is taken; "upstream-1" while the kind is not known. */
static enum err give_name(struct load *load, unsigned index)
{
    struct settings *settings = load->settings;
    struct upstream_settings *upstream = &settings->upstreams[index];
    char name[48];
    if (upstream->kind == KIND_ASK)
        snprintf(name, sizeof name, "upstream-%u", index + 1);
    else
        snprintf(name, sizeof name, "%s", upstream_kind_name(upstream->kind));
    size_t len = upstream->kind == KIND_ASK ? strlen("upstream") : strlen(name);
    for (unsigned n = 2; name_taken(settings, index, name); n++)
        snprintf(name + len, sizeof name - len, "-%u", n);
    upstream->name = (char *)arena_copy(&settings->arena, slice_of(name)).ptr;
    return upstream->name ? OK : ERR_MEMORY;
}

static enum err settle(struct load *load)
{
    struct settings *settings = load->settings;
    for (unsigned i = 0; i < settings->upstream_count; i++) {
        struct object object;
        TRY(load_upstream_at(load, i, &object));
        TRY(settle_kind(load, object, i));
        TRY(load_defaults(load, object, OF_UPSTREAM));
    }
    for (unsigned i = 0; i < settings->upstream_count; i++)
        if (settings->upstreams[i].name)
            check_name(load, i);
    for (unsigned i = 0; i < settings->upstream_count; i++)
        if (!settings->upstreams[i].name)
            TRY(give_name(load, i));
    return OK;
}

enum err load_upstreams(struct load *load)
{
    if (load->arguments->demo && load->arguments->upstream_count)
        faults_add(load->faults, "command line", 0, "--demo",
                   "--demo brings its own model server; leave --upstream out");
    if (load->arguments->upstream_count)
        TRY(from_arguments(load));
    else if (load->arguments->demo)
        TRY(from_demo(load));
    else
        TRY(from_environment(load));
    return settle(load);
}
