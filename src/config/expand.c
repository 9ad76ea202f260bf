#include "config/expand.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXPANDED_BYTES_MAX = 64 * 1024, REFERENCE_MAX = 1024 };

static const struct slice env_form = SLICE("${ENV:"), file_form = SLICE("${FILE:");

bool expand_wanted(struct slice text)
{
    for (; text.len; text = slice_from(text, 1))
        if (slice_starts(text, env_form) || slice_starts(text, file_form))
            return true;
    return false;
}

static enum err append(struct expansion *expansion, struct slice s)
{
    struct file_text *text = &expansion->text;
    if (s.len > text->size - text->len) {
        snprintf(expansion->why, sizeof expansion->why, "it becomes longer than 64 KB");
        return ERR_SYNTAX;
    }
    if (s.len)
        memcpy(text->bytes + text->len, s.ptr, s.len);
    text->len += s.len;
    return OK;
}

static enum err append_variable(struct expansion *expansion, const char *name,
                                const struct variables *environment, const struct variables *dotenv)
{
    struct variable found;
    if (variables_find(environment, name, &found) || variables_find(dotenv, name, &found))
        return append(expansion, found.value);
    snprintf(expansion->why, sizeof expansion->why, "the environment variable %.100s is not set",
             name);
    return ERR_SYNTAX;
}

static enum err append_file(struct expansion *expansion, const char *path, const char *directory)
{
    char joined[4096];
    int length = path[0] == '/' || !directory
                     ? snprintf(joined, sizeof joined, "%s", path)
                     : snprintf(joined, sizeof joined, "%s/%s", directory, path);
    enum err err = ERR_LIMIT;
    AUTO(file_text) text = {0};
    if (length > 0 && (size_t)length < sizeof joined)
        err = file_text_read(&text, joined, EXPANDED_BYTES_MAX);
    if (err == OK)
        return append(expansion, file_text_line(&text));
    snprintf(expansion->why, sizeof expansion->why, "the file %.150s cannot be read: %.100s", path,
             file_text_why(err));
    return err == ERR_MEMORY ? err : ERR_SYNTAX;
}

enum err expand(struct expansion *expansion, struct slice text, const struct variables *environment,
                const struct variables *dotenv, const char *directory)
{
    *expansion = (struct expansion){.text.bytes = malloc(EXPANDED_BYTES_MAX),
                                    .text.size = EXPANDED_BYTES_MAX};
    if (!expansion->text.bytes) {
        expansion->text.size = 0;
        return ERR_MEMORY;
    }
    while (text.len) {
        bool variable = slice_starts(text, env_form);
        if (!variable && !slice_starts(text, file_form)) {
            TRY(append(expansion, slice_to(text, 1)));
            text = slice_from(text, 1);
            continue;
        }
        text = slice_from(text, variable ? env_form.len : file_form.len);
        size_t end = slice_find(text, '}');
        if (end == text.len || end == 0 || end >= REFERENCE_MAX) {
            snprintf(expansion->why, sizeof expansion->why,
                     "write ${ENV:NAME} or ${FILE:path}, with the closing brace");
            return ERR_SYNTAX;
        }
        char name[REFERENCE_MAX];
        memcpy(name, text.ptr, end);
        name[end] = '\0';
        TRY(variable ? append_variable(expansion, name, environment, dotenv)
                     : append_file(expansion, name, directory));
        text = slice_from(text, end + 1);
    }
    return OK;
}

void expansion_finish(struct expansion *expansion)
{
    file_text_finish(&expansion->text);
}
