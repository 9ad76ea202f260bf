/* A name is asked for once, however many wait for it and on whichever loops: with a resolver that
 * answers when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/resolver.h"

enum { LOOPS = 3, MANY = 900 }; /* more than the lane has room for */

/* --- the system's resolver
 * ----------------------------------------------------------------------- */

static sem_t asked, answers; /* a question came; one may be answered */
static atomic_uint questions;

/* NAME.good has an address of each kind, NAME.bad does not exist. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    (void)service, (void)hints;
    atomic_fetch_add(&questions, 1);
    sem_post(&asked);
    while (sem_wait(&answers) != 0)
        ;
    if (!slice_ends(slice_of(host), SLICE(".good")))
        return EAI_NONAME;
    struct {
        struct addrinfo one, two;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } *made = calloc(1, sizeof *made);
    made->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000207)};
    made->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    made->one = (struct addrinfo){.ai_family = AF_INET,
                                  .ai_addr = (struct sockaddr *)&made->in,
                                  .ai_addrlen = sizeof made->in,
                                  .ai_next = &made->two};
    made->two = (struct addrinfo){.ai_family = AF_INET6,
                                  .ai_addr = (struct sockaddr *)&made->in6,
                                  .ai_addrlen = sizeof made->in6};
    *found = &made->one;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found);
}

static void answer(unsigned count)
{
    while (count--)
        sem_post(&answers);
}

static void wait_asked(void)
{
    while (sem_wait(&asked) != 0)
        ;
}

/* --- who asks
 * ------------------------------------------------------------------------------------ */

static struct loop loops[LOOPS];
static struct jobs *jobs;
static unsigned done_count;

struct asking {
    struct lookup lookup;
    unsigned done;
};

static void on_done(struct lookup *lookup)
{
    struct asking *asking = CONTAINER_OF(lookup, struct asking, lookup);
    asking->done++;
    done_count++;
}

static struct asking *ask(const char *host, struct loop *home, unsigned port)
{
    struct asking *asking = calloc(1, sizeof *asking); /* each its own: a sanitizer watches */
    asking->lookup.done = on_done;
    assert_int_equal(lookup_start(&asking->lookup, jobs, home, slice_of(host), port), ERR_AGAIN);
    return asking;
}

/* Until all their messages are there. */
static void deliver_until(unsigned wanted)
{
    while (done_count < wanted) {
        for (unsigned i = 0; i < LOOPS; i++)
            loop_deliver(&loops[i]);
        usleep(1000);
    }
}

/* Checks the answer that one got, and lets it go. */
static void end(struct asking *asking, enum err err)
{
    struct lookup *lookup = &asking->lookup;
    assert_int_equal(asking->done, 1);
    assert_int_equal(lookup->err, err);
    assert_int_equal(lookup->count, err == OK ? 2 : 0);
    if (err == OK) {
        const struct sockaddr_in *in = (const void *)&lookup->found[0].storage;
        const struct sockaddr_in6 *in6 = (const void *)&lookup->found[1].storage;
        assert_int_equal(lookup->found[0].len, sizeof *in);
        assert_int_equal(ntohl(in->sin_addr.s_addr), 0xc0000207);
        assert_int_equal(ntohs(in->sin_port), lookup->port);
        assert_int_equal(lookup->found[1].len, sizeof *in6);
        assert_int_equal(ntohs(in6->sin6_port), lookup->port);
    }
    free(asking);
}

static int open_all(void **state)
{
    (void)state;
    done_count = 0;
    atomic_store(&questions, 0);
    sem_init(&asked, 0, 0);
    sem_init(&answers, 0, 0);
    for (unsigned i = 0; i < LOOPS; i++)
        if (loop_init(&loops[i]) != OK)
            return -1;
    return jobs_create(&jobs) == OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    jobs_destroy(jobs);
    for (unsigned i = 0; i < LOOPS; i++)
        loop_finish(&loops[i]);
    return 0;
}

/* --- the tests
 * ----------------------------------------------------------------------------------- */

