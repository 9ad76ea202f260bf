/* The HTTP/2 codec with nghttp2's own client at the other end, and with frames made by hand:
 * exchanges, bodies, flow control, trailers, 100 (Continue), farewells, and what becomes of all of
 * it when there is no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "http2_peer.h"

/* --- memory that runs out -----------------------------------------------------------------------
 * The linker sends the codec's calls here (meson.build). */

static long allocations_left = -1;      /* -1: as many as there are */
static bool one_fails, one_was_refused; /* only the first that is over, not all */

static bool refused(void)
{
    if (allocations_left < 0)
        return false;
    if (allocations_left > 0) {
        allocations_left--;
        return false;
    }
    one_was_refused = true;
    if (one_fails)
        allocations_left = -1;
    return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size)
{
    return refused() ? NULL : __real_realloc(memory, size);
}

/* --- nghttp2's client ---------------------------------------------------------------------------
 */

struct client {
    nghttp2_session *session;
    struct owner owner;
    struct buffer log;
    size_t upload_left, answer_bytes;
    bool trailers;
    int32_t first_body_of, turns; /* how often the stream whose body came changed */
};

static int client_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                        size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                        void *context)
{
    (void)session;
    struct client *client = context;
    buffer_printf(&client->log, "%d %.*s: %.*s%s\n", frame->hd.stream_id, (int)name_len, name,
                  (int)value_len, value, flags & NGHTTP2_NV_FLAG_NO_INDEX ? " (never)" : "");
    return 0;
}

static int client_body(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                       size_t len, void *context)
{
    (void)session, (void)flags, (void)bytes;
    struct client *client = context;
    client->answer_bytes += len;
    client->turns += client->first_body_of != id;
    client->first_body_of = id;
    return 0;
}

static int client_closed(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    (void)session;
    struct client *client = context;
    buffer_printf(&client->log, "%d closed %u\n", id, code);
    return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct client *client = context;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        buffer_printf(&client->log, "goaway %d %u\n", frame->goaway.last_stream_id,
                      frame->goaway.error_code);
    return 0;
}

static ssize_t client_upload(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
                             uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)source;
    struct client *client = context;
    size_t n = client->upload_left < size ? client->upload_left : size;
    memset(room, 'u', n);
    client->upload_left -= n;
    if (client->upload_left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (client->upload_left == 0 && client->trailers) {
        nghttp2_nv field = {(uint8_t *)"x-sum", (uint8_t *)"1", 5, 1, 0};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, &field, 1);
    }
    return (ssize_t)n;
}

static void client_begin(struct client *client)
{
    nghttp2_session_callbacks *callbacks;
    *client = (struct client){.log = BUFFER_MAX(65536)};
    owner_init(&client->owner);
    assert_non_null(client->owner.h);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_body);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_closed);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_frame);
    assert_int_equal(nghttp2_session_client_new(&client->session, callbacks, client), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void client_finish(struct client *client)
{
    nghttp2_session_del(client->session);
    owner_finish(&client->owner);
    buffer_finish(&client->log);
}

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0              \
    }

static int32_t client_request(struct client *client, const char *method, size_t body_bytes,
                              bool expect)
{
    nghttp2_nv fields[] = {NV(":method", "POST"), NV(":scheme", "https"), NV(":path", "/v1/chat"),
                           NV(":authority", "a"), NV("expect", "100-continue")};
    nghttp2_data_provider body = {.read_callback = client_upload};
    fields[0].value = (uint8_t *)method;
    fields[0].valuelen = strlen(method);
    client->upload_left = body_bytes;
    return nghttp2_submit_request(client->session, NULL, fields, expect ? 5 : 4,
                                  body_bytes ? &body : NULL, NULL);
}

/* Both sides say what they have until neither has anything to say. */
static void talk(struct client *client)
{
    static char room[100 * 1000];
    for (bool more = true; more;) {
        const uint8_t *bytes;
        ssize_t sent = nghttp2_session_mem_send(client->session, &bytes);
        assert_true(sent >= 0);
        http2_feed(client->owner.h, slice_make((const char *)bytes, (size_t)sent), 0);
        size_t n = http2_output(client->owner.h, room, sizeof room);
        assert_int_equal(nghttp2_session_mem_recv(client->session, (uint8_t *)room, n), n);
        more = sent > 0 || n > 0;
    }
}

