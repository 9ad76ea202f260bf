#include "llm/endpoint.h"

#include <stdlib.h>

#include "proto/target.h"

#define OLLAMA_LIKE (KIND_OLLAMA | KIND_DEMO)
#define OPENAI_LIKE (KIND_OLLAMA | KIND_OPENAI | KIND_LLAMA_CPP | KIND_VLLM | KIND_DEMO)
#define LISTS (OPENAI_LIKE | KIND_ANTHROPIC)
#define MESSAGES (KIND_ANTHROPIC | KIND_DEMO | KIND_VLLM | KIND_LLAMA_CPP | KIND_OLLAMA)

#define OPENAI .dialect = &dialect_openai
#define OLLAMA .dialect = &dialect_ollama
#define ANTHROPIC .dialect = &dialect_anthropic

// clang-format off
static const struct endpoint table[] = {
    /* path                     method       kinds         right          call             dialect    name */
    {"/v1/chat/completions",    METHOD_POST, OPENAI_LIKE,  RUN_INFERENCE, CALL_CHAT,       OPENAI,    "chat_completions"},
    {"/v1/completions",         METHOD_POST, OPENAI_LIKE,  RUN_INFERENCE, CALL_COMPLETION, OPENAI,    "completions"},
    {"/v1/embeddings",          METHOD_POST, OPENAI_LIKE,  RUN_INFERENCE, CALL_EMBEDDING,  OPENAI,    "embeddings"},
    {"/v1/models",              METHOD_GET,  LISTS,        READ_MODELS,   CALL_NONE,       OPENAI,    "models", ANSWER_MODEL_LIST},
    {"/v1/models/*",            METHOD_GET,  LISTS,        READ_MODELS,   CALL_NONE,       OPENAI,    "model", ANSWER_MODEL_LIST},
    {"/v1/responses",           METHOD_POST, KIND_OPENAI | KIND_VLLM | KIND_OLLAMA, RUN_INFERENCE, CALL_OTHER, OPENAI, "responses"},
    {"/v1/moderations",         METHOD_POST, KIND_OPENAI,  RUN_INFERENCE, CALL_OTHER,      OPENAI,    "moderations"},
    {"/v1/images/generations",  METHOD_POST, KIND_OPENAI,  RUN_INFERENCE, CALL_OTHER,      OPENAI,    "images"},
    {"/v1/audio/speech",        METHOD_POST, KIND_OPENAI | KIND_VLLM, RUN_INFERENCE, CALL_OTHER, OPENAI, "speech"},
    {"/v1/rerank",              METHOD_POST, KIND_VLLM | KIND_LLAMA_CPP, RUN_INFERENCE, CALL_OTHER, OPENAI, "rerank"},
    {"/v1/messages",            METHOD_POST, MESSAGES,     RUN_INFERENCE, CALL_CHAT,       ANTHROPIC, "messages", .takes_query = true},
    {"/v1/messages/count_tokens", METHOD_POST, MESSAGES,   RUN_INFERENCE, CALL_OTHER,      ANTHROPIC, "count_tokens", .takes_query = true},
    {"/api/chat",               METHOD_POST, OLLAMA_LIKE,  RUN_INFERENCE, CALL_CHAT,       OLLAMA,    "ollama_chat"},
    {"/api/generate",           METHOD_POST, OLLAMA_LIKE,  RUN_INFERENCE, CALL_COMPLETION, OLLAMA,    "ollama_generate"},
    {"/api/embed",              METHOD_POST, OLLAMA_LIKE,  RUN_INFERENCE, CALL_EMBEDDING,  OLLAMA,    "ollama_embed"},
    {"/api/embeddings",         METHOD_POST, OLLAMA_LIKE,  RUN_INFERENCE, CALL_EMBEDDING,  OLLAMA,    "ollama_embeddings"},
    {"/api/tags",               METHOD_GET,  OLLAMA_LIKE,  READ_MODELS,   CALL_NONE,       OLLAMA,    "ollama_tags", ANSWER_MODEL_LIST},
    {"/api/show",               METHOD_POST, OLLAMA_LIKE,  READ_MODELS,   CALL_OTHER,      OLLAMA,    "ollama_show"},
    {"/api/ps",                 METHOD_GET,  OLLAMA_LIKE,  READ_MODELS,   CALL_NONE,       OLLAMA,    "ollama_ps"},
    {"/api/version",            METHOD_GET,  OLLAMA_LIKE,  READ_MODELS,   CALL_NONE,       OLLAMA,    "ollama_version"},
    {"/completion",             METHOD_POST, KIND_LLAMA_CPP, RUN_INFERENCE, CALL_LOCAL,    OPENAI,    "completion"},
    {"/infill",                 METHOD_POST, KIND_LLAMA_CPP, RUN_INFERENCE, CALL_LOCAL,    OPENAI,    "infill"},
    {"/tokenize",               METHOD_POST, KIND_LLAMA_CPP, RUN_INFERENCE, CALL_LOCAL,    OPENAI,    "tokenize"},
    {"/detokenize",             METHOD_POST, KIND_LLAMA_CPP, RUN_INFERENCE, CALL_LOCAL,    OPENAI,    "detokenize"},
    {"/apply-template",         METHOD_POST, KIND_LLAMA_CPP, RUN_INFERENCE, CALL_LOCAL,    OPENAI,    "apply_template"},
    {"/api/pull",               METHOD_POST, KIND_OLLAMA,  WRITE_MODELS,  CALL_OTHER,      OLLAMA,    "ollama_pull", .manages = true},
    {"/api/push",               METHOD_POST, KIND_OLLAMA,  WRITE_MODELS,  CALL_OTHER,      OLLAMA,    "ollama_push", .manages = true},
    {"/api/create",             METHOD_POST, KIND_OLLAMA,  WRITE_MODELS,  CALL_OTHER,      OLLAMA,    "ollama_create", .manages = true},
    {"/api/copy",               METHOD_POST, KIND_OLLAMA,  WRITE_MODELS,  CALL_LOCAL,      OLLAMA,    "ollama_copy", .manages = true},
    {"/api/delete",             METHOD_DELETE, KIND_OLLAMA, DELETE_MODELS, CALL_OTHER,     OLLAMA,    "ollama_delete", .manages = true},
    {0},
};
// clang-format on

