#include "gateway/worker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "gateway/connection.h"
#include "gateway/demo_peer.h"
#include "gateway/exchange.h"
#include "gateway/http2_stream.h"
#include "gateway/upstream_request.h"
#include "identity/credential_files.h"

/* How many free objects of each kind a worker keeps for the next request. */
enum { OBJECTS_KEPT = 256, TIDY_EVERY_US = 2 * SECOND_US, TIDY_AGAIN_US = 5000 };

static void bury(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, bury);
    for (struct list *link; (link = list_pop(&worker->graves));) {
        struct grave *grave = LIST_OF(link, struct grave, link);
        grave->release(grave);
    }
}

void worker_count_exchange(struct worker *worker, int change)
{
    unsigned count = atomic_load_explicit(&worker->exchange_count, memory_order_relaxed);
    atomic_store_explicit(&worker->exchange_count, count + (unsigned)change, memory_order_relaxed);
}

void worker_bury(struct worker *worker, struct grave *grave, void (*release)(struct grave *grave))
{
    grave->release = release;
    list_init(&grave->link);
    list_append(&worker->graves, &grave->link);
    loop_defer(&worker->loop, &worker->bury);
}

/* What a burst needed and nobody needed since goes back to the heap; memory.c gives it back to the
 * system. */
static void on_tidy_time(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, tidy);
    bool more = block_pool_tidy(&worker->request_blocks);
    more |= block_pool_tidy(&worker->answer_blocks);
    more |= block_pool_tidy(&worker->output_blocks);
    if (more) {
        timer_arm(&worker->loop, timer, worker->loop.now_us + TIDY_AGAIN_US);
        return;
    }
    pool_tidy(&worker->connections);
    pool_tidy(&worker->http2_streams);
    pool_tidy(&worker->exchanges);
    pool_tidy(&worker->scans);
    pool_tidy(&worker->upstream_connections);
    timer_arm(&worker->loop, timer, worker->loop.now_us + TIDY_EVERY_US);
}

static enum err open_loop(struct worker *worker)
{
    struct loop *loop = &worker->loop;
    TRY(loop_init(loop));
    if (loop_reserve_timers(loop, 1) != OK) {
        loop_finish(loop);
        return ERR_MEMORY;
    }
    worker->tidy.on_time = on_tidy_time;
    timer_arm(loop, &worker->tidy, loop->now_us + TIDY_EVERY_US);
    return OK;
}

struct snapshot_use *snapshot_use_create(struct snapshot *snapshot)
{
    struct snapshot_use *use = calloc(1, sizeof *use);
    if (use) {
        snapshot_ref(snapshot);
        *use = (struct snapshot_use){.snapshot = snapshot, .current = true};
    }
    return use;
}

static void drop_unused(struct snapshot_use *use)
{
    if (use->current || use->exchanges)
        return;
    snapshot_unref(use->snapshot);
    free(use);
}

void snapshot_use_drop(struct snapshot_use *use)
{
    if (!use)
        return;
    use->current = false;
    drop_unused(use);
}

struct snapshot_use *worker_use_snapshot(struct worker *worker)
{
    worker->use->exchanges++;
    return worker->use;
}

void worker_leave_snapshot(struct worker *worker, struct snapshot_use *use)
{
    (void)worker;
    use->exchanges--;
    drop_unused(use);
}

void worker_switch_snapshot(struct worker *worker, struct snapshot_use *use)
{
    struct snapshot_use *old = worker->use;
    worker->use = use;
    token_cache_clear(&worker->tokens); /* the secrets may be others now */
    snapshot_use_drop(old);
    upstream_pools_retire(worker, use->snapshot);
}

void worker_switch_tls(struct worker *worker, struct tls_server *tls)
{
    tls_server_unref(worker->tls);
    worker->tls = tls;
}

void worker_switch_files(struct worker *worker, struct credential_files *files)
{
    credential_files_unref(worker->files);
    worker->files = files;
}

struct slice worker_date(struct worker *worker)
{
    uint64_t wall_us = clock_wall_us();
    if (wall_us / SECOND_US != worker->date_s || !worker->date_len) {
        struct buffer text = BUFFER_OVER(worker->date, sizeof worker->date);
        clock_print_http(&text, wall_us);
        worker->date_s = wall_us / SECOND_US;
        worker->date_len = (unsigned)text.len;
    }
    return slice_make(worker->date, worker->date_len);
}

enum err worker_create(struct shared *shared, unsigned number, struct snapshot *snapshot,
                       struct worker **worker)
{
    struct worker *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->number = number;
    made->shared = shared;
    made->ring = recorder_ring(shared->recorder, number);
    made->head = malloc(sizeof *made->head);
    made->use = snapshot_use_create(snapshot);
    list_init(&made->all_connections);
    list_init(&made->waiting_connections);
    list_init(&made->upstream_pools);
    list_init(&made->demo_peers);
    list_init(&made->verifications);
    list_init(&made->graves);
    task_init(&made->bury, bury);
    block_pool_init(&made->request_blocks, &shared->request_bodies);
    block_pool_init(&made->answer_blocks, &shared->answers);
    block_pool_init(&made->output_blocks, &shared->answers);
    made->output_blocks.first_always = true;
    pool_init(&made->connections, sizeof(struct connection), OBJECTS_KEPT);
    pool_init(&made->http2_streams, sizeof(struct http2_stream), OBJECTS_KEPT);
    pool_init(&made->exchanges, sizeof(struct exchange), OBJECTS_KEPT);
    pool_init(&made->scans, sizeof(struct body_scan), OBJECTS_KEPT / 4);
    pool_init(&made->upstream_connections, sizeof(struct upstream_connection), OBJECTS_KEPT);
    enum err err =
        made->head && made->use ? token_cache_init(&made->tokens, TOKEN_CACHE_MAX) : ERR_MEMORY;
    if (!err)
        err = open_loop(made);
    if (err) {
        token_cache_finish(&made->tokens);
        snapshot_use_drop(made->use);
        free(made->head);
        free(made);
        return err;
    }
    *worker = made;
    return OK;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    loop_run(&worker->loop);
    return NULL;
}

enum err worker_start(struct worker *worker)
{
    if (pthread_create(&worker->thread, NULL, run, worker) != 0)
        return ERR_IO;
    char name[16];
    struct buffer text = BUFFER_OVER(name, sizeof name);
    buffer_printf(&text, "sp-worker-%u", worker->number);
    pthread_setname_np(worker->thread, buffer_text_of(&text));
    return OK;
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    loop_deliver(&worker->loop); /* connections and look-ups on their way here */
    connections_end(worker);
    bury(&worker->bury);
    upstream_pools_finish(worker);
    demo_peers_finish(worker);
    bury(&worker->bury);
    loop_finish(&worker->loop);
    snapshot_use_drop(worker->use);
    tls_server_unref(worker->tls);
    credential_files_unref(worker->files);
    block_pool_finish(&worker->request_blocks);
    block_pool_finish(&worker->answer_blocks);
    block_pool_finish(&worker->output_blocks);
    pool_finish(&worker->connections);
    pool_finish(&worker->http2_streams);
    pool_finish(&worker->exchanges);
    pool_finish(&worker->scans);
    pool_finish(&worker->upstream_connections);
    token_cache_finish(&worker->tokens);
    free(worker->head);
    free(worker);
}
