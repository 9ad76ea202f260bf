/* Sockets of all three families: parsed, listened on, connected to, and left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/socket.h"

static char folder[64], path[128];

static int enter_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/socket-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int leave_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

#define PATH_107 /* the longest that the kernel takes */                                           \
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa/aaaaaa"

static void endpoints_are_read_and_printed(void **state)
{
    (void)state;
    // clang-format off
    static const struct {
        const char *text;
        enum err err;
        const char *printed;
    } rows[] = {
        {"127.0.0.1:8080",        OK,         "127.0.0.1:8080"},
        {"http://127.0.0.1:8080", OK,         "127.0.0.1:8080"},
        {"0.0.0.0:0",             OK,         "0.0.0.0:0"},
        {"[::1]:8080",            OK,         "[::1]:8080"},
        {"[2001:db8::1]:65535",   OK,         "[2001:db8::1]:65535"},
        {":8080",                 OK,         "[::]:8080"},
        {"localhost:8080",        OK,         "127.0.0.1:8080"},
        {"http://[::1]:1",        OK,         "[::1]:1"},
        {"unix:/run/x.sock",      OK,         "unix:/run/x.sock"},
        {"unix:" PATH_107,        OK,         "unix:" PATH_107},
        {"unix:a" PATH_107,       ERR_LIMIT,  NULL},
        {"unix:",                 ERR_LIMIT,  NULL},
        {"",                      ERR_SYNTAX, NULL},
        {":",                     ERR_SYNTAX, NULL},
        {"127.0.0.1",             ERR_SYNTAX, NULL},
        {"127.0.0.1:",            ERR_SYNTAX, NULL},
        {"127.0.0.1:65536",       ERR_SYNTAX, NULL},
        {"127.0.0.1:-1",          ERR_SYNTAX, NULL},
        {"127.0.0.1:80x",         ERR_SYNTAX, NULL},
        {"127.0.0.1: 80",         ERR_SYNTAX, NULL},
        {"127.1:80",              ERR_SYNTAX, NULL},
        {"256.0.0.1:80",          ERR_SYNTAX, NULL},
        {"010.0.0.1:80",          ERR_SYNTAX, NULL},
        {"::1:8080",              ERR_SYNTAX, NULL}, /* which colon? */
        {"[::1]",                 ERR_SYNTAX, NULL},
        {"[::1]8080",             ERR_SYNTAX, NULL},
        {"[::1:8080",             ERR_SYNTAX, NULL},
        {"::1]:8080",             ERR_SYNTAX, NULL},
        {"[]:8080",               ERR_SYNTAX, NULL},
        {"[127.0.0.1]:80",        ERR_SYNTAX, NULL},
        {"[::1%lo]:80",           ERR_SYNTAX, NULL},
        {"example.com:80",        ERR_SYNTAX, NULL},
        {"https://127.0.0.1:443", OK,         "127.0.0.1:443"},
        {"https://http://[::1]:1", ERR_SYNTAX, NULL},
    };
    // clang-format on
    assert_int_equal(strlen(PATH_107), 107);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct endpoint_address endpoint;
        enum err err = endpoint_parse(slice_of(rows[i].text), &endpoint);
        if (err != rows[i].err)
            fail_msg("\"%s\": %s", rows[i].text, err_name(err));
        if (err)
            continue;
        AUTO(buffer) out = BUFFER_MAX(200);
        endpoint_print(&out, &endpoint);
        assert_string_equal(buffer_text_of(&out), rows[i].printed);
    }
    struct endpoint_address endpoint;
    assert_int_equal(endpoint_parse(slice_make(NULL, 0), &endpoint), ERR_SYNTAX);
}

static struct endpoint_address parse(const char *text)
{
    struct endpoint_address endpoint;
    assert_int_equal(endpoint_parse(slice_of(text), &endpoint), OK);
    return endpoint;
}

static void an_endpoint_equals_itself_alone(void **state)
{
    (void)state;
    static const char *const all[] = {"127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80",
                                      "[::1]:80",     "unix:/a",      "unix:/ab"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        for (size_t j = 0; j < COUNT_OF(all); j++) {
            const struct endpoint_address a = parse(all[i]), b = parse(all[j]);
            assert_int_equal(endpoint_equal(&a, &b), i == j);
        }
    }
}

static struct endpoint_address at_path(void)
{
    struct endpoint_address endpoint;
    assert_int_equal(endpoint_of_path(slice_of(path), &endpoint), OK);
    return endpoint;
}

