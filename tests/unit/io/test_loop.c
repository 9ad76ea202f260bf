/* The event loop: timers, tasks, the mailbox, and no event for a watch that is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop.h"

#define HOUR_US (3600 * SECOND_US)

static struct loop loop;

static int open_loop(void **state)
{
    (void)state;
    return loop_init(&loop) == OK && loop_reserve_timers(&loop, 512) == OK ? 0 : -1;
}

static int close_loop(void **state)
{
    (void)state;
    loop_finish(&loop);
    return 0;
}

/* Runs until something calls loop_stop; may be called again. */
static void run(void)
{
    loop.stopping = false;
    loop_run(&loop);
}

static uint64_t seed = 88172645463325252u;

/* xorshift: the same sequence in every run. */
static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* --- timers -------------------------------------------------------------------------------- */

enum { TIMERS = 400 };

static struct alarm {
    struct timer timer;
    uint64_t fired_us, due_us; /* when it fired, and what its deadline was then */
    unsigned order, times;
} alarms[TIMERS];
static unsigned fired, wanted;

static void on_alarm(struct timer *timer)
{
    struct alarm *one = CONTAINER_OF(timer, struct alarm, timer);
    assert_int_equal(timer->place, 0); /* disarmed before it is called */
    one->fired_us = clock_now_us();
    one->due_us = timer->deadline_us;
    one->order = fired++;
    one->times++;
    if (fired == wanted)
        loop_stop(&loop);
}

static void fresh_alarms(void)
{
    memset(alarms, 0, sizeof alarms);
    for (unsigned i = 0; i < TIMERS; i++)
        alarms[i].timer.on_time = on_alarm;
    fired = 0;
}

static void timers_fire_in_order_and_not_early(void **state)
{
    (void)state;
    fresh_alarms();
    uint64_t start = clock_now_us();
    for (unsigned i = 0; i < TIMERS; i++) /* half of them past already, the rest within 20 ms */
        timer_arm(&loop, &alarms[i].timer, start - 20000 + any(40000));
    wanted = TIMERS;
    run();
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(alarms[i].times, 1);
        assert_true(alarms[i].fired_us >= alarms[i].due_us);
        for (unsigned j = 0; j < i; j++)
            if (alarms[i].due_us != alarms[j].due_us)
                assert_int_equal(alarms[i].due_us < alarms[j].due_us,
                                 alarms[i].order < alarms[j].order);
    }
    assert_int_equal(loop.timers, 0);
}

/* Arms, moves and disarms at random; then exactly those that are due fire, once each. */
static void timers_hold_against_a_model(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        fresh_alarms();
        enum { OFF, DUE, LATER } model[TIMERS] = {OFF};
        uint64_t start = clock_now_us();
        wanted = 0;
        for (unsigned step = 0; step < 3000; step++) {
            unsigned i = (unsigned)any(TIMERS), choice = (unsigned)any(3);
            model[i] = choice == 0 ? OFF : choice == 1 ? DUE : LATER;
            if (choice == 0)
                timer_disarm(&loop, &alarms[i].timer);
            else
                timer_arm(&loop, &alarms[i].timer,
                          choice == 1 ? start - any(SECOND_US) : start + HOUR_US + any(HOUR_US));
        }
        unsigned later = 0;
        for (unsigned i = 0; i < TIMERS; i++) {
            wanted += model[i] == DUE;
            later += model[i] == LATER;
        }
        run();
        assert_int_equal(loop.timers, later);
        for (unsigned i = 0; i < TIMERS; i++) {
            assert_int_equal(alarms[i].times, model[i] == DUE);
            assert_int_equal(alarms[i].timer.place != 0, model[i] == LATER);
            timer_disarm(&loop, &alarms[i].timer);
        }
        assert_int_equal(loop.timers, 0);
    }
}

static void moving_a_timer_later_leaves_the_heap_alone(void **state)
{
    (void)state;
    fresh_alarms();
    uint64_t start = clock_now_us();
    timer_arm(&loop, &alarms[0].timer, start + 1000);
    timer_arm(&loop, &alarms[0].timer, start + 15000);
    assert_int_equal(alarms[0].timer.heap_us, start + 1000);
    timer_arm(&loop, &alarms[0].timer, start + 12000); /* earlier again, but not than in the heap */
    assert_int_equal(alarms[0].timer.heap_us, start + 1000);
    timer_arm(&loop, &alarms[1].timer, start + 5000);
    wanted = 2;
    run();
    assert_int_equal(alarms[1].order, 0);
    assert_int_equal(alarms[0].times, 1);
    assert_true(alarms[0].fired_us >= start + 12000);
}

