/* The supervisor behind gateway.h: what gateway.c makes and takes apart, orders.c tells the
 * workers, and reload.c changes while they run. Nobody else includes this. */
#ifndef GATEWAY_SUPERVISOR_H
#define GATEWAY_SUPERVISOR_H

#include "gateway/certificates.h"
#include "gateway/credential_watch.h"
#include "gateway/denylist_watch.h"
#include "gateway/gateway.h"
#include "gateway/listener.h"

struct gateway {
    struct shared shared;
    struct gateway *self; /* for gateway_grace */
    const struct config_arguments *arguments;
    struct snapshot *snapshot;
    struct listener **listeners;
    unsigned listener_count;
    struct worker *workers[WORKERS_MAX];
    unsigned worker_count;
    atomic_uint started_count; /* the first so many run; read by jobs that wait for them */
    struct loop loop;
    struct watch signals;
    struct certificates certificates;
    struct credential_watch credential_files;
    struct denylist_watch denylist;
    struct timer drain_timer, probe_timer, chore_timer, memory_timer;
    int memory_fd;        /* where the kernel says what is resident; -1: nowhere */
    int64_t unused_bytes; /* resident and not in use when memory was last given back */
    uint64_t drain_until_us;
    struct job probe_job, chore_job;
    void (*chore)(void *context);
    void *chore_context;
    enum err (*before_reload)(void *context);
    void (*reopen)(void *context);
    void (*leave)(void *context); /* NULL: no socket was inherited */
    struct job leave_job;
    bool probing, draining, at_chore, leaving;
    uint64_t leave_us;
    struct settings *probed;   /* the settings that the probe looks at; a reference */
    enum upstream_kind *kinds; /* of the current settings' upstreams; KIND_ASK: not known */
    enum upstream_kind *found; /* what the probe found, in the same order */
};

/* orders.c: through the workers' mailboxes, carried out on their own threads. */
void gateway_order_drain(struct gateway *gateway);
void gateway_order_stop(struct gateway *gateway);
/* Whoever is banned is shown out. */
void gateway_order_cut(struct gateway *gateway);
/* All workers get `snapshot`, or none does (ERR_MEMORY): two configurations side by side would be a
 * rule that holds on some connections only. Takes the reference over on OK. */
enum err gateway_use_snapshot(struct gateway *gateway, struct snapshot *snapshot) MUST_CHECK;

/* Every started worker gets its own of `servers`, or none does (ERR_MEMORY). Takes them over on OK.
 */
enum err gateway_use_tls(struct gateway *gateway, struct tls_server *const *servers) MUST_CHECK;

/* Every started worker gets a reference of `files`, which may be NULL, or none does (ERR_MEMORY).
 */
enum err gateway_use_files(struct gateway *gateway, struct credential_files *files) MUST_CHECK;

/* memory.c: gives back to the system what a burst left behind, for as long as the loop runs. */
void gateway_watch_memory(struct gateway *gateway);

/* reload.c: HUP, and finding out what kind of server an upstream is. */
void gateway_reload(struct gateway *gateway);
/* One line of the log each. */
void gateway_log_faults(const struct faults *faults);
/* Sets the probe's timer going as long as there is a kind to find out. */
void gateway_plan_probe(struct gateway *gateway);
void gateway_init_probe(struct gateway *gateway);
/* Room for what is found out about `settings`; what the running configuration knows is carried
 * over. The caller's to free; NULL: no memory. */
enum upstream_kind *gateway_kinds_of(const struct gateway *gateway,
                                     const struct settings *settings);

#endif
