/* `sallyport serve`: puts the parts together in the order in which they need each other, runs the
 * gateway, and takes them apart in the opposite order. */
#include "cli/serve.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/routes.h"
#include "api/verb.h"
#include "base/clock.h"
#include "cli/control.h"
#include "cli/first_start.h"
#include "cli/welcome.h"
#include "cli/writer.h"
#include "gateway/denylist_file.h"
#include "gateway/gateway.h"
#include "identity/keys.h"
#include "io/inherited.h"

enum {
    ARGUMENTS_MAX = 64,
    EXIT_CONFIG = 78,
    OWN_FILES = 64,    /* descriptors for logs, store, loops, commands */
    LOCK_WAITS = 1500, /* of 20 ms: for the process before us, which has our sockets too */
    LOCK_WAIT_US = 20 * 1000,
    TIDY_EVERY_US = 60 * 1000 * 1000,
};

static const char usage[] =
    "usage: sallyport serve [--config FILE] [--listen ADDRESS]... [--upstream [KIND=]URL]...\n"
    "                       [--preset standard|agents] [--demo]\n"
    "\n"
    "Runs the gateway.\n"
    "\n"
    "  --config FILE           read this configuration file\n"
    "  --listen ADDRESS        HOST:PORT, [V6]:PORT or unix:PATH, after https:// or http:// if\n"
    "                          wanted (default 127.0.0.1:8080); may be repeated\n"
    "  --upstream [KIND=]URL   the model server to guard; KIND is ollama, openai, anthropic, "
    "llama.cpp or\n"
    "                          vllm, and is found by asking when it is left out; may be repeated\n"
    "  --preset NAME           standard or agents (larger bodies and limits, for coding agents)\n"
    "  --demo                  put the built-in demo model behind the gate\n"
    "  --help                  this text\n"
    "\n"
    "Without a file, --demo and --upstream are a complete setup; data goes to ./sallyport-data.\n"
    "Signals: HUP reloads, USR1 reopens logs, TERM and INT finish what is in flight and exit.\n";

/* Everything that serving needs; zero is "not made yet". */
struct server {
    const char *listen[ARGUMENTS_MAX], *upstream[ARGUMENTS_MAX];
    struct config_arguments arguments;
    struct settings *settings;
    struct inherited inherited;
    struct writer_lock lock;
    struct store *store;
    struct keyring *keyring;
    struct accounts *accounts;
    struct audit *audit;
    struct denylist *denylist;
    struct desk desk; /* for the native API and for commands */
    bool made_admin;  /* by this start */
    struct recorder *recorder;
    struct gateway *gateway;
    struct control_server *control;
    uint64_t tidied_us; /* monotonic */
};

static int read_arguments(struct server *server, int argc, char **argv)
{
    static const struct option options[] = {
        {"config",           required_argument, NULL, 'c'},
        {"listen",              required_argument, NULL, 'l'},
        {"upstream",                  required_argument, NULL, 'u'},
        {"preset",required_argument, NULL, 'p'},
        {"demo",               no_argument, NULL, 'd'},
        {"help",         no_argument, NULL, 'h'},
        {0             },
    };
    struct config_arguments *arguments = &server->arguments;
    *arguments = (struct config_arguments){
        .listen = server->listen, .upstream = server->upstream, .environment = environ};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            arguments->file = optarg;
        else if (c == 'l' && arguments->listen_count < ARGUMENTS_MAX)
            server->listen[arguments->listen_count++] = optarg;
        else if (c == 'u' && arguments->upstream_count < ARGUMENTS_MAX)
            server->upstream[arguments->upstream_count++] = optarg;
        else if (c == 'p')
            arguments->preset = optarg;
        else if (c == 'd')
            arguments->demo = true;
        else if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        } else {
            fputs("see sallyport serve --help\n", stderr);
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "sallyport serve: \"%s\" is not an option; see sallyport serve --help\n",
            argv[optind]);
    return 2;
}

static void print_faults(const struct faults *faults)
{
    AUTO(buffer) text = BUFFER_MAX(256 * 1024);
    faults_print(faults, &text);
    fputs(buffer_text_of(&text), stderr);
}