static void moving_a_timer_earlier_takes_effect(void **state)
{
    (void)state;
    fresh_alarms();
    uint64_t start = clock_now_us();
    timer_arm(&loop, &alarms[0].timer, start + HOUR_US);
    timer_arm(&loop, &alarms[1].timer, start + HOUR_US / 2);
    timer_arm(&loop, &alarms[0].timer, start + 1000);
    wanted = 1;
    run(); /* or hangs */
    assert_int_equal(alarms[0].times, 1);
    assert_true(alarms[0].fired_us >= start + 1000);
    timer_disarm(&loop, &alarms[1].timer);
}

static void on_disarming(struct timer *timer)
{
    timer_disarm(&loop, timer); /* itself: harmless */
    timer_disarm(&loop, &alarms[1].timer);
    timer_disarm(&loop, &alarms[2].timer);
    timer_disarm(&loop, &alarms[2].timer);
    fired++;
}

/* All are due in the same turn. */
static void timer_disarmed_in_a_callback_does_not_fire(void **state)
{
    (void)state;
    fresh_alarms();
    uint64_t start = clock_now_us();
    alarms[0].timer.on_time = on_disarming;
    for (unsigned i = 0; i < 4; i++)
        timer_arm(&loop, &alarms[i].timer, start - 1000 + i);
    wanted = 2;
    run();
    assert_int_equal(alarms[1].times, 0);
    assert_int_equal(alarms[2].times, 0);
    assert_int_equal(alarms[3].times, 1);
    assert_int_equal(loop.timers, 0);
}

static struct message stop_message;

static void deliver_stop(struct message *message)
{
    (void)message;
    loop_stop(&loop);
}

/* Always due again at once. */
static void on_greedy(struct timer *timer)
{
    if (fired++ == 0) {
        stop_message.deliver = deliver_stop;
        loop_post(&loop, &stop_message);
    }
    timer_arm(&loop, timer, loop.now_us);
}

static void timer_that_is_due_at_once_leaves_others_their_turn(void **state)
{
    (void)state;
    fresh_alarms();
    alarms[0].timer.on_time = on_greedy;
    timer_arm(&loop, &alarms[0].timer, clock_now_us());
    run(); /* or hangs: the message is never read */
    assert_in_range(fired, 1, 100);
    timer_disarm(&loop, &alarms[0].timer);
}

/* --- tasks --------------------------------------------------------------------------------- */

static struct task first_task, second_task;
static unsigned first_runs, second_runs;

static void run_first(struct task *task)
{
    if (++first_runs == 5)
        loop_stop(&loop);
    loop_defer(&loop, task);
    loop_defer(&loop, &second_task);
    loop_defer(&loop, &second_task);
}

static void run_second(struct task *task)
{
    (void)task;
    second_runs++;
}

static void deferred_tasks_run_once_a_turn_and_do_not_starve(void **state)
{
    (void)state;
    first_runs = second_runs = 0;
    task_init(&first_task, run_first);
    task_init(&second_task, run_second);
    loop_defer(&loop, &first_task);
    loop_defer(&loop, &first_task);
    loop_defer(&loop, &second_task);
    run();
    assert_int_equal(first_runs, 5);
    assert_in_range(second_runs, 3, 5); /* after every wish, if not once for each */
    list_remove(&first_task.link);
    list_remove(&second_task.link);
}

/* --- the mailbox ----------------------------------------------------------------------------- */

enum { SENDERS = 4, LETTERS = 3000 };

static struct letter {
    struct message message;
    unsigned sender, number;
} letters[SENDERS][LETTERS];
static unsigned expected[SENDERS], delivered;
static pthread_t loop_thread;

static void deliver_letter(struct message *message)
{
    struct letter *letter = CONTAINER_OF(message, struct letter, message);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(letter->number, expected[letter->sender]);
    expected[letter->sender]++;
    memset(message, 0x5a, sizeof *message); /* it is the receiver's now */
    if (++delivered == SENDERS * LETTERS)
        loop_stop(&loop);
}

static void *send_letters(void *argument)
{
    struct letter *mine = argument;
    for (unsigned i = 0; i < LETTERS; i++)
        loop_post(&loop, &mine[i].message);
    return NULL;
}

static void messages_of_one_thread_arrive_in_order(void **state)
{
    (void)state;
    pthread_t threads[SENDERS];
    loop_thread = pthread_self();
    delivered = 0;
    memset(expected, 0, sizeof expected);
    for (unsigned s = 0; s < SENDERS; s++) {
        for (unsigned i = 0; i < LETTERS; i++)
            letters[s][i] = (struct letter){{.deliver = deliver_letter}, s, i};
        assert_int_equal(pthread_create(&threads[s], NULL, send_letters, letters[s]), 0);
    }
    run();
    for (unsigned s = 0; s < SENDERS; s++) {
        pthread_join(threads[s], NULL);
        assert_int_equal(expected[s], LETTERS);
    }
}

