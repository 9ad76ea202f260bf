/* The JSON scanner: each vector whole, byte by byte and split at every offset, with the same
 * outcome, the same place of the fault and the same events; jansson as oracle on generated
 * documents. Pieces are copied into memory of exactly their size, so that AddressSanitizer sees a
 * read beyond them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "proto/json.h"

enum { ARENA_MAX = 8 << 20 };

struct reading {
    struct buffer events;
    enum json_fault fault;
    uint64_t offset;
};

static void write_event(void *context, const struct json_value *value)
{
    static const char *const names[] = {"{",      "}",    "[",     "]",   "string",
                                        "number", "true", "false", "null"};
    struct buffer *out = context;
    for (unsigned i = 0; i < value->depth && i < JSON_PATH_KEPT; i++) {
        buffer_byte(out, '/');
        buffer_append(out, value->path[i]);
    }
    buffer_printf(out, " %u %s %d %llu %llu..%llu ", value->depth, names[value->event], value->kept,
                  (unsigned long long)value->characters, (unsigned long long)value->begin,
                  (unsigned long long)value->end);
    buffer_append(out, value->text);
    buffer_byte(out, '\n');
}

static void feed_copy(struct json *json, struct slice piece)
{
    char *exact = malloc(piece.len ? piece.len : 1);
    assert_non_null(exact);
    if (piece.len)
        memcpy(exact, piece.ptr, piece.len);
    enum err err = json_feed(json, slice_make(exact, piece.len));
    assert_int_equal(err, json_fault(json) ? ERR_SYNTAX : OK);
    free(exact);
}

/* In pieces of `size` bytes after a first one of `first`. */
static void read_pieces(struct slice text, size_t first, size_t size, struct reading *reading)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    buffer_init(&reading->events, 16 << 20);
    struct json *json = json_create(&arena, write_event, &reading->events);
    assert_non_null(json);
    feed_copy(json, slice_to(text, first));
    for (size_t at = first; at < text.len; at += size)
        feed_copy(json, slice_make(text.ptr + at, text.len - at < size ? text.len - at : size));
    enum err err = json_end(json);
    reading->fault = json_fault(json);
    reading->offset = json_offset(json);
    assert_int_equal(err, reading->fault ? ERR_SYNTAX : OK);
    assert_int_equal(json_end(json), err);
    arena_finish(&arena);
}

static void assert_same(struct slice text, const struct reading *a, const struct reading *b)
{
    if (a->fault != b->fault || a->offset != b->offset ||
        !slice_equal(buffer_slice(&a->events), buffer_slice(&b->events)))
        fail_msg("%.*s\n%s at %llu\n%.*s\n%s at %llu\n%.*s", SLICE_ARG(text),
                 json_fault_name(a->fault), (unsigned long long)a->offset,
                 SLICE_ARG(buffer_slice(&a->events)), json_fault_name(b->fault),
                 (unsigned long long)b->offset, SLICE_ARG(buffer_slice(&b->events)));
}

/* Returns the fault of `text`, which does not depend on how it is cut. */
static enum json_fault fault_of(struct slice text)
{
    struct reading whole, cut;
    read_pieces(text, text.len, 1, &whole);
    read_pieces(text, 0, 1, &cut);
    assert_same(text, &whole, &cut);
    buffer_finish(&cut.events);
    size_t step = text.len < 300 ? 1 : text.len / 100;
    for (size_t at = 1; at < text.len; at += step) {
        read_pieces(text, at, text.len, &cut);
        assert_same(text, &whole, &cut);
        buffer_finish(&cut.events);
    }
    buffer_finish(&whole.events);
    return whole.fault;
}

static void expect(struct slice text, enum json_fault fault)
{
    enum json_fault found = fault_of(text);
    if (found != fault)
        fail_msg("%.*s: %s, expected %s", SLICE_ARG(text), json_fault_name(found),
                 json_fault_name(fault));
}

#define EXPECT_ALL(list, fault)                                                                    \
    for (size_t i_ = 0; i_ < COUNT_OF(list); i_++)                                                 \
    expect(list[i_], fault)