static void assert_log(struct buffer *log, const char *expected)
{
    assert_string_equal(buffer_text_of(log), expected);
    buffer_clear(log);
}

/* --- exchanges ----------------------------------------------------------------------------------
 */

static void a_request_is_told_and_its_answer_read(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    assert_int_equal(client_request(&client, "GET", 0, false), 1);
    talk(&client);
    assert_log(&client.owner.log, "1 GET /v1/chat HTTP/2.0\n");
    assert_int_equal(http2_stream_count(client.owner.h), 1);
    client.owner.served[0].answer_bytes = 100 * 1000;
    answer(&client.owner, 1, 200, false);
    talk(&client);
    assert_log(&client.owner.log, "1 closed\n");
    assert_log(&client.log, "1 :status: 200\n1 content-type: text/plain\n"
                            "1 x-request-id: 0123 (never)\n1 closed 0\n");
    assert_int_equal(client.answer_bytes, 100 * 1000);
    client_finish(&client);
}

static void a_body_is_told_with_its_end(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "POST", 3 * 1000 * 1000, false);
    talk(&client);
    assert_log(&client.owner.log, "1 POST /v1/chat HTTP/2.0 +body streamed\n1 end 3000000\n");
    client_finish(&client);
    assert_int_equal(client.owner.broken, 1);
}

static void a_body_that_waits_stalls_no_other(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client.owner.keep_bodies = true;
    for (unsigned n = 0; n < 8; n++) { /* together more than the connection's window */
        client_request(&client, "POST", 3 * 1000 * 1000, false);
        talk(&client);
        assert_int_equal(client.owner.served[n].body_bytes, HTTP2_STREAM_WINDOW_BYTES);
    }
    client.owner.keep_bodies = false;
    client_request(&client, "POST", 2 * 1000 * 1000, false);
    talk(&client);
    assert_int_equal(client.owner.served[8].body_bytes, 2 * 1000 * 1000);
    /* and a waiting one goes on when it is its turn */
    client.upload_left = 100 * 1000;
    http2_consume(client.owner.h, 1, HTTP2_STREAM_WINDOW_BYTES);
    talk(&client);
    assert_int_equal(client.owner.served[0].body_bytes, HTTP2_STREAM_WINDOW_BYTES + 100 * 1000);
    client_finish(&client);
}

static void trailers_end_a_body(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client.trailers = true;
    client_request(&client, "POST", 10, false);
    talk(&client);
    assert_log(&client.owner.log, "1 POST /v1/chat HTTP/2.0 +body streamed\n1 end 10\n");
    client_finish(&client);
}

static void continue_comes_before_the_answer(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "POST", 10, true);
    http2_feed(client.owner.h, SLICE(""), 0);
    talk(&client);
    client.owner.answer_at_once = false;
    http2_send_continue(client.owner.h, 1);
    answer(&client.owner, 1, 200, true);
    http2_send_continue(client.owner.h, 1); /* too late: nothing happens */
    talk(&client);
    assert_log(&client.log, "1 :status: 100\n1 :status: 200\n1 content-type: text/plain\n"
                            "1 x-request-id: 0123 (never)\n1 closed 0\n");
    client_finish(&client);
}

static void an_answer_waits_until_there_is_more(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "GET", 0, false);
    talk(&client);
    client.owner.served[0].answer_bytes = SIZE_MAX;
    answer(&client.owner, 1, 200, false);
    talk(&client);
    assert_int_equal(client.answer_bytes, 0);
    assert_false(http2_wants_output(client.owner.h));
    client.owner.served[0].answer_bytes = 7;
    assert_false(http2_wants_output(client.owner.h));
    http2_resume(client.owner.h, 1);
    assert_true(http2_wants_output(client.owner.h));
    talk(&client);
    assert_int_equal(client.answer_bytes, 7);
    assert_int_equal(client.owner.closed, 1);
    http2_resume(client.owner.h, 1); /* of a stream that is over */
    http2_consume(client.owner.h, 1, 1);
    http2_reset(client.owner.h, 1, HTTP2_RESET_CANCEL);
    answer(&client.owner, 1, 200, true);
    client_finish(&client);
}

