/* The safe endpoints: default deny, by the kind of the upstreams and by the operator's two lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "llm/endpoint.h"
#include <cmocka.h>

static int seed_hash(void **state)
{
    (void)state;
    hash_seed();
    return 0;
}

static const struct text_list none = {0};

#define LIST(...) ((struct text_list){(char *[]){__VA_ARGS__}, COUNT_OF(((char *[]){__VA_ARGS__}))})
#define TEXT(literal) ((char *)(literal))

static void make(struct endpoint_set *set, unsigned kinds, struct text_list allow,
                 struct text_list deny, bool manage)
{
    struct settings settings = {
        .endpoints = {allow, deny, manage}
    };
    assert_int_equal(endpoint_set_init(set, &settings, kinds), OK);
}

/* The name of what is found, or NULL. */
static const char *name_of(const struct endpoint_set *set, enum http_method method,
                           const char *path)
{
    unsigned methods;
    struct slice rest;
    const struct endpoint *found = endpoint_find(set, method, slice_of(path), &methods, &rest);
    assert_true(!found || methods & 1u << found->method);
    return found ? found->name : NULL;
}

/* The table's own promises: the map and the walk over a path's methods rest on them. */
static void rows_are_sound(void **state)
{
    (void)state;
    for (const struct endpoint *row = endpoint_table(); row->path; row++) {
        size_t len = strlen(row->path);
        assert_int_equal(row->path[0], '/');
        assert_true(!memchr(row->path, '*', len - 1));
        assert_true(row->path[len - 1] != '*' || row->path[len - 2] == '/');
        assert_true(row->kinds && !(row->kinds & ~(unsigned)KIND_ALL));
        assert_non_null(row->dialect);
        assert_non_null(row->name);
        assert_true(row->right != 0);
        assert_int_equal(row->call == CALL_NONE, row->method == METHOD_GET);
        for (const struct endpoint *other = endpoint_table(); other < row; other++)
            assert_true(strcmp(row->path, other->path) || row->method != other->method);
        /* Whatever writes or deletes models only with the operator's word. */
        bool changes = row->right & (WRITE_MODELS | DELETE_MODELS);
        assert_int_equal(changes, row->manages);
    }
}

/* Every row under every single kind: there exactly when the row says so. */
static void kind_decides_what_may_be_asked(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= KIND_ALL; kind <<= 1) {
        for (int manage = 0; manage < 2; manage++) {
            struct endpoint_set set;
            make(&set, kind, none, none, manage);
            for (const struct endpoint *row = endpoint_table(); row->path; row++) {
                char path[64] = {0};
                strncpy(path, row->path, sizeof path - 2);
                size_t len = strlen(path);
                if (path[len - 1] == '*')
                    path[len - 1] = 'x';
                bool there = (row->kinds & kind) && (manage || !row->manages);
                const char *name = name_of(&set, row->method, path);
                if ((name && !strcmp(name, row->name)) != there)
                    fail_msg("%s with kind %u", path, kind);
            }
            endpoint_set_finish(&set);
        }
    }
}

static void what_is_no_row_is_refused(void **state)
{
    (void)state;
    struct endpoint_set set;
    make(&set, KIND_ALL, none, none, true);
    static const char *const paths[] = {
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1/chat/completionsx",
        "/V1/chat/completions",
        "/v1/chat/completion",
        "/v1/models/",
        "/v1/modelsx",
        "/v1/files",
        "/v1/fine_tuning/jobs",
        "/api/blobs/sha256:00",
        "/slots",
        "/props",
        "/metrics",
        "/*",
        "/api/chat\n",
        "v1/chat/completions",
        "//v1/chat/completions",
    };
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        unsigned methods = 77;
        struct slice rest;
        const struct endpoint *found =
            endpoint_find(&set, METHOD_POST, slice_of(paths[i]), &methods, &rest);
        assert_null(found);
        assert_int_equal(methods, 0);
    }
    unsigned methods;
    struct slice rest;
    assert_null(endpoint_find(&set, METHOD_POST, SLICE("/api/chat\0"), &methods, &rest));
    assert_null(endpoint_find(&set, METHOD_POST, slice_make(NULL, 0), &methods, &rest));
    endpoint_set_finish(&set);
}