// clang-format off
#define S(text) {text, sizeof(text) - 1}
static const struct slice accepted[] = {
    S("null"), S("true"), S("false"), S("0"), S("-0"), S("1"), S("-1"), S("42"), S("\"\""), S("\"a\""), S("[]"), S("{}"),
    S(" []"), S("[] "), S("\t[\n1\r,\t2 ]\n"), S("[[]]"), S("[[],[]]"), S("[{}]"), S("{\"\":0}"), S("{\"a\":[]}"),
    S("[1,2,3]"), S("[null,1,\"1\",{}]"), S("[[] ]"), S("[1\n]"), S(" [1]"), S("[1,null,null,null,2]"), S("[2] "),
    S("[123e65]"), S("[0e+1]"), S("[0e1]"), S("[ 4]"), S("[-0.000000000000000000000000000001]"), S("[20e1]"), S("[-0]"),
    S("[-123]"), S("[-1]"), S("[-0.0]"), S("[1E22]"), S("[1E-2]"), S("[1E+2]"), S("[123e45]"), S("[123.456e78]"),
    S("[1e-2]"), S("[1e+2]"), S("[123]"), S("[123.456789]"), S("[0.1]"), S("[9007199254740993]"), S("[1.7976931348623157e308]"),
    S("[-1.7976931348623157E+308]"), S("[17976931348623157e292]"), S("[0.00017976931348623157e312]"), S("[1e308]"), S("[1e-308]"), S("[5e-324]"),
    S("[0e308]"), S("[0.0e999]"), S("[1e-999]"), S("[1e0000000308]"), S("[1.79769313486231580e308]"),
    S("[0.1234567890123456789012345678901234567890123456789012345678901]"),
    S("[1234567890123456789012345678901234567890123456789012345678901234]"),
    S("{\"asd\":\"sdf\",\"dfg\":\"fgh\"}"), S("{\"asd\":\"sdf\"}"), S("{\"a\":1,\"b\":1}"), S("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}"),
    S("{\"foo\\u0000bar\":42}"), S("{\"min\":-1.0e+28,\"max\":1.0e+28}"), S("{\"x\":[{\"id\":\"xx\"}],\"id\":\"xx\"}"), S("{\"a\":[]}"),
    S("{\"title\":\"\\u041f\\u043e\\u043b\"}"), S("{\n\"a\": \"b\"\n}"), S("[{\"a\":1},{\"a\":1}]"), S("{\"a\":1,\"A\":1,\"a \":1,\" a\":1}"),
    S("{\"\\u00e9\":1,\"e\\u0301\":2}"), S("[\"\\u0060\\u012a\\u12AB\"]"), S("[\"\\uD801\\udc37\"]"), S("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    S("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), S("[\"\\\\u0000\"]"), S("[\"\\\"\"]"), S("[\"a/*b*/c/*d//e\"]"), S("[\"\\\\a\"]"), S("[\"\\\\n\"]"),
    S("[\"\\u0012\"]"), S("[\"\\uFFFF\"]"), S("[\"asd\"]"), S("[ \"asd\"]"), S("[\"\\uDBFF\\uDFFF\"]"), S("[\"new\\u00A0line\"]"),
    S("[\"\xf4\x8f\xbf\xbf\"]"), S("[\"\xef\xbf\xbf\"]"), S("[\"\\u0000\"]"), S("[\"\\u002c\"]"), S("[\"\xcf\x80\"]"), S("[\"\xf0\x9b\xbf\xbf\"]"),
    S("[\"asd \"]"), S("\" \""), S("[\"\\uD834\\uDd1e\"]"), S("[\"\\u0821\"]"), S("[\"\\u0123\"]"), S("[\"\xe2\x80\xa8\"]"), S("[\"\xe2\x80\xa9\"]"),
    S("[\"\\u0061\\u30af\\u30EA\\u30b9\"]"), S("[\"new\\u000Aline\"]"), S("[\"\x7f\"]"), S("[\"\\uA66D\"]"), S("[\"\\u005C\"]"), S("[\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"]"),
    S("[\"\\u200B\"]"), S("[\"\\u2064\"]"), S("[\"\\uFDD0\"]"), S("[\"\\uFFFE\"]"), S("[\"\\u0022\"]"), S("[\"\xe2\x82\xac\xf0\x9d\x84\x9e\"]"), S("[\"a\x7f\x61\"]"),
    S("[\"\xed\x9f\xbf\"]"), S("[\"\xee\x80\x80\"]"), S("[\"\xf0\x90\x80\x80\"]"), S("[\"\xe0\xa0\x80\"]"), S("[\"\xc2\x80\"]"),
    S("{\"__proto__\":1,\"constructor\":{\"prototype\":2}}"), S("[\"\xef\xbb\xbf\"]"), S("[true,false,null]"), S("[1.5e3,0.05e3,-0.05e-3]"),
    S("                                                  {                                        }                                    "),
};
static const struct slice malformed[] = {
    S("[1 true]"), S("[a\xe5]"), S("[\"\": 1]"), S("[,1]"), S("[1,,2]"), S("[\"x\",,]"),
    S("[\"\",]"), S("[,]"), S("[   , \"\"]"), S("[1,]"), S("[1,,]"), S("[*]"), S("[-]"), S("[x"), S("[3[4]]"), S("[1:2]"), S("[1}"), S("{]"), S("{\"a\":1]"),
    S("[fals]"), S("[nul]"), S("[tru]"), S("[True]"), S("[NULL]"), S("[nulll]"), S("nan"), S("[NaN]"), S("[-NaN]"), S("[Inf]"), S("[Infinity]"), S("[-Infinity]"),
    S("[+Inf]"), S("[++1234]"), S("[+1]"), S("[-01]"), S("[-1.0.]"), S("[-2.]"), S("[.-1]"), S("[.2e-3]"), S("[0.1.2]"), S("[0.3e+]"), S("[0.3e]"), S("[0.e1]"),
    S("[0E+]"), S("[0E]"), S("[0e+]"), S("[0e]"), S("[1.0e+]"), S("[1.0e-]"), S("[1.0e]"), S("[1 000.0]"), S("[1eE2]"), S("[2.e+3]"), S("[2.e-3]"), S("[2.e3]"),
    S("[9.e+]"), S("[0x1]"), S("[0x42]"), S("[1+2]"), S("[-foo]"), S("[- 1]"), S("[-012]"), S("[-.123]"), S("[1ea]"), S("[1.]"), S("[.123]"), S("[1.2a-3]"),
    S("[1.8011670033376514H-308]"), S("[012]"), S("[00]"), S("[1_000]"), S("[1,000_]"), S("[0b1]"), S("[0o7]"), S("[1e1.5]"), S("[1f]"), S("[--1]"), S("[1-1]"),
    S("[\xef\xbc\x91]"), S("[\xe5]"), S("[1\xe5]"), S("[1e1\xe5]"), S("[0\xe5]"), S("01"), S("-x"), S("1.x"),
    S("[\"x\", truth]"), S("{[: \"x\"}"), S("{\"x\", null}"), S("{\"x\"::\"b\"}"), S("{\"a\":\"a\" 123}"), S("{key: 'value'}"), S("{\"a\" b}"), S("{:\"b\"}"),
    S("{\"a\" \"b\"}"), S("{1:1}"), S("{9999E9999:1}"), S("{null:null,null:null}"), S("{\"id\":0,,,,,}"), S("{'a':0}"), S("{\"id\":0,}"), S("{\"a\":\"b\",,\"c\":\"d\"}"),
    S("{a: \"b\"}"), S("{\"a\":\"a"  "\n\"}"), S("{ \"foo\" : \"bar\", \"a\" }"), S("{,}"), S("{\"a\":}"), S("{\"a\":,}"), S("{\"a\"}"), S("{\"a\",}"), S("{true:1}"), S("{[]:1}"), S("{{}:1}"),
    S("{\"a\":/*comment*/\"b\"}"), S("/* a */ []"), S("// a\n[]"), S("# a\n[]"), S("[/**/]"), S("[1,//x\n2]"),
    S("['single quote']"), S("'a'"), S("`a`"), S("[abc]"), S("abc"), S("[\"\\x00\"]"), S("[\"\\\xf0\x9f\x8c\x80\"]"), S("[\"\\a\"]"), S("[\"\\uqqqq\"]"), S("[\"\\u00A\"]"),
    S("[\"\\u\xe5\"]"), S("[\"\\\xe5\"]"), S("[\"a\000a\"]"), S("[\"new\nline\"]"), S("[\"\t\"]"), S("\"\\UA66D\""), S("[\"\\'\"]"), S("[\"\\0\"]"), S("[\"\\v\"]"), S("[\"\\e\"]"),
    S("[\"\\ \"]"), S("[\"\\u 123\"]"), S("[\"\\u+123\"]"), S("[\"\\u{41}\"]"), S("[\"\x1f\"]"), S("[\"\r\"]"), S("[\"\x01\"]"), S("{\"a\nb\":1}"), S("{\"\\q\":1}"),
    S("<.>"), S("[<null>]"), S("<html>"), S("]"), S("}"), S(","), S(":"), S("[\f1]"), S("\v[]"), S("[\xc2\xa0]"), S("\xe2\x81\xa0[]"), S("[\xe2\x80\xa8]"), S("\f"),
    S("*"), S("{\"a\":b}"), S("\xef\xbb\xbf{}"), S("\xef\xbb\xbf"), S("\xfe\xff\000[\000]"), S("\xff\xfe[\000]\000"), S("[\000\000\000]\000\000\000"), S("\000\000\000["), S("\000"), S("[\000]"),
    S("\xff"), S("\x80"), S("(1)"), S("undefined"), S("[undefined]"), S("[void]"), S("=1"), S("&[]"), S("\\u007b}"), S("{\"a\";1}"), S("{\"a\"=1}"), S("{\"a\":1;\"b\":2}"), S("[1;2]"),
    S("{\"a\":[1,2}"), S("[{\"a\":1]"), S("[[1]}"), S("{\"a\":{\"b\":1]}"), S("[\"a\" \"b\"]"), S("[1 2]"), S("[{}{}]"), S("[[][]]"), S("[\"\":\"\"]"), S("{\"a\":1 \"b\":2}"),
};
static const struct slice incomplete[] = {
    S(""), S(" "), S("\n\t\r "), S("["), S("{"), S("[1"), S("[1,"), S("[\"a\""), S("[\"a\","), S("[\"a"), S("[{"), S("{\"a\""), S("{\"a\":"), S("{\"a\":1"), S("{\"a\":1,"), S("{\"a"),
    S("\""), S("\"a"), S("\"\\"), S("[\"\\"), S("[\"\\u"), S("[\"\\u0"), S("[\"\\u00"), S("[\"\\u004"), S("[\"\\\\\\\""), S("[\"\\uD834"), S("[\"\\uD834\\"), S("[\"\\uD834\\u"), S("[\"\\uD834\\uDd1"),
    S("t"), S("tru"), S("fals"), S("n"), S("nul"), S("[tru"), S("-"), S("1."), S("1e"), S("1e+"), S("[-"), S("[1.5"), S("[[[[[[[["), S("{\"a\":{\"b\":[{\"c\":\""), S("[[],"), S("[[]"), S("\"\xe2"), S("\"\xe2\x82"), S("\"\xf0\x9d\x84"),
};
static const struct slice trailing[] = {
    S("{}}"), S("[]]"), S("1 2"), S("1]"), S("{}{}"), S("[][]"), S("{} []"), S("\"a\"x"), S("\"a\" \"b\""), S("[1]x"), S("{\"a\":true} \"x\""), S("true false"), S("nullx"), S("{}#"), S("{}//"), S("{}/*x*/"),
    S("{\"a\":\"b\"}/**/"), S("[],"), S("{},"), S("\"\"\000"), S("{}\000"), S("1x"), S("[1],"), S("[\"x\"]]"), S("2@"), S("{}\xef\xbb\xbf"), S("[]\xe2\x81\xa0"), S("{}garbage"), S("{}\n{}\n"), S("0x42"),
};
static const struct slice not_utf8[] = {
    S("[\"\xff\"]"), S("[\"\xc0\xaf\"]"), S("[\"\xc1\xbf\"]"), S("[\"\xe0\x80\xaf\"]"), S("[\"\xf0\x80\x80\xaf\"]"), S("[\"\xed\xa0\x80\"]"), S("[\"\xed\xbf\xbf\"]"), S("[\"\xed\xa1\x8c\xed\xbe\xb4\"]"),
    S("[\"\xf4\x90\x80\x80\"]"), S("[\"\xf5\x80\x80\x80\"]"), S("[\"\xf8\x88\x80\x80\x80\"]"), S("[\"\xfc\x83\xbf\xbf\xbf\xbf\"]"), S("[\"\x80\"]"), S("[\"\xbf\"]"), S("[\"\xe9\"]"), S("[\"\xe6\x97\xa5\xd1\x88\xfa\"]"),
    S("[\"\xe2\x82\"]"), S("[\"\xf0\x9d\x84\"]"), S("[\"\xc3(\"]"), S("[\"\xe2\x82\\n\"]"), S("[\"\xc3\n\"]"), S("[\"\\n\x80\"]"), S("{\"\xff\":1}"), S("{\"a\":\"\xfe\"}"), S("[\"\xc3\xa9\xa9\"]"), S("\"\xe2\""),
    S("[\"\\u00e9\xe9\"]"), S("[\"\xf0\x8f\xbf\xbf\"]"), S("[\"\xef\xbf\"]"), S("[\"\xf9\"]"),
};
static const struct slice surrogates[] = {
    S("[\"\\uDADA\"]"), S("[\"\\uD888\\u1234\"]"), S("[\"\\uD800\\uD800\\n\"]"), S("[\"\\uD800\\n\"]"), S("[\"\\udc00\"]"), S("[\"\\uDd1e\\uD834\"]"), S("[\"\\uD834x\"]"), S("[\"\\ud800abc\"]"),
    S("[\"\\uDFAA\"]"), S("[\"\\uD800\\uD800\"]"), S("{\"\\uDFAA\":0}"), S("[\"\\uD800\\\\\"]"), S("[\"\\uD834\\uDd1e\\uDd1e\"]"), S("[\"\\uD83D\n\"]"), S("[\"\\uD83D\xff\"]"), S("\"\\ud800\""), S("[\"\\uD800\\x\"]"),
};
static const struct slice duplicates[] = {
    S("{\"model\":\"allowed\",\"model\":\"forbidden\"}"), S("{\"model\":\"a\",\"mod\\u0065l\":\"b\"}"), S("{\"\\u006d\\u006f\\u0064\\u0065\\u006C\":1,\"model\":2}"),
    S("{\"a\":1,\"a\":1}"), S("{\"\":1,\"\":2}"), S("{\"a\":{\"b\":1,\"b\":2}}"), S("{\"tools\":[{\"x\":1,\"y\":2,\"x\":3}]}"), S("[{\"a\":1},{\"b\":1,\"b\":1}]"),
    S("{\"\xc3\xa9\":1,\"\\u00e9\":2}"), S("{\"\\ud83d\\ude39\":1,\"\xf0\x9f\x98\xb9\":2}"), S("{\"a\\/b\":1,\"a/b\":2}"), S("{\"a\":{\"x\":1},\"a\":2}"), S("{\"x\":{},\"y\":[{\"x\":1}],\"x\":0}"),
    S("{\"a\\nb\":1,\"a\\u000ab\":2}"), S("{\"a\\u0000\":1,\"a\\u0000\":2}"), S("{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"9\":0,\"1\":0}"),
    S("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0,\"c\":0}"),
    S("{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0,\"q\":0}"),
    S("{\"0123456789012345678901234567890123456789012345678901234567890123456789\":1,\"012345678901234567890123456789012345678901234567890123456789012345678\\u0039\":1}"),
};
static const struct slice out_of_range[] = {
    S("[1e400]"), S("[-1e400]"), S("[1e309]"), S("[123.456e308]"), S("[1.5e+9999]"), S("[0.4e00669999999999999999]"), S("[-1e+9999]"), S("[123123e100000]"), S("[123e-10000000]"), S("[0e1000]"), S("[1e-1000]"),
    S("[1.7976931348623159e308]"), S("[1.7976931348623158079372897140530341507993413271004e308]"), S("[0.00018e312]"), S("[18e307]"), S("[1.8e308]"), S("[2e308]"), S("1e400"), S("{\"n\":1E400}"),
};
static const struct slice long_numbers[] = {
    S("[12345678901234567890123456789012345678901234567890123456789012345]"),
    S("[-1234567890123456789012345678901234567890123456789012345678901234]"), S("[1.234567890123456789012345678901234567890123456789012345678901234e1]"),
    S("[0.000000000000000000000000000000000000000000000000000000000000000000000000000001.x]"), S("12345678901234567890123456789012345678901234567890123456789012345"),
};
#undef S
// clang-format on