static void large_answers_take_turns(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, 10 * 1000 * 1000);
    client.owner.answer_bytes = 60 * 1000;
    for (unsigned n = 0; n < 4; n++)
        client_request(&client, "GET", 0, false);
    talk(&client);
    for (unsigned n = 0; n < 4; n++)
        answer(&client.owner, 2 * n + 1, 200, false);
    talk(&client);
    assert_int_equal(client.owner.closed, 4);
    assert_true(client.turns >= 8); /* one after the other would be 4 */
    client_finish(&client);
}

/* Its window is opened by the codec alone. */
static void what_follows_an_answer_is_let_by_up_to_a_bound(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        bool whole;
    } rows[] = {
        {3 * 1000 * 1000,                       true },
        {HTTP2_DISCARD_BYTES_MAX + 1000 * 1000, false}
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client client;
        client_begin(&client);
        client.owner.answer_at_once = client.owner.keep_bodies = client.owner.lets_by = true;
        client_request(&client, "POST", rows[i].bytes, false);
        talk(&client);
        assert_int_equal(client.owner.closed, 1);
        assert_int_equal(client.owner.broken, 0);
        assert_null(strstr(buffer_text_of(&client.owner.log), "1 end"));
        assert_non_null(strstr(buffer_text_of(&client.log), "1 closed 0\n"));
        assert_int_equal(client.upload_left == 0, rows[i].whole);
        assert_int_equal(http2_fault_of(client.owner.h), HTTP2_FINE);
        client_finish(&client);
    }
}

static void an_answer_before_the_bodys_end_stops_the_body(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client.owner.answer_at_once = true;
    client.owner.keep_bodies = true;
    client_request(&client, "POST", 3 * 1000 * 1000, false);
    talk(&client);
    assert_int_equal(client.owner.closed, 1);
    assert_int_equal(client.owner.broken, 0);
    assert_non_null(strstr(buffer_text_of(&client.log), "1 :status: 200\n"));
    assert_non_null(strstr(buffer_text_of(&client.log), "1 closed 0\n"));
    assert_true(client.upload_left > 0);
    assert_int_equal(http2_fault_of(client.owner.h), HTTP2_FINE);
    client_finish(&client);
}

static void the_owner_can_break_off(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "GET", 0, false);
    talk(&client);
    http2_reset(client.owner.h, 1, HTTP2_RESET_INTERNAL_ERROR);
    answer(&client.owner, 1, 200, true); /* too late */
    talk(&client);
    assert_log(&client.owner.log, "1 GET /v1/chat HTTP/2.0\n1 closed broken\n");
    assert_log(&client.log, "1 closed 2\n");
    client_finish(&client);
}

/* Also when a head of several frames, with the answer's end, had begun to leave: it goes out whole
 * before the reset. */
static void after_a_reset_only_the_end_is_told(void **state)
{
    (void)state;
    static char long_value[20 * 1000], text[24 * 1000];
    memset(long_value, 'v', sizeof long_value);
    struct http2_answer fields;
    http2_answer_begin(&fields, 200, text, sizeof text);
    http2_answer_field(&fields, SLICE("x-long"), slice_make(long_value, sizeof long_value));
    for (int reset = 0; reset < 2; reset++) {
        struct client client;
        client_begin(&client);
        client.owner.keep_bodies = true;
        client_request(&client, "POST", 3 * 1000 * 1000, false);
        talk(&client);
        http2_send_head(client.owner.h, 1, &fields, true);
        uint8_t room[10];
        assert_int_equal(http2_output(client.owner.h, (char *)room, sizeof room), sizeof room);
        assert_int_equal(nghttp2_session_mem_recv(client.session, room, sizeof room), sizeof room);
        if (reset)
            http2_reset(client.owner.h, 1, HTTP2_RESET_CANCEL);
        talk(&client);
        assert_non_null(strstr(buffer_text_of(&client.log), "1 :status: 200\n"));
        assert_int_equal(client.owner.answered, !reset);
        assert_int_equal(client.owner.closed, 1);
        client_finish(&client);
    }
}

