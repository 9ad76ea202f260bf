/* The three layers of variables, weakest first: secret files, .env, the environment. Which names
 * mean an option is in its row; SALLYPORT_<SECTION>_<NAME> always does and goes before the others,
 * because LOG_LEVEL may be meant for some other program. */
#include <stdio.h>

#include "config/file_text.h"
#include "config/load.h"
#include "config/nearest.h"

/* The names of one option, its own first. */
struct names {
    struct environment_name list[OPTION_NAMES_MAX + 1];
    unsigned count;
    char own[OPTION_NAME_MAX];
};

/* What an option was taken from, in one layer. */
struct taken {
    const char *origin; /* NULL: this layer says nothing */
    bool generic;       /* the name is one that other programs use too */
};

static void names_of(const struct option *option, struct names *names)
{
    *names = (struct names){0};
    if (option_own_name(option, names->own))
        names->list[names->count++] = (struct environment_name){.name = names->own};
    for (unsigned i = 0; i < OPTION_NAMES_MAX && option->names[i].name; i++)
        names->list[names->count++] = option->names[i];
}

static const char *layer_name(const struct variables *layer)
{
    return layer->kind == VARIABLES_ENVIRONMENT ? "environment"
           : layer->kind == VARIABLES_DOTENV    ? ".env"
                                                : "secret file";
}

static enum err source_of(struct load *load, const struct variables *layer, const char *name,
                          const struct variable *found, struct source *source)
{
    *source = (struct source){
        .file = layer->kind == VARIABLES_ENVIRONMENT ? "environment" : found->file,
        .line = found->line,
        .option = name,
    };
    return load_origin(load, &source->origin, "%s %s", layer_name(layer),
                       layer->kind == VARIABLES_SECRETS ? found->file : name);
}

/* systemd and Docker keep a comment behind a value. A secret or a free text may hold " #". */
static struct slice clean(const struct option *option, struct slice value)
{
    bool as_is = option->type == OPTION_SECRET || option->type == OPTION_TEXT ||
                 option->type == OPTION_TEXT_LIST;
    return as_is ? value : comment_cut(value);
}

/* TRUST_PROXY_HEADERS=true is a word for a list, and =false for an empty one. Anything else is read
 * as the option itself would be. */
static struct slice switch_value(struct slice value, const char *when_true)
{
    static const struct slice on[] = {SLICE("true"), SLICE("1"), SLICE("yes"), SLICE("on")};
    static const struct slice off[] = {SLICE("false"), SLICE("0"), SLICE("no"), SLICE("off")};
    for (unsigned i = 0; i < COUNT_OF(on); i++) {
        if (slice_equal_nocase(value, on[i]))
            return slice_of(when_true);
        if (slice_equal_nocase(value, off[i]))
            return SLICE("");
    }
    return value;
}

static enum err apply(struct load *load, struct object object, const struct option *option,
                      const struct variables *layer, const struct environment_name *name,
                      const struct variable *found, struct taken *taken)
{
    struct source source;
    struct slice value = clean(option, found->value);
    if (value.len == 0)
        return OK;
    if (name->when_true)
        value = switch_value(value, name->when_true);
    TRY(source_of(load, layer, name->name, found, &source));
    *taken = (struct taken){source.origin, name->generic};
    source.unit = name->unit;
    return load_value(load, object, option, value, &source);
}

/* NAME_FILE: the secret is the content of a file. */
static enum err apply_file(struct load *load, struct object object, const struct option *option,
                           const struct variables *layer, const struct environment_name *name,
                           struct taken *taken)
{
    char file_name[OPTION_NAME_MAX + 8], path[4096];
    struct variable variable;
    struct source source;
    snprintf(file_name, sizeof file_name, "%s_FILE", name->name);
    if (layer->kind == VARIABLES_SECRETS || !variables_find(layer, file_name, &variable))
        return OK;
    bool plain = taken->origin != NULL;
    TRY(source_of(load, layer, file_name, &variable, &source));
    *taken = (struct taken){source.origin, name->generic};
    if (plain) {
        faults_add(load->faults, source.file, source.line, file_name,
                   "%s is set as well; only one of them may be", name->name);
        return OK;
    }
    struct slice value = comment_cut(variable.value);
    snprintf(path, sizeof path, "%.*s", SLICE_ARG(value));
    AUTO(file_text) text;
    enum err err = file_text_read(&text, path, SECRET_BYTES_MAX);
    if (err == ERR_MEMORY)
        return err;
    if (err != OK) {
        faults_add(load->faults, source.file, source.line, file_name, "%.200s cannot be read: %s",
                   path, file_text_why(err));
        return OK;
    }
    return load_value(load, object, option, file_text_line(&text), &source);
}

/* Looks for a half of an address in this layer and in the weaker ones. */
static bool find_half(struct load *load, const struct variables *layer, const char *name,
                      struct variable *found)
{
    const struct variables *layers[] = {&load->environment, &load->dotenv, &load->secrets};
    for (unsigned i = 0; i < COUNT_OF(layers); i++)
        if (layers[i]->kind >= layer->kind && variables_find(layers[i], name, found))
            return true;
    return false;
}

