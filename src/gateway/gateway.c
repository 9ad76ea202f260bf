/* See gateway.h. The supervisor has a loop of its own, so that a reload or a slow signal never
 * holds up a request; it talks to the workers through their mailboxes only. */
#include "gateway/gateway.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/connection.h"
#include "gateway/gate.h"
#include "gateway/listener.h"
#include "gateway/probe.h"

enum {
    WORKERS_MAX = 64,
    RATE_CELLS = 1 << 18, /* 4 MiB: a quarter of a million callers at once */
    DRAIN_LOOK_US = 20 * 1000,
    PROBE_EVERY_US = 5 * 1000 * 1000,
    CHORE_EVERY_US = 60 * 1000 * 1000,
};

struct gateway {
    struct shared shared;
    const struct config_arguments *arguments;
    struct snapshot *snapshot;
    struct listener **listeners;
    unsigned listener_count;
    struct worker *workers[WORKERS_MAX];
    unsigned worker_count, started_count;
    struct loop loop;
    struct watch signals;
    struct timer drain_timer, probe_timer, chore_timer;
    uint64_t drain_until_us;
    struct job probe_job, chore_job;
    void (*chore)(void *context);
    void *chore_context;
    bool probing, draining, at_chore;
    struct settings *probed;   /* the settings that the probe looks at; a reference */
    enum upstream_kind *kinds; /* of the current settings' upstreams; KIND_ASK: not known */
    enum upstream_kind *found; /* what the probe found, in the same order */
};

/* --- telling the workers ------------------------------------------------------------------------
 */