static void accepts_what_rfc_8259_allows(void **state)
{
    (void)state;
    EXPECT_ALL(accepted, JSON_FINE);
}

static void refuses_what_is_no_json(void **state)
{
    (void)state;
    EXPECT_ALL(malformed, JSON_SYNTAX);
    EXPECT_ALL(incomplete, JSON_INCOMPLETE);
    EXPECT_ALL(trailing, JSON_TRAILING);
}

static void refuses_text_that_readers_disagree_on(void **state)
{
    (void)state;
    EXPECT_ALL(not_utf8, JSON_UTF8);
    EXPECT_ALL(surrogates, JSON_SURROGATE);
    EXPECT_ALL(duplicates, JSON_DUPLICATE_KEY);
}

static void refuses_numbers_beyond_a_double(void **state)
{
    (void)state;
    EXPECT_ALL(out_of_range, JSON_NUMBER_RANGE);
    EXPECT_ALL(long_numbers, JSON_NUMBER_TOO_LONG);
}

/* Every vector again behind and inside longer text, where the fast ways take over. */
static void vectors_hold_inside_long_text(void **state)
{
    (void)state;
    const struct slice *const lists[] = {not_utf8, surrogates};
    const size_t counts[] = {COUNT_OF(not_utf8), COUNT_OF(surrogates)};
    const enum json_fault faults[] = {JSON_UTF8, JSON_SURROGATE};
    static const char *const fillers[] = {
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
        "\xe4\xba\xba\xe5\xb7\xa5\xe6\x99\xba\xe8\x83\xbd",
        "\xc3\xa9t\xc3\xa9 \xd0\xbc\xd0\xb8\xd1\x80 \xf0\x9f\x98\xb9"};
    for (size_t list = 0; list < COUNT_OF(lists); list++)
        for (size_t i = 0; i < counts[list]; i++)
            for (size_t f = 0; f < COUNT_OF(fillers); f++) {
                struct buffer text = BUFFER_MAX(4096);
                size_t quote = slice_find(lists[list][i], '"') + 1;
                buffer_append(&text, slice_to(lists[list][i], quote));
                for (size_t n = 0; n <= i % 4; n++)
                    buffer_text(&text, fillers[f]);
                buffer_append(&text, slice_from(lists[list][i], quote));
                buffer_text(&text, "                    ");
                struct reading reading;
                struct slice all = buffer_slice(&text);
                read_pieces(all, all.len, 1, &reading);
                assert_int_equal(reading.fault, faults[list]);
                struct reading cut;
                read_pieces(all, 0, 1, &cut);
                assert_same(all, &reading, &cut);
                buffer_finish(&cut.events);
                buffer_finish(&reading.events);
                buffer_finish(&text);
            }
}

