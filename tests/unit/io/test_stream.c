/* A plain stream: what is read and written, when it is drained, and how an end differs from a
 * break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/socket.h"
#include "io/stream.h"

static struct stream near, far;

static int open_pair(void **state)
{
    (void)state;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
        return -1;
    near = stream_of(pair[0]);
    far = stream_of(pair[1]);
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    stream_close(&near);
    stream_close(&far);
    return 0;
}

static void put(struct stream *stream, const char *text)
{
    struct iovec piece = {(char *)text, strlen(text)};
    size_t n = 0;
    assert_int_equal(stream_write(stream, &piece, 1, &n), OK);
    assert_int_equal(n, strlen(text));
}

static void pieces_arrive_as_one(void **state)
{
    (void)state;
    struct iovec pieces[] = {
        {(char *)"one,",  4},
        {(char *)"",      0},
        {(char *)"two,",  4},
        {(char *)"three", 5}
    };
    char bytes[64];
    size_t n = 0;
    assert_int_equal(stream_handshake(&near), OK);
    assert_int_equal(stream_write(&near, pieces, 4, &n), OK);
    assert_int_equal(n, 13);
    assert_int_equal(stream_read(&far, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 13);
    assert_memory_equal(bytes, "one,two,three", 13);
}

static void drained_says_that_nothing_waits(void **state)
{
    (void)state;
    char bytes[4];
    size_t n = 99;
    assert_int_equal(stream_read(&far, bytes, sizeof bytes, &n), ERR_AGAIN);
    assert_true(far.drained);
    put(&near, "abcdefghij");
    assert_int_equal(stream_read(&far, bytes, 4, &n), OK);
    assert_false(far.drained);
    assert_int_equal(stream_read(&far, bytes, 4, &n), OK);
    assert_memory_equal(bytes, "efgh", 4);
    assert_false(far.drained);
    assert_int_equal(stream_read(&far, bytes, 4, &n), OK);
    assert_int_equal(n, 2);
    assert_true(far.drained);
    assert_int_equal(stream_read(&far, bytes, 4, &n), ERR_AGAIN);
    put(&near, "full"); /* as many as were asked for: there may be more */
    assert_int_equal(stream_read(&far, bytes, 4, &n), OK);
    assert_false(far.drained);
}

static void end_of_writing_is_an_orderly_end(void **state)
{
    (void)state;
    char bytes[8];
    size_t n = 0;
    put(&near, "last");
    stream_end_writing(&near);
    assert_int_equal(stream_read(&far, bytes, sizeof bytes, &n), OK);
    assert_int_equal(n, 4);
    assert_int_equal(stream_read(&far, bytes, sizeof bytes, &n), ERR_CLOSED);
    assert_int_equal(stream_read(&far, bytes, sizeof bytes, &n), ERR_CLOSED);
    put(&far, "back"); /* the other direction is still open */
    assert_int_equal(stream_read(&near, bytes, sizeof bytes, &n), OK);
    assert_memory_equal(bytes, "back", 4);
}

/* No SIGPIPE, whatever the program does with signals. */
static void writing_to_a_closed_peer_is_an_error_code(void **state)
{
    (void)state;
    struct iovec pieces[] = {
        {(char *)"a", 1},
        {(char *)"b", 1}
    };
    size_t n;
    stream_close(&far);
    assert_int_equal(far.fd, -1);
    assert_int_equal(stream_write(&near, pieces, 1, &n), ERR_IO);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(stream_write(&near, pieces, 2, &n), ERR_IO);
    assert_int_equal(errno, EPIPE);
}

static void full_socket_takes_a_part_and_then_nothing(void **state)
{
    (void)state;
    enum { SIZE = 4 << 20 };
    char *sent = malloc(SIZE), *got = malloc(SIZE);
    assert_true(sent && got);
    for (size_t i = 0; i < SIZE; i++)
        sent[i] = (char)(i * 7 + i / 255);
    size_t put_bytes = 0, got_bytes = 0;
    bool refused = false;
    while (got_bytes < SIZE) {
        size_t half = (SIZE - put_bytes) / 2, n = 0;
        struct iovec pieces[] = {
            {sent + put_bytes,        half                   },
            {sent + put_bytes + half, SIZE - put_bytes - half}
        };
        enum err err = put_bytes < SIZE ? stream_write(&near, pieces, 2, &n) : ERR_AGAIN;
        if (err == OK) {
            assert_in_range(n, 1, SIZE - put_bytes);
            put_bytes += n;
            continue;
        }
        assert_int_equal(err, ERR_AGAIN);
        refused |= put_bytes < SIZE;
        while ((err = stream_read(&far, got + got_bytes, SIZE - got_bytes, &n)) == OK) {
            got_bytes += n;
            if (got_bytes == SIZE)
                break;
        }
        assert_true(err == OK || err == ERR_AGAIN);
    }
    assert_true(refused);
    assert_memory_equal(sent, got, SIZE);
    free(sent);
    free(got);
}

/* A peer that resets is an error, never an orderly end: a broken answer must not look whole. */
static void reset_is_not_an_end(void **state)
{
    (void)state;
    struct endpoint_address where, real;
    int listening, client, server;
    struct address peer;
    assert_int_equal(endpoint_parse(SLICE("127.0.0.1:0"), &where), OK);
    assert_int_equal(socket_listen(&where, &listening), OK);
    assert_int_equal(socket_local(listening, &real), OK);
    assert_int_equal(socket_connect(&real, &client), OK);
    while (socket_accept(listening, &server, &peer) == ERR_AGAIN)
        ;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(server);
    struct stream stream = stream_of(client);
    char bytes[8];
    size_t n;
    enum err err;
    while ((err = stream_read(&stream, bytes, sizeof bytes, &n)) == ERR_AGAIN)
        ;
    assert_int_equal(err, ERR_IO);
    assert_int_equal(errno, ECONNRESET);
    stream_close(&stream);
    stream_close(&stream); /* harmless */
    assert_int_equal(stream.fd, -1);
    close(listening);
}

int main(void)
{
    alarm(30); /* what hangs fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        TEST(pieces_arrive_as_one),
        TEST(drained_says_that_nothing_waits),
        TEST(end_of_writing_is_an_orderly_end),
        TEST(writing_to_a_closed_peer_is_an_error_code),
        TEST(full_socket_takes_a_part_and_then_nothing),
        TEST(reset_is_not_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
