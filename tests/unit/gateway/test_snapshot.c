/* A snapshot: upstreams that did not change live on through a reload, with what they are doing. */
#include "settings_made.h"

#include "base/hash.h"
#include "gateway/snapshot.h"

static int seed_hash(void **state)
{
    (void)state;
    hash_seed();
    return 0;
}

static struct snapshot *make(struct settings *settings, const struct snapshot *previous,
                             const enum upstream_kind *kinds)
{
    struct snapshot *snapshot = NULL;
    struct faults faults = {0};
    assert_int_equal(snapshot_create(settings, previous, kinds, &snapshot, &faults), OK);
    assert_int_equal(faults.count, 0);
    return snapshot;
}

static bool has(const struct snapshot *snapshot, enum http_method method, const char *path)
{
    unsigned methods;
    struct slice rest;
    return endpoint_find(&snapshot->endpoints, method, slice_of(path), &methods, &rest) != NULL;
}

static struct settings *two_upstreams(const char *second_url)
{
    struct settings *settings = settings_make(2);
    settings_add(settings, "a", "http://a:1", KIND_OPENAI);
    settings_add(settings, "b", second_url, KIND_OLLAMA);
    return settings;
}

static void unchanged_upstreams_live_on(void **state)
{
    (void)state;
    struct settings *first = two_upstreams("http://b:1"), *second = two_upstreams("http://b:2");
    struct snapshot *old = make(first, NULL, NULL);
    struct upstream *kept = old->upstreams[0], *dropped = old->upstreams[1];
    assert_true(upstream_admit(kept));
    upstream_ref(dropped); /* as a connection holds it */

    struct snapshot *new = make(second, old, NULL);
    assert_ptr_equal(new->upstreams[0], kept);
    assert_ptr_not_equal(new->upstreams[1], dropped);
    settings_unref(first);
    settings_unref(second);
    snapshot_ref(old);
    snapshot_unref(old);
    assert_int_equal(old->upstream_count, 2); /* an exchange still has it */
    snapshot_unref(old);

    /* The old settings are gone but for what the kept and the held upstream need of them. */
    assert_int_equal(kept->in_flight, 1);
    assert_string_equal(kept->settings->name, "a");
    assert_string_equal(dropped->settings->url_text, "http://b:1");
    assert_string_equal(new->upstreams[1]->authority, "b:2");
    upstream_leave(kept);
    upstream_unref(dropped);
    snapshot_unref(new);
    snapshot_unref(NULL);
}

static void order_does_not_matter_to_who_is_kept(void **state)
{
    (void)state;
    struct settings *first = two_upstreams("http://b:1"), *second = settings_make(3);
    settings_add(second, "new", "http://new", KIND_VLLM);
    settings_add(second, "b", "http://b:1", KIND_OLLAMA);
    settings_add(second, "a", "http://a:1", KIND_OPENAI);
    struct snapshot *old = make(first, NULL, NULL), *new = make(second, old, NULL);
    assert_ptr_equal(new->upstreams[1], old->upstreams[1]);
    assert_ptr_equal(new->upstreams[2], old->upstreams[0]);
    assert_string_equal(new->upstreams[0]->authority, "new");
    snapshot_unref(old);
    snapshot_unref(new);
    settings_unref(first);
    settings_unref(second);
}

