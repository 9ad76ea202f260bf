/* The deny-list's text: document 004's lines as they are, whatever people write beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "guard/denylist.h"

#define AT UINT64_C(1762165800) /* 2025-11-03 10:30:00 */

static const struct deny_now at_first = {.wall_us = (AT + 100) * SECOND_US, .now_us = 5000000};

static void lines_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line, *entry, *reason;
        enum deny_kind kind;
        uint64_t at_epoch_s, seconds;
    } rows[] = {
        {"203.0.113.9  # Blocked: 5 errors in 30s at 2025-11-03 10:30:00",             "203.0.113.9",
         "5 errors in 30s",                                                                                                           DENY_ADDRESS, AT, 0  },
        {"203.0.113.9  # Blocked: x at 2025-11-03 10:30:00 for 900s",                  "203.0.113.9",     "x",
         DENY_ADDRESS,                                                                                                                              AT, 900},
        {"key:AbCdEf123456  # Blocked: invalid_image at 2025-11-03 10:30:00 for 900s",
         "key:AbCdEf123456",                                                                              "invalid_image",            DENY_KEY,     AT, 900},
        {"  203.0.113.9\t# Blocked: at night at 2025-11-03 10:30:00 for 1s \r",        "203.0.113.9",
         "at night",                                                                                                                  DENY_ADDRESS, AT, 1  },
        {"203.0.113.9",                                                                "203.0.113.9",     "",                         DENY_ADDRESS, 0,  0  },
        {"203.0.113.9#",                                                               "203.0.113.9",     "",                         DENY_ADDRESS, 0,  0  },
        {"203.0.113.9 # my own words",                                                 "203.0.113.9",     "my own words",             DENY_ADDRESS, 0,  0  },
        {"::ffff:203.0.113.9",                                                         "203.0.113.9",     "",                         DENY_ADDRESS, 0,  0  },
        {"2001:DB8::1",                                                                "2001:db8::/64",   "",                         DENY_ADDRESS, 0,  0  },
        {"2001:db8::/64",                                                              "2001:db8::/64",   "",                         DENY_ADDRESS, 0,  0  },
        {"2001:db8::1/128",                                                            "2001:db8::1/128", "",                         DENY_RANGE,   0,  0  },
        {"10.0.0.0/8",                                                                 "10.0.0.0/8",      "",                         DENY_RANGE,   0,  0  },
        {"203.0.113.9/32",                                                             "203.0.113.9",     "",                         DENY_ADDRESS, 0,  0  },
        {"0.0.0.0/0",                                                                  "0.0.0.0/0",       "",                         DENY_RANGE,   0,  0  },
        {"key:team:alpha",                                                             "key:team:alpha",  "",                         DENY_KEY,     0,  0  },
        {"key:alpha",                                                                  "key:alpha",       "",                         DENY_KEY,     0,  0  },
        {"1.1.1.1 # Blocked: a\tb\x80 at 2025-11-03 10:30:00",                         "1.1.1.1",         "a?b?",                     DENY_ADDRESS, AT,
         0                                                                                                                                                 },
        {"1.1.1.1 # Blocked: x at 2025-02-30 10:30:00",                                "1.1.1.1",         "x at 2025-02-30 10:30:00",
         DENY_ADDRESS,                                                                                                                              0,  0  },
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00 for 99999999s",                  "1.1.1.1",
         "x at 2025-11-03 10:30:00 for 99999999s",                                                                                    DENY_ADDRESS, 0,  0  },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct deny_entry entry;
        const char *fault;
        char memory[128];
        struct buffer text = BUFFER_OVER(memory, sizeof memory);
        if (deny_line_parse(slice_of(rows[i].line), &entry, &fault) != OK)
            fail_msg("%s: %s", rows[i].line, fault);
        deny_entry_print(&text, &entry);
        assert_string_equal(buffer_text_of(&text), rows[i].entry);
        assert_string_equal(entry.reason, rows[i].reason);
        assert_int_equal(entry.kind, rows[i].kind);
        assert_int_equal(entry.at_epoch_s, rows[i].at_epoch_s);
        assert_int_equal(entry.seconds, rows[i].seconds);
    }
}

