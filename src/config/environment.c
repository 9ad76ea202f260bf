/* Reads .env files and folders of secrets; finds variables. Called by config_load only. Its one
 * hard problem: what it reads is secret more often than not, so it lives in memory that is wiped
 * and no fault repeats it. */
#include "config/environment.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/file_text.h"

void variables_finish(struct variables *variables)
{
    for (unsigned i = 0; i < variables->count; i++) {
        explicit_bzero(variables->list[i].memory, variables->list[i].memory_size);
        free(variables->list[i].memory);
    }
    free(variables->list);
    *variables = (struct variables){0};
}

static char *place(char **at, struct slice s)
{
    char *start = *at;
    if (s.len)
        memcpy(start, s.ptr, s.len);
    start[s.len] = '\0';
    *at += s.len + 1;
    return start;
}

static enum err add(struct variables *variables, const char *file, unsigned line, struct slice name,
                    struct slice value)
{
    if (variables->count == VARIABLES_MAX)
        return ERR_LIMIT;
    if (!variables->list)
        variables->list = calloc(VARIABLES_MAX, sizeof *variables->list);
    if (!variables->list)
        return ERR_MEMORY;
    struct variable variable = {.memory_size = strlen(file) + name.len + value.len + 3,
                                .line = line};
    variable.memory = malloc(variable.memory_size);
    if (!variable.memory)
        return ERR_MEMORY;
    char *at = variable.memory;
    variable.file = place(&at, slice_of(file));
    variable.name = slice_make(place(&at, name), name.len);
    variable.value = slice_make(place(&at, value), value.len);
    variables->list[variables->count++] = variable;
    return OK;
}

static bool find_in_environment(char **environment, struct slice name, struct variable *found)
{
    for (char **at = environment; at && *at; at++) {
        struct slice entry = slice_of(*at);
        if (entry.len <= name.len || entry.ptr[name.len] != '=' || !slice_starts(entry, name))
            continue;
        *found = (struct variable){.name = slice_to(entry, name.len),
                                   .value = slice_from(entry, name.len + 1)};
        return found->value.len > 0;
    }
    return false;
}

bool variables_find(const struct variables *variables, const char *name, struct variable *found)
{
    struct slice wanted = slice_of(name);
    if (variables->kind == VARIABLES_ENVIRONMENT)
        return find_in_environment(variables->environment, wanted, found);
    /* From the end: in a .env file the last line of a name counts. */
    for (unsigned i = variables->count; i > 0; i--) {
        const struct variable *variable = &variables->list[i - 1];
        bool same = variables->kind == VARIABLES_SECRETS
                        ? slice_equal_nocase(variable->name, wanted)
                        : slice_equal(variable->name, wanted);
        if (!same)
            continue;
        *found = *variable;
        return variable->value.len > 0;
    }
    return false;
}

struct slice comment_cut(struct slice value)
{
    for (size_t i = 1; i < value.len; i++)
        if (value.ptr[i] == '#' && (value.ptr[i - 1] == ' ' || value.ptr[i - 1] == '\t'))
            return slice_trim(slice_to(value, i));
    return slice_trim(value);
}

/* --- .env
 * ----------------------------------------------------------------------------------------- */

static bool name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '.' || c == '-')))
            return false;
    }
    return name.len > 0;
}

static char unescape(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* Takes the quotes off, in place. NULL: fine; else what is wrong. */
static const char *unquote(char *text, struct slice *value)
{
    char quote = value->ptr[0];
    size_t in = 1, out = 0;
    for (; in < value->len && value->ptr[in] != quote; in++) {
        bool escape = quote == '"' && value->ptr[in] == '\\' && in + 1 < value->len;
        text[out++] = escape ? unescape(value->ptr[++in]) : value->ptr[in];
    }
    if (in == value->len)
        return "a quote is not closed on its line";
    struct slice rest = slice_trim(slice_from(*value, in + 1));
    if (rest.len && rest.ptr[0] != '#')
        return "something follows the closing quote";
    *value = slice_make(text, out);
    return NULL;
}

/* One line; NULL: fine. `line` points into `text`, which may be changed. */
static const char *parse_line(char *text, struct slice line, struct slice *name,
                              struct slice *value)
{
    *name = (struct slice){0};
    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return NULL;
    if (slice_starts(line, SLICE("export ")) || slice_starts(line, SLICE("export\t")))
        line = slice_trim(slice_from(line, 7));
    size_t equal = slice_find(line, '=');
    if (equal == line.len)
        return "expected NAME=VALUE";
    struct slice left = slice_trim(slice_to(line, equal));
    if (!name_valid(left))
        return "the name before '=' may hold letters, digits and '_' only";
    *value = slice_trim(slice_from(line, equal + 1));
    if (value->len && (value->ptr[0] == '"' || value->ptr[0] == '\'')) {
        const char *why = unquote(text + (value->ptr - text), value);
        if (why)
            return why;
    } else if (value->len && value->ptr[0] == '#') {
        value->len = 0;
    } else {
        *value = comment_cut(*value);
    }
    *name = left;
    return NULL;
}

enum err variables_read_dotenv(struct variables *variables, const char *path, struct faults *faults)
{
    AUTO(file_text) text;
    enum err err = file_text_read(&text, path, DOTENV_BYTES_MAX);
    if (err == ERR_MEMORY)
        return err;
    if (err != OK && err != ERR_NOT_FOUND)
        faults_add(faults, path, 0, NULL, "it cannot be read: %s", file_text_why(err));
    struct slice rest = slice_make(text.bytes, text.len);
    if (slice_starts(rest, SLICE("\xEF\xBB\xBF")))
        rest = slice_from(rest, 3);
    for (unsigned number = 1; rest.len; number++) {
        struct slice line = slice_cut(&rest, '\n'), name, value = {0};
        if (slice_ends(line, SLICE("\r")))
            line.len--;
        const char *why = parse_line(text.bytes, line, &name, &value);
        if (why)
            faults_add(faults, path, number, NULL, "%s", why);
        if (why || !name.len)
            continue;
        err = add(variables, path, number, name, value);
        if (err == ERR_LIMIT) {
            faults_add(faults, path, number, NULL, "more than %d variables", VARIABLES_MAX);
            break;
        }
        TRY(err);
    }
    return OK;
}

/* --- secret files
 * ---------------------------------------------------------------------------------- */

static enum err read_secret(struct variables *variables, const char *directory, const char *name,
                            struct faults *faults)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return OK;
    /* Only regular files, behind symbolic links too (that is how Kubernetes mounts them): a pipe
     * would make the start wait. */
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return OK;
    AUTO(file_text) text;
    enum err err = file_text_read(&text, path, SECRET_BYTES_MAX);
    if (err == ERR_MEMORY)
        return err;
    if (err != OK) {
        faults_add(faults, path, 0, NULL, "the secret file cannot be read: %s", file_text_why(err));
        return OK;
    }
    err = add(variables, path, 0, slice_of(name), file_text_line(&text));
    return err == ERR_MEMORY ? err : OK;
}

enum err variables_read_secrets(struct variables *variables, const char *directory,
                                bool (*wanted)(struct slice name), struct faults *faults)
{
    DIR *folder = opendir(directory);
    if (!folder)
        return ERR_NOT_FOUND;
    enum err err = OK;
    for (struct dirent *entry; err == OK && (entry = readdir(folder));)
        if (wanted(slice_of(entry->d_name)))
            err = read_secret(variables, directory, entry->d_name, faults);
    closedir(folder);
    return err;
}