static void an_answer_that_does_not_fit_breaks_off(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "GET", 0, false);
    talk(&client);
    char room[20];
    struct http2_answer fields;
    http2_answer_begin(&fields, 200, room, sizeof room);
    http2_answer_field(&fields, SLICE("x"), SLICE("0123456789"));
    assert_false(http2_answer_whole(&fields));
    http2_send_head(client.owner.h, 1, &fields, true);
    talk(&client);
    assert_log(&client.log, "1 closed 2\n");
    client_finish(&client);
}

/* --- farewells ----------------------------------------------------------------------------------
 */

static void a_shutdown_takes_two_steps(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "GET", 0, false);
    talk(&client);
    http2_shutdown_notice(client.owner.h);
    talk(&client);
    assert_log(&client.log, "goaway 2147483647 0\n");
    assert_false(http2_is_done(client.owner.h));
    answer(&client.owner, 1, 200, true);
    talk(&client);
    assert_false(http2_is_done(client.owner.h)); /* one may be on its way */
    http2_goaway(client.owner.h);
    http2_goaway(client.owner.h);
    struct said said = {0};
    hear(&client.owner, &said); /* nghttp2's client does not listen any more */
    assert_int_equal(said.goaways, 1);
    assert_int_equal(said.goaway_last_id, 1);
    assert_int_equal(said.goaway_code, NGHTTP2_NO_ERROR);
    assert_true(http2_is_done(client.owner.h));
    assert_int_equal(http2_fault_of(client.owner.h), HTTP2_FINE);
    client_finish(&client);
}

