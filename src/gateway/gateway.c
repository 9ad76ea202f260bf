/* See gateway.h. The supervisor has a loop of its own, so that a reload or a slow signal never
 * holds up a request; it talks to the workers through their mailboxes only (orders.c). */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/denylist_file.h"
#include "gateway/gate.h"
#include "gateway/probe.h"
#include "gateway/supervisor.h"
#include "guard/abuse.h"

enum {
    RATE_CELLS = 1 << 16, /* 1 MiB at first, for some ten thousand callers at once */
    WINDOW_IDENTITIES = 1 << 18,
    DRAIN_LOOK_US = 20 * 1000,
    /* Connections take requests that were on their way for a second of a drain. */
    FAREWELL_US = 1100 * 1000,
    CHORE_EVERY_US = 1000 * 1000,
};

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

/* From here on somebody else revokes keys, and we would not hear of it: no request passes the gate
 * any more (check_admit.c). What passed it before, and waits for the store or a password to be
 * hashed, is done first: the store is not ours afterwards. */
static void leave_run(struct job *job)
{
    struct gateway *gateway = CONTAINER_OF(job, struct gateway, leave_job);
    /* Bans that are not in the file yet; while they can still be recorded. */
    denylist_look(gateway->shared.denylist, false);
    atomic_store(&gateway->shared.left, true);
    gateway_grace(&gateway);
    jobs_settle(gateway->shared.jobs, LANE_HASH);
    jobs_settle(gateway->shared.jobs, LANE_STORE);
    denylist_look(gateway->shared.denylist, false); /* those that were made since */
    gateway->leave(gateway->chore_context);
}

static void leave_done(struct job *job)
{
    struct gateway *gateway = CONTAINER_OF(job, struct gateway, leave_job);
    gateway->leaving = false;
    gateway->leave = NULL;
}

/* The process that inherits the sockets next should not have to wait for our streams. The lane has
 * one thread, so that no chore is under way when its turn comes. */
static void leave_when_time(struct gateway *gateway)
{
    if (!gateway->leave || gateway->leaving || gateway->loop.now_us < gateway->leave_us)
        return;
    timer_disarm(&gateway->loop, &gateway->chore_timer);
    gateway->leave_job = (struct job){.run = leave_run, .done = leave_done, .home = &gateway->loop};
    /* With a full lane it is tried again. */
    gateway->leaving = jobs_submit(gateway->shared.jobs, LANE_FILE, &gateway->leave_job) == OK;
}

static void on_drain_time(struct timer *timer)
{
    struct gateway *gateway = CONTAINER_OF(timer, struct gateway, drain_timer);
    unsigned open = atomic_load_explicit(&gateway->shared.connections, memory_order_relaxed);
    leave_when_time(gateway);
    if ((open == 0 || gateway->loop.now_us >= gateway->drain_until_us) && !gateway->leaving) {
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
        gateway->drain_until_us = loop->now_us;
        return;
    }
    gateway->draining = true;
    log_info("shutting down: requests in flight may finish");
    gateway_order_drain(gateway);
    gateway->leave_us = loop->now_us + FAREWELL_US;
    gateway->drain_until_us = loop->now_us + gateway->snapshot->settings->server.drain_timeout_us;
    timer_arm(loop, &gateway->drain_timer, loop->now_us + MS_US);
}

static void reopen_logs(struct gateway *gateway)
{
    recorder_reopen(gateway->shared.recorder);
    if (!gateway->leaving && !gateway->shared.left)
        gateway->reopen(gateway->chore_context);
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
        gateway_reload(gateway);
    if (wants_reopen)
        reopen_logs(gateway);
}

void gateway_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGUSR1);
}

