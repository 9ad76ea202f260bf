/* See loop.h. The hard problem: an object may be freed while the current batch still holds an event
 * for it; loop_unwatch takes such events out of the batch. */
#include "io/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

void loop_deliver(struct loop *loop)
{
    struct message *newest = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
    struct message *oldest = NULL;
    while (newest) { /* the mailbox is a stack: turn it round */
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct message *next = oldest->next;
        oldest->deliver(oldest);
        oldest = next;
    }
}

static void on_wake(struct watch *watch, uint32_t events)
{
    (void)events;
    struct loop *loop = CONTAINER_OF(watch, struct loop, wake_watch);
    uint64_t count;
    ssize_t ignored = read(loop->wake, &count, sizeof count);
    (void)ignored;
    loop_deliver(loop);
}

enum err loop_init(struct loop *loop)
{
    *loop = (struct loop){.epoll = -1, .wake = -1, .now_us = clock_now_us()};
    list_init(&loop->tasks);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->wake_watch = (struct watch){.fd = loop->wake, .on_ready = on_wake};
    if (loop->epoll < 0 || loop->wake < 0 || loop_watch(loop, &loop->wake_watch) ||
        loop_reserve_timers(loop, 16)) {
        loop_finish(loop);
        return ERR_IO;
    }
    return OK;
}

void loop_finish(struct loop *loop)
{
    if (loop->wake >= 0)
        close(loop->wake);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop->heap);
    loop->heap = NULL;
    loop->epoll = loop->wake = -1;
}

enum err loop_watch(struct loop *loop, struct watch *watch)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = watch,
    };
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0 ? OK : ERR_IO;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->batch_at; i < loop->batch_count; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

/* --- timers: a binary heap ordered by heap_us; places count from 1 ------------------------------
 */

static void put(struct loop *loop, size_t place, struct timer *timer)
{
    loop->heap[place - 1] = timer;
    timer->place = place;
}

static void sift_up(struct loop *loop, size_t place, struct timer *timer)
{
    while (place > 1 && loop->heap[place / 2 - 1]->heap_us > timer->heap_us) {
        put(loop, place, loop->heap[place / 2 - 1]);
        place /= 2;
    }
    put(loop, place, timer);
}

static void sift_down(struct loop *loop, size_t place, struct timer *timer)
{
    for (;;) {
        size_t child = place * 2;
        if (child > loop->timers)
            break;
        if (child < loop->timers && loop->heap[child]->heap_us < loop->heap[child - 1]->heap_us)
            child++;
        if (loop->heap[child - 1]->heap_us >= timer->heap_us)
            break;
        put(loop, place, loop->heap[child - 1]);
        place = child;
    }
    put(loop, place, timer);
}

enum err loop_reserve_timers(struct loop *loop, size_t n)
{
    size_t wanted = loop->reserved + n;
    if (wanted > loop->heap_size) {
        size_t size = wanted < loop->heap_size * 2 ? loop->heap_size * 2 : wanted;
        struct timer **heap = realloc(loop->heap, size * sizeof *heap);
        if (!heap)
            return ERR_MEMORY;
        loop->heap = heap;
        loop->heap_size = size;
    }
    loop->reserved = wanted;
    return OK;
}

void loop_release_timers(struct loop *loop, size_t n)
{
    loop->reserved -= n;
}

void timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_us)
{
    timer->deadline_us = deadline_us;
    if (timer->place && deadline_us >= timer->heap_us)
        return;
    timer->heap_us = deadline_us;
    if (!timer->place) {
        invariant(loop->timers < loop->heap_size);
        timer->place = ++loop->timers;
    }
    sift_up(loop, timer->place, timer);
}

void timer_disarm(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    if (!place)
        return;
    struct timer *last = loop->heap[--loop->timers];
    timer->place = 0;
    if (last == timer)
        return;
    if (last->heap_us < timer->heap_us)
        sift_up(loop, place, last);
    else
        sift_down(loop, place, last);
}

static void fire_timers(struct loop *loop)
{
    /* No more than there are now: one that arms itself for a time already past waits a turn. */
    for (size_t left = loop->timers; left && loop->timers && loop->heap[0]->heap_us <= loop->now_us;
         left--) {
        struct timer *timer = loop->heap[0];
        if (timer->deadline_us > loop->now_us) {
            timer->heap_us = timer->deadline_us;
            sift_down(loop, 1, timer);
            continue;
        }
        timer_disarm(loop, timer);
        timer->on_time(timer);
    }
}

/* --- turns ----------------------------------------------------------------------------------- */

static int wait_ms(const struct loop *loop)
{
    if (!list_empty(&loop->tasks))
        return 0;
    if (!loop->timers)
        return -1;
    uint64_t next = loop->heap[0]->heap_us;
    if (next <= loop->now_us)
        return 0;
    uint64_t ms = (next - loop->now_us + 999) / 1000;
    return ms > 60000 ? 60000 : (int)ms;
}

void loop_run(struct loop *loop)
{
    loop->now_us = clock_now_us(); /* loop_init may be long ago */
    while (!loop->stopping) {
        /* The clock was read at the start of the last turn; reading it again only matters for how
         * long to wait, and a wait that is a little long is corrected by the next turn. */
        int n = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, wait_ms(loop));
        invariant(n >= 0 || errno == EINTR);
        loop->now_us = clock_now_us();
        loop->batch_count = n < 0 ? 0 : n;
        for (loop->batch_at = 0; loop->batch_at < loop->batch_count;) {
            struct epoll_event event = loop->batch[loop->batch_at++];
            struct watch *watch = event.data.ptr;
            if (watch)
                watch->on_ready(watch, event.events);
        }
        struct list again;
        list_init(&again);
        while (!list_empty(&loop->tasks))
            list_append(&again, list_pop(&loop->tasks));
        for (struct list *link; (link = list_pop(&again));) {
            struct task *task = LIST_OF(link, struct task, link);
            task->run(task);
        }
        fire_timers(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

void loop_defer(struct loop *loop, struct task *task)
{
    /* One that is waiting keeps its place: put behind again and again, it would never run. */
    if (list_empty(&task->link))
        list_append(&loop->tasks, &task->link);
}

void loop_post(struct loop *loop, struct message *message)
{
    struct message *top = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do
        message->next = top;
    while (!atomic_compare_exchange_weak_explicit(&loop->mailbox, &top, message,
                                                  memory_order_release, memory_order_relaxed));
    if (!top) { /* whoever makes the mailbox non-empty wakes the loop */
        uint64_t one = 1;
        ssize_t ignored = write(loop->wake, &one, sizeof one);
        (void)ignored;
    }
}
