#include "io/jobs.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* One row per lane: how many threads it has, and how many jobs may wait. */
// clang-format off
static const struct lane_row {
    const char *name;
    unsigned threads;
    unsigned waiting_max;
    int nice; /* nice(2); Linux has it per thread */
} lanes[LANE_COUNT] = {
    [LANE_STORE]     = {"sp-store",     1, 256, 0},
    [LANE_RESOLVE]   = {"sp-resolve",   2, 256, 0},
    [LANE_FILE]      = {"sp-file",      1, 64,  0},
    [LANE_CHALLENGE] = {"sp-challenge", 1, 16,  0},
    [LANE_PROBE]     = {"sp-probe",     1, 4,   0},
    [LANE_HASH]      = {"sp-hash",      1, 32, 10},
    [LANE_AUDIT]     = {"sp-audit",     1, 16, 10},
};
// clang-format on

enum { THREADS_MAX = 4 };

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, settled;
    struct list waiting;
    unsigned count, running; /* those that wait, and those under way */
    bool stopping;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;
    int nice;
};

struct jobs {
    struct queue queues[LANE_COUNT];
};

static void deliver_done(struct message *message)
{
    struct job *job = CONTAINER_OF(message, struct job, message);
    job->done(job);
}

/* `*wanted`: it is to be carried out, not only given back. */
static struct job *next_job(struct queue *queue, bool *wanted)
{
    pthread_mutex_lock(&queue->lock);
    while (list_empty(&queue->waiting) && !queue->stopping)
        pthread_cond_wait(&queue->filled, &queue->lock);
    struct list *link = list_pop(&queue->waiting);
    queue->count -= link != NULL;
    queue->running += link != NULL;
    *wanted = !queue->stopping;
    pthread_mutex_unlock(&queue->lock);
    return link ? LIST_OF(link, struct job, link) : NULL;
}

static void note_end(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->running--;
    if (!queue->running && list_empty(&queue->waiting))
        pthread_cond_broadcast(&queue->settled);
    pthread_mutex_unlock(&queue->lock);
}

static void *work(void *argument)
{
    struct queue *queue = argument;
    bool wanted;
    if (queue->nice)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), queue->nice); /* it works without, too */
    for (struct job *job; (job = next_job(queue, &wanted));) {
        if (wanted)
            job->run(job);
        else if (job->drop)
            job->drop(job);
        note_end(queue); /* once it is posted, the job is its owner's */
        job->message.deliver = deliver_done;
        loop_post(job->home, &job->message);
    }
    return NULL;
}

enum err jobs_create(struct jobs **jobs)
{
    struct jobs *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct queue *queue = &made->queues[i];
        pthread_mutex_init(&queue->lock, NULL);
        pthread_cond_init(&queue->filled, NULL);
        pthread_cond_init(&queue->settled, NULL);
        list_init(&queue->waiting);
        queue->nice = lanes[i].nice;
    }
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct queue *queue = &made->queues[i];
        for (; queue->thread_count < lanes[i].threads; queue->thread_count++) {
            pthread_t *thread = &queue->threads[queue->thread_count];
            if (pthread_create(thread, NULL, work, queue) != 0) {
                jobs_destroy(made);
                return ERR_IO;
            }
            pthread_setname_np(*thread, lanes[i].name);
        }
    }
    *jobs = made;
    return OK;
}

void jobs_stop(struct jobs *jobs)
{
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct queue *queue = &jobs->queues[i];
        pthread_mutex_lock(&queue->lock);
        queue->stopping = true;
        pthread_cond_broadcast(&queue->filled);
        pthread_mutex_unlock(&queue->lock);
    }
    for (unsigned i = 0; i < LANE_COUNT; i++)
        for (struct queue *queue = &jobs->queues[i]; queue->thread_count; queue->thread_count--)
            pthread_join(queue->threads[queue->thread_count - 1], NULL);
}

void jobs_settle(struct jobs *jobs, enum lane lane)
{
    struct queue *queue = &jobs->queues[lane];
    pthread_mutex_lock(&queue->lock);
    while (queue->running || !list_empty(&queue->waiting))
        pthread_cond_wait(&queue->settled, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

void jobs_destroy(struct jobs *jobs)
{
    if (!jobs)
        return;
    jobs_stop(jobs);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct queue *queue = &jobs->queues[i];
        pthread_cond_destroy(&queue->filled);
        pthread_cond_destroy(&queue->settled);
        pthread_mutex_destroy(&queue->lock);
    }
    free(jobs);
}

enum err jobs_submit(struct jobs *jobs, enum lane lane, struct job *job)
{
    struct queue *queue = &jobs->queues[lane];
    pthread_mutex_lock(&queue->lock);
    bool full = queue->count == lanes[lane].waiting_max || queue->stopping;
    if (!full) {
        list_init(&job->link);
        list_append(&queue->waiting, &job->link);
        queue->count++;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return full ? ERR_BUSY : OK;
}