static enum err watch_signals(struct gateway *gateway)
{
    sigset_t signals;
    gateway_signals(&signals);
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

static void warn_unused(void *context, const struct endpoint_address *endpoint)
{
    char memory[160];
    struct buffer text = BUFFER_OVER(memory, sizeof memory);
    endpoint_print(&text, endpoint);
    faults_warn(context, NULL, 0, "server.listen",
                "the inherited socket %.*s is not used, since it is not in this list",
                SLICE_ARG(buffer_slice(&text)));
}

static enum err open_listeners(struct gateway *gateway, struct inherited *inherited,
                               struct faults *faults)
{
    const struct text_list *listen = &gateway->snapshot->settings->server.listen;
    const char *file = gateway->snapshot->settings->file;
    gateway->listeners = calloc(listen->count + 1, sizeof *gateway->listeners);
    if (!gateway->listeners)
        return ERR_MEMORY;
    for (unsigned i = 0; i < listen->count; i++) {
        bool tls = settings_listen_tls(gateway->snapshot->settings, i);
        enum err err = listener_open(listen->items[i], tls, inherited, &gateway->listeners[i]);
        if (err)
            faults_add(faults, file, 0, "server.listen", "cannot listen on %s: %s%s",
                       listen->items[i], err == ERR_IO ? strerror(errno) : err_name(err),
                       err == ERR_IO && errno == EADDRINUSE
                           ? " (is another server, or another sallyport, running there?)"
                           : "");
        if (err) { /* perhaps one of these was meant */
            inherited_close_rest(inherited, warn_unused, faults);
            return err;
        }
        gateway->listener_count++;
    }
    inherited_close_rest(inherited, warn_unused, faults);
    return OK;
}

static enum err make_shared(struct gateway *gateway, const struct gateway_parts *parts)
{
    struct shared *shared = &gateway->shared;
    shared->keyring = parts->keyring;
    shared->accounts = parts->accounts;
    shared->desk = parts->desk;
    shared->recorder = parts->recorder;
    shared->audit = parts->audit;
    shared->denylist = parts->denylist;
    shared->bans = denylist_bans(parts->denylist);
    shared->routes = parts->routes;
    shared->list_models = parts->list_models;
    shared->version = parts->version;
    shared->connections_max = parts->connections_max;
    shared->started_epoch_s = clock_wall_us() / SECOND_US;
    shared->request_bodies.max_bytes = parts->settings->server.max_body_memory_bytes;
    /* An answer waits for its client with some blocks at most, since its upstream is paused then;
     * of a hundred streams on each of many connections that is still much. */
    shared->answers.max_bytes = parts->settings->server.max_body_memory_bytes;
    shared->rates = rate_table_create_growing(RATE_CELLS);
    shared->windows = window_table_create(WINDOW_IDENTITIES);
    shared->caps = caps_create();
    gateway->self = gateway;
    shared->credentials = credentials_create(gateway_grace, &gateway->self);
    shared->abuse = abuse_create();
    if (!shared->rates || !shared->windows || !shared->caps || !shared->credentials ||
        !shared->abuse)
        return ERR_MEMORY;
    return jobs_create(&shared->jobs);
}

static enum err make_all(struct gateway *gateway, const struct gateway_parts *parts,
                         struct faults *faults)
{
    struct settings *settings = parts->settings;
    TRY(loop_init(&gateway->loop));
    TRY(loop_reserve_timers(&gateway->loop, 7));
    gateway->chore_timer.on_time = on_chore_time;
    gateway->chore = parts->chore;
    gateway->reopen = parts->reopen;
    gateway->before_reload = parts->before_reload;
    gateway->chore_context = parts->chore_context;
    gateway->drain_timer.on_time = on_drain_time;
    gateway_init_probe(gateway);
    TRY(make_shared(gateway, parts));
    gateway->kinds = gateway_kinds_of(gateway, settings);
    if (!gateway->kinds)
        return ERR_MEMORY;
    for (unsigned i = 0; i < settings->upstream_count; i++)
        gateway->kinds[i] = probe_kind(&settings->upstreams[i]);
    TRY(snapshot_create(settings, NULL, gateway->kinds, &gateway->snapshot, faults));
    unsigned count = gateway_worker_count(settings);
    TRY(certificates_load(gateway, count, faults));
    gateway->leave = parts->inherited->count ? parts->leave : NULL;
    TRY(open_listeners(gateway, parts->inherited, faults));
    for (; gateway->worker_count < count; gateway->worker_count++)
        TRY(worker_create(&gateway->shared, gateway->worker_count, gateway->snapshot,
                          &gateway->workers[gateway->worker_count]));
    certificates_hand_out(gateway);
    TRY(credential_files_load(gateway, faults));
    return watch_signals(gateway);
}

enum err gateway_create(const struct gateway_parts *parts, struct gateway **gateway,
                        struct faults *faults)
{
    struct gateway *made = calloc(1, sizeof *made);
    if (!made)
        return ERR_MEMORY;
    made->arguments = parts->arguments;
    pthread_mutex_init(&made->credential_files.lock, NULL);
    made->memory_fd = made->signals.fd = made->loop.epoll = made->loop.wake = -1;
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
    gateway_plan_probe(gateway);
    gateway_watch_memory(gateway);
    certificates_watch(gateway);
    credential_files_watch(gateway);
    denylist_watch(gateway);
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
    if (gateway->shared.jobs) /* before the workers: ending a session waits for all of them */
        jobs_stop(gateway->shared.jobs);
    gateway_order_stop(gateway);
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
    if (gateway->memory_fd >= 0)
        close(gateway->memory_fd);
    certificates_finish(gateway);
    credential_files_finish(gateway);
    denylist_watch_finish(gateway);
    snapshot_unref(gateway->snapshot);
    credentials_destroy(gateway->shared.credentials);
    rate_table_destroy(gateway->shared.rates);
    window_table_destroy(gateway->shared.windows);
    caps_destroy(gateway->shared.caps);
    abuse_destroy(gateway->shared.abuse);
    free(gateway->kinds);
    free(gateway);
}
