/* The gateway: all workers, their listeners, and the supervisor that hears signals, reloads and
 * drains. Made and run by `sallyport serve`. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <signal.h>

#include "config/config.h"
#include "gateway/worker.h"

struct gateway;
struct denylist;
struct inherited;
struct keys_file;

/* What cli/ brings along. */
struct gateway_parts {
    struct settings *settings;                /* a reference is taken */
    const struct config_arguments *arguments; /* for reload; outlives the gateway */
    struct keyring *keyring;                  /* not owned */
    struct accounts *accounts;                /* not owned */
    struct desk *desk;                        /* api/'s own; not owned */
    struct recorder *recorder;                /* not owned */
    struct audit *audit;                      /* not owned; NULL: there is none */
    struct denylist *denylist;                /* not owned */
    uint64_t connections_max;                 /* server.max_connections or fewer */
    struct inherited *inherited;              /* sockets of a service manager; those that no
                                                 listener is for are closed */
    const struct native_route *routes;
    void (*list_models)(struct exchange *x);
    const char *version;
    enum err (*before_reload)(
        void *context);            /* an error leaves all as it is; may wait for the disk */
    void (*reopen)(void *context); /* USR1: logs besides the recorder's; waits for the disk */
    void (*chore)(void *context);  /* done once a second, on a thread that may wait for the disk */
    void *chore_context;
    /* Sockets are inherited and the shutdown has begun: the next process waits for what we hold.
     * On a thread that may wait for the disk, after the last chore. */
    void (*leave)(void *context);
};

/* Opens the listeners and makes the workers; accepts nothing yet. `faults` says what is wrong.
 * ERR_CONFIG, ERR_IO, ERR_MEMORY. */
enum err gateway_create(const struct gateway_parts *parts, struct gateway **gateway,
                        struct faults *faults) MUST_CHECK;
/* Where listener `i` listens; false when there is no such listener. */
bool gateway_print_listener(const struct gateway *gateway, unsigned i, struct buffer *out);
unsigned gateway_worker_count(const struct settings *settings);
/* Starts the workers, and accepts. ERR_IO. */
enum err gateway_start(struct gateway *gateway) MUST_CHECK;
/* Those that gateway_run hears: they must be blocked in all threads. */
void gateway_signals(sigset_t *signals);
/* Until TERM or INT, and the drain after it. */
void gateway_run(struct gateway *gateway);
void gateway_destroy(struct gateway *gateway);

/* The keys of security.api_keys_file as they are now, with a reference; NULL: no file is named. Any
 * thread. */
struct keys_file *gateway_keys_file(struct gateway *gateway);

/* For keyring_create: returns when every worker has passed a turn. Context: a struct gateway **,
 * which may still be NULL. */
void gateway_grace(void *context);

#endif