static void other_methods_are_told_apart(void **state)
{
    (void)state;
    struct endpoint_set set;
    unsigned methods;
    struct slice rest;
    make(&set, KIND_ALL, none, none, true);
    for (int method = 0; method < METHOD_COUNT; method++) {
        const struct endpoint *chat = endpoint_find(&set, (enum http_method)method,
                                                    SLICE("/v1/chat/completions"), &methods, &rest);
        assert_int_equal(chat != NULL, method == METHOD_POST);
        assert_int_equal(methods, 1u << METHOD_POST);
        const struct endpoint *models =
            endpoint_find(&set, (enum http_method)method, SLICE("/v1/models"), &methods, &rest);
        assert_int_equal(models != NULL, method == METHOD_GET || method == METHOD_HEAD);
        assert_int_equal(methods, 1u << METHOD_GET);
        const struct endpoint *gone =
            endpoint_find(&set, (enum http_method)method, SLICE("/api/delete"), &methods, &rest);
        assert_int_equal(gone != NULL, method == METHOD_DELETE);
    }
    endpoint_set_finish(&set);
}

static void prefix_leaves_its_rest(void **state)
{
    (void)state;
    struct endpoint_set set;
    unsigned methods;
    struct slice rest;
    make(&set, KIND_OPENAI, none, none, false);
    const struct endpoint *model =
        endpoint_find(&set, METHOD_GET, SLICE("/v1/models/org/name:tag"), &methods, &rest);
    assert_non_null(model);
    assert_string_equal(model->name, "model");
    assert_true(slice_equal(rest, SLICE("org/name:tag")));
    assert_null(endpoint_find(&set, METHOD_GET, SLICE("/v1/models/"), &methods, &rest));
    assert_non_null(endpoint_find(&set, METHOD_GET, SLICE("/v1/models"), &methods, &rest));
    assert_int_equal(rest.len, 0);
    endpoint_set_finish(&set);
}

static void deny_list_narrows(void **state)
{
    (void)state;
    struct endpoint_set set;
    make(&set, KIND_OPENAI | KIND_OLLAMA, none, LIST(TEXT("/v1/embeddings"), TEXT("/api/*")), true);
    assert_null(name_of(&set, METHOD_POST, "/v1/embeddings"));
    assert_null(name_of(&set, METHOD_POST, "/api/chat"));
    assert_null(name_of(&set, METHOD_GET, "/api/tags"));
    assert_null(name_of(&set, METHOD_DELETE, "/api/delete"));
    assert_string_equal(name_of(&set, METHOD_POST, "/v1/chat/completions"), "chat_completions");
    endpoint_set_finish(&set);
    make(&set, KIND_ALL, none, LIST(TEXT("/*")), true);
    assert_int_equal(set.count, 0);
    assert_null(name_of(&set, METHOD_GET, "/v1/models"));
    endpoint_set_finish(&set);
}

static void deny_reaches_behind_a_prefix(void **state)
{
    (void)state;
    struct endpoint_set set;
    make(&set, KIND_OPENAI, LIST(TEXT("default"), TEXT("/tree/*")),
         LIST(TEXT("/tree/secret"), TEXT("/v1/models/secret")), false);
    assert_string_equal(name_of(&set, METHOD_POST, "/tree/open"), "custom");
    assert_null(name_of(&set, METHOD_POST, "/tree/secret"));
    assert_string_equal(name_of(&set, METHOD_GET, "/v1/models/open"), "model");
    assert_null(name_of(&set, METHOD_GET, "/v1/models/secret"));
    endpoint_set_finish(&set);
}