static void a_line_whose_end_cannot_be_read_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool told;
    } rows[] = {
        {"1.1.1.1 # Blocked: x at noon for 5s",                         true },
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00 for 15m",         true },
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00 for 0s",          true },
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00 for 99999999s",   true },
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00 until Christmas", true },
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00",                 false},
        {"1.1.1.1 # Blocked: not at home for now",                      false},
        {"1.1.1.1 # Blocked: x at 2025-11-03",                          false},
        {"1.1.1.1 # x",                                                 false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct deny_entry entry;
        const char *fault;
        assert_int_equal(deny_line_parse(slice_of(rows[i].line), &entry, &fault), OK);
        assert_int_equal(entry.seconds, 0);
        if ((fault != NULL) != rows[i].told)
            fail_msg("%s: %s", rows[i].line, fault ? fault : "not told");
    }
}

static void a_line_reads_back_as_it_was_printed(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "203.0.113.9  # Blocked: 5 errors in 30s at 2025-11-03 10:30:00 for 900s\n",
        "2001:db8::/64  # Blocked: by hand at 2025-11-03 10:30:00\n",
        "key:a/b  # Blocked: x for 5s at 2025-11-03 10:30:00\n",
        "10.0.0.0/8  # Blocked: # at 2025-11-03 10:30:00 at 2025-11-03 10:30:00 for 1s\n",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct deny_entry entry;
        const char *fault;
        char memory[256];
        struct buffer text = BUFFER_OVER(memory, sizeof memory);
        struct slice line = slice_of(lines[i]);
        line.len--;
        assert_int_equal(deny_line_parse(line, &entry, &fault), OK);
        deny_line_print(&text, &entry);
        assert_string_equal(buffer_text_of(&text), lines[i]);
    }
}

static void read_text(struct deny_text *text, const char *bytes, const struct deny_text *before,
                      struct deny_now now, struct faults *faults)
{
    assert_int_equal(deny_text_read(text, slice_of(bytes), before, now, "denylist.txt", faults),
                     OK);
}

static void a_broken_line_is_named_and_drops_nothing_else(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "203.0.113.300",
        "203.0.113",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/",
        "/8",
        "::1::",
        "fe80::1%eth0",
        "2001:db8::/129",
        "2001:db8::1/32",
        "1.2.3.4 5.6.7.8",
        "1.2.3.4 Blocked: x",
        "1.2.3.4:80",
        "[::1]",
        "http://1.2.3.4/",
        "0x7f.1/8",
        "key:",
        "1.2.3.4,",
        "AbCdEf123456",
        "evil.example.com",
        "1.2.3.4-1.2.3.9",
        "\x80\x81",
        "a\x01",
        "1..2",
        ".",
        "key:a b",
        "0177.0.0.1",
        "1.2.3.4/032",
        "a b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "::ffff:10.0.0.0/95",
        "1.2.3.4\r# x y",
    };
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        char bytes[512];
        struct deny_text text;
        struct faults faults = {0};
        snprintf(bytes, sizeof bytes, "# ours\n198.51.100.1\n%s\n\n198.51.100.2 # x", broken[i]);
        read_text(&text, bytes, NULL, at_first, &faults);
        if (text.count != 2 || faults.count != 1)
            fail_msg("\"%s\": %zu entries, %u faults", broken[i], text.count, faults.count);
        assert_int_equal(faults.list[0].line, 3);
        assert_int_equal(text.denials[1].line, 5);
        deny_text_finish(&text);
        faults_finish(&faults);
    }
}

static void removal_keeps_all_other_lines_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"# mine\r\n203.0.113.9 # x\n  bro ken\n203.0.113.9\n10.0.0.0/8",
         "# mine\r\n  bro ken\n10.0.0.0/8"                                           },
        {"203.0.113.9",                                                   ""         },
        {"\n\n203.0.113.9\n",                                             "\n\n"     },
        {"1.1.1.1\n203.0.113.9",                                          "1.1.1.1\n"},
        {"1.1.1.1 # Blocked: x at 2025-11-03 10:30:00 for 9s\n2.2.2.2\n", "2.2.2.2\n"},
    };
    struct deny_entry entry;
    assert_int_equal(deny_entry_parse(SLICE("203.0.113.9"), &entry), OK);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct deny_text text;
        char memory[256];
        struct buffer out = BUFFER_OVER(memory, sizeof memory);
        read_text(&text, rows[i].before, NULL, at_first, NULL);
        deny_text_without(&text, deny_entry_ban(&entry, 0).identity, at_first.now_us, &out);
        assert_string_equal(buffer_text_of(&out), rows[i].after);
        deny_text_finish(&text);
    }
}