/* All two-byte and many longer sequences at all places of a block, against the plain validator. */
static void bulk_utf8_agrees_with_the_plain_reader(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                          0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                          0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    enum { EDGES = COUNT_OF(edges), LENGTH = 64 };
    char text[LENGTH];
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    for (unsigned number = 0; number < EDGES * EDGES * EDGES * EDGES; number += 7) {
        memset(text, 'x', sizeof text);
        memcpy(text, "\"\xc3\xa9", 3);
        unsigned char *at = (unsigned char *)text + 3 + number % 40;
        for (unsigned i = 0, rest = number; i < 4; i++, rest /= EDGES)
            at[i] = edges[rest % EDGES];
        if (at[3] == ' ') /* now and then nothing but the closing quote follows */
            at[4] = '"';
        text[LENGTH - 1] = '"';
        size_t len = slice_find(slice_make(text + 1, LENGTH - 1), '"');
        bool valid = utf8_valid(slice_make(text + 1, len));
        struct json *json = json_create(&arena, NULL, NULL);
        enum err err = json_feed(json, slice_make(text, len + 2));
        assert_int_equal(err == OK, valid);
        assert_int_equal(json_fault(json), valid ? JSON_FINE : JSON_UTF8);
        arena_reset(&arena);
    }
    arena_finish(&arena);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Behind so much text that nobody is told it; what follows is read the fast way from its first
 * character beyond ASCII on. */
static void begin_long_text(struct buffer *text, size_t plain)
{
    buffer_byte(text, '"');
    for (size_t i = 0; i <= JSON_STRING_KEPT; i++)
        buffer_byte(text, 'a');
    buffer_text(text, "\\n\xc3\xa9");
    for (size_t i = 0; i < plain; i++)
        buffer_byte(text, 'b');
}

static enum json_fault fault_of_long_text(struct buffer *text)
{
    for (unsigned i = 0; i < 80; i++)
        buffer_byte(text, 'z');
    buffer_byte(text, '"');
    for (unsigned i = 0; i < 70; i++)
        buffer_byte(text, ' ');
    struct slice all = buffer_slice(text);
    struct reading whole, cut;
    read_pieces(all, all.len, 1, &whole);
    read_pieces(all, 0, 1, &cut);
    assert_same(all, &whole, &cut);
    buffer_finish(&cut.events);
    buffer_finish(&whole.events);
    return whole.fault;
}

/* Each byte behind a backslash, at the places of a stretch where something begins or ends. */
static void escapes_in_long_text_are_judged(void **state)
{
    (void)state;
    static const unsigned places[] = {0, 1, 12, 13, 14, 60, 61, 62, 63};
    for (unsigned i = 0; i < COUNT_OF(places); i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            AUTO(buffer) text = BUFFER_MAX(4096);
            begin_long_text(&text, places[i]);
            buffer_byte(&text, '\\');
            buffer_byte(&text, (char)byte);
            bool good = byte && strchr("\"\\/bfnrt", (int)byte);
            assert_int_equal(fault_of_long_text(&text), good ? JSON_FINE : JSON_SYNTAX);
        }
    for (unsigned place = 0; place < 70; place++)
        for (unsigned run = 1; run < 70; run += place % 8 ? 13 : 1) {
            AUTO(buffer) text = BUFFER_MAX(4096);
            begin_long_text(&text, place);
            for (unsigned i = 0; i < run; i++)
                buffer_byte(&text, '\\');
            buffer_text(&text, "\"");
            /* An even run leaves the quote to end the string. */
            assert_int_equal(fault_of_long_text(&text), run % 2 ? JSON_FINE : JSON_TRAILING);
        }
}

/* Anything after anything else, against the same text byte by byte. */
static void long_text_reads_as_byte_by_byte(void **state)
{
    (void)state;
    static const char *const good[] = {"plain",
                                       " ",
                                       "x",
                                       "\xc3\xa9",
                                       "\xe4\xba\xba\xe5\xb7\xa5",
                                       "\xf0\x9f\x98\xb9",
                                       "\\n",
                                       "\\\"",
                                       "\\\\",
                                       "\\u00e9",
                                       "\\u4e2d\\u6587",
                                       "\\ud83d\\ude39",
                                       "a line of text with no end in sight"};
    static const char *const bad[] = {
        "\x80", "\xc3",       "\xe4\xba",   "\xed\xa0\x80",   "\xf0\x9f",
        "\\x",  "\\u12g4",    "\\ud83d\\n", "\\ud83d \\n",    "\\ude39",
        "\x01", "\\\xc3\xa9", "\\u",        "\\ud83d\\u0041", "\n"};
    uint64_t seed = 20251123;
    for (unsigned i = 0; i < 3000; i++) {
        AUTO(buffer) text = BUFFER_MAX(8192);
        begin_long_text(&text, 0);
        for (uint64_t n = next_random(&seed) % 60; n; n--)
            buffer_text(&text, good[next_random(&seed) % COUNT_OF(good)]);
        if (i % 2)
            buffer_text(&text, bad[i / 2 % COUNT_OF(bad)]);
        for (uint64_t n = next_random(&seed) % 8; n; n--)
            buffer_text(&text, good[next_random(&seed) % COUNT_OF(good)]);
        bool fine = fault_of_long_text(&text) == JSON_FINE;
        assert_int_equal(fine, i % 2 == 0);
    }
}

static void nesting_ends_at_its_bound(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 2];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    expect(slice_make(text, 2 * JSON_DEPTH_MAX), JSON_FINE);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    expect(slice_make(text, 2 * JSON_DEPTH_MAX), JSON_TOO_DEEP);

    struct buffer deep = BUFFER_MAX(1 << 20);
    for (int i = 0; i < 100000; i++)
        buffer_text(&deep, "{\"a\":");
    struct reading reading;
    read_pieces(buffer_slice(&deep), deep.len, 1, &reading);
    assert_int_equal(reading.fault, JSON_TOO_DEEP);
    assert_int_equal(reading.offset, 5 * JSON_DEPTH_MAX);
    buffer_finish(&reading.events);
    buffer_finish(&deep);
}

