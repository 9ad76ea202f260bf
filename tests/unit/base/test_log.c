/* The operational logger: one valid JSON line each, whatever the message holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/log.h"

static char last[8192];
static size_t last_len;
static unsigned lines;

static void catch_line(struct slice line)
{
    assert_true(line.len < sizeof last);
    memcpy(last, line.ptr, line.len);
    last_len = line.len;
    lines++;
}

static int with_sink(void **state)
{
    (void)state;
    lines = 0;
    log_set_sink(catch_line);
    log_set_level(LOG_INFO);
    return 0;
}

static int without_sink(void **state)
{
    (void)state;
    log_set_sink(NULL);
    return 0;
}

/* The last line, read by another JSON reader. */
static json_t *read_line(void)
{
    assert_true(last_len > 1 && last[last_len - 1] == '\n');
    assert_null(memchr(last, '\n', last_len - 1));
    json_t *line = json_loadb(last, last_len - 1, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    assert_int_equal(json_object_size(line), 3);
    assert_int_equal(strlen(json_string_value(json_object_get(line, "timestamp"))), 19);
    return line;
}

static void expect_line(const char *level, const char *message)
{
    json_t *line = read_line();
    assert_string_equal(json_string_value(json_object_get(line, "level")), level);
    assert_string_equal(json_string_value(json_object_get(line, "message")), message);
    json_decref(line);
}

static void messages_cannot_leave_their_string(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "",
        "plain",
        "quote \" backslash \\ slash /",
        "line\nline\r\nline",
        "\x01\x1b[31mred\x7f",
        "\",\"level\":\"ERROR\"}",
        "\xc3\xa4\xe2\x82\xac",
        "\xe2\x80\xa8",
    };
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        log_info("%s", messages[i]);
        expect_line("INFO", messages[i]);
    }
    log_info("bad \xff byte");
    expect_line("INFO", "bad \xef\xbf\xbd byte");
    assert_int_equal(lines, COUNT_OF(messages) + 1);
}

static void lines_below_the_level_are_dropped(void **state)
{
    (void)state;
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    for (int lowest = LOG_DEBUG; lowest <= LOG_ERROR; lowest++) {
        log_set_level((enum log_level)lowest);
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            unsigned before = lines;
            log_line((enum log_level)level, "number %d", level);
            assert_int_equal(lines - before, level >= lowest);
            char message[] = "number 0";
            message[7] = (char)('0' + level);
            if (level >= lowest)
                expect_line(names[level], message);
        }
    }
}

/* Long messages are cut, but the line stays whole; so does one of which every byte grows by six. */
static void overlong_messages_stay_valid_lines(void **state)
{
    (void)state;
    static char text[10000];
    static const char *const fillings[] = {"x", "\x01", "\"", "\xff", "\xc3\xa4", "a\xe2\x82\xac"};
    for (size_t i = 0; i < COUNT_OF(fillings); i++) {
        size_t step = strlen(fillings[i]), len = 0;
        while (len + step < sizeof text) {
            memcpy(text + len, fillings[i], step);
            len += step;
        }
        text[len] = '\0';
        log_error("%s", text);
        assert_int_equal(lines, i + 1);
        json_t *line = read_line();
        size_t kept = json_string_length(json_object_get(line, "message"));
        assert_in_range(kept, 250, 4000);
        json_decref(line);
    }
}

static void level_words_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum err err;
        enum log_level level;
    } rows[] = {
        {"debug",   OK,        LOG_DEBUG  },
        {"INFO",    OK,        LOG_INFO   },
        {"Warning", OK,        LOG_WARNING},
        {"warn",    OK,        LOG_WARNING},
        {"error",   OK,        LOG_ERROR  },
        {"",        ERR_RANGE, LOG_DEBUG  },
        {"warnin",  ERR_RANGE, LOG_DEBUG  },
        {"errors",  ERR_RANGE, LOG_DEBUG  },
        {"0",       ERR_RANGE, LOG_DEBUG  },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum log_level level = LOG_DEBUG;
        assert_int_equal(log_level_parse(slice_of(rows[i].word), &level), rows[i].err);
        assert_int_equal(level, rows[i].level);
    }
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        enum log_level back;
        assert_int_equal(log_level_parse(slice_of(log_level_name((enum log_level)level)), &back),
                         OK);
        assert_int_equal(back, level);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_cannot_leave_their_string, with_sink,
                                        without_sink),
        cmocka_unit_test_setup_teardown(lines_below_the_level_are_dropped, with_sink, without_sink),
        cmocka_unit_test_setup_teardown(overlong_messages_stay_valid_lines, with_sink,
                                        without_sink),
        cmocka_unit_test(level_words_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