static void wait_for(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    assert_int_equal(poll(&one, 1, 10000), 1);
}

static void check_flags(int fd, bool tcp)
{
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int on = 0;
    socklen_t len = sizeof on;
    if (tcp)
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on != 0, tcp);
}

/* Listens, finds nobody, connects, accepts; a byte goes each way. `peer` gets who connected. */
static void meet(const struct endpoint_address *where, const char *through, struct address *peer)
{
    int listening, client, server = -1;
    bool tcp = where->any.sa_family != AF_UNIX;
    assert_int_equal(socket_listen(where, &listening), OK);
    assert_true(fcntl(listening, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listening, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(socket_accept(listening, &server, peer), ERR_AGAIN);
    assert_int_equal(server, -1);

    struct endpoint_address real;
    assert_int_equal(socket_local(listening, &real), OK);
    in_port_t port = ((struct sockaddr_in *)&real.storage)->sin_port; /* as in sockaddr_in6 */
    assert_true(!tcp || port != 0);
    struct endpoint_address target = through ? parse(through) : real;
    if (through)
        ((struct sockaddr_in *)&target.storage)->sin_port = port;
    assert_int_equal(socket_connect(&target, &client), OK);
    wait_for(client, POLLOUT);
    assert_int_equal(socket_connected(client), OK);
    wait_for(listening, POLLIN);
    assert_int_equal(socket_accept(listening, &server, peer), OK);
    check_flags(client, tcp);
    check_flags(server, tcp);

    if (tcp) { /* the peer is the client's own end */
        struct endpoint_address own;
        assert_int_equal(socket_local(client, &own), OK);
        assert_int_equal(peer->port, ntohs(((struct sockaddr_in *)&own.storage)->sin_port));
    }
    char byte = 0;
    assert_int_equal(write(client, "c", 1), 1);
    wait_for(server, POLLIN);
    assert_int_equal(read(server, &byte, 1), 1);
    assert_int_equal(byte, 'c');
    assert_int_equal(write(server, "s", 1), 1);
    wait_for(client, POLLIN);
    assert_int_equal(read(client, &byte, 1), 1);
    assert_int_equal(byte, 's');
    close(client);
    close(server);
    close(listening);
}

static void peers_meet_on_ipv4(void **state)
{
    (void)state;
    struct endpoint_address where = parse("127.0.0.1:0");
    struct address peer, loopback;
    assert_int_equal(address_parse(SLICE("127.0.0.1"), &loopback), OK);
    meet(&where, NULL, &peer);
    assert_int_equal(peer.family, ADDRESS_V4);
    assert_true(address_equal(&peer, &loopback));
}

static void skip_without_ipv6(void)
{
    struct endpoint_address where = parse("[::1]:0");
    int fd;
    if (socket_listen(&where, &fd) != OK) {
        print_message("SKIPPED: this machine has no IPv6 loopback (%s)\n", strerror(errno));
        skip();
    }
    close(fd);
}

static void peers_meet_on_ipv6(void **state)
{
    (void)state;
    skip_without_ipv6();
    struct endpoint_address where = parse("[::1]:0");
    struct address peer, loopback;
    assert_int_equal(address_parse(SLICE("::1"), &loopback), OK);
    meet(&where, NULL, &peer);
    assert_int_equal(peer.family, ADDRESS_V6);
    assert_true(address_equal(&peer, &loopback));
}

/* One caller, one identity: whoever comes by IPv4 is IPv4, also through an IPv6 socket. */
static void ipv4_through_all_addresses_is_ipv4(void **state)
{
    (void)state;
    skip_without_ipv6();
    struct endpoint_address where = parse(":0");
    struct address peer, loopback;
    assert_int_equal(address_parse(SLICE("127.0.0.1"), &loopback), OK);
    meet(&where, "127.0.0.1:1", &peer);
    assert_int_equal(peer.family, ADDRESS_V4);
    assert_true(address_equal(&peer, &loopback));
    meet(&where, "[::1]:1", &peer);
    assert_int_equal(peer.family, ADDRESS_V6);
}

static void peers_meet_on_a_unix_socket(void **state)
{
    (void)state;
    struct endpoint_address where = at_path();
    struct address peer;
    meet(&where, NULL, &peer);
    assert_int_equal(peer.family, ADDRESS_UNIX);
    assert_int_equal(peer.port, 0);
}

/* `meet` closes its socket but leaves the file, as a process does that was killed. */
static void stale_unix_socket_is_replaced(void **state)
{
    (void)state;
    struct endpoint_address where = at_path();
    struct address peer;
    struct stat stat_of;
    meet(&where, NULL, &peer);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_true(S_ISSOCK(stat_of.st_mode));
    meet(&where, NULL, &peer);
}

static void refuse_to_listen(const struct endpoint_address *where)
{
    int fd = -1;
    errno = 0;
    assert_int_equal(socket_listen(where, &fd), ERR_IO);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(fd, -1);
}

static void live_unix_socket_is_left_alone(void **state)
{
    (void)state;
    struct endpoint_address where = at_path();
    int listening, server, client;
    struct address peer;
    assert_int_equal(socket_listen(&where, &listening), OK);
    refuse_to_listen(&where);
    while (socket_accept(listening, &server, &peer) == OK) /* the knock itself */
        close(server);
    assert_int_equal(socket_connect(&where, &client), OK);
    assert_int_equal(socket_accept(listening, &server, &peer), OK);
    close(client);
    close(server);
    close(listening);
}

/* A live server too busy to accept: a knock that waits would wait for ever. */
static void busy_unix_socket_is_left_alone(void **state)
{
    (void)state;
    struct endpoint_address where = at_path();
    int clients[4], count = 0;
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, &where.any, where.len), 0);
    assert_int_equal(listen(listening, 0), 0);
    while (count < 4 && socket_connect(&where, &clients[count]) == OK)
        count++;
    assert_in_range(count, 1, 3);
    refuse_to_listen(&where); /* or hangs */
    while (count)
        close(clients[--count]);
    close(listening);
}