static void a_clients_farewell_lets_its_streams_end(void **state)
{
    (void)state;
    struct client client;
    client_begin(&client);
    client_request(&client, "GET", 0, false);
    talk(&client);
    nghttp2_submit_goaway(client.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    talk(&client);
    assert_false(http2_is_done(client.owner.h));
    answer(&client.owner, 1, 200, true);
    talk(&client);
    assert_true(http2_is_done(client.owner.h));
    assert_int_equal(client.owner.broken, 0);
    client_finish(&client);
}

/* --- frames by hand -----------------------------------------------------------------------------
 */

static void put_length(struct buffer *out, uint32_t id, const char *length, unsigned flags)
{
    char room[256];
    struct buffer block = BUFFER_OVER(room, sizeof room);
    put_field(&block, SLICE(":method"), SLICE("POST"));
    put_field(&block, SLICE(":scheme"), SLICE("https"));
    put_field(&block, SLICE(":path"), SLICE("/"));
    put_field(&block, SLICE(":authority"), SLICE("a"));
    put_field(&block, SLICE("content-length"), slice_of(length));
    put_frame(out, NGHTTP2_HEADERS, flags, id, buffer_slice(&block));
}

/* H2-10: what is said of the length and what comes. */
static void a_body_is_as_long_as_was_said(void **state)
{
    (void)state;
    static const struct {
        const char *length, *frames[3]; /* NULL: no more; the last one ends the stream */
        const char *log;
    } cases[] = {
        {"5",  {"12345"},     "1 POST / HTTP/2.0 +body\n1 end 5\n1 closed broken\n"},
        {"5",  {"123", "45"}, "1 POST / HTTP/2.0 +body\n1 end 5\n1 closed broken\n"},
        {"5",  {"12345", ""}, "1 POST / HTTP/2.0 +body\n1 end 5\n1 closed broken\n"},
        {"0",  {""},          "1 POST / HTTP/2.0\n1 end 0\n1 closed broken\n"      },
        {"5",
         {"1234"},
         "1 POST / HTTP/2.0 +body\n1 malformed bad_length under way\n"
         "1 closed broken\n"                                                       },
        {"5",
         {"123456"},
         "1 POST / HTTP/2.0 +body\n1 malformed bad_length under way\n"
         "1 closed broken\n"                                                       },
        {"5",
         {"12345", "6"},
         "1 POST / HTTP/2.0 +body\n1 malformed bad_length under way\n"
         "1 closed broken\n"                                                       },
        {"0",
         {"1"},
         "1 POST / HTTP/2.0\n1 malformed bad_length under way\n"
         "1 closed broken\n"                                                       },
        {"-5", {"12345"},     "1 malformed bad_length\n"                           },
        {"5",  {NULL},        "1 malformed bad_length\n"                           },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct owner owner;
        struct said said = {0};
        struct buffer out = BUFFER_MAX(4096);
        owner_init(&owner);
        put_hello(&out);
        bool no_body = !cases[i].frames[0];
        put_length(&out, 1, cases[i].length, END_HEADERS | (no_body ? END_STREAM : 0));
        for (unsigned n = 0; n < 3 && cases[i].frames[n]; n++) {
            bool last = n == 2 || !cases[i].frames[n + 1];
            put_frame(&out, NGHTTP2_DATA, last ? END_STREAM : 0, 1, slice_of(cases[i].frames[n]));
        }
        http2_feed(owner.h, buffer_slice(&out), 0);
        hear(&owner, &said);
        bool malformed = strstr(cases[i].log, "malformed") != NULL;
        assert_int_equal(said.resets, malformed);
        assert_int_equal(said.last_reset_code, malformed ? NGHTTP2_PROTOCOL_ERROR : 0);
        assert_int_equal(http2_fault_of(owner.h), HTTP2_FINE);
        http2_destroy(owner.h);
        assert_log(&owner.log, cases[i].log);
        buffer_finish(&owner.log);
        buffer_finish(&out);
    }
}

/* Several requests, good and bad, bodies, trailers, padding. */
static void put_mixture(struct buffer *out)
{
    put_hello(out);
    put_request(out, 1, "GET", END_HEADERS | END_STREAM);
    put_frame(out, NGHTTP2_SETTINGS, 1, 0, slice_make(NULL, 0));
    put_request(out, 3, "POST", END_HEADERS);
    put_request(out, 5, "BREW", END_HEADERS | END_STREAM);
    put_frame(out, NGHTTP2_DATA, PADDED, 3,
              SLICE("\x02"
                    "abc\0\0"));
    put_frame(out, NGHTTP2_HEADERS, END_HEADERS, 7, slice_make(NULL, 0));
    put_frame(out, 0x33, 0, 3, SLICE("grease"));
    put_frame(out, NGHTTP2_DATA, 0, 3, SLICE("defg"));
    put_frame(out, NGHTTP2_HEADERS, END_STREAM, 3, SLICE("\0\x01x"));
    put_frame(out, NGHTTP2_CONTINUATION, END_HEADERS, 3, SLICE("\x01y"));
    put_request(out, 9, "CONNECT", END_HEADERS | END_STREAM);
    put_request(out, 11, "POST", END_HEADERS);
    put_reset(out, 11);
}

static void any_split_gives_the_same_events(void **state)
{
    (void)state;
    static const char expected[] =
        "1 GET /v1/chat HTTP/2.0\n3 POST /v1/chat HTTP/2.0 +body streamed\n"
        "5 refused bad_method\n7 malformed bad_request_line\n3 end 7\n"
        "9 malformed bad_request_line\n11 POST /v1/chat HTTP/2.0 +body streamed\n"
        "11 closed broken\n";
    struct buffer out = BUFFER_MAX(8192);
    put_mixture(&out);
    assert_int_equal(out.failed, OK);
    for (size_t cut = 0; cut <= out.len; cut++) { /* 0: byte by byte */
        struct owner owner;
        owner_init(&owner);
        struct slice rest = buffer_slice(&out);
        while (rest.len) {
            size_t n = cut && rest.len == out.len ? cut : cut ? rest.len : 1;
            char *copy = test_malloc(n);
            memcpy(copy, rest.ptr, n);
            http2_feed(owner.h, slice_make(copy, n), 0);
            test_free(copy);
            rest = slice_from(rest, n);
        }
        assert_log(&owner.log, expected);
        owner_finish(&owner);
    }
    buffer_finish(&out);
}

static void what_is_not_http2_ends_at_once(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        enum http2_fault fault;
    } cases[] = {
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),                  HTTP2_PROTOCOL_ERROR},
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n"), HTTP2_PROTOCOL_ERROR},
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
               "\0\0\x05\x04\0\0\0\0\0"
               "12345"),
         HTTP2_FRAME_SIZE_ERROR                                                           },
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
               "\0\0\x08\x06\0\0\0\0\0"
               "12345678"),
         HTTP2_PROTOCOL_ERROR                                                             }, /* no SETTINGS */
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
               "\0\0\0\x04\0\0\0\0\0"
               "\0\0\x01\x01\x05\0\0\0\x01\xff"),
         HTTP2_COMPRESSION_ERROR                                                          },
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
               "\0\0\0\x04\0\0\0\0\0"
               "\0\0\x04\x08\0\0\0\0\0\0\0\0\0"),
         HTTP2_PROTOCOL_ERROR                                                             }, /* WINDOW_UPDATE 0 */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct owner owner;
        struct said said = {0};
        owner_init(&owner);
        http2_feed(owner.h, cases[i].bytes, 0);
        hear(&owner, &said);
        assert_true(http2_is_done(owner.h));
        if (http2_fault_of(owner.h) != cases[i].fault)
            fail_msg("case %zu: %s", i, http2_fault_name(http2_fault_of(owner.h)));
        assert_int_equal(said.goaways, 1);
        size_t bytes = http2_memory(owner.h);
        http2_feed(owner.h, cases[i].bytes, 0); /* deaf */
        assert_int_equal(http2_memory(owner.h), bytes);
        owner_finish(&owner);
    }
}