static void many_share(const char *host, enum err err)
{
    struct asking *all[MANY];
    for (unsigned i = 0; i < MANY; i++)
        all[i] = ask(host, &loops[i % LOOPS], 1000 + i);
    wait_asked();
    answer(1);
    deliver_until(MANY);
    for (unsigned i = 0; i < MANY; i++)
        end(all[i], err);
    assert_int_equal(atomic_load(&questions), 1);
}

static void one_answer_is_for_all_who_wait(void **state)
{
    (void)state;
    many_share("one.good", OK);
}

static void one_failure_is_for_all_who_wait(void **state)
{
    (void)state;
    many_share("one.bad", ERR_NOT_FOUND);
}

static void who_comes_after_the_answer_asks_anew(void **state)
{
    (void)state;
    struct asking *first = ask("again.bad", &loops[0], 1);
    answer(1);
    deliver_until(1);
    end(first, ERR_NOT_FOUND);
    struct asking *second = ask("again.bad", &loops[0], 1);
    answer(1);
    deliver_until(2);
    end(second, ERR_NOT_FOUND);
    assert_int_equal(atomic_load(&questions), 2);
}

static void a_slow_name_does_not_hold_up_another(void **state)
{
    (void)state;
    struct asking *slow[MANY];
    for (unsigned i = 0; i < MANY; i++)
        slow[i] = ask("slow.good", &loops[i % LOOPS], 80);
    wait_asked();
    struct asking *other = ask("other.good", &loops[1], 80);
    wait_asked(); /* while the slow one is not answered */
    assert_int_equal(done_count, 0);
    answer(2);
    deliver_until(MANY + 1);
    assert_int_equal(atomic_load(&questions), 2);
    end(other, OK);
    for (unsigned i = 0; i < MANY; i++)
        end(slow[i], OK);
}

static void *end_jobs(void *argument)
{
    jobs_destroy(argument);
    return NULL;
}

static void ignore(struct job *job)
{
    (void)job;
}

/* Its threads end with what they have in hand; they must know before they have it. */
static pthread_t begin_end(void)
{
    static struct job late[300];
    pthread_t ending;
    assert_int_equal(pthread_create(&ending, NULL, end_jobs, jobs), 0);
    for (unsigned i = 0; i < COUNT_OF(late); i++) {
        late[i] = (struct job){.run = ignore, .done = ignore, .home = &loops[0]};
        if (jobs_submit(jobs, LANE_RESOLVE, &late[i]) != OK)
            break;
        usleep(1000);
    }
    return ending;
}

/* Two names are being asked for, and the third has not had its turn. */
static void the_end_of_the_pool_is_an_answer_too(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum err err;
    } rows[] = {
        {"one.good",   OK           },
        {"two.bad",    ERR_NOT_FOUND},
        {"three.good", ERR_BUSY     }
    };
    struct asking *all[COUNT_OF(rows)][LOOPS * 2];
    for (unsigned name = 0; name < COUNT_OF(rows); name++)
        for (unsigned i = 0; i < LOOPS * 2; i++)
            all[name][i] = ask(rows[name].host, &loops[i % LOOPS], 80);
    wait_asked();
    wait_asked();
    pthread_t ending = begin_end();
    answer(2);
    pthread_join(ending, NULL);
    jobs = NULL;
    /* Loops end one by one: nothing may come to one that has gone. */
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_deliver(&loops[i]);
        for (unsigned name = 0; name < COUNT_OF(rows); name++)
            for (unsigned at = i; at < LOOPS * 2; at += LOOPS)
                end(all[name][at], rows[name].err);
    }
    assert_int_equal(atomic_load(&questions), 2);
}

int main(void)
{
    alarm(60); /* what hangs fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(one_answer_is_for_all_who_wait),       TEST(one_failure_is_for_all_who_wait),
        TEST(who_comes_after_the_answer_asks_anew), TEST(a_slow_name_does_not_hold_up_another),
        TEST(the_end_of_the_pool_is_an_answer_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
