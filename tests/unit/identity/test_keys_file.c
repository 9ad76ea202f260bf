/* The YAML file of keys: what is in it, and that a bad entry is told and harms nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "identity/keys_file.h"

#define HASH "$2b$04$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2"
#define GOOD "  - {key_id: good, hash: \"" HASH "\"}\n"
#define CHAT (READ_MODELS | RUN_INFERENCE | USE_STREAMING)

struct fixture {
    struct keys_file *table;
    struct faults faults;
};

static void fixture_finish(struct fixture *fixture)
{
    keys_file_unref(fixture->table);
    faults_finish(&fixture->faults);
}

static enum err parse(struct fixture *fixture, struct slice text)
{
    /* Of its own size, so that a read past its end shows; and gone before the table is used. */
    char *copy = malloc(text.len ? text.len : 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    enum err err = keys_file_parse(slice_make(copy, text.len), "api_keys.yaml", &fixture->faults,
                                   &fixture->table);
    free(copy);
    return err;
}

static const struct file_key *find(const struct fixture *fixture, const char *key_id)
{
    return keys_file_find(fixture->table, slice_of(key_id));
}

/* The form of 004, as it is printed there. */
static void the_documents_form_is_read(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    assert_int_equal(parse(&f, SLICE("keys:\n"
                                     "  - key_id: \"team-core\"\n"
                                     "    hash: \"" HASH "\"\n"
                                     "    owner: \"admin@example.com\"\n"
                                     "    scopes: [\"*\"]\n"
                                     "    created_at: \"2025-01-01T00:00:00Z\"\n"
                                     "    expires_at: \"2026-01-01T00:00:00Z\"\n"
                                     "  # and as its generator prints them\n"
                                     "  - key_id: partner\n"
                                     "    hash: " HASH "\n"
                                     "    scopes: ['chat:read', 'read_metrics']\n"
                                     "    expires_at: null  # No expiration\n"
                                     "    public_id: AbCdEf123456\n")),
                     OK);
    assert_int_equal(f.faults.count, 0);
    assert_int_equal(keys_file_count(f.table), 2);
    const struct file_key *key = find(&f, "team-core");
    assert_string_equal(key->hash, HASH);
    assert_string_equal(key->owner, "admin@example.com");
    assert_string_equal(key->public_id, "");
    assert_int_equal(key->permissions, PERMISSIONS_ALL);
    assert_int_equal(key->created_epoch_s, 1735689600);
    assert_int_equal(key->expires_epoch_s, 1767225600);
    assert_int_equal(key->line, 2);
    key = keys_file_find_public(f.table, SLICE("AbCdEf123456"));
    assert_ptr_equal(key, find(&f, "partner"));
    assert_ptr_equal(key, keys_file_at(f.table, 1));
    assert_int_equal(key->permissions, CHAT | READ_METRICS);
    assert_int_equal(key->expires_epoch_s, 0);
    assert_null(find(&f, "team"));
    assert_null(keys_file_find_public(f.table, SLICE("")));
}

static void without_scopes_it_is_for_chats(void **state)
{
    (void)state;
    static const char *const rows[] = {"", ", scopes: chat:read", ", scopes: [chat:write]"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        char text[256];
        int len = snprintf(text, sizeof text, "keys: [{key_id: a, hash: %s%s}]", HASH, rows[i]);
        assert_int_equal(parse(&f, slice_make(text, (size_t)len)), OK);
        assert_int_equal(find(&f, "a")->permissions, CHAT);
    }
}

static void times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t epoch_s;
    } rows[] = {
        {"2026-01-01T00:00:00Z",      1767225600},
        {"2026-01-01T01:00:00+01:00", 1767225600},
        {"2026-01-01T00:00:00",       1767225600},
        {"\"2026-01-01\"",            1767225600},
        {"2026-01-01",                1767225600},
        {"~",                         0         },
        {"Null",                      0         },
        {"",                          0         },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        char text[256];
        int len =
            snprintf(text, sizeof text, "keys:\n  - key_id: a\n    hash: %s\n    expires_at: %s\n",
                     HASH, rows[i].text);
        assert_int_equal(parse(&f, slice_make(text, (size_t)len)), OK);
        assert_int_equal(f.faults.count, 0);
        assert_int_equal(find(&f, "a")->expires_epoch_s, rows[i].epoch_s);
    }
}