static void allow_list_replaces(void **state)
{
    (void)state;
    struct endpoint_set set;
    make(&set, KIND_OPENAI, LIST(TEXT("/v1/chat/completions"), TEXT("/v1/models*")), none, false);
    assert_string_equal(name_of(&set, METHOD_POST, "/v1/chat/completions"), "chat_completions");
    assert_string_equal(name_of(&set, METHOD_GET, "/v1/models/x"), "model");
    assert_null(name_of(&set, METHOD_POST, "/v1/embeddings"));
    assert_null(name_of(&set, METHOD_POST, "/v1/completions"));
    endpoint_set_finish(&set);

    /* What the kind lacks, or what needs endpoints.manage, is not had by allowing it. */
    make(&set, KIND_OPENAI, LIST(TEXT("/api/chat"), TEXT("/api/*")), none, true);
    assert_null(name_of(&set, METHOD_POST, "/api/chat"));
    endpoint_set_finish(&set);
    make(&set, KIND_OLLAMA, LIST(TEXT("/api/*")), none, false);
    assert_string_equal(name_of(&set, METHOD_POST, "/api/chat"), "ollama_chat");
    assert_null(name_of(&set, METHOD_POST, "/api/pull"));
    assert_null(name_of(&set, METHOD_DELETE, "/api/delete"));
    endpoint_set_finish(&set);

    make(&set, KIND_OPENAI, LIST(TEXT("default"), TEXT("/v1/files")), none, false);
    assert_string_equal(name_of(&set, METHOD_POST, "/v1/embeddings"), "embeddings");
    assert_string_equal(name_of(&set, METHOD_POST, "/v1/files"), "custom");
    assert_null(name_of(&set, METHOD_POST, "default"));
    assert_null(name_of(&set, METHOD_POST, "/api/chat"));
    endpoint_set_finish(&set);

    make(&set, KIND_ALL, LIST(TEXT("/v1/embeddings")), LIST(TEXT("/v1/embeddings")), false);
    assert_int_equal(set.count, 0); /* deny wins */
    endpoint_set_finish(&set);
}

static void paths_of_the_operators_own_are_added(void **state)
{
    (void)state;
    struct endpoint_set set;
    unsigned methods;
    struct slice rest;
    make(&set, KIND_OPENAI,
         LIST(TEXT("/own/path"), TEXT("/tree/*"), TEXT("/gone"), TEXT("/v1/models"),
              TEXT("/own/path")),
         LIST(TEXT("/gone")), false);
    const struct endpoint *own =
        endpoint_find(&set, METHOD_POST, SLICE("/own/path"), &methods, &rest);
    assert_non_null(own);
    assert_string_equal(own->name, "custom");
    assert_int_equal(own->call, CALL_LOCAL); /* its body is checked like any other */
    assert_int_equal(own->right, RUN_INFERENCE);
    assert_int_equal(methods, 1u << METHOD_GET | 1u << METHOD_POST);
    assert_string_equal(name_of(&set, METHOD_GET, "/own/path"), "custom");
    assert_null(name_of(&set, METHOD_DELETE, "/own/path"));
    assert_null(name_of(&set, METHOD_POST, "/own/path/more"));
    assert_string_equal(name_of(&set, METHOD_POST, "/tree/a/b"), "custom");
    assert_null(name_of(&set, METHOD_POST, "/tree/"));
    assert_null(name_of(&set, METHOD_POST, "/gone"));
    assert_string_equal(name_of(&set, METHOD_GET, "/v1/models"), "models");
    assert_null(name_of(&set, METHOD_POST, "/v1/models")); /* a row of ours keeps its methods */
    endpoint_set_finish(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(kind_decides_what_may_be_asked),
        cmocka_unit_test(what_is_no_row_is_refused),
        cmocka_unit_test(other_methods_are_told_apart),
        cmocka_unit_test(prefix_leaves_its_rest),
        cmocka_unit_test(deny_list_narrows),
        cmocka_unit_test(deny_reaches_behind_a_prefix),
        cmocka_unit_test(allow_list_replaces),
        cmocka_unit_test(paths_of_the_operators_own_are_added),
    };
    return cmocka_run_group_tests(tests, seed_hash, NULL);
}
