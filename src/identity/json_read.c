#include "identity/json_read.h"

#include <malloc.h>
#include <stdlib.h>

/* Did an allocation of jansson's fail on this thread? */
static _Thread_local bool starved;

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    starved |= !memory;
    return memory;
}

static void wipe_and_free(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void json_watch_memory(void)
{
    json_set_alloc_funcs(allocate, wipe_and_free);
}

static enum err read(struct slice text, size_t flags, json_t **document, json_error_t *wrong)
{
    starved = false;
    *document =
        json_loadb(text.len ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | flags, wrong);
    if (*document && !starved)
        return OK;
    json_decref(*document);
    *document = NULL;
    return starved ? ERR_MEMORY : ERR_SYNTAX;
}

enum err json_read(struct slice text, json_t **document, json_error_t *wrong)
{
    return read(text, 0, document, wrong);
}

enum err json_read_quoted(struct slice text, json_t **document)
{
    return read(text, JSON_ALLOW_NUL, document, NULL);
}