static void every_fault_has_a_name(void **state)
{
    (void)state;
    for (enum http2_fault fault = 0; fault < HTTP2_FAULT_COUNT; fault++)
        assert_true(strlen(http2_fault_name(fault)) > 3);
}

/* --- without memory -----------------------------------------------------------------------------
 */

/* A whole conversation in which the n-th allocation fails, and with `all` those after it. False:
 * none failed. */
static bool converse(long n, bool all)
{
    struct buffer out = BUFFER_MAX(8192);
    struct said said = {0};
    put_mixture(&out);
    struct owner owner = {.log = BUFFER_MAX(65536), .answer_at_once = true, .answer_bytes = 70000};
    char *log_room = test_malloc(65536);
    owner.log = BUFFER_OVER(log_room, 65536);
    allocations_left = n;
    one_fails = !all;
    one_was_refused = false;
    owner.h = http2_create(&peer_limits, &scratch_head, &owner_events, &owner, 0);
    bool failed = !owner.h;
    if (owner.h) {
        char room[3000];
        http2_feed(owner.h, buffer_slice(&out), 0);
        while (http2_output(owner.h, room, sizeof room))
            ;
        http2_goaway(owner.h);
        while (http2_output(owner.h, room, sizeof room))
            ;
        failed = one_was_refused;
        assert_true(http2_fault_of(owner.h) == HTTP2_FINE ||
                    http2_fault_of(owner.h) == HTTP2_NO_MEMORY);
        assert_true(http2_fault_of(owner.h) == HTTP2_FINE || http2_is_done(owner.h));
        http2_destroy(owner.h);
    }
    allocations_left = -1;
    for (size_t i = 0; i < COUNT_OF(owner.served); i++)
        assert_null(owner.served[i].owner); /* all were told of their end */
    (void)said;
    test_free(log_room);
    buffer_finish(&out);
    return failed;
}

static void without_memory_every_stream_still_ends(void **state)
{
    (void)state;
    for (int all = 0; all <= 1; all++) {
        long n = 0;
        while (converse(n, all))
            n++;
        assert_true(n > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_and_its_answer_read),
        cmocka_unit_test(a_body_is_told_with_its_end),
        cmocka_unit_test(a_body_that_waits_stalls_no_other),
        cmocka_unit_test(trailers_end_a_body),
        cmocka_unit_test(continue_comes_before_the_answer),
        cmocka_unit_test(an_answer_waits_until_there_is_more),
        cmocka_unit_test(large_answers_take_turns),
        cmocka_unit_test(what_follows_an_answer_is_let_by_up_to_a_bound),
        cmocka_unit_test(an_answer_before_the_bodys_end_stops_the_body),
        cmocka_unit_test(the_owner_can_break_off),
        cmocka_unit_test(after_a_reset_only_the_end_is_told),
        cmocka_unit_test(an_answer_that_does_not_fit_breaks_off),
        cmocka_unit_test(a_shutdown_takes_two_steps),
        cmocka_unit_test(a_clients_farewell_lets_its_streams_end),
        cmocka_unit_test(a_body_is_as_long_as_was_said),
        cmocka_unit_test(any_split_gives_the_same_events),
        cmocka_unit_test(what_is_not_http2_ends_at_once),
        cmocka_unit_test(every_fault_has_a_name),
        cmocka_unit_test(without_memory_every_stream_still_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
