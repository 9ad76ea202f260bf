/* A worker: one event loop's thread and everything that belongs to it alone. Nothing in here is
 * locked; what is shared is in struct shared. */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include <pthread.h>

#include "base/block.h"
#include "base/pool.h"
#include "gateway/snapshot.h"
#include "guard/bans.h"
#include "guard/caps.h"
#include "guard/rate.h"
#include "guard/window.h"
#include "identity/account.h"
#include "identity/key.h"
#include "identity/token_cache.h"
#include "io/jobs.h"
#include "io/loop.h"
#include "io/tls_server.h"
#include "record/audit.h"
#include "record/record.h"

struct exchange;
struct native_route;
struct desk;
struct credentials;
struct credential_files;
struct denylist;

enum { WORKERS_MAX = 64 };

/* What all workers share; owned by the gateway, made before the first worker and gone after the
 * last. */
struct shared {
    struct keyring *keyring;
    struct accounts *accounts;
    struct credentials *credentials; /* remembered ones; the gateway's own */
    struct desk *desk;               /* api/'s own: what its errands work with */
    struct rate_table *rates;
    struct window_table *windows;
    struct caps *caps;
    struct denylist *denylist; /* not owned */
    struct bans *bans;         /* the denylist's */
    struct abuse *abuse;
    struct recorder *recorder;
    struct audit *audit; /* see shared_audit */
    struct jobs *jobs;
    struct block_budget request_bodies;
    struct block_budget answers;
    const struct native_route *routes;       /* ends with a NULL path */
    void (*list_models)(struct exchange *x); /* answers ANSWER_MODEL_LIST endpoints */
    const char *version;
    uint64_t started_epoch_s;
    uint64_t connections_max; /* server.max_connections, as far as there are descriptors */
    atomic_uint connections;  /* open ones, all workers together */
    atomic_uint exchanges;
    atomic_bool warned_of_plain_http, warned_of_forwarder;
    atomic_bool left; /* the data folder is another process's: no request passes any more */
};

/* The audit log, until the end of the turn; NULL: there is none, or it is another process's by now.
 */
static inline struct audit *shared_audit(const struct shared *shared)
{
    return atomic_load_explicit(&shared->left, memory_order_acquire) ? NULL : shared->audit;
}

/* Something whose memory goes at the end of the turn, when no caller up the stack can still hold
 * it. */
struct grave {
    struct list link;
    void (*release)(struct grave *grave);
};

/* The worker's hold on a snapshot, and how many of its exchanges still use it. */
struct snapshot_use {
    struct snapshot *snapshot;
    unsigned exchanges;
    bool current;
};

/* The builder holds the largest head that may come in (server.max_header_bytes is at most 128 KiB),
 * and what we add to it. */
enum { SCRATCH_BYTES = 64 * 1024, BUILDER_BYTES = 160 * 1024 };

struct worker {
    struct loop loop;
    pthread_t thread;
    unsigned number;
    struct shared *shared;
    struct snapshot_use *use;  /* of the current snapshot */
    struct token_cache tokens; /* verified ones */
    struct tls_server *tls;    /* for new connections on listeners with TLS; NULL: there are none */
    struct credential_files *files; /* as they are now; NULL: there are none */
    struct record_ring *ring;
    struct block_pool request_blocks, answer_blocks;
    /* What waits to be written, within the budget of answers but for one block of each connection:
     * clients that read nothing, however many, silence nobody else. */
    struct block_pool output_blocks;
    struct pool connections, http2_streams, exchanges, scans, upstream_connections;
    struct list all_connections;
    struct list waiting_connections; /* those that serve nobody now, the oldest first */
    struct list upstream_pools;
    struct list demo_peers;
    struct list verifications; /* of credentials; under way */
    struct list graves;
    struct task bury;
    struct timer tidy;
    atomic_uint connection_count; /* read by the accepting worker */
    atomic_uint exchange_count;   /* too; changed by this worker alone */
    bool draining;
    uint64_t large_body_us; /* the turn in which some of a large body was read last */
    uint64_t handshakes_us; /* the turn that `handshakes` counts in */
    unsigned handshakes;
    uint64_t date_s; /* the second that `date` was printed for */
    char date[32];
    unsigned date_len;
    struct request_head *head;   /* where heads are parsed into, one at a time */
    char scratch[SCRATCH_BYTES]; /* where sockets are read into; valid until the next read */
    char builder[BUILDER_BYTES]; /* where heads are built; valid within one function */
};

/* ERR_MEMORY, ERR_IO. Takes a reference of the snapshot. */
enum err worker_create(struct shared *shared, unsigned number, struct snapshot *snapshot,
                       struct worker **worker) MUST_CHECK;
/* After its thread ended. */
void worker_destroy(struct worker *worker);
enum err worker_start(struct worker *worker) MUST_CHECK;

/* On the worker's own thread. */
void worker_count_exchange(struct worker *worker, int change);
void worker_bury(struct worker *worker, struct grave *grave, void (*release)(struct grave *grave));
struct snapshot_use *worker_use_snapshot(struct worker *worker);
void worker_leave_snapshot(struct worker *worker, struct snapshot_use *use);
/* A worker's hold on `snapshot`, made beforehand so that the switch itself cannot fail; NULL: no
 * memory. One that is not switched to is given back with snapshot_use_drop. */
struct snapshot_use *snapshot_use_create(struct snapshot *snapshot);
void snapshot_use_drop(struct snapshot_use *use);
/* Takes `use` over. */
void worker_switch_snapshot(struct worker *worker, struct snapshot_use *use);
/* For the connections to come. Takes `tls` over. */
void worker_switch_tls(struct worker *worker, struct tls_server *tls);
/* For the requests to come, and those that wait. Takes the reference over; may be NULL. */
void worker_switch_files(struct worker *worker, struct credential_files *files);
/* "Mon, 03 Nov 2025 10:30:00 GMT", printed once a second. */
struct slice worker_date(struct worker *worker);

static inline struct settings *worker_settings(struct worker *worker)
{
    return worker->use->snapshot->settings;
}

#endif
