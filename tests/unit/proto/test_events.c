/* SSE and NDJSON as they go by: whole, byte by byte and split at every offset, with the same
 * events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/events.h"

enum { MAX = 32 };

static void write_event(void *context, struct slice name, struct slice content)
{
    buffer_printf(context, "%.*s|%.*s;", SLICE_ARG(name), SLICE_ARG(content));
}

static const struct {
    enum event_framing framing;
    struct slice stream;
    const char *events;
    unsigned count;
    bool boundary;
} cases[] = {
  // clang-format off
    { FRAMING_SSE, SLICE(""), "", 0, true },
    { FRAMING_SSE, SLICE("data: a\n\n"), "|a;", 1, true },
    { FRAMING_SSE, SLICE("data:a\r\n\r\ndata: b\r\r"), "|a;|b;", 2, true },
    { FRAMING_SSE, SLICE("data: a\n"), "", 0, false },
    { FRAMING_SSE, SLICE("data: a"), "", 0, false },
    { FRAMING_SSE, SLICE("data: a\n\nd"), "|a;", 1, false },
    { FRAMING_SSE, SLICE("data: a\ndata: b\ndata:  c\n\n"), "|a\nb\n c;", 1, true },
    { FRAMING_SSE, SLICE("event: ping\ndata: {}\n\ndata: x\n\n"), "ping|{};|x;", 2, true },
    { FRAMING_SSE, SLICE("event: ping\n\ndata: x\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE("data\n\n"), "|;", 1, true },
    { FRAMING_SSE, SLICE("data:\n\n"), "|;", 1, true },
    { FRAMING_SSE, SLICE(": keep-alive\n\ndata: x\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE(": keep-alive\n"), "", 0, true },
    { FRAMING_SSE, SLICE(": keep-al"), "", 0, false },
    { FRAMING_SSE, SLICE("data: x\n: c\n"), "", 0, false },
    { FRAMING_SSE, SLICE("id: 7\nretry: 10\nnonsense\ndata: x\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE("id: 7\n"), "", 0, false },
    { FRAMING_SSE, SLICE("\xef\xbb\xbf" "data: x\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE("data: x\n\n\xef\xbb\xbf" "data: y\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE("\n\n\ndata: x\n\n\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE("data: [DONE]\n\n"), "|[DONE];", 1, true },
    /* 32 bytes fit, 33 do not; a long line or a long sum passes the whole event over. */
    { FRAMING_SSE, SLICE("data: 0123456789012345678901234\n\ndata: x\n\n"), "|0123456789012345678901234;|x;", 2, true },
    { FRAMING_SSE, SLICE("data: 01234567890123456789012345\n\ndata: x\n\n"), "|01234567890123456789012345;|x;", 2, true },
    { FRAMING_SSE, SLICE("data: 012345678901234567890123456\n\ndata: x\n\n"), "|x;", 2, true },
    { FRAMING_SSE, SLICE("data: 0123456789012345678901234567890123456789"), "", 0, false },
    { FRAMING_SSE, SLICE("data: 0123456789012345678\ndata: 0123456789012345678\n\ndata: x\n\n"), "|x;", 2, true },
    { FRAMING_SSE, SLICE("data: x\n: 012345678901234567890123456789012345678901234\n\n"), "|x;", 1, true },
    { FRAMING_SSE, SLICE("data: x\nid: 012345678901234567890123456789012345678901234\n\ndata: y\n\n"), "|y;", 2, true },
    { FRAMING_NDJSON, SLICE(""), "", 0, true },
    { FRAMING_NDJSON, SLICE("{\"a\":1}\n{\"b\":2}\r\n"), "|{\"a\":1};|{\"b\":2};", 2, true },
    { FRAMING_NDJSON, SLICE("{\"a\":1}\n\n\r\n{\"b\""), "|{\"a\":1};", 1, false },
    { FRAMING_NDJSON, SLICE("a\rb\n"), "|a\rb;", 1, true },
    { FRAMING_NDJSON, SLICE("\xef\xbb\xbf{}\n"), "|{};", 1, true },
    { FRAMING_NDJSON, SLICE("01234567890123456789012345678901\n1\n"), "|01234567890123456789012345678901;|1;", 2, true },
    { FRAMING_NDJSON, SLICE("012345678901234567890123456789012\n1\n"), "|1;", 2, true },
    { FRAMING_NONE, SLICE("data: a\n\nxyz"), "", 0, true },
  // clang-format on
};

static void check(size_t i, size_t first, size_t size)
{
    struct buffer told = BUFFER_MAX(4096);
    struct events events;
    struct slice rest = cases[i].stream;
    events_init(&events, cases[i].framing, MAX, write_event, &told);
    for (size_t n = first; rest.len; rest = slice_from(rest, n), n = size) {
        n = n < rest.len ? n : rest.len;
        char *exact = malloc(n ? n : 1);
        memcpy(exact, rest.ptr, n);
        events_feed(&events, slice_make(exact, n));
        free(exact);
    }
    if (strcmp(buffer_text_of(&told), cases[i].events) || events.count != cases[i].count ||
        events.at_boundary != cases[i].boundary)
        fail_msg("case %zu cut at %zu: \"%s\", %u, %d", i, first, buffer_text_of(&told),
                 (unsigned)events.count, events.at_boundary);
    events_finish(&events);
    buffer_finish(&told);
}

static void events_do_not_depend_on_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check(i, 1, 1);
        for (size_t first = 0; first <= cases[i].stream.len; first++)
            check(i, first, cases[i].stream.len + 1);
    }
}

static void an_endless_line_is_not_kept(void **state)
{
    (void)state;
    struct events events;
    events_init(&events, FRAMING_SSE, MAX, NULL, NULL);
    for (int i = 0; i < 1000; i++)
        events_feed(&events, SLICE("data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_true(events.line.size <= 256 && events.line.len <= MAX);
    assert_false(events.at_boundary);
    events_feed(&events, SLICE("\n\n"));
    assert_true(events.at_boundary);
    assert_int_equal(events.count, 1);
    events_finish(&events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_do_not_depend_on_cuts),
        cmocka_unit_test(an_endless_line_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
