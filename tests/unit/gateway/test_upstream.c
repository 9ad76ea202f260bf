/* An upstream: what it is called on the wire, how many it takes at once, and when it is still the
 * same after a reload. */
#include "settings_made.h"

#include <pthread.h>

#include "gateway/upstream.h"

static struct upstream *make(struct settings *owner, const struct upstream_settings *settings)
{
    struct upstream *upstream = NULL;
    assert_int_equal(upstream_create(owner, settings, settings->kind, settings->kind != KIND_ASK,
                                     &upstream, NULL),
                     OK);
    return upstream;
}

static void authority_is_what_clients_write(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *url, *authority, *origin;
    } rows[] = {
        {"http://127.0.0.1:11434",   "127.0.0.1:11434", "http://127.0.0.1:11434"},
        {"http://example.test",      "example.test",    "http://example.test"},
        {"http://example.test:80",   "example.test",    "http://example.test"},
        {"http://example.test:443",  "example.test:443", "http://example.test:443"},
        {"https://example.test",     "example.test",    "https://example.test"},
        {"https://example.test:443", "example.test",    "https://example.test"},
        {"https://example.test:80/v1", "example.test:80", "https://example.test:80"},
        {"http://[::1]:8080",        "[::1]:8080",      "http://[::1]:8080"},
        {"http://[::1]",             "[::1]",           "http://[::1]"},
        {"unix:/run/model.sock",     "localhost",       "http://localhost"},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct settings *settings = settings_make(1);
        struct upstream *upstream =
            make(settings, settings_add(settings, "u", rows[i].url, KIND_OPENAI));
        settings_unref(settings); /* the upstream keeps its own reference */
        assert_string_equal(upstream->authority, rows[i].authority);
        assert_string_equal(upstream->origin, rows[i].origin);
        assert_int_equal(upstream->tls != NULL, !strncmp(rows[i].url, "https", 5));
        upstream_unref(upstream);
    }
}

static void kind_that_is_not_known_yet_is_openai(void **state)
{
    (void)state;
    struct settings *settings = settings_make(1);
    struct upstream *upstream = make(settings, settings_add(settings, "u", "http://h", KIND_ASK));
    assert_int_equal(upstream->kind, KIND_OPENAI);
    assert_false(upstream->kind_found);
    upstream_ref(upstream);
    upstream_unref(upstream);
    assert_string_equal(upstream->authority, "h"); /* one reference is left */
    upstream_unref(upstream);
    settings_unref(settings);
}

/* An upstream whose authorities cannot be read is never spoken to in clear instead. */
static void unreadable_authorities_are_a_failure(void **state)
{
    (void)state;
    struct settings *settings = settings_make(1);
    struct upstream_settings *one = settings_add(settings, "u", "https://h", KIND_OPENAI);
    struct upstream *upstream = NULL;
    AUTO(buffer) reason = BUFFER_MAX(200);
    one->ca_file = settings_text(settings, "/nonexistent/ca.pem");
    assert_int_equal(upstream_create(settings, one, KIND_OPENAI, true, &upstream, &reason),
                     ERR_TLS);
    assert_null(upstream);
    assert_true(reason.len > 0);
    assert_int_equal(settings->references, 1);
    settings_unref(settings);
}

static void models_are_matched_whole(void **state)
{
    (void)state;
    struct settings *settings = settings_make(1);
    struct upstream_settings *one = settings_add(settings, "u", "http://h", KIND_OPENAI);
    struct upstream *upstream = make(settings, one);
    assert_true(upstream_lists_model(upstream, SLICE("any"))); /* it lists none */
    one->models = (struct text_list){
        (char *[]){(char *)"a", (char *)"org/model:tag"},
         2
    };
    assert_true(upstream_lists_model(upstream, SLICE("a")));
    assert_true(upstream_lists_model(upstream, SLICE("org/model:tag")));
    assert_false(upstream_lists_model(upstream, SLICE("A")));
    assert_false(upstream_lists_model(upstream, SLICE("org/model")));
    assert_false(upstream_lists_model(upstream, SLICE("aa")));
    assert_false(upstream_lists_model(upstream, SLICE("")));
    assert_false(upstream_lists_model(upstream, SLICE("a\0")));
    one->models = (struct text_list){0};
    upstream_unref(upstream);
    settings_unref(settings);
}