static void mailbox_is_emptied_without_a_turn(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    delivered = 0;
    expected[0] = 0;
    for (unsigned i = 0; i < 3; i++) {
        letters[0][i] = (struct letter){{.deliver = deliver_letter}, 0, i};
        loop_post(&loop, &letters[0][i].message);
    }
    loop_deliver(&loop);
    assert_int_equal(delivered, 3);
    loop_deliver(&loop);
    assert_int_equal(delivered, 3);
}

/* --- watches --------------------------------------------------------------------------------- */

enum { PEERS = 8 };

static struct peer {
    struct watch watch;
    unsigned times;
} * peers[PEERS];
static unsigned events_seen;
static struct task stop_task;

static void run_stop(struct task *task)
{
    if (events_seen++ < 20) /* twenty more turns, for events that should not come */
        loop_defer(&loop, task);
    else
        loop_stop(&loop);
}

static struct peer *watch_ready(void (*on_ready)(struct watch *watch, uint32_t events))
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    peer->watch = (struct watch){.fd = eventfd(1, EFD_NONBLOCK), .on_ready = on_ready};
    assert_true(peer->watch.fd >= 0);
    assert_int_equal(loop_watch(&loop, &peer->watch), OK);
    return peer;
}

static unsigned survivors;

static void on_killing(struct watch *watch, uint32_t events)
{
    (void)events;
    survivors++;
    for (unsigned i = 0; i < PEERS; i++) {
        if (!peers[i] || &peers[i]->watch == watch)
            continue;
        loop_unwatch(&loop, &peers[i]->watch);
        close(peers[i]->watch.fd);
        free(peers[i]); /* a late event would be a use after free */
        peers[i] = NULL;
    }
}

/* Eight descriptors are ready in one batch; the first to hear of it takes the others away. */
static void unwatched_in_the_same_turn_is_never_delivered(void **state)
{
    (void)state;
    survivors = 0;
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = watch_ready(on_killing);
    events_seen = 0;
    task_init(&stop_task, run_stop);
    loop_defer(&loop, &stop_task);
    run();
    assert_int_equal(survivors, 1);
    for (unsigned i = 0; i < PEERS; i++) {
        if (!peers[i])
            continue;
        loop_unwatch(&loop, &peers[i]->watch);
        close(peers[i]->watch.fd);
        free(peers[i]);
    }
}

static void on_counted(struct watch *watch, uint32_t events)
{
    struct peer *peer = CONTAINER_OF(watch, struct peer, watch);
    assert_true(events & EPOLLIN);
    peer->times++;
}

/* Nobody reads the descriptor, yet there is one event only. */
static void events_are_told_once_per_edge(void **state)
{
    (void)state;
    peers[0] = watch_ready(on_counted);
    task_init(&stop_task, run_stop);
    for (unsigned edge = 1; edge < 4; edge++) {
        events_seen = 0;
        loop_defer(&loop, &stop_task);
        run();
        assert_int_equal(peers[0]->times, edge);
        assert_int_equal(eventfd_write(peers[0]->watch.fd, 1), 0);
    }
    loop_unwatch(&loop, &peers[0]->watch);
    close(peers[0]->watch.fd);
    free(peers[0]);
}

static uint32_t heard;

static void on_hang_up(struct watch *watch, uint32_t events)
{
    (void)watch;
    heard |= events;
    if (heard & EPOLLRDHUP)
        loop_stop(&loop);
}

static void end_of_the_peer_is_heard(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct watch watch = {.fd = pair[0], .on_ready = on_hang_up};
    assert_int_equal(loop_watch(&loop, &watch), OK);
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    heard = 0;
    run();
    assert_true(heard & EPOLLOUT);
    loop_unwatch(&loop, &watch);
    close(pair[0]);
    close(pair[1]);
    watch.fd = -1;
    assert_int_equal(loop_watch(&loop, &watch), ERR_IO);
}

int main(void)
{
    alarm(30); /* a loop that hangs fails */
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_in_order_and_not_early),
        TEST(timers_hold_against_a_model),
        TEST(moving_a_timer_later_leaves_the_heap_alone),
        TEST(moving_a_timer_earlier_takes_effect),
        TEST(timer_disarmed_in_a_callback_does_not_fire),
        TEST(timer_that_is_due_at_once_leaves_others_their_turn),
        TEST(deferred_tasks_run_once_a_turn_and_do_not_starve),
        TEST(messages_of_one_thread_arrive_in_order),
        TEST(mailbox_is_emptied_without_a_turn),
        TEST(unwatched_in_the_same_turn_is_never_delivered),
        TEST(events_are_told_once_per_edge),
        TEST(end_of_the_peer_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