static void endpoints_are_those_of_all_kinds_together(void **state)
{
    (void)state;
    struct settings *settings = two_upstreams("http://b:1"); /* OpenAI and Ollama */
    struct snapshot *snapshot = make(settings, NULL, NULL);
    assert_true(has(snapshot, METHOD_POST, "/v1/moderations"));
    assert_true(has(snapshot, METHOD_POST, "/api/chat"));
    assert_false(has(snapshot, METHOD_POST, "/infill"));
    snapshot_unref(snapshot);
    settings_unref(settings);

    settings =
        settings_make(0); /* none: all routes exist, so that an answer can say what is missing */
    settings->server.max_header_line_bytes = 111;
    settings->server.max_header_bytes = 2222;
    snapshot = make(settings, NULL, NULL);
    assert_int_equal(snapshot->upstream_count, 0);
    assert_true(has(snapshot, METHOD_POST, "/infill"));
    assert_true(has(snapshot, METHOD_POST, "/api/chat"));
    assert_false(has(snapshot, METHOD_POST, "/api/pull"));
    assert_int_equal(snapshot->limits.line_bytes, 111);
    assert_int_equal(snapshot->limits.head_bytes, 2222);
    snapshot_unref(snapshot);
    settings_unref(settings);
}

/* Without a kind it is taken for OpenAI's until it has been asked; what was found makes a new one.
 */
static void kinds_that_were_found_out_count(void **state)
{
    (void)state;
    struct settings *settings = settings_make(2);
    settings_add(settings, "asked", "http://asked", KIND_ASK);
    settings_add(settings, "told", "http://told", KIND_VLLM);
    struct snapshot *unknown = make(settings, NULL, NULL);
    assert_int_equal(unknown->upstreams[0]->kind, KIND_OPENAI);
    assert_false(unknown->upstreams[0]->kind_found);
    assert_true(unknown->upstreams[1]->kind_found);
    assert_false(has(unknown, METHOD_POST, "/infill"));

    enum upstream_kind kinds[] = {KIND_LLAMA_CPP, KIND_OLLAMA};
    struct snapshot *found = make(settings, unknown, kinds);
    assert_int_equal(found->upstreams[0]->kind, KIND_LLAMA_CPP);
    assert_true(found->upstreams[0]->kind_found);
    assert_int_equal(found->upstreams[1]->kind, KIND_VLLM); /* the settings win */
    assert_ptr_equal(found->upstreams[1], unknown->upstreams[1]);
    assert_true(has(found, METHOD_POST, "/infill"));

    kinds[0] = KIND_OPENAI; /* found to be what it was taken for: now it is certain */
    struct snapshot *certain = make(settings, unknown, kinds);
    assert_true(certain->upstreams[0]->kind_found);
    assert_ptr_not_equal(certain->upstreams[0], unknown->upstreams[0]);
    snapshot_unref(unknown);
    snapshot_unref(found);
    snapshot_unref(certain);
    settings_unref(settings);
}

static void broken_upstream_leaves_the_old_snapshot_whole(void **state)
{
    (void)state;
    struct settings *first = two_upstreams("http://b:1"), *second = two_upstreams("https://b:1");
    second->upstreams[1].ca_file = settings_text(second, "/nonexistent/ca.pem");
    struct snapshot *old = make(first, NULL, NULL), *new = NULL;
    struct faults faults = {0};
    AUTO(buffer) said = BUFFER_MAX(1000);
    assert_int_equal(snapshot_create(second, old, NULL, &new, &faults), ERR_CONFIG);
    assert_null(new);
    assert_int_equal(faults.errors, 1);
    faults_print(&faults, &said);
    assert_non_null(strstr(buffer_text_of(&said), "/nonexistent/ca.pem"));
    assert_int_equal(second->references, 1); /* nothing is held on to */
    assert_int_equal(old->upstreams[0]->references, 1);
    assert_string_equal(old->upstreams[1]->authority, "b:1");
    faults_finish(&faults);
    snapshot_unref(old);
    settings_unref(first);
    settings_unref(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_upstreams_live_on),
        cmocka_unit_test(order_does_not_matter_to_who_is_kept),
        cmocka_unit_test(endpoints_are_those_of_all_kinds_together),
        cmocka_unit_test(kinds_that_were_found_out_count),
        cmocka_unit_test(broken_upstream_leaves_the_old_snapshot_whole),
    };
    return cmocka_run_group_tests(tests, seed_hash, NULL);
}