/* Each as the second of three entries, in lines 3 and on. */
static void a_bad_entry_is_named_and_drops_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        unsigned line;
        const char *said;
    } rows[] = {
        {"  - key_id: a\n",                                                                         3, "missing"     },
        {"  - hash: " HASH "\n",                                                                    3, "missing"     },
        {"  - just text\n",                                                                         3, "not an entry"},
        {"  - [key_id, a]\n",                                                                       3, "not an entry"},
        {"  -\n",                                                                                   3, "not an entry"},
        {"  - key_id: a\n    hash: plain-text-secret\n",                                            4, "hash"        },
        {"  - key_id: a\n    hash: $2b$31$zm3fHDGHYS/Q2B71Y5J3f.4Smeol3xCcoHz5lmhuVMoglf3P6uoQ2\n",
         4,                                                                                            "hash"        },
        {"  - key_id: a\n    hash: $6$rounds=1000$salt$x\n",                                        4, "hash"        },
        {"  - key_id: a\n    hash: [" HASH "]\n",                                                   4, "hash"        },
        {"  - key_id: \"\"\n    hash: " HASH "\n",                                                  3, "key_id"      },
        {"  - key_id: \"a\\nb\"\n    hash: " HASH "\n",                                             3, "key_id"      },
        {"  - key_id: a\n    hash: " HASH "\n    owner: [x]\n",                                     5, "owner"       },
        {"  - key_id: a\n    hash: " HASH "\n    scopes: []\n",                                     5, "scopes"      },
        {"  - key_id: a\n    hash: " HASH "\n    scopes: [chat:all]\n",                             5, "scopes"      },
        {"  - key_id: a\n    hash: " HASH "\n    scopes: [[\"*\"]]\n",                              5, "scopes"      },
        {"  - key_id: a\n    hash: " HASH "\n    scopes:\n",                                        5, "scopes"      },
        {"  - key_id: a\n    hash: " HASH "\n    expires_at: soon\n",                               5, "expires_at"  },
        {"  - key_id: a\n    hash: " HASH "\n    expires_at: 2026-13-01\n",                         5, "expires_at"  },
        {"  - key_id: a\n    hash: " HASH "\n    expires_at: [x]\n",                                5, "expires_at"  },
        {"  - key_id: a\n    hash: " HASH "\n    expire_at: 2026-01-01\n",                          5, "no key has"  },
        {"  - key_id: a\n    hash: " HASH "\n    public_id: short\n",                               5, "public_id"   },
        {"  - key_id: a\n    hash: " HASH "\n    key_id: a\n",                                      5, "twice"       },
        {"  - key_id: good\n    hash: " HASH "\n",                                                  3, "same key_id" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        char text[512];
        int len = snprintf(text, sizeof text, "keys:\n" GOOD "%s  - {key_id: last, hash: %s}\n",
                           rows[i].entry, HASH);
        assert_int_equal(parse(&f, slice_make(text, (size_t)len)), OK);
        assert_int_equal(f.faults.errors, 0);
        assert_int_equal(f.faults.count, 1);
        if (f.faults.list[0].line != rows[i].line)
            print_message("%s%s\n", rows[i].entry, f.faults.list[0].sentence);
        assert_int_equal(f.faults.list[0].line, rows[i].line);
        assert_non_null(strstr(f.faults.list[0].sentence, rows[i].said));
        assert_null(strstr(f.faults.list[0].sentence, "plain-text-secret"));
        assert_int_equal(keys_file_count(f.table), 2);
        assert_non_null(find(&f, "good"));
        assert_non_null(find(&f, "last"));
    }
}

static void two_entries_share_no_public_id(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    assert_int_equal(
        parse(&f, SLICE("keys:\n  - {key_id: a, hash: " HASH ", public_id: AbCdEf123456}\n"
                        "  - {key_id: b, hash: " HASH ", public_id: AbCdEf123456}\n")),
        OK);
    assert_int_equal(f.faults.count, 1);
    assert_int_equal(f.faults.list[0].line, 3);
    assert_int_equal(keys_file_count(f.table), 1);
}

static void an_empty_file_has_no_keys(void **state)
{
    (void)state;
    static const char *const rows[] = {"",         "# nothing yet\n", "---\n", "keys:\n",
                                       "keys: []", "keys: null",      "~"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        assert_int_equal(parse(&f, slice_of(rows[i])), OK);
        assert_int_equal(keys_file_count(f.table), 0);
        assert_int_equal(f.faults.count, 0);
    }
}

