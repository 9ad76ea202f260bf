/* Floods on one HTTP/2 connection (HOSTILE H2-02 to H2-07, H2-14): each ends in a GOAWAY that says
 * why, after a bounded number of frames, with memory flat. Time stands still, so no bucket fills
 * again; what an honest client does at its own pace is in test_http2.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http2_peer.h"

enum { ROUNDS = 100000 };

/* Puts the frames of the n-th round. */
typedef void round_fn(struct buffer *out, unsigned n);

struct flood {
    struct owner owner;
    struct said said;
    unsigned rounds;    /* until the end */
    size_t peak_memory; /* after any round */
};

static void flood_begin(struct flood *flood)
{
    struct buffer out = BUFFER_MAX(1024);
    *flood = (struct flood){0};
    owner_init(&flood->owner);
    assert_non_null(flood->owner.h);
    put_hello(&out);
    http2_feed(flood->owner.h, buffer_slice(&out), 0);
    hear(&flood->owner, &flood->said);
    buffer_finish(&out);
}

/* `reads`: the peer takes our answers after every round. */
static void flood_run(struct flood *flood, round_fn *round, bool reads)
{
    struct buffer out = BUFFER_MAX(1024 * 1024);
    struct http2 *h = flood->owner.h;
    for (; flood->rounds < ROUNDS && !http2_fault_of(h) && !http2_is_done(h); flood->rounds++) {
        buffer_clear(&out);
        round(&out, flood->rounds);
        assert_int_equal(out.failed, OK);
        http2_feed(h, buffer_slice(&out), 0);
        if (http2_memory(h) > flood->peak_memory)
            flood->peak_memory = http2_memory(h);
        if (reads)
            hear(&flood->owner, &flood->said);
    }
    hear(&flood->owner, &flood->said);
    buffer_finish(&out);
}

static void flood_assert(struct flood *flood, const char *fault, unsigned rounds_max,
                         size_t memory_max)
{
    struct http2 *h = flood->owner.h;
    if (strcmp(http2_fault_name(http2_fault_of(h)), fault) != 0)
        fail_msg("%s, not %s, after %u rounds", http2_fault_name(http2_fault_of(h)), fault,
                 flood->rounds);
    assert_true(http2_is_done(h));
    assert_int_equal(flood->said.goaways, 1);
    if (flood->rounds > rounds_max)
        fail_msg("%s: %u rounds", fault, flood->rounds);
    if (flood->peak_memory > memory_max)
        fail_msg("%s: %zu bytes held", fault, flood->peak_memory);
}

/* --- the rounds ---------------------------------------------------------------------------------
 */

static void rapid_reset(struct buffer *out, unsigned n)
{
    put_request(out, 2 * n + 1, "GET", END_HEADERS | END_STREAM);
    put_reset(out, 2 * n + 1);
}

static void window_update(struct buffer *out, uint32_t id, uint32_t by)
{
    char room[4];
    struct buffer payload = BUFFER_OVER(room, sizeof room);
    put_number(&payload, by);
    put_frame(out, NGHTTP2_WINDOW_UPDATE, 0, id, buffer_slice(&payload));
}

/* MadeYouReset: a valid request, then a frame that makes us reset it. */
static void overflow(struct buffer *out, unsigned n)
{
    put_request(out, 2 * n + 1, "POST", END_HEADERS);
    window_update(out, 2 * n + 1, 0x7fffffff);
}

static void malformed_trailers(struct buffer *out, unsigned n)
{
    put_request(out, 2 * n + 1, "POST", END_HEADERS);
    put_frame(out, NGHTTP2_HEADERS, END_HEADERS, 2 * n + 1, slice_make(NULL, 0));
}

static void malformed_head(struct buffer *out, unsigned n)
{
    put_frame(out, NGHTTP2_HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, slice_make(NULL, 0));
}

