/* The job pool: in order, off the loop and back on it, bounded lane by lane, nothing lost at the
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "io/jobs.h"

enum { MANY = 400 };

static struct loop loop;
static struct jobs *jobs;
static pthread_t loop_thread;

static struct work {
    struct job job;
    unsigned number;
    bool ran;
} works[MANY];
static unsigned run_count; /* the lane with one thread writes it, the test reads it after `done` */
static unsigned done_count, done_wanted;

static int open_all(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    run_count = done_count = 0;
    memset(works, 0, sizeof works);
    return loop_init(&loop) == OK && jobs_create(&jobs) == OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    jobs_destroy(jobs);
    jobs = NULL;
    loop_finish(&loop);
    return 0;
}

static void run_work(struct job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    work->ran = !pthread_equal(pthread_self(), loop_thread) && work->number == run_count++;
}

static void work_done(struct job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_true(work->ran);
    assert_int_equal(work->number, done_count);
    if (++done_count == done_wanted)
        loop_stop(&loop);
}

static struct job *work(unsigned number)
{
    works[number] = (struct work){
        {.run = run_work, .done = work_done, .home = &loop},
        number, false
    };
    return &works[number].job;
}

static void jobs_run_in_order_and_return_to_their_loop(void **state)
{
    (void)state;
    done_wanted = 60;
    for (unsigned i = 0; i < done_wanted; i++)
        assert_int_equal(jobs_submit(jobs, LANE_FILE, work(i)), OK);
    loop_run(&loop);
    assert_int_equal(done_count, done_wanted);
}

/* Holds its thread until told. */
static struct blocker {
    struct job job;
    sem_t started, release;
} blocker;

static void run_blocker(struct job *job)
{
    struct blocker *mine = CONTAINER_OF(job, struct blocker, job);
    sem_post(&mine->started);
    while (sem_wait(&mine->release) != 0)
        ;
}

static void blocker_done(struct job *job)
{
    (void)job;
}

static void block_file_lane(void)
{
    sem_init(&blocker.started, 0, 0);
    sem_init(&blocker.release, 0, 0);
    blocker.job = (struct job){.run = run_blocker, .done = blocker_done, .home = &loop};
    assert_int_equal(jobs_submit(jobs, LANE_FILE, &blocker.job), OK);
    while (sem_wait(&blocker.started) != 0)
        ;
}

static bool other_ran;

static void run_other(struct job *job)
{
    (void)job;
    other_ran = true;
}

static void other_done(struct job *job)
{
    (void)job;
    loop_stop(&loop);
}

static void full_lane_is_busy_and_holds_up_no_other(void **state)
{
    (void)state;
    block_file_lane();
    unsigned accepted = 0;
    while (accepted < MANY && jobs_submit(jobs, LANE_FILE, work(accepted)) == OK)
        accepted++;
    assert_int_equal(accepted, 64);

    struct job other = {.run = run_other, .done = other_done, .home = &loop};
    other_ran = false;
    assert_int_equal(jobs_submit(jobs, LANE_RESOLVE, &other), OK);
    loop_run(&loop); /* or hangs behind the blocker */
    assert_true(other_ran);
    assert_int_equal(done_count, 0);

    done_wanted = accepted;
    loop.stopping = false;
    sem_post(&blocker.release);
    loop_run(&loop);
    assert_int_equal(done_count, 64);
    done_wanted = 65; /* there is room again */
    loop.stopping = false;
    assert_int_equal(jobs_submit(jobs, LANE_FILE, work(64)), OK);
    loop_run(&loop);
    assert_int_equal(done_count, 65);
}

/* Slow enough that most still wait when the end comes. */
static void run_slow(struct job *job)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    run_work(job);
}

static void given_back(struct job *job)
{
    (void)job;
    done_count++;
}

static void waiting_jobs_are_given_back_at_the_end(void **state)
{
    (void)state;
    block_file_lane();
    done_wanted = MANY;
    for (unsigned i = 0; i < 30; i++) {
        struct job *job = work(i);
        job->run = run_slow;
        job->done = given_back;
        assert_int_equal(jobs_submit(jobs, LANE_FILE, job), OK);
    }
    sem_post(&blocker.release);
    jobs_destroy(jobs);
    jobs = NULL;
    assert_in_range(run_count, 0, 30); /* those that were still waiting are not run any more */
    assert_int_equal(done_count, 0);   /* `done` is for the loop's thread only */
    loop_deliver(&loop);
    assert_int_equal(done_count, 30);
}

static void nothing_to_do_is_a_quick_end(void **state)
{
    (void)state;
    jobs_destroy(NULL);
}

int main(void)
{
    alarm(30); /* a pool that hangs fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(jobs_run_in_order_and_return_to_their_loop),
        TEST(full_lane_is_busy_and_holds_up_no_other),
        TEST(waiting_jobs_are_given_back_at_the_end),
        TEST(nothing_to_do_is_a_quick_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
