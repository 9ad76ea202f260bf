/* A line of the audit log: members in the promised order, hashes that another program computed, one
 * line of JSON whatever the bytes, and never a credential. */
#include "audit_place.h"

#include <jansson.h>

static struct audit_key key;

static int set_up(void **state)
{
    (void)state;
    char bytes[AUDIT_KEY_BYTES];
    for (int i = 0; i < AUDIT_KEY_BYTES; i++)
        bytes[i] = (char)i;
    return audit_key_init(&key, slice_make(bytes, sizeof bytes)) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    audit_key_finish(&key);
    return 0;
}

/* The hashes: hmac.new(bytes(range(32)), line up to prev, sha256) of Python. */
static void lines_have_the_promised_members_and_hashes(void **state)
{
    (void)state;
    struct place place = {0};
    struct audit_entry entry;
    struct audit_link link;
    AUTO(buffer) out = BUFFER_MAX(AUDIT_LINE_MAX * 2);
    audit_link_init(&link);
    struct audit_record record = happened(&place, AUDIT_KEY_CREATE, "admin", "made");
    audit_entry_set(&entry, &record);
    assert_int_equal(audit_line_print(&out, &entry, &key, &link), OK);
    record = (struct audit_record){.wall_us = WALL_US, .event = AUDIT_RATE_LIMITED};
    audit_entry_set(&entry, &record);
    entry.count = 7;
    assert_int_equal(audit_line_print(&out, &entry, &key, &link), OK);
    assert_int_equal(link.seq, 2);
    assert_string_equal(
        buffer_text_of(&out),
        "{\"timestamp\":\"2025-11-03T10:30:00.123Z\",\"level\":\"INFO\",\"event\":\"key_create\","
        "\"actor\":\"admin\",\"ip\":\"192.0.2.1\",\"method\":\"POST\",\"path\":\"/api/v1/keys\","
        "\"status\":201,\"reason\":\"made\",\"request_id\":\"id-1\",\"seq\":1,\"prev\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\",\"hash\":"
        "\"f57fd17dc9fe478a9e03398d5d45d46868ad310cb7f6e0bf6851760abf63149e\"}\n"
        "{\"timestamp\":\"2025-11-03T10:30:00.123Z\",\"level\":\"WARNING\","
        "\"event\":\"rate_limited\",\"actor\":\"\",\"ip\":\"\",\"method\":\"\",\"path\":\"\","
        "\"status\":null,\"reason\":\"\",\"request_id\":\"\",\"count\":7,\"seq\":2,\"prev\":"
        "\"f57fd17dc9fe478a9e03398d5d45d46868ad310cb7f6e0bf6851760abf63149e\",\"hash\":"
        "\"630faebe46f7847aa44bc87b80bc5d3c92e0bbe0f1d4c9790877419778d72fd7\"}\n");
}

static void every_event_has_its_row(void **state)
{
    (void)state;
    static const char *const promised[] = {
        "login",        "login_failed", "logout",      "refresh",     "refresh_reuse", "key_create",
        "key_revoke",   "key_update",   "user_create", "user_update", "user_delete",   "denied",
        "rate_limited", "flag",         "ban",         "unban",       "config_change", "model_add",
        "model_delete", "start",        "stop"};
    assert_int_equal(AUDIT_NONE + 1 + COUNT_OF(promised), AUDIT_EVENT_COUNT);
    for (unsigned i = AUDIT_NONE + 1; i < AUDIT_EVENT_COUNT; i++) {
        const struct audit_event_row *row = audit_event_get((enum audit_event)i);
        enum audit_event event;
        assert_string_equal(row->name, promised[i - 1]);
        assert_int_equal(audit_event_find(slice_of(row->name), &event), OK);
        assert_int_equal(event, i);
        assert_false(row->coalesced && row->strict);
    }
    enum audit_event event;
    assert_int_equal(audit_event_find(SLICE("logi"), &event), ERR_NOT_FOUND);
}

