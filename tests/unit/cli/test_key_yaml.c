/* What `key create --yaml` prints, the file of keys takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "cli/key_yaml.h"

struct fixture {
    json_t *request, *response;
    struct keys_file *table;
    struct faults faults;
};

static void fixture_finish(struct fixture *fixture)
{
    json_decref(fixture->request);
    json_decref(fixture->response);
    keys_file_unref(fixture->table);
    faults_finish(&fixture->faults);
}

static const char *said(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* `owner` may be NULL. */
static void create(struct fixture *fixture, const char *name, const char *owner)
{
    fixture->request = json_pack("{s:b, s:s, s:s*}", "yaml", 1, "name", name, "owner", owner);
    fixture->response = key_yaml(fixture->request);
    assert_true(json_is_true(json_object_get(fixture->response, "ok")));
}

static void read_back(struct fixture *fixture)
{
    AUTO(buffer) text = BUFFER_MAX(16 * 1024);
    buffer_text(&text, "keys:\n");
    buffer_text(&text, said(json_object_get(fixture->response, "key"), "yaml"));
    assert_int_equal(keys_file_parse(buffer_slice(&text), "f", &fixture->faults, &fixture->table),
                     OK);
    assert_int_equal(fixture->faults.count, 0);
    assert_int_equal(keys_file_count(fixture->table), 1);
}

static void an_entry_is_read_back(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *name, *owner;
    } rows[] = {
        {"team-core",           NULL}, /* an empty owner would be a wrong entry */
        {"null",                ""},
        {"\" \\ # \xc3\xb6: [", "admin@example.com"},
        /* As they are, these would make the whole file unreadable. */
        {"\xef\xbf\xbe \xef\xbf\xbf", "\xe2\x80\xa8\xef\xbb\xbf"},
    };
    // clang-format on
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        create(&f, rows[i].name, rows[i].owner);
        read_back(&f);
        const struct file_key *key = keys_file_at(f.table, 0);
        const json_t *made = json_object_get(f.response, "key");
        assert_string_equal(key->key_id, rows[i].name);
        assert_string_equal(key->owner, rows[i].owner ? rows[i].owner : "");
        assert_string_equal(key->public_id, said(made, "id"));
        assert_string_equal(key->hash, said(made, "hash"));
        assert_int_equal(key->permissions, READ_MODELS | RUN_INFERENCE | USE_STREAMING);
        assert_true(key->created_epoch_s > 0 && key->expires_epoch_s == 0);
    }
}

/* Somebody who is asked may answer anything; 0 would be a key that never ends. */
static void days_are_held_to_their_bounds(void **state)
{
    (void)state;
    static const json_int_t rows[] = {0, -1, 36501, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        f.request =
            json_pack("{s:b, s:s, s:I}", "yaml", 1, "name", "n", "expires_in_days", rows[i]);
        f.response = key_yaml(f.request);
        assert_true(json_is_false(json_object_get(f.response, "ok")));
        assert_string_equal(said(f.response, "param"), "expires_in_days");
    }
    AUTO(fixture) f = {0};
    f.request = json_pack("{s:b, s:s, s:i}", "yaml", 1, "name", "n", "expires_in_days", 36500);
    f.response = key_yaml(f.request);
    read_back(&f);
    const struct file_key *key = keys_file_at(f.table, 0);
    assert_int_equal(key->expires_epoch_s - key->created_epoch_s, UINT64_C(36500) * 86400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_read_back),
        cmocka_unit_test(days_are_held_to_their_bounds),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