static void what_is_not_this_file_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } rows[] = {
        {"keys: [",                        1},
        {"keys:\n" GOOD "\tx: 1\n",        3},
        {"keys:\n" GOOD "  - \"unended\n", 3},
        {"- a\n- b\n",                     1},
        {"text",                           1},
        {"keys: text",                     1},
        {"keys: {a: b}",                   1},
        {"key: []",                        1},
        {"keys: []\nkeys: []\n",           1},
        {"keys:\n" GOOD "more: 1\n",       1},
        {"---\nkeys: []\n---\nkeys: []\n", 4},
        {"---\nkeys: []\n---\n\n",         4},
        {"keys: *nobody",                  1},
        {"keys: \xff\xfe",                 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        assert_int_equal(parse(&f, slice_of(rows[i].text)), ERR_SYNTAX);
        assert_null(f.table);
        assert_int_equal(f.faults.errors, 1);
        if (f.faults.list[0].line != rows[i].line)
            fail_msg("%s: line %u", rows[i].text, f.faults.list[0].line);
    }
    AUTO(fixture) f = {0};
    assert_int_equal(parse(&f, SLICE("keys: [\0]")), ERR_SYNTAX);
}

/* One byte that is no text makes the whole file unreadable; so its line is wanted. */
static void a_byte_that_is_no_text_is_found_by_its_line(void **state)
{
    (void)state;
    static const char *const rows[] = {"# d\xf6rte\n", "# \x01\n", "# \xef\xbf\xbf\n",
                                       "  - {key_id: \xc3}\n"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(fixture) f = {0};
        char text[256];
        int len = snprintf(text, sizeof text, "keys:\n" GOOD "%s# the end\n", rows[i]);
        assert_int_equal(parse(&f, slice_make(text, (size_t)len)), ERR_SYNTAX);
        assert_int_equal(f.faults.count, 1);
        assert_int_equal(f.faults.list[0].line, 3);
    }
}

static void aliases_are_entries_like_others(void **state)
{
    (void)state;
    AUTO(fixture) f = {0};
    assert_int_equal(parse(&f, SLICE("keys:\n"
                                     "  - &one {key_id: a, hash: &h " HASH ", owner: &o somebody}\n"
                                     "  - {key_id: b, hash: *h, owner: *o}\n"
                                     "  - *one\n")),
                     OK);
    assert_int_equal(keys_file_count(f.table), 2);
    assert_int_equal(f.faults.count, 1);
    assert_string_equal(find(&f, "b")->owner, "somebody");
    assert_string_equal(find(&f, "b")->hash, HASH);
}

static void its_size_has_bounds(void **state)
{
    (void)state;
    AUTO(fixture) large = {0};
    char *text = malloc(KEYS_FILE_BYTES_MAX + 1);
    memset(text, '#', KEYS_FILE_BYTES_MAX + 1);
    assert_int_equal(parse(&large, slice_make(text, KEYS_FILE_BYTES_MAX + 1)), ERR_LIMIT);
    AUTO(fixture) f = {0};
    char *at = text + sprintf(text, "keys:\n");
    for (unsigned i = 0; i < KEYS_FILE_ENTRIES_MAX + 3; i++) /* only some without public_id */
        at += sprintf(at, "- {key_id: k%u, hash: %s, public_id: %012u}\n", i, HASH, i);
    assert_int_equal(parse(&f, slice_make(text, (size_t)(at - text))), OK);
    assert_int_equal(keys_file_count(f.table), KEYS_FILE_ENTRIES_MAX);
    assert_int_equal(f.faults.count, 3);
    AUTO(fixture) unnamed = {0};
    at = text + sprintf(text, "keys:\n");
    for (unsigned i = 0; i < KEYS_FILE_UNNAMED_MAX + 2; i++)
        at += sprintf(at, "- {key_id: k%u, hash: %s}\n", i, HASH);
    assert_int_equal(parse(&unnamed, slice_make(text, (size_t)(at - text))), OK);
    assert_int_equal(keys_file_count(unnamed.table), KEYS_FILE_UNNAMED_MAX);
    assert_int_equal(unnamed.faults.count, 2);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documents_form_is_read),
        cmocka_unit_test(without_scopes_it_is_for_chats),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(a_bad_entry_is_named_and_drops_nothing_else),
        cmocka_unit_test(two_entries_share_no_public_id),
        cmocka_unit_test(an_empty_file_has_no_keys),
        cmocka_unit_test(what_is_not_this_file_is_refused_as_a_whole),
        cmocka_unit_test(a_byte_that_is_no_text_is_found_by_its_line),
        cmocka_unit_test(aliases_are_entries_like_others),
        cmocka_unit_test(its_size_has_bounds),
    };
    hash_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