static void ordinary(struct buffer *out, unsigned n)
{
    put_request(out, 2 * n + 1, "GET", END_HEADERS | END_STREAM);
}

static void settings(struct buffer *out, unsigned n)
{
    (void)n;
    put_frame(out, NGHTTP2_SETTINGS, 0, 0, slice_make(NULL, 0));
}

/* Table sizes go up and down. */
static void table_sizes(struct buffer *out, unsigned n)
{
    put_frame(out, NGHTTP2_SETTINGS, 0, 0,
              n % 2 ? SLICE("\0\x01\0\0\0\0") : SLICE("\0\x01\0\x10\0\0"));
}

static void ping(struct buffer *out, unsigned n)
{
    (void)n;
    put_frame(out, NGHTTP2_PING, 0, 0, SLICE("12345678"));
}

static void priority(struct buffer *out, unsigned n)
{
    put_frame(out, NGHTTP2_PRIORITY, 0, 2 * n + 1, SLICE("\0\0\0\0\x10"));
}

static void open_window(struct buffer *out, unsigned n)
{
    (void)n;
    window_update(out, 0, 1);
}

static void empty_data(struct buffer *out, unsigned n)
{
    if (n == 0)
        put_request(out, 1, "POST", END_HEADERS);
    put_frame(out, NGHTTP2_DATA, 0, 1, slice_make(NULL, 0));
}

static void padding_only(struct buffer *out, unsigned n)
{
    if (n == 0)
        put_request(out, 1, "POST", END_HEADERS);
    put_frame(out, NGHTTP2_DATA, PADDED, 1,
              SLICE("\x03"
                    "\0\0\0"));
}

static void unknown(struct buffer *out, unsigned n)
{
    put_frame(out, 0x40 + n % 64, 0, 0, SLICE("x"));
}

static void late_reset(struct buffer *out, unsigned n)
{
    if (n == 0)
        put_request(out, 1, "GET", END_HEADERS | END_STREAM);
    put_reset(out, 1);
}

/* A head that never ends: `n` is the size of each part. */
static void endless_head(struct buffer *out, size_t part)
{
    static char zeros[16384];
    struct slice field = SLICE("\0\x01x\x01y"); /* cut anywhere */
    for (size_t i = 0; i < sizeof zeros; i++)
        zeros[i] = field.ptr[i % field.len];
    put_frame(out, NGHTTP2_HEADERS, 0, 1, slice_make(zeros, part));
    for (unsigned i = 0; i < 20; i++)
        put_frame(out, NGHTTP2_CONTINUATION, 0, 1, slice_make(zeros, part));
}

static void endless_head_empty(struct buffer *out, unsigned n)
{
    (void)n;
    endless_head(out, 0);
}

static void endless_head_of_fields(struct buffer *out, unsigned n)
{
    (void)n;
    endless_head(out, 5);
}

static void endless_head_of_full_frames(struct buffer *out, unsigned n)
{
    (void)n;
    endless_head(out, 16380);
}

/* One entry of 3,900 bytes goes into the table, then it is named again and again with one byte. */
static void hpack_bomb(struct buffer *out, unsigned n)
{
    struct buffer block = BUFFER_MAX(20000);
    (void)n;
    put_field(&block, SLICE(":method"), SLICE("GET"));
    buffer_append(&block, SLICE("\x40\x01x\x7f\xbd\x1d")); /* 127 + 0x3d + 0x1d * 128 = 3,900 */
    for (unsigned i = 0; i < 3900; i++)
        buffer_byte(&block, 'v');
    for (unsigned i = 0; i < 12000; i++)
        buffer_byte(&block, (char)0xbe);
    put_frame(out, NGHTTP2_HEADERS, END_HEADERS | END_STREAM, 1, buffer_slice(&block));
    buffer_finish(&block);
}

/* --- the tests ----------------------------------------------------------------------------------
 */