static void other_files_are_never_removed(void **state)
{
    (void)state;
    struct endpoint_address where = at_path();
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(file >= 0);
    close(file);
    refuse_to_listen(&where);
    struct stat stat_of;
    assert_int_equal(stat(path, &stat_of), 0);
    assert_true(S_ISREG(stat_of.st_mode));
}

static void taken_port_is_refused(void **state)
{
    (void)state;
    struct endpoint_address where = parse("127.0.0.1:0"), real;
    int listening;
    assert_int_equal(socket_listen(&where, &listening), OK);
    assert_int_equal(socket_local(listening, &real), OK);
    refuse_to_listen(&real);
    close(listening);
}

/* Whether the kernel says so at once or later, it is ERR_IO with the reason. */
static void connecting_to_nobody_fails(void **state)
{
    (void)state;
    struct endpoint_address where = parse("127.0.0.1:0"), real;
    int fd;
    assert_int_equal(socket_listen(&where, &fd), OK);
    assert_int_equal(socket_local(fd, &real), OK);
    close(fd);
    errno = 0;
    if (socket_connect(&real, &fd) == OK) {
        wait_for(fd, POLLOUT);
        assert_int_equal(socket_connected(fd), ERR_IO);
        assert_int_equal(errno, ECONNREFUSED);
        close(fd);
    } else {
        assert_int_equal(errno, ECONNREFUSED);
    }
    struct endpoint_address nobody = at_path();
    errno = 0;
    assert_int_equal(socket_connect(&nobody, &fd), ERR_IO);
    assert_int_equal(errno, ENOENT);
}

static void accepting_without_descriptors_is_a_limit(void **state)
{
    (void)state;
    struct endpoint_address where = parse("127.0.0.1:0"), real;
    int listening, client, server = -1;
    struct address peer;
    assert_int_equal(socket_listen(&where, &listening), OK);
    assert_int_equal(socket_local(listening, &real), OK);
    assert_int_equal(socket_connect(&real, &client), OK);
    wait_for(listening, POLLIN);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum err err = socket_accept(listening, &server, &peer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(err, ERR_LIMIT);
    assert_int_equal(socket_accept(listening, &server, &peer), OK); /* it still waits */
    close(server);
    close(client);
    close(listening);
}

int main(void)
{
    alarm(30); /* what hangs fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        TEST(endpoints_are_read_and_printed),
        TEST(an_endpoint_equals_itself_alone),
        TEST(peers_meet_on_ipv4),
        TEST(peers_meet_on_ipv6),
        TEST(ipv4_through_all_addresses_is_ipv4),
        TEST(peers_meet_on_a_unix_socket),
        TEST(stale_unix_socket_is_replaced),
        TEST(live_unix_socket_is_left_alone),
        TEST(busy_unix_socket_is_left_alone),
        TEST(other_files_are_never_removed),
        TEST(taken_port_is_refused),
        TEST(connecting_to_nobody_fails),
        TEST(accepting_without_descriptors_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