/* `members` of them, then optionally the first, the 10th or the last again. */
static enum json_fault fault_of_object(unsigned members, int again, size_t arena_max)
{
    struct buffer text = BUFFER_MAX(32 << 20);
    for (unsigned i = 0; i < members; i++)
        buffer_printf(&text, "%s\"key%u\":%u", i ? "," : "{", i, i);
    if (again >= 0)
        buffer_printf(&text, ",\"key%d\":0", again);
    buffer_byte(&text, '}');
    struct arena arena;
    arena_init(&arena, NULL, 0, arena_max);
    struct json *json = json_create(&arena, NULL, NULL);
    enum json_fault fault = JSON_MEMORY;
    if (json) {
        enum err err = json_feed(json, buffer_slice(&text));
        if (err == OK)
            err = json_end(json);
        fault = json_fault(json);
        assert_int_equal(err, fault ? ERR_SYNTAX : OK);
    }
    arena_finish(&arena);
    buffer_finish(&text);
    return fault;
}

static void members_are_bounded_and_unique(void **state)
{
    (void)state;
    assert_int_equal(fault_of_object(JSON_MEMBERS_MAX, -1, ARENA_MAX), JSON_FINE);
    assert_int_equal(fault_of_object(JSON_MEMBERS_MAX + 1, -1, ARENA_MAX), JSON_TOO_MANY_MEMBERS);
    static const unsigned sizes[] = {1, 2, 15, 16, 17, 18, 100, 128, 129, 1000, 5000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_int_equal(fault_of_object(sizes[i], -1, ARENA_MAX), JSON_FINE);
        assert_int_equal(fault_of_object(sizes[i], 0, ARENA_MAX), JSON_DUPLICATE_KEY);
        assert_int_equal(fault_of_object(sizes[i], (int)sizes[i] / 2, ARENA_MAX),
                         JSON_DUPLICATE_KEY);
        assert_int_equal(fault_of_object(sizes[i], (int)sizes[i] - 1, ARENA_MAX),
                         JSON_DUPLICATE_KEY);
    }
}

