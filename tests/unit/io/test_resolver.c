/* The resolver: numbers at once, names off the loop, refusals that say why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>

#include "io/resolver.h"

static struct loop loop;
static struct jobs *jobs;
static struct lookup lookup;
static unsigned done_count;
static pthread_t loop_thread;

static void on_done(struct lookup *done)
{
    assert_ptr_equal(done, &lookup);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    done_count++;
    loop_stop(&loop);
}

static int open_all(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    done_count = 0;
    memset(&lookup, 0x5a, sizeof lookup); /* what is not set shows */
    lookup.done = on_done;
    return loop_init(&loop) == OK && jobs_create(&jobs) == OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    jobs_destroy(jobs);
    loop_finish(&loop);
    return 0;
}

static void numeric_addresses_are_answered_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *host, *printed;
    } rows[] = {
        {"127.0.0.1",   "127.0.0.1:8080"    },
        {"192.0.2.255", "192.0.2.255:8080"  },
        {"::1",         "[::1]:8080"        },
        {"2001:db8::7", "[2001:db8::7]:8080"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(buffer) out = BUFFER_MAX(100);
        assert_int_equal(lookup_start(&lookup, jobs, &loop, slice_of(rows[i].host), 8080), OK);
        assert_int_equal(lookup.count, 1);
        assert_int_equal(lookup.err, OK);
        endpoint_print(&out, &lookup.found[0]);
        assert_string_equal(buffer_text_of(&out), rows[i].printed);
    }
    loop_deliver(&loop);
    assert_int_equal(done_count, 0);
}

static void localhost_is_found_off_the_loop(void **state)
{
    (void)state;
    assert_int_equal(lookup_start(&lookup, jobs, &loop, SLICE("localhost"), 4321), ERR_AGAIN);
    loop_run(&loop);
    assert_int_equal(done_count, 1);
    assert_int_equal(lookup.err, OK);
    assert_in_range(lookup.count, 1, LOOKUP_ADDRESSES_MAX);
    for (unsigned i = 0; i < lookup.count; i++) {
        const struct sockaddr *any = &lookup.found[i].any;
        if (any->sa_family == AF_INET) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)any;
            assert_int_equal(ntohl(in->sin_addr.s_addr) >> 24, 127);
            assert_int_equal(ntohs(in->sin_port), 4321);
            assert_int_equal(lookup.found[i].len, sizeof *in);
        } else {
            const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)any;
            assert_int_equal(any->sa_family, AF_INET6);
            assert_true(IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr));
            assert_int_equal(ntohs(in6->sin6_port), 4321);
            assert_int_equal(lookup.found[i].len, sizeof *in6);
        }
    }
}

/* A label of 64 bytes cannot exist (RFC 1035, section 2.3.4), so nobody is asked. */
static void a_name_that_cannot_exist_is_not_found(void **state)
{
    (void)state;
    char host[80];
    snprintf(host, sizeof host, "%064d.invalid", 7);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, slice_of(host), 80), ERR_AGAIN);
    loop_run(&loop);
    assert_int_equal(done_count, 1);
    assert_int_equal(lookup.err, ERR_NOT_FOUND);
    assert_int_equal(lookup.count, 0);
}

static void names_have_a_longest_length(void **state)
{
    (void)state;
    char host[300];
    memset(host, 'a', sizeof host);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, slice_make(host, 256), 80), ERR_LIMIT);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, slice_make(host, 300), 80), ERR_LIMIT);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, SLICE(""), 80), ERR_LIMIT);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, slice_make(NULL, 0), 80), ERR_LIMIT);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, slice_make(host, 255), 80), ERR_AGAIN);
    loop_run(&loop);
    assert_int_equal(done_count, 1);
    assert_int_equal(lookup.err, ERR_NOT_FOUND);
}

static sem_t release;

static void run_blocker(struct job *job)
{
    (void)job;
    while (sem_wait(&release) != 0)
        ;
}

static void blocker_done(struct job *job)
{
    (void)job;
}

static void full_lane_is_busy(void **state)
{
    (void)state;
    static struct job blockers[2000];
    unsigned count = 0;
    sem_init(&release, 0, 0);
    for (; count < COUNT_OF(blockers); count++) {
        blockers[count] = (struct job){.run = run_blocker, .done = blocker_done, .home = &loop};
        if (jobs_submit(jobs, LANE_RESOLVE, &blockers[count]) != OK) {
            /* A thread may still be on its way to its first job; once both have one it is full. */
            if (count >= 258)
                break;
            count--;
        }
    }
    assert_int_equal(count, 258);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, SLICE("localhost"), 80), ERR_BUSY);
    assert_int_equal(lookup_start(&lookup, jobs, &loop, SLICE("127.0.0.1"), 80), OK);
    for (unsigned i = 0; i < count; i++)
        sem_post(&release);
}

int main(void)
{
    alarm(30); /* what hangs fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(numeric_addresses_are_answered_at_once),
        TEST(localhost_is_found_off_the_loop),
        TEST(a_name_that_cannot_exist_is_not_found),
        TEST(names_have_a_longest_length),
        TEST(full_lane_is_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