struct order {
    struct message message;
    struct gateway *gateway;
    struct worker *worker;
    void (*act)(struct order *order);
    struct snapshot_use *use;
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

static void act_stop(struct order *order)
{
    loop_stop(&order->worker->loop);
}

static void act_switch(struct order *order)
{
    worker_switch_snapshot(order->worker, order->use);
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

/* --- configuration ------------------------------------------------------------------------------
 */

static void log_faults(const struct faults *faults, const char *before)
{
    AUTO(buffer) text = BUFFER_MAX(64 * 1024);
    faults_print(faults, &text);
    struct slice rest = buffer_slice(&text);
    while (rest.len) {
        struct slice one = slice_cut(&rest, '\n');
        log_line(faults->errors ? LOG_ERROR : LOG_WARNING, "%s%.*s", before, SLICE_ARG(one));
    }
}

/* All workers get `snapshot`, or none does (ERR_MEMORY): two configurations side by side would be
 * a rule that holds on some connections only. Takes the reference over on OK. */
static enum err use_snapshot(struct gateway *gateway, struct snapshot *snapshot)
{
    struct order *orders[WORKERS_MAX];
    unsigned count = 0;
    for (; count < gateway->started_count; count++) {
        struct snapshot_use *use = snapshot_use_create(snapshot);
        orders[count] =
            use ? order_create(gateway, count, (struct order){.act = act_switch, .use = use})
                : NULL;
        if (orders[count])
            continue;
        snapshot_use_drop(use);
        while (count--) {
            snapshot_use_drop(orders[count]->use);
            free(orders[count]);
        }
        return ERR_MEMORY;
    }
    for (unsigned i = 0; i < count; i++)
        loop_post(&orders[i]->worker->loop, &orders[i]->message);
    snapshot_unref(gateway->snapshot);
    gateway->snapshot = snapshot;
    return OK;
}

static bool any_unknown(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->snapshot->upstream_count; i++)
        if (!gateway->snapshot->upstreams[i]->kind_found)
            return true;
    return false;
}

static void plan_probe(struct gateway *gateway)
{
    if (any_unknown(gateway) && !gateway->probing)
        timer_arm(&gateway->loop, &gateway->probe_timer, gateway->loop.now_us + PROBE_EVERY_US);
}

/* Room for what is found out about `settings`; what the running configuration knows is carried
 * over. */
static enum upstream_kind *kinds_of(const struct gateway *gateway, const struct settings *settings)
{
    enum upstream_kind *kinds = calloc(settings->upstream_count + 1, sizeof *kinds);
    for (unsigned i = 0; kinds && i < settings->upstream_count; i++) {
        kinds[i] = settings->upstreams[i].kind;
        const struct snapshot *old = gateway->snapshot;
        for (unsigned j = 0; kinds[i] == KIND_ASK && old && j < old->upstream_count; j++)
            if (old->upstreams[j]->kind_found &&
                !strcmp(old->upstreams[j]->settings->url_text, settings->upstreams[i].url_text))
                kinds[i] = old->upstreams[j]->kind;
    }
    return kinds;
}

static void reload(struct gateway *gateway)
{
    struct settings *settings = NULL;
    AUTO(faults) faults = {0};
    enum err err = config_load(gateway->arguments, &settings, &faults);
    struct snapshot *snapshot = NULL;
    enum upstream_kind *kinds = err ? NULL : kinds_of(gateway, settings);
    if (!err)
        err = snapshot_create(settings, gateway->snapshot, kinds, &snapshot, &faults);
    AUTO(buffer) fixed = BUFFER_MAX(4096);
    if (!err) {
        config_print_fixed_changes(gateway->snapshot->settings, settings, &fixed);
        err = use_snapshot(gateway, snapshot);
    }
    if (err) {
        log_faults(&faults, "");
        log_error("the configuration was not reloaded (%s); the running one stays", err_name(err));
        snapshot_unref(snapshot);
        free(kinds);
        settings_unref(settings);
        return;
    }
    log_faults(&faults, "");
    if (fixed.len)
        log_warning("these changes need a restart: %.*s", SLICE_ARG(buffer_slice(&fixed)));
    recorder_configure(gateway->shared.recorder, settings);
    free(gateway->kinds);
    gateway->kinds = kinds;
    settings_unref(settings);
    log_info("the configuration was reloaded");
    plan_probe(gateway);
}

static void probe_run(struct job *job)
{
    struct gateway *gateway = CONTAINER_OF(job, struct gateway, probe_job);
    for (unsigned i = 0; i < gateway->probed->upstream_count; i++)
        gateway->found[i] = probe_kind(&gateway->probed->upstreams[i]);
}

/* What was found out and is not in use. */
static void forget_kinds(struct gateway *gateway)
{
    const struct snapshot *snapshot = gateway->snapshot;
    for (unsigned i = 0; i < snapshot->upstream_count; i++)
        if (!snapshot->upstreams[i]->kind_found)
            gateway->kinds[i] = KIND_ASK;
}

static void probe_done(struct job *job)
{
    struct gateway *gateway = CONTAINER_OF(job, struct gateway, probe_job);
    struct settings *settings = gateway->snapshot->settings;
    bool same = gateway->probed == settings;
    bool news = false;
    gateway->probing = false;
    for (unsigned i = 0; same && i < settings->upstream_count; i++) {
        news |= gateway->kinds[i] == KIND_ASK && gateway->found[i] != KIND_ASK;
        if (gateway->kinds[i] == KIND_ASK)
            gateway->kinds[i] = gateway->found[i];
    }
    AUTO(faults) faults = {0};
    struct snapshot *snapshot = NULL;
    enum err err = OK;
    if (news)
        err = snapshot_create(settings, gateway->snapshot, gateway->kinds, &snapshot, &faults);
    if (news && !err)
        err = use_snapshot(gateway, snapshot);
    if (err) {
        snapshot_unref(snapshot);
        forget_kinds(gateway); /* and ask again */
    } else if (news) {
        for (unsigned i = 0; i < snapshot->upstream_count; i++)
            log_info("upstream %s is %s", snapshot->upstreams[i]->settings->name,
                     upstream_kind_name(snapshot->upstreams[i]->kind));
    }
    settings_unref(gateway->probed);
    gateway->probed = NULL;
    free(gateway->found);
    gateway->found = NULL;
    plan_probe(gateway);
}

static void on_probe_time(struct timer *timer)
{
    struct gateway *gateway = CONTAINER_OF(timer, struct gateway, probe_timer);
    struct settings *settings = gateway->snapshot->settings;
    gateway->found = calloc(settings->upstream_count + 1, sizeof *gateway->found);
    gateway->probe_job = (struct job){.run = probe_run, .done = probe_done, .home = &gateway->loop};
    settings_ref(settings);
    gateway->probed = settings;
    gateway->probing =
        gateway->found && jobs_submit(gateway->shared.jobs, LANE_FILE, &gateway->probe_job) == OK;
    if (gateway->probing)
        return;
    settings_unref(gateway->probed); /* later, then */
    gateway->probed = NULL;
    free(gateway->found);
    gateway->found = NULL;
    plan_probe(gateway);
}

/* --- chores
 * --------------------------------------------------------------------------------------- */

static void chore_run(struct job *job)
{
    struct gateway *gateway = CONTAINER_OF(job, struct gateway, chore_job);
    gateway->chore(gateway->chore_context);
}

static void chore_done(struct job *job)
{
    struct gateway *gateway = CONTAINER_OF(job, struct gateway, chore_job);
    gateway->at_chore = false;
}

static void on_chore_time(struct timer *timer)
{
    struct gateway *gateway = CONTAINER_OF(timer, struct gateway, chore_timer);
    if (!gateway->at_chore) { /* else the last one is still under way */
        gateway->chore_job =
            (struct job){.run = chore_run, .done = chore_done, .home = &gateway->loop};
        gateway->at_chore = jobs_submit(gateway->shared.jobs, LANE_FILE, &gateway->chore_job) == OK;
    }
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + CHORE_EVERY_US);
}