static void an_exhausted_arena_is_a_fault(void **state)
{
    (void)state;
    assert_int_equal(fault_of_object(5000, -1, 16384), JSON_MEMORY);
    assert_int_equal(fault_of_object(1, -1, 100), JSON_MEMORY);
}

/* Objects that are large, nested and closed again share one table without meeting. */
static void large_objects_do_not_mix_their_keys(void **state)
{
    (void)state;
    struct buffer text = BUFFER_MAX(1 << 20);
    buffer_byte(&text, '{');
    for (int object = 0; object < 30; object++) {
        buffer_printf(&text, "%s\"key%d\":{", object ? "," : "", object);
        for (int key = 0; key < 40; key++)
            buffer_printf(&text, "%s\"key%d\":%d", key ? "," : "", key, key);
        buffer_byte(&text, '}');
    }
    buffer_text(&text, ",\"last\":1}");
    struct reading reading;
    read_pieces(buffer_slice(&text), text.len, 1, &reading);
    assert_int_equal(reading.fault, JSON_FINE);
    buffer_finish(&reading.events);
    buffer_clear(&text);
    for (int level = 0; level < 60; level++)
        for (int key = 0; key < 20; key++)
            buffer_printf(&text, "%s\"k%d\":%s", key ? "," : "{", key, key < 19 ? "0" : "");
    buffer_text(&text, "0");
    for (int level = 0; level < 60; level++)
        buffer_text(&text, ",\"k\":0}");
    read_pieces(buffer_slice(&text), 1000, 777, &reading);
    assert_int_equal(reading.fault, JSON_FINE);
    buffer_finish(&reading.events);
    buffer_finish(&text);
}

