/* The event loop: one per thread, over epoll. Descriptors are watched edge-triggered from the
 * moment they are added until they are closed, so that a request costs no epoll_ctl; whoever owns a
 * watch remembers what is readable and writable. Everything here belongs to the loop's own thread,
 * but for loop_post. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdatomic.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

struct loop;

/* A descriptor and who hears of it. `events` are epoll's bits. */
struct watch {
    int fd;
    void (*on_ready)(struct watch *watch, uint32_t events);
};

/* Fires once, at or after its deadline. Moving an armed timer later costs nothing: the heap finds
 * out when the old deadline comes. */
struct timer {
    uint64_t deadline_us;
    uint64_t heap_us; /* the deadline under which the heap has it */
    size_t place;     /* in the heap, from 1; 0: not armed */
    void (*on_time)(struct timer *timer);
};

/* Work to go on with in the loop's next turn, so that one busy connection does not hold up the
 * rest. */
struct task {
    struct list link;
    void (*run)(struct task *task);
};

/* Something one thread tells another: delivered on the loop's thread. The receiver owns it then. */
struct message {
    struct message *next;
    void (*deliver)(struct message *message);
};

enum { LOOP_BATCH = 256 };

struct loop {
    int epoll, wake;
    uint64_t now_us; /* read once a turn */
    bool stopping;
    struct timer **heap;
    size_t timers, heap_size, reserved;
    struct list tasks;
    _Atomic(struct message *) mailbox;
    struct watch wake_watch;
    struct epoll_event batch[LOOP_BATCH];
    int batch_at, batch_count;
};

/* ERR_IO, ERR_MEMORY. */
enum err loop_init(struct loop *loop) MUST_CHECK;
/* Delivers what waits in the mailbox; for the time when the loop does not run. */
void loop_deliver(struct loop *loop);
void loop_finish(struct loop *loop);
/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
/* From the loop's own thread; the current turn is finished. */
void loop_stop(struct loop *loop);

/* Watches for reading, writing and hang-up. ERR_IO. The watch must stay where it is. */
enum err loop_watch(struct loop *loop, struct watch *watch) MUST_CHECK;
/* No event of this watch is delivered from now on, not even one of the current batch. The caller
 * closes the descriptor. */
void loop_unwatch(struct loop *loop, struct watch *watch);

/* Arms, or moves, a timer. A zeroed struct timer with on_time set is a disarmed timer. Arming never
 * fails: whoever owns timers reserves their places when it is made, where a failure has an answer.
 */
void timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_us);
void timer_disarm(struct loop *loop, struct timer *timer);

static inline bool timer_armed(const struct timer *timer)
{
    return timer->place != 0;
}

/* ERR_MEMORY. */
enum err loop_reserve_timers(struct loop *loop, size_t n) MUST_CHECK;
void loop_release_timers(struct loop *loop, size_t n);

/* Runs `task` in the next turn; harmless when it is waiting already. */
void loop_defer(struct loop *loop, struct task *task);
static inline void task_init(struct task *task, void (*run)(struct task *task))
{
    list_init(&task->link);
    task->run = run;
}

/* From any thread. Messages of one thread arrive in order. */
void loop_post(struct loop *loop, struct message *message);

#endif