/* Prints a record with the same bytes in every field a caller can reach. */
static void print_poisoned(struct slice bytes, struct buffer *out)
{
    struct audit_entry entry;
    struct audit_link link = {.seq = INT64_MAX - 1};
    memset(link.hash, 'f', sizeof link.hash);
    const struct audit_record record = {
        .wall_us = WALL_US,
        .event = AUDIT_REFRESH_REUSE,
        .ip = {.family = ADDRESS_V6, .bytes = {0x20, 1, 0x0d, 0xb8, [15] = 1}},
        .status = UINT32_MAX,
        .actor = bytes,
        .method = bytes,
        .path = bytes,
        .reason = bytes,
        .request_id = bytes
    };
    audit_entry_set(&entry, &record);
    entry.count = INT64_MAX;
    assert_int_equal(audit_line_print(out, &entry, &key, &link), OK);
}

static void assert_one_line_of_json(struct slice bytes)
{
    AUTO(buffer) out = BUFFER_MAX(AUDIT_LINE_MAX);
    struct audit_parts parts;
    print_poisoned(bytes, &out);
    assert_int_equal(slice_find(buffer_slice(&out), '\n'), out.len - 1);
    for (size_t i = 0; i < out.len - 1; i++)
        assert_true((unsigned char)out.bytes[i] >= 0x20 && out.bytes[i] != 0x7f);
    json_t *line = json_loadb(out.bytes, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_non_null(line);
    assert_int_equal(json_object_size(line), 14);
    json_decref(line);
    assert_int_equal(audit_line_parse(slice_make(out.bytes, out.len - 1), &parts), OK);
    assert_int_equal(parts.seq, INT64_MAX);
}

static void any_bytes_make_one_line_of_json(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE(""),
        SLICE("\r\n{\"timestamp\":\"forged\"}\r\n"),
        SLICE("\x1b[2J\x1b]0;title\x07"),
        SLICE("a\0b"),
        SLICE("\"\\\"\\"),
        SLICE("\",\"seq\":1,\"prev\":\"0\",\"hash\":\"0\"}"),
        SLICE("%s%n%x%"),
        SLICE("\xe2\x80\xa8\xe2\x80\xa9"),
        SLICE("\xff\xfe\xc0\xaf\xed\xa0\x80\xf5"),
        SLICE("\x7f\x80\x9b\xc2\x9b"),
        SLICE("sp_"),
        SLICE("%73%70"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_one_line_of_json(rows[i]);
    /* Each byte, filling every field beyond its bound: the longest lines there are. */
    char many[2000];
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(many, (int)byte, sizeof many);
        assert_one_line_of_json(slice_make(many, sizeof many));
    }
    for (size_t i = 0; i + 3 <= sizeof many; i += 3)
        memcpy(many + i, "\xe2\x80\xa8", 3);
    assert_one_line_of_json(slice_make(many, sizeof many));
}

#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789xyzABCDEF"
#define KEY "sp_abcDEF012345_" SECRET

static void credentials_never_show(void **state)
{
    (void)state;
    static const struct {
        const char *path, *shown;
    } rows[] = {
        {"/a/" KEY,                                      "/a/[REDACTED]"                  },
        {"/a/" KEY "/b",                                 "/a/[REDACTED]/b"                },
        {KEY "." KEY,                                    "[REDACTED].[REDACTED]"          },
        {"/%73p_abcDEF012345%5F" SECRET,                 "/[REDACTED]"                    },
        {"/%53p_abcDEF012345",                           "/%53p_abcDEF012345"             },
        {"/a?key=" KEY,                                  "/a"                             },
        {"/a?password=x",                                "/a"                             },
        {"sp_abcDEF012345_0",                            "[REDACTED]"                     },
        {"sp_abcDEF012345",                              "sp_abcDEF012345"                },
        {"/wisp_lamp/esp_not_a_key_at_all",              "/wisp_lamp/esp_not_a_key_at_all"},
        {"/sk-proj-0123456789abcdef",                    "/[REDACTED]"                    },
        {"/sk-short",                                    "/sk-short"                      },
        {"/eyJmYWtlIjoxfQ.eyJmYWtlIjoyfQ.c2lnbmF0dXJl/", "/[REDACTED]/"                   },
        {"/eyJ",                                         "/eyJ"                           },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct audit_entry entry;
        struct audit_record record = {.event = AUDIT_DENIED, .path = slice_of(rows[i].path)};
        AUTO(buffer) out = BUFFER_MAX(AUDIT_LINE_MAX);
        audit_entry_set(&entry, &record);
        entry.path.bytes[entry.path.len] = '\0';
        assert_string_equal(entry.path.bytes, rows[i].shown);
        print_poisoned(slice_of(rows[i].path), &out);
        assert_null(strstr(buffer_text_of(&out), "0123456789abc"));
    }
}

/* One that lies across the bound of its field loses its tail; the rest must not show either. */
static void credential_at_the_cut_never_shows(void **state)
{
    (void)state;
    char path[600];
    for (size_t before = AUDIT_PATH_MAX - sizeof KEY; before <= AUDIT_PATH_MAX; before++) {
        struct audit_entry entry;
        memset(path, 'x', sizeof path);
        path[before - 1] = '/';
        memcpy(path + before, KEY, sizeof KEY - 1);
        struct audit_record record = {.event = AUDIT_DENIED, .path = slice_make(path, sizeof path)};
        audit_entry_set(&entry, &record);
        assert_true(entry.path.len <= AUDIT_PATH_MAX);
        assert_null(memmem(entry.path.bytes, entry.path.len, "sp_", 3));
    }
}

static void cut_does_not_split_a_character(void **state)
{
    (void)state;
    char actor[200];
    for (size_t offset = 0; offset < 4; offset++) {
        struct audit_entry entry;
        memset(actor, 'x', sizeof actor);
        for (size_t i = offset; i + 4 <= sizeof actor; i += 4)
            memcpy(actor + i, "\xf0\x9f\x98\x80", 4);
        struct audit_record record = {.event = AUDIT_DENIED,
                                      .actor = slice_make(actor, sizeof actor)};
        audit_entry_set(&entry, &record);
        assert_int_equal(entry.actor.len, AUDIT_WORD_MAX - (AUDIT_WORD_MAX - offset) % 4);
    }
}

static void what_is_no_line_is_not_taken_for_one(void **state)
{
    (void)state;
    char zeros[AUDIT_HASH_LEN + 1], line[1024];
    memset(zeros, '0', sizeof zeros - 1);
    zeros[AUDIT_HASH_LEN] = '\0';
    static const struct {
        const char *head, *seq, *tail;
        enum err err;
    } rows[] = {
        {"{\"timestamp\":\"\"", "1",                    "\"}",  OK        },
        {"{\"timestamp\":\"\"", "9223372036854775807",  "\"}",  OK        },
        {"{\"timestamp\":\"\"", "0",                    "\"}",  ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "",                     "\"}",  ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "-1",                   "\"}",  ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "9223372036854775808",  "\"}",  ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "99999999999999999999", "\"}",  ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "1",                    "\"} ", ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "1",                    "\"",   ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "1",                    "",     ERR_SYNTAX},
        {"{\"timestamp\":\"\"", "1",                    "0\"}", ERR_SYNTAX},
        {"{\"checkpoint\":1",   "1",                    "\"}",  ERR_SYNTAX},
        {"",                    "1",                    "\"}",  ERR_SYNTAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct audit_parts parts;
        snprintf(line, sizeof line, "%s,\"seq\":%s,\"prev\":\"%s\",\"hash\":\"%s%s", rows[i].head,
                 rows[i].seq, zeros, zeros, rows[i].tail);
        assert_int_equal(audit_line_parse(slice_of(line), &parts), rows[i].err);
    }
    /* Cut anywhere, it is none either. */
    snprintf(line, sizeof line, "{\"timestamp\":\"\",\"seq\":1,\"prev\":\"%s\",\"hash\":\"%s\"}",
             zeros, zeros);
    for (size_t len = 0; len < strlen(line); len++) {
        struct audit_parts parts;
        assert_int_equal(audit_line_parse(slice_make(line, len), &parts), ERR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_the_promised_members_and_hashes),
        cmocka_unit_test(every_event_has_its_row),
        cmocka_unit_test(any_bytes_make_one_line_of_json),
        cmocka_unit_test(credentials_never_show),
        cmocka_unit_test(credential_at_the_cut_never_shows),
        cmocka_unit_test(cut_does_not_split_a_character),
        cmocka_unit_test(what_is_no_line_is_not_taken_for_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