static const struct {
    struct slice text;
    const char *events;
} told[] = {
  // clang-format off
    { SLICE("{\"model\":\"x\"}"), " 0 { 0 0 0..1 \n/model 1 string 1 1 9..12 x\n 0 } 0 0 12..13 \n" },
    { SLICE("[ 1.5 , true ]"), " 0 [ 0 0 0..1 \n/ 1 number 1 3 2..5 1.5\n/ 1 true 0 0 8..12 \n 0 ] 0 0 13..14 \n" },
    { SLICE("{\"a\":{\"b\":[null]}}"), " 0 { 0 0 0..1 \n/a 1 { 0 0 5..6 \n/a/b 2 [ 0 0 10..11 \n/a/b/ 3 null 0 0 11..15 \n/a/b 2 ] 0 0 15..16 \n/a 1 } 0 0 16..17 \n 0 } 0 0 17..18 \n" },
    { SLICE("\"\\u00e9\\n\\ud83d\\ude39\xe2\x82\xac\""), " 0 string 1 4 0..25 \xc3\xa9\n\xf0\x9f\x98\xb9\xe2\x82\xac\n" },
    { SLICE("{\"mod\\u0065l\":1}"), " 0 { 0 0 0..1 \n/model 1 number 1 1 14..15 1\n 0 } 0 0 15..16 \n" },
    { SLICE("-0"), " 0 number 1 2 0..2 -0\n" },
  // clang-format on
};

static void tells_what_it_sees(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(told); i++) {
        struct reading reading;
        expect(told[i].text, JSON_FINE);
        read_pieces(told[i].text, told[i].text.len, 1, &reading);
        assert_string_equal(buffer_text_of(&reading.events), told[i].events);
        buffer_finish(&reading.events);
    }
}

struct last {
    struct json_value value;
    size_t key_len;
};

static void keep_last(void *context, const struct json_value *value)
{
    struct last *last = context;
    if (value->event != JSON_SAW_STRING)
        return;
    last->value = *value;
    last->key_len = value->path[0].len;
}

static void long_strings_are_counted_not_kept(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "\xe4\xba\xba", "\\n", "\\ud83d\\ude39"};
    static const size_t unit_bytes[] = {1, 3, 1, 4};
    for (size_t u = 0; u < COUNT_OF(units); u++)
        for (size_t n = 100; n < 2000; n += u ? 37 : 1) {
            struct buffer text = BUFFER_MAX(1 << 16);
            buffer_text(&text, "{\"k\":\"");
            for (size_t i = 0; i < n; i++)
                buffer_text(&text, units[u]);
            buffer_text(&text, "\"}");
            struct arena arena;
            arena_init(&arena, NULL, 0, ARENA_MAX);
            struct last last = {0};
            struct json *json = json_create(&arena, keep_last, &last);
            assert_int_equal(json_feed(json, buffer_slice(&text)), OK);
            assert_int_equal(json_end(json), OK);
            bool kept = n * unit_bytes[u] <= JSON_STRING_KEPT;
            assert_int_equal(last.value.kept, kept);
            assert_int_equal(last.value.text.len, kept ? n * unit_bytes[u] : 0);
            assert_int_equal(last.value.characters, n);
            assert_int_equal(last.value.begin, 5);
            assert_int_equal(last.value.end, text.len - 1);
            arena_finish(&arena);
            buffer_finish(&text);
        }
}

static void long_keys_are_cut_in_paths_but_compared_whole(void **state)
{
    (void)state;
    for (unsigned len = 60; len < 200; len++) {
        struct buffer text = BUFFER_MAX(1 << 16);
        char key[256];
        memset(key, 'k', len);
        buffer_printf(&text, "{\"%.*sa\":\"\",\"%.*sb\":\"\"}", (int)len, key, (int)len, key);
        expect(buffer_slice(&text), JSON_FINE);
        struct arena arena;
        arena_init(&arena, NULL, 0, ARENA_MAX);
        struct last last = {0};
        struct json *json = json_create(&arena, keep_last, &last);
        assert_int_equal(json_feed(json, buffer_slice(&text)), OK);
        assert_int_equal(last.key_len, len + 1 < JSON_KEY_KEPT ? len + 1 : JSON_KEY_KEPT);
        arena_finish(&arena);
        buffer_clear(&text);
        buffer_printf(&text, "{\"%.*sa\":\"\",\"\\u006b%.*sa\":\"\"}", (int)len, key, (int)len - 1,
                      key);
        expect(buffer_slice(&text), JSON_DUPLICATE_KEY);
        buffer_finish(&text);
    }
}