static size_t idle_memory(void)
{
    struct flood flood;
    flood_begin(&flood);
    size_t bytes = http2_memory(flood.owner.h);
    owner_finish(&flood.owner);
    return bytes;
}

static void an_idle_connection_is_small(void **state)
{
    (void)state;
    size_t bytes = idle_memory();
    print_message("an idle connection holds %zu bytes\n", bytes);
    assert_true(bytes < 32 * 1024);
}

static void every_flood_ends_with_memory_flat(void **state)
{
    (void)state;
    static const struct {
        round_fn *round;
        const char *fault;
        unsigned rounds_max;
    } floods[] = {
        {rapid_reset,                 "resets",         201 },
        {overflow,                    "faulty_streams", 201 },
        {malformed_trailers,          "faulty_streams", 201 },
        {malformed_head,              "faulty_streams", 201 },
        {settings,                    "settings",       101 },
        {table_sizes,                 "settings",       101 },
        {ping,                        "pings",          1001},
        {priority,                    "priorities",     1001},
        {open_window,                 "window_updates", 1001},
        {empty_data,                  "empty_data",     1001},
        {padding_only,                "empty_data",     1001},
        {unknown,                     "stray_frames",   501 },
        {late_reset,                  "stray_frames",   502 },
        {endless_head_empty,          "continuations",  1   },
        {endless_head_of_fields,      "continuations",  1   },
        {endless_head_of_full_frames, "head_flood",     1   },
        {hpack_bomb,                  "head_flood",     1   },
    };
    size_t idle = idle_memory();
    for (size_t i = 0; i < COUNT_OF(floods); i++) {
        struct flood flood;
        flood_begin(&flood);
        flood_run(&flood, floods[i].round, true);
        flood_assert(&flood, floods[i].fault, floods[i].rounds_max, idle + 80 * 1024);
        assert_int_equal(flood.said.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
        unsigned told = flood.owner.requests;
        owner_finish(&flood.owner);
        assert_true(told <= 201);
    }
}

/* The same, but what we answer is not read: our frames must not pile up. */
static void floods_that_are_not_read_end_with_memory_flat(void **state)
{
    (void)state;
    static round_fn *const rounds[] = {rapid_reset,    overflow,          malformed_trailers,
                                       malformed_head, settings,          ping,
                                       ordinary,       endless_head_empty};
    size_t idle = idle_memory();
    for (size_t i = 0; i < COUNT_OF(rounds); i++) {
        struct flood flood;
        flood_begin(&flood);
        flood.owner.answer_at_once = true;
        flood_run(&flood, rounds[i], false);
        struct http2 *h = flood.owner.h;
        assert_true(http2_fault_of(h) != HTTP2_FINE && http2_is_done(h));
        assert_int_equal(flood.said.goaways, 1);
        if (flood.rounds > 1100 || flood.peak_memory > idle + 512 * 1024)
            fail_msg("row %zu: %u rounds, %zu bytes held", i, flood.rounds, flood.peak_memory);
        owner_finish(&flood.owner);
    }
}

static void streams_beyond_the_maximum_are_refused(void **state)
{
    (void)state;
    struct flood flood;
    flood_begin(&flood);
    struct buffer out = BUFFER_MAX(1024 * 1024);
    for (unsigned n = 0; n < HTTP2_STREAMS_MAX + 50; n++)
        put_request(&out, 2 * n + 1, "GET", END_HEADERS | END_STREAM);
    http2_feed(flood.owner.h, buffer_slice(&out), 0);
    hear(&flood.owner, &flood.said);
    assert_int_equal(flood.owner.requests, HTTP2_STREAMS_MAX);
    assert_int_equal(http2_stream_count(flood.owner.h), HTTP2_STREAMS_MAX);
    assert_int_equal(flood.said.refused, 50);
    assert_int_equal(http2_fault_of(flood.owner.h), HTTP2_FINE);
    /* and one that goes on with it is sent away */
    unsigned n = HTTP2_STREAMS_MAX + 50;
    for (; n < ROUNDS && !http2_fault_of(flood.owner.h); n++) {
        buffer_clear(&out);
        put_request(&out, 2 * n + 1, "GET", END_HEADERS | END_STREAM);
        http2_feed(flood.owner.h, buffer_slice(&out), 0);
        hear(&flood.owner, &flood.said);
    }
    assert_string_equal(http2_fault_name(http2_fault_of(flood.owner.h)), "refused_streams");
    assert_true(flood.said.refused <= 202);
    buffer_finish(&out);
    owner_finish(&flood.owner);
    assert_int_equal(flood.owner.closed, HTTP2_STREAMS_MAX);
}

static void an_owner_that_refuses_all_is_not_asked_for_ever(void **state)
{
    (void)state;
    struct flood flood;
    flood_begin(&flood);
    flood.owner.refuse = true;
    flood_run(&flood, ordinary, true);
    flood_assert(&flood, "refused_streams", 201, idle_memory() + 16 * 1024);
    owner_finish(&flood.owner);
}

/* A peer that opens no window gets heads and no body, and costs what a head costs. */
static void closed_windows_hold_little_memory(void **state)
{
    (void)state;
    struct flood flood;
    flood_begin(&flood);
    flood.owner.answer_at_once = true;
    flood.owner.answer_bytes = 1024 * 1024;
    struct buffer out = BUFFER_MAX(64 * 1024);
    put_frame(&out, NGHTTP2_SETTINGS, 0, 0, SLICE("\0\x04\0\0\0\0"));
    for (unsigned n = 0; n < HTTP2_STREAMS_MAX; n++)
        put_request(&out, 2 * n + 1, "GET", END_HEADERS | END_STREAM);
    http2_feed(flood.owner.h, buffer_slice(&out), 0);
    hear(&flood.owner, &flood.said);
    assert_int_equal(flood.said.heads, HTTP2_STREAMS_MAX);
    assert_int_equal(flood.said.bodies, 0);
    assert_true(http2_memory(flood.owner.h) < idle_memory() + 200 * 1024);
    assert_false(http2_wants_output(flood.owner.h) || http2_is_done(flood.owner.h));
    buffer_finish(&out);
    owner_finish(&flood.owner);
    assert_int_equal(flood.owner.broken, HTTP2_STREAMS_MAX);
}

/* A window of one byte is slow and honest. */
static void a_window_of_one_byte_still_completes(void **state)
{
    (void)state;
    struct flood flood;
    flood_begin(&flood);
    flood.owner.answer_at_once = true;
    flood.owner.answer_bytes = 5000;
    struct buffer out = BUFFER_MAX(1024);
    put_frame(&out, NGHTTP2_SETTINGS, 0, 0, SLICE("\0\x04\0\0\0\x01"));
    put_request(&out, 1, "GET", END_HEADERS | END_STREAM);
    for (unsigned n = 0; n < 5000; n++) {
        http2_feed(flood.owner.h, buffer_slice(&out), 0);
        hear(&flood.owner, &flood.said);
        buffer_clear(&out);
        window_update(&out, 1, 1);
    }
    assert_int_equal(flood.said.bodies, 5000);
    assert_int_equal(http2_fault_of(flood.owner.h), HTTP2_FINE);
    assert_int_equal(flood.owner.closed, 1);
    assert_int_equal(flood.owner.broken, 0);
    buffer_finish(&out);
    owner_finish(&flood.owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_small),
        cmocka_unit_test(every_flood_ends_with_memory_flat),
        cmocka_unit_test(floods_that_are_not_read_end_with_memory_flat),
        cmocka_unit_test(streams_beyond_the_maximum_are_refused),
        cmocka_unit_test(an_owner_that_refuses_all_is_not_asked_for_ever),
        cmocka_unit_test(closed_windows_hold_little_memory),
        cmocka_unit_test(a_window_of_one_byte_still_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
