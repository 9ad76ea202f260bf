#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "config/toml.h"

static void write_leaf(void *context, const struct toml_leaf *leaf)
{
    struct buffer *out = context;
    buffer_printf(out, "%u %s", leaf->line, leaf->path);
    if (leaf->table >= 0)
        buffer_printf(out, " table %d", leaf->table);
    if (leaf->item >= 0)
        buffer_printf(out, " item %d", leaf->item);
    if (leaf->type == TOML_STRING)
        buffer_printf(out, " \"%.*s\"\n", (int)leaf->text_len, leaf->text);
    else if (leaf->type == TOML_INTEGER)
        buffer_printf(out, " %lld\n", (long long)leaf->integer);
    else if (leaf->type == TOML_BOOLEAN)
        buffer_printf(out, " %s\n", leaf->boolean ? "yes" : "no");
    else
        buffer_printf(out, " %s\n", toml_type_name(leaf->type));
}

static void a_document_becomes_leaves_in_the_order_of_lines(void **state)
{
    (void)state;
    static const char text[] = "[z]\nb = 1\na = \"x\"\nl = [\"p\", \"q\"]\ne = []\n"
                               "[a]\nyes = true\nf = 1.5\nd = 2025-01-01\nn = [[1]]\n"
                               "[empty]\n[[t.u]]\nk = -5\n[[t.u]]\nk.j = 2\n[[t.v]]\n\"q.r\" = 1\n";
    static const char expected[] =
        "2 z.b 1\n3 z.a \"x\"\n4 z.l item 0 \"p\"\n4 z.l item 1 \"q\"\n"
        "5 z.e an empty list\n7 a.yes yes\n8 a.f a number with a fraction\n"
        "9 a.d a date or time\n10 a.n item 0 a nested list or table\n"
        "11 empty a table\n13 t.u.k table 0 -5\n15 t.u.k.j table 1 2\n"
        "17 t.v.\"q.r\" table 0 1\n";
    struct buffer out = BUFFER_MAX(1 << 20);
    struct toml_error error;
    assert_true(toml_walk(text, sizeof text - 1, write_leaf, &out, &error));
    assert_string_equal(buffer_text_of(&out), expected);
    buffer_finish(&out);
}

static void mistakes_have_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *part;
    } rows[] = {
        {"[a]\nb = \n",                                 2, "not valid TOML"                       },
        {"[a\n",                                        1, "not valid TOML"                       },
        {"[a]\nb = 1\nb = 2\n",                         3, "not valid TOML"                       },
        {"[security]\na = 1\n[b]\n[security]\nc = 1\n", 4, "the table [security] is there already"},
        {"a = \"\xff\"\n",                              1, "not valid TOML"                       },
    };
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        struct toml_error error;
        struct buffer out = BUFFER_MAX(1 << 20);
        assert_false(toml_walk(rows[i].text, strlen(rows[i].text), write_leaf, &out, &error));
        assert_int_equal(error.line, rows[i].line);
        assert_non_null(strstr(error.sentence, rows[i].part));
        assert_int_equal(out.len, 0);
    }
}

/* Whatever a file is cut at, the answer is leaves or a sentence, and never an exception. */
static void a_document_may_end_anywhere(void **state)
{
    (void)state;
    static const char text[] =
        "[z]\nb = 1_000\na = \"x\\u00e9\"\nl = [\"p\", {q = 1}]\n[[t]]\n'k' = '''\ny'''\n";
    for (size_t len = 0; len < sizeof text; len++) {
        struct buffer out = BUFFER_MAX(1 << 20);
        struct toml_error error;
        if (!toml_walk(text, len, write_leaf, &out, &error))
            assert_true(error.sentence[0] != '\0');
        buffer_finish(&out);
    }
}

static void tables_too_deep_end_the_walk(void **state)
{
    (void)state;
    static const char text[] = "a.b.c.d.e.f.g.h.i.j.k.l.m.n = 1\n";
    struct buffer out = BUFFER_MAX(1 << 20);
    struct toml_error error;
    assert_true(toml_walk(text, sizeof text - 1, write_leaf, &out, &error));
    assert_non_null(strstr(buffer_text_of(&out), "a nested list or table"));
    buffer_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_becomes_leaves_in_the_order_of_lines),
        cmocka_unit_test(mistakes_have_a_line),
        cmocka_unit_test(a_document_may_end_anywhere),
        cmocka_unit_test(tables_too_deep_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