static void a_fault_stays(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    struct json *json = json_create(&arena, NULL, NULL);
    assert_int_equal(json_feed(json, SLICE("[1,}")), ERR_SYNTAX);
    assert_int_equal(json_offset(json), 3);
    assert_int_equal(json_feed(json, SLICE("1]")), ERR_SYNTAX);
    assert_int_equal(json_end(json), ERR_SYNTAX);
    assert_int_equal(json_fault(json), JSON_SYNTAX);
    assert_string_equal(json_fault_name(JSON_DUPLICATE_KEY), "duplicate_key");
    for (int fault = 0; fault < JSON_FAULT_COUNT; fault++)
        assert_true(json_fault_name(fault) && json_fault_sentence(fault));
    arena_finish(&arena);
}

/* A small generator of documents, some of them broken by one changed byte. */
static void generate(struct buffer *out, uint64_t *seed, unsigned depth)
{
    static const char *const scalars[] = {
        "0",
        "-1",
        "12.5e3",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\\nb\"",
        "\"\\u00e9\\ud83d\\ude39\"",
        "1e10",
        "\"\xe4\xba\xba\xe5\xb7\xa5\xe6\x99\xba\xe8\x83\xbd\xe6\xad\xa3\xe5\x9c\xa8\"",
        "-0.25",
        "\"The quick brown fox jumps over the lazy dog, twice a day.\"",
        " 7 ",
        "\"\\\\\\/\\\"\""};
    static const char *const keys[] = {"\"a\"",        "\"b\"",  "\"\\u0061b\"", "\"cd\"",
                                       "\"\xc3\xa9\"", "\"e\" ", " \"f\"",       "\"\""};
    unsigned kind = (unsigned)next_random(seed) % 8;
    if (depth > 5 || kind > 4) {
        buffer_text(out, scalars[next_random(seed) % COUNT_OF(scalars)]);
        return;
    }
    bool object = kind > 1;
    unsigned count = (unsigned)next_random(seed) % 4;
    buffer_byte(out, object ? '{' : '[');
    for (unsigned i = 0; i < count; i++) {
        buffer_text(out, i ? "," : "");
        if (object)
            buffer_printf(out, "%s:", keys[next_random(seed) % COUNT_OF(keys)]);
        generate(out, seed, depth + 1);
    }
    buffer_byte(out, object ? '}' : ']');
}

static void jansson_agrees_on_generated_documents(void **state)
{
    (void)state;
    uint64_t seed = 20251103;
    unsigned good = 0, bad = 0;
    for (unsigned i = 0; i < 4000; i++) {
        struct buffer text = BUFFER_MAX(1 << 20);
        generate(&text, &seed, 0);
        static const char changes[] = "{}[]\",:\\ 0e.-\x01\x80\xc3\xed\xf0tu";
        if (i % 2)
            text.bytes[next_random(&seed) % text.len] =
                changes[next_random(&seed) % (sizeof changes - 1)];
        json_error_t error;
        json_t *tree =
            json_loadb(text.bytes, text.len,
                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        bool accepted_there = tree != NULL;
        json_decref(tree);
        struct reading reading;
        read_pieces(buffer_slice(&text), text.len, 1, &reading);
        /* jansson knows no number larger than an int64 and no key with a NUL; neither is generated.
         */
        if ((reading.fault == JSON_FINE) != accepted_there)
            fail_msg("%.*s: %s, jansson: %s", SLICE_ARG(buffer_slice(&text)),
                     json_fault_name(reading.fault), accepted_there ? "fine" : error.text);
        good += accepted_there;
        bad += !accepted_there;
        struct reading cut;
        size_t step = 1 + next_random(&seed) % 7;
        read_pieces(buffer_slice(&text), text.len ? next_random(&seed) % text.len : 0, step, &cut);
        assert_same(buffer_slice(&text), &reading, &cut);
        buffer_finish(&cut.events);
        buffer_finish(&reading.events);
        buffer_finish(&text);
    }
    assert_true(good > 500 && bad > 500);
}

int main(void)
{
    hash_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_rfc_8259_allows),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(refuses_text_that_readers_disagree_on),
        cmocka_unit_test(refuses_numbers_beyond_a_double),
        cmocka_unit_test(vectors_hold_inside_long_text),
        cmocka_unit_test(bulk_utf8_agrees_with_the_plain_reader),
        cmocka_unit_test(escapes_in_long_text_are_judged),
        cmocka_unit_test(long_text_reads_as_byte_by_byte),
        cmocka_unit_test(nesting_ends_at_its_bound),
        cmocka_unit_test(members_are_bounded_and_unique),
        cmocka_unit_test(an_exhausted_arena_is_a_fault),
        cmocka_unit_test(large_objects_do_not_mix_their_keys),
        cmocka_unit_test(tells_what_it_sees),
        cmocka_unit_test(long_strings_are_counted_not_kept),
        cmocka_unit_test(long_keys_are_cut_in_paths_but_compared_whole),
        cmocka_unit_test(a_fault_stays),
        cmocka_unit_test(jansson_agrees_on_generated_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