/* --- signals and the end ------------------------------------------------------------------------
 */

static void on_drain_time(struct timer *timer)
{
    struct gateway *gateway = CONTAINER_OF(timer, struct gateway, drain_timer);
    unsigned open = atomic_load_explicit(&gateway->shared.connections, memory_order_relaxed);
    if (open == 0 || gateway->loop.now_us >= gateway->drain_until_us) {
        if (open)
            log_warning("shutting down with %u connections still open (server.drain_timeout)",
                        open);
        loop_stop(&gateway->loop);
        return;
    }
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + DRAIN_LOOK_US);
}

static void drain(struct gateway *gateway)
{
    struct loop *loop = &gateway->loop;
    if (gateway->draining) { /* the second signal: now */
        loop_stop(loop);
        return;
    }
    gateway->draining = true;
    log_info("shutting down: requests in flight may finish");
    tell_all(gateway, act_drain);
    gateway->drain_until_us = loop->now_us + gateway->snapshot->settings->server.drain_timeout_us;
    timer_arm(loop, &gateway->drain_timer, loop->now_us + MS_US);
}

static void on_signal(struct watch *watch, uint32_t events)
{
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, signals);
    struct signalfd_siginfo one;
    bool wants_reload = false, wants_reopen = false;
    (void)events;
    while (read(watch->fd, &one, sizeof one) == sizeof one) {
        wants_reload |= one.ssi_signo == SIGHUP;
        wants_reopen |= one.ssi_signo == SIGUSR1;
        if (one.ssi_signo == SIGTERM || one.ssi_signo == SIGINT)
            drain(gateway);
    }
    if (wants_reload && !gateway->draining)
        reload(gateway);
    if (wants_reopen)
        recorder_reopen(gateway->shared.recorder);
}

static enum err watch_signals(struct gateway *gateway)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    gateway->signals = (struct watch){.fd = fd, .on_ready = on_signal};
    return loop_watch(&gateway->loop, &gateway->signals);
}

/* --- making it ----------------------------------------------------------------------------------
 */

unsigned gateway_worker_count(const struct settings *settings)
{
    uint64_t wanted = settings->server.workers;
    if (wanted == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        wanted = cores > 0 ? (uint64_t)cores : 1;
    }
    return wanted > WORKERS_MAX ? WORKERS_MAX : (unsigned)wanted;
}

static enum err open_listeners(struct gateway *gateway, struct faults *faults)
{
    const struct text_list *listen = &gateway->snapshot->settings->server.listen;
    const char *file = gateway->snapshot->settings->file;
    gateway->listeners = calloc(listen->count + 1, sizeof *gateway->listeners);
    if (!gateway->listeners)
        return ERR_MEMORY;
    for (unsigned i = 0; i < listen->count; i++) {
        enum err err = listener_open(listen->items[i], &gateway->listeners[i]);
        if (err)
            faults_add(faults, file, 0, "server.listen", "cannot listen on %s: %s%s",
                       listen->items[i], err == ERR_IO ? strerror(errno) : err_name(err),
                       err == ERR_IO && errno == EADDRINUSE
                           ? " (is another server, or another sallyport, running there?)"
                           : "");
        else
            gateway->listener_count++;
        TRY(err);
    }
    return OK;
}

