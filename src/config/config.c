/* config_load: the order in which sources are asked. Weakest first, each over the one before: TOML,
 * secret files, .env, environment, command line; then defaults fill what nobody said, because they
 * depend on the preset, which any of them may name. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/load.h"

/* Far more than any configuration of 1 MB needs; ends what would go on forever. */
enum { ARENA_BYTES_MAX = 32 * 1024 * 1024 };

static enum err set_file(struct load *load, struct slice path)
{
    struct arena *arena = &load->settings->arena;
    struct slice file = arena_copy(arena, path);
    if (!file.ptr)
        return ERR_MEMORY;
    load->settings->file = (char *)file.ptr;
    size_t len = file.len;
    while (len > 0 && file.ptr[len - 1] != '/')
        len--;
    if (len == 0)
        return OK;
    /* Without the slash at the end, except for the root itself; joining adds one. */
    struct slice directory = arena_copy(arena, slice_to(file, len > 1 ? len - 1 : 0));
    load->directory = (char *)directory.ptr;
    return directory.ptr ? OK : ERR_MEMORY;
}

/* Anything else that is wrong with a file makes it the one that counts, so that it is reported and
 * not passed over. */
static bool missing(const char *path)
{
    return access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* --demo shows the gateway off and must not find a real configuration by chance. */
static enum err choose_file(struct load *load)
{
    static const char *const places[] = {"sallyport.toml", "/etc/sallyport/sallyport.toml"};
    const struct config_arguments *arguments = load->arguments;
    struct variables environment = {.environment = arguments->environment};
    struct variable named;
    if (arguments->file)
        return set_file(load, slice_of(arguments->file));
    if (variables_find(&environment, "SALLYPORT_CONFIG", &named))
        return set_file(load, named.value);
    for (unsigned i = 0; !arguments->demo && i < COUNT_OF(places); i++)
        if (!missing(places[i]))
            return set_file(load, slice_of(places[i]));
    return OK;
}

static enum err load_arguments(struct load *load)
{
    const struct config_arguments *arguments = load->arguments;
    struct source source = {.file = "command line", .option = "--preset", .origin = "command line"};
    if (arguments->preset)
        TRY(load_value(load, load->object, option_find(SLICE("server.preset")),
                       slice_of(arguments->preset), &source));
    source.option = "--listen";
    for (unsigned i = 0; i < arguments->listen_count; i++)
        TRY(load_item(load, load->object, option_find(SLICE("server.listen")),
                      slice_of(arguments->listen[i]), i == 0, &source));
    return OK;
}

static const char **origin_of(struct load *load, const char *path)
{
    return &load->object.origins[option_index(option_find(slice_of(path)))];
}

/* A guarded setup without a file is for people's own tools, which need the larger numbers. */
static void settle_preset(struct load *load)
{
    const char **from = origin_of(load, "server.preset");
    if (*from || !load->settings->self_contained)
        return;
    load->settings->server.preset = PRESET_AGENTS;
    *from = load->arguments->demo ? "--demo without a file" : "--upstream without a file";
}

/* A file of names and passwords alone turns Basic on. The default file of keys counts when it is
 * there; --demo must not find one by chance. */
static void settle_credentials(struct load *load)
{
    struct settings *settings = load->settings;
    const char **basic = origin_of(load, "security.basic_enabled");
    const char **keys_file = origin_of(load, "security.api_keys_file");
    const struct option *row = option_find(SLICE("security.api_keys_file"));
    if (!*basic && settings->security.htpasswd_file) {
        settings->security.basic_enabled = true;
        *basic = "security.htpasswd_file";
    }
    if (!*keys_file && (load->arguments->demo || missing(option_default(row, false))))
        *keys_file = "default"; /* and stays unset */
}

static enum err load_all(struct load *load)
{
    struct settings *settings = load->settings;
    settings->origins = ARENA_NEW(&settings->arena, struct origins);
    if (!settings->origins)
        return ERR_MEMORY;
    load->object = (struct object){
        settings, arena_alloc(&settings->arena, option_count() * sizeof *load->object.origins)};
    settings->origins->settings = load->object.origins;
    if (!load->object.origins)
        return ERR_MEMORY;
    settings->demo = load->arguments->demo;
    TRY(choose_file(load));
    settings->self_contained =
        !settings->file && (settings->demo || load->arguments->upstream_count);
    TRY(load_variables(load));
    if (settings->file)
        TRY(load_file(load));
    TRY(load_environment(load));
    TRY(load_arguments(load));
    settle_preset(load);
    settle_credentials(load);
    TRY(load_defaults(load, load->object, OF_SETTINGS));
    TRY(load_generated(load));
    TRY(load_upstreams(load));
    TRY(load_routes(load));
    if (!load->broken)
        rules_check(load);
    return OK;
}

enum err config_load(const struct config_arguments *arguments, struct settings **settings,
                     struct faults *faults)
{
    *settings = NULL;
    struct settings *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    atomic_init(&made->references, 1);
    arena_init(&made->arena, NULL, 0, ARENA_BYTES_MAX);
    unsigned before = faults->errors;
    struct load load = {.arguments = arguments, .settings = made, .faults = faults};
    enum err err = load_all(&load);
    variables_finish(&load.dotenv);
    variables_finish(&load.secrets);
    if (err == OK && faults->errors > before)
        err = ERR_CONFIG;
    if (err == OK)
        *settings = made;
    else
        settings_unref(made);
    return err;
}
