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

/* --demo shows the gateway off and must not find a real configuration by chance. Anything but "it
 * is not there" makes a file the one that counts, so that an unreadable one is reported and not
 * passed over. */
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
        if (access(places[i], F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
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

/* A guarded setup without a file is for people's own tools, which need the larger numbers. */
static void settle_preset(struct load *load)
{
    const struct config_arguments *arguments = load->arguments;
    const char **from = &load->object.origins[option_index(option_find(SLICE("server.preset")))];
    if (*from || load->settings->file || (!arguments->demo && !arguments->upstream_count))
        return;
    load->settings->server.preset = PRESET_AGENTS;
    *from = arguments->demo ? "--demo without a file" : "--upstream without a file";
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
    TRY(load_variables(load));
    if (settings->file)
        TRY(load_file(load));
    TRY(load_environment(load));
    TRY(load_arguments(load));
    settle_preset(load);
    TRY(load_defaults(load, load->object, OF_SETTINGS));
    TRY(load_upstreams(load));
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
