/* What the supervisor tells the workers: posted to their mailboxes, carried out between two turns
 * of their loops, so that nothing of a worker's is ever touched by another thread. */
#include <stdlib.h>
#include <unistd.h>

#include "gateway/connection.h"
#include "gateway/supervisor.h"
#include "identity/credential_files.h"

struct order {
    struct message message;
    struct gateway *gateway;
    struct worker *worker;
    void (*act)(struct order *order);
    struct snapshot_use *use;
    struct tls_server *tls;
    struct credential_files *files;
    struct grace *grace;
};

static void deliver(struct message *message)
{
    struct order *order = CONTAINER_OF(message, struct order, message);
    order->act(order);
    free(order);
}

/* An order for one worker, to be posted to its loop; NULL: no memory. */
static struct order *order_create(struct gateway *gateway, unsigned i, struct order what)
{
    struct order *order = malloc(sizeof *order);
    if (!order)
        return NULL;
    *order = what;
    order->message.deliver = deliver;
    order->gateway = gateway;
    order->worker = gateway->workers[i];
    return order;
}

/* False: no memory; nothing was sent. */
static bool tell(struct gateway *gateway, unsigned i, struct order what)
{
    struct order *order = order_create(gateway, i, what);
    if (order)
        loop_post(&order->worker->loop, &order->message);
    return order != NULL;
}

static void tell_all(struct gateway *gateway, void (*act)(struct order *order))
{
    for (unsigned i = 0; i < gateway->started_count; i++)
        while (!tell(gateway, i, (struct order){.act = act}))
            usleep(1000);
}

static void act_drain(struct order *order)
{
    struct gateway *gateway = order->gateway;
    for (unsigned i = 0; order->worker->number == 0 && i < gateway->listener_count; i++)
        listener_stop(gateway->listeners[i]);
    connections_drain(order->worker);
}

static void act_cut(struct order *order)
{
    connections_cut(order->worker);
}

static void act_stop(struct order *order)
{
    loop_stop(&order->worker->loop);
}

static void act_switch(struct order *order)
{
    worker_switch_snapshot(order->worker, order->use);
}

static void act_tls(struct order *order)
{
    worker_switch_tls(order->worker, order->tls);
}

static void act_files(struct order *order)
{
    worker_switch_files(order->worker, order->files);
}

struct grace {
    pthread_mutex_t lock;
    pthread_cond_t passed;
    unsigned waiting;
};

static void act_grace(struct order *order)
{
    pthread_mutex_lock(&order->grace->lock);
    if (--order->grace->waiting == 0)
        pthread_cond_signal(&order->grace->passed);
    pthread_mutex_unlock(&order->grace->lock);
}

void gateway_grace(void *context)
{
    struct gateway *gateway = *(struct gateway **)context;
    if (!gateway || gateway->started_count == 0)
        return;
    struct grace grace = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                          gateway->started_count};
    for (unsigned i = 0; i < gateway->started_count; i++)
        while (!tell(gateway, i, (struct order){.act = act_grace, .grace = &grace}))
            usleep(1000);
    pthread_mutex_lock(&grace.lock);
    while (grace.waiting)
        pthread_cond_wait(&grace.passed, &grace.lock);
    pthread_mutex_unlock(&grace.lock);
    pthread_cond_destroy(&grace.passed);
    pthread_mutex_destroy(&grace.lock);
}

void gateway_order_drain(struct gateway *gateway)
{
    tell_all(gateway, act_drain);
}

void gateway_order_cut(struct gateway *gateway)
{
    tell_all(gateway, act_cut);
}

void gateway_order_stop(struct gateway *gateway)
{
    tell_all(gateway, act_stop);
}

/* All workers are told, or none. `what` has an order for each. */
static enum err tell_each(struct gateway *gateway, const struct order *what)
{
    struct order *orders[WORKERS_MAX];
    unsigned count = 0;
    for (; count < gateway->started_count; count++) {
        orders[count] = order_create(gateway, count, what[count]);
        if (orders[count])
            continue;
        while (count--)
            free(orders[count]);
        return ERR_MEMORY;
    }
    for (unsigned i = 0; i < count; i++)
        loop_post(&orders[i]->worker->loop, &orders[i]->message);
    return OK;
}

enum err gateway_use_snapshot(struct gateway *gateway, struct snapshot *snapshot)
{
    struct order what[WORKERS_MAX];
    enum err err = OK;
    for (unsigned i = 0; i < gateway->started_count; i++) {
        what[i] = (struct order){.act = act_switch, .use = snapshot_use_create(snapshot)};
        if (!what[i].use)
            err = ERR_MEMORY;
    }
    if (!err)
        err = tell_each(gateway, what);
    for (unsigned i = 0; err && i < gateway->started_count; i++)
        snapshot_use_drop(what[i].use);
    if (err)
        return err;
    snapshot_unref(gateway->snapshot);
    gateway->snapshot = snapshot;
    return OK;
}

enum err gateway_use_tls(struct gateway *gateway, struct tls_server *const *servers)
{
    struct order what[WORKERS_MAX];
    for (unsigned i = 0; i < gateway->started_count; i++)
        what[i] = (struct order){.act = act_tls, .tls = servers[i]};
    return tell_each(gateway, what);
}

enum err gateway_use_files(struct gateway *gateway, struct credential_files *files)
{
    struct order what[WORKERS_MAX];
    for (unsigned i = 0; i < gateway->started_count; i++) {
        what[i] = (struct order){.act = act_files, .files = files};
        if (files)
            credential_files_ref(files);
    }
    enum err err = tell_each(gateway, what);
    for (unsigned i = 0; err && i < gateway->started_count; i++)
        credential_files_unref(files);
    return err;
}