static struct upstream *shared;
static atomic_int holding, most;

static void *admit_and_leave(void *argument)
{
    (void)argument;
    for (int i = 0; i < 20000; i++) {
        if (!upstream_admit(shared))
            continue;
        int now = atomic_fetch_add(&holding, 1) + 1, seen = most;
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        atomic_fetch_sub(&holding, 1);
        upstream_leave(shared);
    }
    return NULL;
}

static void concurrency_is_bounded(void **state)
{
    (void)state;
    struct settings *settings = settings_make(1);
    struct upstream_settings *one = settings_add(settings, "u", "http://h", KIND_OPENAI);
    struct upstream *upstream = make(settings, one);
    for (int i = 0; i < 1000; i++)
        assert_true(upstream_admit(upstream)); /* 0: no bound */
    for (int i = 0; i < 1000; i++)
        upstream_leave(upstream);
    one->max_concurrency = 2;
    assert_true(upstream_admit(upstream));
    assert_true(upstream_admit(upstream));
    assert_false(upstream_admit(upstream));
    assert_false(upstream_admit(upstream)); /* a refusal takes no slot */
    upstream_leave(upstream);
    assert_true(upstream_admit(upstream));
    upstream_leave(upstream);
    upstream_leave(upstream);
    assert_int_equal(upstream->in_flight, 0);

    pthread_t threads[3];
    shared = upstream;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, admit_and_leave, NULL), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_in_range(most, 1, 2);
    assert_int_equal(upstream->in_flight, 0);
    upstream_unref(upstream);
    settings_unref(settings);
}

/* One difference each; all of them matter to what is sent, or to whom. */
static void any_difference_makes_it_another(void **state)
{
    (void)state;
    enum {
        SAME,
        NAME,
        URL,
        CA,
        MODELS,
        FEWER_MODELS,
        KEY,
        NO_KEY,
        CONCURRENCY,
        CONNECT,
        SEND,
        READ,
        FIRST_BYTE,
        KIND,
        DIFFERENCES
    };
    struct settings *settings = settings_make(1 + DIFFERENCES);
    char *models[] = {(char *)"a", (char *)"b"}, *others[] = {(char *)"a", (char *)"c"};
    struct upstream *upstream = NULL;
    for (int i = -1; i < DIFFERENCES; i++) { /* the first is what the others are held against */
        struct upstream_settings *one =
            settings_add(settings, i == NAME ? "v" : "u", i == URL ? "http://h:2" : "http://h:1",
                         i == KIND ? KIND_OLLAMA : KIND_OPENAI);
        one->models = (struct text_list){i == MODELS ? others : models, i == FEWER_MODELS ? 1 : 2};
        one->ca_file = i == CA ? settings_text(settings, "/ca") : NULL;
        if (i != NO_KEY)
            assert_int_equal(secret_set(&one->api_key, i == KEY ? SLICE("kez") : SLICE("key")), OK);
        one->max_concurrency = i == CONCURRENCY ? 6 : 5;
        one->connect_timeout_us = i == CONNECT ? 6 : 5;
        one->send_timeout_us = i == SEND ? 6 : 5;
        one->read_timeout_us = i == READ ? 6 : 5;
        one->first_byte_timeout_us = i == FIRST_BYTE ? 6 : 5;
        if (i < 0)
            upstream = make(settings, one);
        else if (upstream_same(upstream, one, one->kind) != (i == SAME))
            fail_msg("difference %d", i);
    }
    /* The same settings, but the server was found to be of another kind. */
    assert_false(upstream_same(upstream, &settings->upstreams[1], KIND_VLLM));
    upstream_unref(upstream);
    settings_unref(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authority_is_what_clients_write),
        cmocka_unit_test(kind_that_is_not_known_yet_is_openai),
        cmocka_unit_test(unreadable_authorities_are_a_failure),
        cmocka_unit_test(models_are_matched_whole),
        cmocka_unit_test(concurrency_is_bounded),
        cmocka_unit_test(any_difference_makes_it_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
