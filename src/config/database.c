/* store.url: which database, and the folder that everything durable lives in. */
#include <stdio.h>

#include "config/settings.h"
#include "config/value.h"

static enum err explain(struct assignment *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    return ERR_UNSUPPORTED;
}

/* SQLAlchemy's reading of the three slashes: what follows them is the path, so that a fourth makes
 * it absolute. */
// clang-format off
static const struct {
    const char *prefix;
    const char *refusal; /* NULL: a path follows */
} forms[] = {
    {"sqlite:///", NULL},
    {"sqlite+aiosqlite:///", NULL},
    {"sqlite://", "a database in memory forgets every key at a restart; write sqlite:PATH"},
    {"sqlite+aiosqlite://",
     "a database in memory forgets every key at a restart; write sqlite:PATH"},
    {"sqlite:", NULL},
    {"postgres", "PostgreSQL is not available in this version; write sqlite:PATH"},
    {"mysql", "MySQL is not a database Sallyport keeps its data in; write sqlite:PATH"},
};
// clang-format on

static enum err set_paths(struct assignment *a, struct slice text, struct slice path)
{
    struct settings *settings = a->object;
    char *resolved;
    TRY(path_resolve(a, path, &resolved));
    struct slice whole = slice_of(resolved), directory = whole;
    while (directory.len && directory.ptr[directory.len - 1] != '/')
        directory.len--;
    if (directory.len == whole.len)
        return explain(a, "the path must name a file, not a folder");
    while (directory.len > 1 && directory.ptr[directory.len - 1] == '/')
        directory.len--;
    struct slice url = arena_copy(a->arena, text);
    struct slice folder = arena_copy(a->arena, directory.len ? directory : SLICE("."));
    if (!url.ptr || !folder.ptr)
        return ERR_MEMORY;
    settings->store.url = (char *)url.ptr;
    settings->store.path = resolved;
    settings->store.directory = (char *)folder.ptr;
    return OK;
}

enum err database_parse(struct assignment *a, struct slice text)
{
    for (unsigned i = 0; i < COUNT_OF(forms); i++) {
        if (!slice_starts(text, slice_of(forms[i].prefix)))
            continue;
        if (forms[i].refusal)
            return explain(a, forms[i].refusal);
        struct slice path = slice_from(text, strlen(forms[i].prefix));
        if (path.len == 0 || slice_equal(path, SLICE("-")))
            return explain(a, "the path of the database is missing: sqlite:PATH");
        if (slice_starts(path, SLICE(":memory:")))
            return explain(
                a, "a database in memory forgets every key at a restart; write sqlite:PATH");
        if (slice_find(path, '?') < path.len)
            return explain(a, "nothing may follow the path; leave '?' and what comes after it out");
        return set_paths(a, text, path);
    }
    return explain(a, "write it as sqlite:PATH");
}