/* Host and port come as two variables; either may be missing. */
static enum err apply_halves(struct load *load, struct object object, const struct option *option,
                             const struct variables *layer,
                             const struct environment_name *host_name,
                             const struct environment_name *port_name, struct taken *taken)
{
    struct variable host = {0}, port = {0};
    struct source source;
    char text[300];
    bool host_here = variables_find(layer, host_name->name, &host);
    bool port_here = variables_find(layer, port_name->name, &port);
    if (!host_here && !port_here)
        return OK;
    struct slice address = SLICE("127.0.0.1"), number = SLICE("8080");
    if (find_half(load, layer, host_name->name, &host))
        address = comment_cut(host.value);
    if (find_half(load, layer, port_name->name, &port))
        number = comment_cut(port.value);
    bool brackets = slice_find(address, ':') < address.len && address.ptr[0] != '[';
    snprintf(text, sizeof text, brackets ? "[%.*s]:%.*s" : "%.*s:%.*s", SLICE_ARG(address),
             SLICE_ARG(number));
    TRY(source_of(load, layer, host_here ? host_name->name : port_name->name,
                  host_here ? &host : &port, &source));
    taken->origin = source.origin;
    return load_value(load, object, option, slice_of(text), &source);
}

/* One name in one layer, and its NAME_FILE. */
static enum err apply_name(struct load *load, struct object object, const struct option *option,
                           const struct variables *layer, const struct environment_name *name,
                           struct taken *taken)
{
    struct variable variable;
    if (variables_find(layer, name->name, &variable))
        TRY(apply(load, object, option, layer, name, &variable, taken));
    if (option->type == OPTION_SECRET)
        TRY(apply_file(load, object, option, layer, name, taken));
    return OK;
}

static enum err apply_layer(struct load *load, struct object object, const struct option *option,
                            const struct variables *layer, struct taken *taken)
{
    struct names names;
    names_of(option, &names);
    for (unsigned i = 0; i < names.count && !taken->origin; i++) {
        const struct environment_name *name = &names.list[i];
        if (name->part == PART_HOST)
            TRY(apply_halves(load, object, option, layer, name, name + 1, taken));
        else if (name->part == PART_WHOLE && !name->otherwise)
            TRY(apply_name(load, object, option, layer, name, taken));
    }
    return OK;
}

/* A credential that was meant for some other program would open this gateway. */
static void announce(struct load *load, const struct option *option, const struct taken *taken)
{
    char own[OPTION_NAME_MAX];
    if (taken->generic && option_own_name(option, own))
        faults_warn(load->faults, NULL, 0, option->path,
                    "it comes from %s, a name that other programs use too; %s is ours alone",
                    taken->origin, own);
}

enum err load_option_variables(struct load *load, struct object object, const struct option *option)
{
    const struct variables *layers[] = {&load->secrets, &load->dotenv, &load->environment};
    struct taken last = {0};
    for (unsigned i = 0; i < COUNT_OF(layers); i++) {
        struct taken taken = {0};
        TRY(apply_layer(load, object, option, layers[i], &taken));
        last = taken.origin ? taken : last;
    }
    announce(load, option, &last);
    return OK;
}

static bool said(const struct load *load, const struct option *option)
{
    return load->object.origins[option_index(option)] != NULL;
}

static struct secret *secret_at(const struct load *load, const struct option *option)
{
    invariant(option && option->type == OPTION_SECRET && option->home == OF_SETTINGS);
    return (struct secret *)((char *)load->object.base + option->offset);
}

static bool set_anywhere(const struct load *load, const char *name)
{
    struct variable found;
    return variables_find(&load->environment, name, &found) ||
           variables_find(&load->dotenv, name, &found) ||
           variables_find(&load->secrets, name, &found);
}

/* A name that is for the second of two secrets when something else says the first, as SECRET_KEY is
 * beside INFERNO_JWT_SECRET. The same secret twice is one. */
static enum err apply_otherwise(struct load *load, const struct option *first,
                                const struct environment_name *name)
{
    const struct variables *layers[] = {&load->secrets, &load->dotenv, &load->environment};
    const struct option *second = option_find(slice_of(name->otherwise));
    const struct option *option = said(load, first) ? second : first;
    struct secret *secret = secret_at(load, option), *other = secret_at(load, first);
    struct taken last = {0};
    if (option == second && said(load, second)) {
        if (set_anywhere(load, name->name))
            faults_warn(load->faults, NULL, 0, name->name, "it is not used: %s and %s are both set",
                        first->path, second->path);
        return OK;
    }
    for (unsigned i = 0; i < COUNT_OF(layers); i++) {
        struct taken taken = {0};
        TRY(apply_name(load, load->object, option, layers[i], name, &taken));
        last = taken.origin ? taken : last;
    }
    if (option == second && last.origin && secret_equal(secret, secret_reveal(other))) {
        secret_finish(secret);
        load->object.origins[option_index(second)] = NULL;
        return OK;
    }
    announce(load, option, &last);
    return OK;
}