static void block_signals(void)
{
    sigset_t signals;
    gateway_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

/* As many descriptors as the system lets us have. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Connections need descriptors, and so do those to model servers. If callers could have them all,
 * those who hold connections and ask nothing would take the way upstream from the others: a quarter
 * is out of their reach. */
static uint64_t connections_possible(const struct settings *settings, struct faults *faults)
{
    struct rlimit limit;
    uint64_t wanted = settings->server.max_connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    uint64_t files = limit.rlim_cur, own = files / 2 < OWN_FILES ? files / 2 : OWN_FILES;
    uint64_t possible = (files - own) / 4 * 3;
    if (possible >= wanted)
        return wanted;
    faults_warn(
        faults, settings->file, 0, "server.max_connections",
        "of %llu open files, which is the limit, callers may have %llu, not %llu: raise the "
        "limit to %llu (ulimit -n, LimitNOFILE= in the unit, --ulimit nofile= for a "
        "container) or lower server.max_connections",
        (unsigned long long)files, (unsigned long long)possible, (unsigned long long)wanted,
        (unsigned long long)((wanted + 2) / 3 * 4 + own));
    return possible ? possible : 1;
}

static enum err open_store(struct server *server, struct faults *faults)
{
    const struct settings *settings = server->settings;
    enum err err = writer_lock_take(&server->lock, settings->store.directory);
    /* Whoever had the inherited sockets before us is on its way out. */
    for (unsigned i = 0; err == ERR_BUSY && server->inherited.count && i < LOCK_WAITS; i++) {
        usleep(LOCK_WAIT_US);
        err = writer_lock_take(&server->lock, settings->store.directory);
    }
    if (err == ERR_BUSY)
        faults_add(
            faults, settings->store.directory, 0, "store.url",
            "another sallyport uses this data folder; stop it, or give this one a folder of its "
            "own");
    else if (err)
        faults_add(faults, settings->store.directory, 0, "store.url",
                   "cannot use the data folder: %s", strerror(errno));
    TRY(err);
    return store_open(settings->store.path, &server->store, faults);
}

/* When a key was last used is worth knowing, but not worth a wait for the disk on each request. */
static void save_uses(const struct server *server)
{
    if (keyring_save_uses(server->keyring, server->store) != OK)
        log_error(
            "when keys were last used could not be saved; the store is tried again in a minute");
}

/* Once a second. */
static void do_chores(void *context)
{
    struct server *server = context;
    enum err err = server->audit ? audit_tick(server->audit, clock_now_us()) : OK;
    (void)err; /* it was logged, and is tried again */
    if (clock_now_us() < server->tidied_us + TIDY_EVERY_US)
        return;
    server->tidied_us = clock_now_us();
    save_uses(server);
    if (accounts_prune(server->accounts, server->store, clock_credential_s()) != OK)
        log_error(
            "old sessions could not be removed from the store; it is tried again in a minute");
}

static enum err record_reload(void *context)
{
    struct server *server = context;
    struct audit_record record = {.wall_us = clock_wall_us(),
                                  .now_us = clock_now_us(),
                                  .event = AUDIT_CONFIG_CHANGE,
                                  .actor = SLICE("local"),
                                  .method = SLICE("HUP")};
    enum err err = server->audit ? audit_append(server->audit, &record) : OK;
    if (err)
        log_error("the audit log could not be written, so nothing is changed");
    return err;
}

static void reopen_audit(void *context)
{
    struct server *server = context;
    if (server->audit && audit_reopen(server->audit) != OK)
        log_error("the audit log could not be opened anew; the old file stays in use");
}

static void close_audit(struct server *server)
{
    audit_close(server->audit, clock_wall_us(), clock_now_us());
    server->audit = NULL;
}

/* The data folder is the next process's from here on. */
static void leave(void *context)
{
    struct server *server = context;
    control_stop(server->control);
    server->control = NULL;
    save_uses(server);
    close_audit(server);
    store_close(server->store);
    server->store = NULL;
    server->desk = (struct desk){0}; /* nobody comes to it any more */
    writer_lock_release(&server->lock);
}

static enum err load_settings(struct server *server, struct faults *faults)
{
    bool made;
    TRY(config_load(&server->arguments, &server->settings, faults));
    TRY(make_first_secrets(server->settings, &made, faults));
    if (!made)
        return OK;
    settings_unref(server->settings);
    server->settings = NULL;
    faults_finish(faults); /* what was a warning will be one again */
    return config_load(&server->arguments, &server->settings, faults);
}

static struct keys_file *file_keys(void *context)
{
    const struct server *server = context;
    return server->gateway ? gateway_keys_file(server->gateway) : NULL;
}

static enum err make(struct server *server, struct faults *faults)
{
    TRY(load_settings(server, faults));
    struct settings *settings = server->settings;
    TRY(open_store(server, faults));
    TRY(writer_open_audit(settings, &server->audit, faults));
    server->keyring = keyring_create(gateway_grace, &server->gateway);
    if (!server->keyring)
        return ERR_MEMORY;
    TRY(keyring_load(server->keyring, server->store));
    server->accounts = accounts_create(gateway_grace, &server->gateway);
    if (!server->accounts)
        return ERR_MEMORY;
    /* Found now, but said beside whatever else is wrong. */
    enum err closed = check_credentials(settings, keyring_count(server->keyring), faults);
    TRY(accounts_load(server->accounts, server->store, clock_credential_s()));
    TRY(denylist_open(settings->abuse.denylist_file, gateway_grace, &server->gateway,
                      &server->denylist, faults));
    server->desk = (struct desk){.store = server->store,
                                 .keyring = server->keyring,
                                 .accounts = server->accounts,
                                 .audit = server->audit,
                                 .denylist = server->denylist,
                                 .file_keys = file_keys,
                                 .context = server};
    TRY(make_first_admin(settings, &server->desk, &server->made_admin, faults));
    server->tidied_us = clock_now_us();
    TRY(recorder_create(settings, gateway_worker_count(settings), &server->recorder));
    struct gateway_parts parts = {
        .settings = settings,
        .arguments = &server->arguments,
        .keyring = server->keyring,
        .accounts = server->accounts,
        .desk = &server->desk,
        .recorder = server->recorder,
        .audit = server->audit,
        .denylist = server->denylist,
        .connections_max = connections_possible(settings, faults),
        .routes = api_routes(),
        .list_models = answer_model_list,
        .version = SALLYPORT_VERSION,
        .chore = do_chores,
        .before_reload = record_reload,
        .reopen = reopen_audit,
        .chore_context = server,
        .inherited = &server->inherited,
        .leave = leave,
    };
    TRY(gateway_create(&parts, &server->gateway, faults));
    return closed;
}

static void take_apart(struct server *server)
{
    control_stop(server->control);
    gateway_destroy(server->gateway);
    server->gateway = NULL;
    if (server->keyring && server->store)
        save_uses(server);
    recorder_destroy(server->recorder);
    keyring_destroy(server->keyring);
    accounts_destroy(server->accounts);
    denylist_close(server->denylist);
    close_audit(server);
    store_close(server->store);
    writer_lock_release(&server->lock);
    settings_unref(server->settings);
}

/* --- what a person sees -------------------------------------------------------------------------
 */

static void print_listeners(const struct server *server)
{
    for (unsigned i = 0;; i++) {
        char memory[512]; /* scripts wait for this line: it needs no luck with the heap */
        struct buffer address = BUFFER_OVER(memory, sizeof memory);
        if (!gateway_print_listener(server->gateway, i, &address))
            return;
        fprintf(stderr, "listening on %s\n", buffer_text_of(&address));
    }
}

static enum err welcome_first_try(const struct server *server)
{
    AUTO(buffer) address = BUFFER_MAX(512);
    gateway_print_listener(server->gateway, 0, &address);
    return welcome(server->settings, &server->desk, buffer_text_of(&address), server->made_admin);
}

static void say_how_to_make_a_key(const struct server *server)
{
    if (keyring_count(server->keyring) || !server->settings->security.auth_enabled)
        return;
    fputs("there is no API key yet; make one, also while this runs: sallyport key create --name me",
          stderr);
    if (server->settings->file)
        fprintf(stderr, " --config %s", server->settings->file);
    fputc('\n', stderr);
}

int command_serve(int argc, char **argv)
{
    struct server server = {.lock.fd = -1};
    int status = read_arguments(&server, argc, argv);
    if (status >= 0)
        return status;
    inherited_take(&server.inherited);
    block_signals();
    raise_file_limit();
    AUTO(faults) faults = {0};
    enum err err = make(&server, &faults);
    print_faults(&faults);
    if (!err)
        err = gateway_start(server.gateway);
    if (!err) { /* after the workers: a revoke waits for all of them */
        server.control = control_serve(server.settings->store.directory, &server.desk);
        err = server.control ? OK : ERR_IO;
        if (!server.control)
            fprintf(stderr, "sallyport: cannot open the control socket in %s: %s\n",
                    server.settings->store.directory, strerror(errno));
    }
    if (!err) {
        print_listeners(&server);
        if (server.settings->demo)
            err = welcome_first_try(&server);
        else
            say_how_to_make_a_key(&server);
    }
    if (!err)
        gateway_run(server.gateway);
    else if (!faults.errors)
        fprintf(stderr, "sallyport: cannot start: %s\n", err_name(err));
    take_apart(&server);
    if (!err)
        return 0;
    return err == ERR_CONFIG || faults.errors ? EXIT_CONFIG : 1;
}