static uint64_t end_of(const struct deny_text *text, size_t i)
{
    return text->denials[i].ban.until_us;
}

static void a_clock_jump_moves_no_end(void **state)
{
    (void)state;
    static const char lines[] = "1.1.1.1  # Blocked: x at 2025-11-03 10:30:00 for 900s\n"
                                "2.2.2.2  # Blocked: x at 2025-11-03 10:30:00\n";
    struct deny_text first, second;
    read_text(&first, lines, NULL, at_first, NULL);
    assert_int_equal(end_of(&first, 0), at_first.now_us + 800 * SECOND_US);
    assert_true(end_of(&first, 1) == BAN_FOREVER);
    struct deny_now later = {.wall_us = (AT + 365 * 86400) * SECOND_US,
                             .now_us = at_first.now_us + SECOND_US};
    read_text(&second, lines, &first, later, NULL);
    assert_int_equal(end_of(&second, 0), end_of(&first, 0));
    deny_text_finish(&second);
    /* A line that is new is within what it says, whatever the clock is. */
    struct deny_now before = {.wall_us = SECOND_US, .now_us = 7};
    read_text(&second, lines, NULL, before, NULL);
    assert_int_equal(end_of(&second, 0), 7 + 900 * SECOND_US);
    deny_text_finish(&second);
    read_text(&second, lines, NULL, later, NULL);
    assert_int_equal(end_of(&second, 0), later.now_us);
    assert_true(denial_goes(&second.denials[0], 0, later.now_us));
    assert_false(denial_goes(&second.denials[1], 0, later.now_us));
    deny_text_finish(&second);
    deny_text_finish(&first);
}

/* Whoever appends to the file may say the same again and again: if reading it took a step for each
 * pair of lines, this would take minutes. */
static void many_lines_may_say_the_same(void **state)
{
    (void)state;
    AUTO(buffer) lines = BUFFER_MAX((size_t)DENYLIST_ENTRIES_MAX * 32);
    for (unsigned i = 0; i < DENYLIST_ENTRIES_MAX; i++)
        buffer_printf(&lines, "203.0.113.9 # reason %u\n", i / 2);
    struct deny_text text = {0}, again = {0};
    read_text(&text, buffer_text_of(&lines), NULL, (struct deny_now){0}, NULL);
    read_text(&again, buffer_text_of(&lines), &text, (struct deny_now){0}, NULL);
    assert_int_equal(again.count, DENYLIST_ENTRIES_MAX);
    uint64_t identity = again.denials[0].ban.identity;
    assert_ptr_equal(deny_text_find(&again, identity, 0), &again.denials[0]);
    for (size_t i = 0; i < again.count; i++)
        assert_ptr_equal(deny_text_find(&again, identity, again.denials[i].line_hash),
                         &again.denials[i / 2 * 2]);
    assert_null(deny_text_find(&again, identity + 1, 0));
    assert_null(deny_text_find(&again, identity, 1));
    deny_text_finish(&text);
    deny_text_finish(&again);
}

static void reasons_are_one_line_of_text(void **state)
{
    (void)state;
    char longest[DENY_REASON_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(deny_reason_valid(SLICE("5 errors in 30s")));
    assert_true(deny_reason_valid(SLICE("zu viele Fehler \xc3\xbc")));
    assert_true(deny_reason_valid(slice_make(longest, DENY_REASON_MAX)));
    assert_false(deny_reason_valid(slice_make(longest, DENY_REASON_MAX + 1)));
    assert_false(deny_reason_valid(SLICE("")));
    assert_false(deny_reason_valid(SLICE("a\nb")));
    assert_false(deny_reason_valid(SLICE("a\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(a_line_whose_end_cannot_be_read_is_told),
        cmocka_unit_test(a_line_reads_back_as_it_was_printed),
        cmocka_unit_test(a_broken_line_is_named_and_drops_nothing_else),
        cmocka_unit_test(removal_keeps_all_other_lines_as_they_are),
        cmocka_unit_test(a_clock_jump_moves_no_end),
        cmocka_unit_test(many_lines_may_say_the_same),
        cmocka_unit_test(reasons_are_one_line_of_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