enum err load_environment(struct load *load)
{
    for (unsigned i = 0; i < option_count(); i++)
        if (option_at(i)->home == OF_SETTINGS)
            TRY(load_option_variables(load, load->object, option_at(i)));
    /* Last, when it is known what everything else has said. */
    for (unsigned i = 0; i < option_count(); i++)
        for (unsigned n = 0; n < OPTION_NAMES_MAX && option_at(i)->names[n].name; n++)
            if (option_at(i)->names[n].otherwise)
                TRY(apply_otherwise(load, option_at(i), &option_at(i)->names[n]));
    return OK;
}

/* Is `name` one that `option` answers to, or one of its NAME_FILE forms? */
static bool option_answers(const struct option *option, struct slice name)
{
    struct names names;
    names_of(option, &names);
    for (unsigned n = 0; n < names.count; n++) {
        struct slice known = slice_of(names.list[n].name);
        if (slice_equal_nocase(name, known))
            return true;
        if (option->type == OPTION_SECRET && name.len == known.len + 5 &&
            slice_starts_nocase(name, known) && slice_ends(name, SLICE("_FILE")))
            return true;
    }
    return false;
}

static bool name_known(struct slice name)
{
    for (unsigned i = 0; i < option_count(); i++)
        if (option_answers(option_at(i), name))
            return true;
    return false;
}

/* The variable with the name nearest to `name` is written into `text`, or nothing is. */
static void name_nearest(struct slice name, char text[OPTION_NAME_MAX])
{
    struct nearest nearest = nearest_to(name);
    text[0] = '\0';
    for (unsigned i = 0; i < option_count(); i++) {
        char own[OPTION_NAME_MAX];
        if (!option_own_name(option_at(i), own))
            continue;
        nearest_try(&nearest, own);
        if (nearest.word)
            snprintf(text, OPTION_NAME_MAX, "%s", own);
        nearest.word = NULL; /* `own` ends here */
    }
}

/* Kubernetes sets SALLYPORT_SERVICE_HOST, SALLYPORT_PORT_8080_TCP and the like for a service of
 * that name; they say nothing about options. */
static bool of_kubernetes(struct slice name)
{
    return slice_starts(name, SLICE("SALLYPORT_SERVICE_")) ||
           slice_starts(name, SLICE("SALLYPORT_PORT"));
}

static void check_name(struct load *load, const char *file, unsigned line, struct slice name)
{
    char nearest[OPTION_NAME_MAX], shown[OPTION_NAME_MAX];
    if (!slice_starts(name, SLICE("SALLYPORT_")) || slice_equal(name, SLICE("SALLYPORT_CONFIG")) ||
        of_kubernetes(name) || name_known(name))
        return;
    name_nearest(name, nearest);
    snprintf(shown, sizeof shown, "%.*s", SLICE_ARG(name));
    faults_warn(load->faults, file, line, shown, "no option has this variable%s%s%s",
                *nearest ? "; did you mean " : "", nearest, *nearest ? "?" : "");
}

static void check_names(struct load *load)
{
    for (char **at = load->environment.environment; at && *at; at++) {
        struct slice entry = slice_of(*at);
        check_name(load, "environment", 0, slice_to(entry, slice_find(entry, '=')));
    }
    for (unsigned i = 0; i < load->dotenv.count; i++) {
        const struct variable *variable = &load->dotenv.list[i];
        check_name(load, variable->file, variable->line, variable->name);
    }
}

static enum err read_secrets(struct load *load)
{
    static const char *const folders[] = {"SETTINGS_SECRETS_DIR", "SECRETS_DIR"};
    for (unsigned i = 0; i < COUNT_OF(folders); i++) {
        struct variable folder;
        char path[4096];
        if (!variables_find(&load->environment, folders[i], &folder) &&
            !variables_find(&load->dotenv, folders[i], &folder))
            continue;
        struct slice value = comment_cut(folder.value);
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(value));
        enum err err = variables_read_secrets(&load->secrets, path, name_known, load->faults);
        if (err == ERR_NOT_FOUND)
            faults_warn(load->faults, "environment", 0, folders[i],
                        "the folder %.200s cannot be read; no secret comes from it", path);
        return err == ERR_MEMORY ? err : OK;
    }
    enum err err = variables_read_secrets(&load->secrets, "/run/secrets", name_known, load->faults);
    return err == ERR_MEMORY ? err : OK;
}

enum err load_variables(struct load *load)
{
    char path[4096];
    load->environment.environment = load->arguments->environment;
    load->dotenv.kind = VARIABLES_DOTENV;
    load->secrets.kind = VARIABLES_SECRETS;
    snprintf(path, sizeof path, "%s%s.env", load->directory ? load->directory : "",
             load->directory ? "/" : "");
    TRY(variables_read_dotenv(&load->dotenv, path, load->faults));
    check_names(load);
    return read_secrets(load);
}