const struct endpoint *endpoint_table(void)
{
    return table;
}

/* A prefix matches what goes on behind it, not the prefix alone. */
static bool matches(struct slice pattern, struct slice path)
{
    return path.len >= pattern.len && path_fits(path, pattern);
}

static bool listed(const struct text_list *list, struct slice path)
{
    for (unsigned i = 0; i < list->count; i++)
        if (matches(slice_of(list->items[i]), path))
            return true;
    return false;
}

/* In endpoints.allow it stands for the table; without it the operator's list replaces the table. */
static const char default_word[] = "default";

static bool enabled(const struct endpoint *row, const struct settings *settings, unsigned kinds)
{
    struct slice path = slice_of(row->path);
    const struct text_list *allow = &settings->endpoints.allow;
    if (listed(&settings->endpoints.deny, path) || (row->manages && !settings->endpoints.manage))
        return false;
    bool allowed =
        allow->count == 0 || listed(allow, slice_of(default_word)) || listed(allow, path);
    return (row->kinds & kinds) && allowed;
}

/* A path that the operator allows by name and that is no row of ours: JSON in, anything out. */
static bool is_custom(const char *path)
{
    if (!strcmp(path, default_word))
        return false;
    for (const struct endpoint *row = table; row->path; row++)
        if (matches(slice_of(path), slice_of(row->path)) || !strcmp(path, row->path))
            return false;
    return true;
}

static void add(struct endpoint_set *set, const struct endpoint *row)
{
    set->rows[set->count++] = *row;
}

static void add_custom(struct endpoint_set *set, const char *path)
{
    struct endpoint row = {
        .path = path, .kinds = KIND_ALL, .right = RUN_INFERENCE, OPENAI, .name = "custom"};
    row.method = METHOD_GET;
    row.call = CALL_NONE;
    add(set, &row);
    row.method = METHOD_POST;
    row.call = CALL_LOCAL;
    add(set, &row);
}

enum err endpoint_set_init(struct endpoint_set *set, const struct settings *settings,
                           unsigned kinds)
{
    *set = (struct endpoint_set){.deny = settings->endpoints.deny};
    const struct text_list *allow = &settings->endpoints.allow;
    set->rows = calloc(COUNT_OF(table) + 2 * allow->count, sizeof *set->rows);
    if (!set->rows)
        return ERR_MEMORY;
    for (const struct endpoint *row = table; row->path; row++)
        if (enabled(row, settings, kinds))
            add(set, row);
    for (unsigned i = 0; i < allow->count; i++)
        if (is_custom(allow->items[i]) &&
            !listed(&settings->endpoints.deny, slice_of(allow->items[i])))
            add_custom(set, allow->items[i]);
    map_init(&set->exact, COUNT_OF(table) + 2 * allow->count);
    for (unsigned i = 0; i < set->count; i++) {
        struct slice path = slice_of(set->rows[i].path);
        if (slice_ends(path, SLICE("*")))
            continue;
        enum err err = map_add(&set->exact, path, &set->rows[i]);
        if (err && err != ERR_EXISTS) {
            endpoint_set_finish(set);
            return err;
        }
    }
    return OK;
}

void endpoint_set_finish(struct endpoint_set *set)
{
    map_finish(&set->exact);
    free(set->rows);
    *set = (struct endpoint_set){0};
}

const struct endpoint *endpoint_find(const struct endpoint_set *set, enum http_method method,
                                     struct slice path, unsigned *methods, struct slice *rest)
{
    *methods = 0;
    *rest = slice_make(NULL, 0);
    if (listed(&set->deny, path)) /* also what only a prefix would let through */
        return NULL;
    const struct endpoint *first = map_find(&set->exact, path), *found = NULL;
    const struct endpoint *end = set->rows + set->count;
    for (const struct endpoint *row = set->rows; !first && row < end; row++)
        if (slice_ends(slice_of(row->path), SLICE("*")) && matches(slice_of(row->path), path))
            first = row;
    if (!first)
        return NULL;
    size_t path_len = strlen(first->path);
    if (first->path[path_len - 1] == '*')
        *rest = slice_from(path, path_len - 1);
    if (method == METHOD_HEAD)
        method = METHOD_GET;
    for (const struct endpoint *row = first; row < end && !strcmp(row->path, first->path); row++) {
        *methods |= 1u << row->method;
        if (row->method == method)
            found = row;
    }
    return found;
}