static enum err make_shared(struct gateway *gateway, const struct gateway_parts *parts)
{
    struct shared *shared = &gateway->shared;
    shared->keyring = parts->keyring;
    shared->recorder = parts->recorder;
    shared->routes = parts->routes;
    shared->list_models = parts->list_models;
    shared->version = parts->version;
    shared->started_epoch_s = clock_wall_us() / SECOND_US;
    shared->request_bodies.max_bytes = parts->settings->server.max_body_memory_bytes;
    /* Answers are bounded per connection (their upstream is paused), so this never is the limit. */
    shared->answers.max_bytes = SIZE_MAX / 2;
    shared->rates = rate_table_create(RATE_CELLS);
    shared->caps = caps_create();
    if (!shared->rates || !shared->caps)
        return ERR_MEMORY;
    return jobs_create(&shared->jobs);
}

static enum err make_all(struct gateway *gateway, const struct gateway_parts *parts,
                         struct faults *faults)
{
    struct settings *settings = parts->settings;
    TRY(loop_init(&gateway->loop));
    TRY(loop_reserve_timers(&gateway->loop, 3));
    gateway->chore_timer.on_time = on_chore_time;
    gateway->chore = parts->chore;
    gateway->chore_context = parts->chore_context;
    gateway->drain_timer.on_time = on_drain_time;
    gateway->probe_timer.on_time = on_probe_time;
    TRY(make_shared(gateway, parts));
    gateway->kinds = kinds_of(gateway, settings);
    if (!gateway->kinds)
        return ERR_MEMORY;
    for (unsigned i = 0; i < settings->upstream_count; i++)
        gateway->kinds[i] = probe_kind(&settings->upstreams[i]);
    TRY(snapshot_create(settings, NULL, gateway->kinds, &gateway->snapshot, faults));
    TRY(open_listeners(gateway, faults));
    unsigned count = gateway_worker_count(settings);
    for (; gateway->worker_count < count; gateway->worker_count++)
        TRY(worker_create(&gateway->shared, gateway->worker_count, gateway->snapshot,
                          &gateway->workers[gateway->worker_count]));
    return watch_signals(gateway);
}

enum err gateway_create(const struct gateway_parts *parts, struct gateway **gateway,
                        struct faults *faults)
{
    struct gateway *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->arguments = parts->arguments;
    made->signals.fd = made->loop.epoll = made->loop.wake = -1;
    enum err err = make_all(made, parts, faults);
    if (err) {
        gateway_destroy(made);
        return err;
    }
    *gateway = made;
    return OK;
}

bool gateway_print_listener(const struct gateway *gateway, unsigned i, struct buffer *out)
{
    if (i >= gateway->listener_count)
        return false;
    listener_print(gateway->listeners[i], out);
    return true;
}

enum err gateway_start(struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->listener_count; i++)
        TRY(listener_start(gateway->listeners[i], gateway->workers, gateway->worker_count));
    for (; gateway->started_count < gateway->worker_count; gateway->started_count++)
        TRY(worker_start(gateway->workers[gateway->started_count]));
    plan_probe(gateway);
    timer_arm(&gateway->loop, &gateway->chore_timer, gateway->loop.now_us + CHORE_EVERY_US);
    return OK;
}

void gateway_run(struct gateway *gateway)
{
    loop_run(&gateway->loop);
}

void gateway_destroy(struct gateway *gateway)
{
    if (!gateway)
        return;
    tell_all(gateway, act_stop);
    for (unsigned i = 0; i < gateway->started_count; i++)
        pthread_join(gateway->workers[i]->thread, NULL);
    gateway->started_count = 0;
    jobs_destroy(gateway->shared.jobs);
    for (unsigned i = 0; i < gateway->listener_count; i++)
        listener_close(gateway->listeners[i]);
    free(gateway->listeners);
    for (unsigned i = 0; i < gateway->worker_count; i++)
        worker_destroy(gateway->workers[i]);
    if (gateway->loop.epoll >= 0) {
        loop_deliver(&gateway->loop);
        loop_finish(&gateway->loop);
    }
    if (gateway->signals.fd >= 0)
        close(gateway->signals.fd);
    snapshot_unref(gateway->snapshot);
    rate_table_destroy(gateway->shared.rates);
    caps_destroy(gateway->shared.caps);
    free(gateway->kinds);
    free(gateway);
}
