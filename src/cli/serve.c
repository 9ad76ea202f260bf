/* `sallyport serve`: puts the parts together in the order in which they need each other, runs the
 * gateway, and takes them apart in the opposite order. */
#include "cli/serve.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "api/routes.h"
#include "base/clock.h"
#include "cli/control.h"
#include "gateway/gateway.h"
#include "identity/keys.h"

enum { ARGUMENTS_MAX = 64, EXIT_CONFIG = 78 };

static const char usage[] =
    "usage: sallyport serve [--config FILE] [--listen ADDRESS]... [--upstream [KIND=]URL]...\n"
    "                       [--preset standard|agents] [--demo]\n"
    "\n"
    "Runs the gateway.\n"
    "\n"
    "  --config FILE           read this configuration file\n"
    "  --listen ADDRESS        HOST:PORT, [V6]:PORT or unix:PATH (default 127.0.0.1:8080); may be "
    "repeated\n"
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
    struct writer_lock lock;
    struct store *store;
    struct keyring *keyring;
    struct recorder *recorder;
    struct gateway *gateway;
    struct control_server *control;
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
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

/* As many descriptors as the system lets us have: two for each connection. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum err open_store(struct server *server, struct faults *faults)
{
    const struct settings *settings = server->settings;
    enum err err = writer_lock_take(&server->lock, settings->store.directory);
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
static void save_uses(void *context)
{
    struct server *server = context;
    if (keyring_save_uses(server->keyring, server->store) != OK)
        log_error(
            "when keys were last used could not be saved; the store is tried again in a minute");
}

static enum err make(struct server *server, struct faults *faults)
{
    TRY(config_load(&server->arguments, &server->settings, faults));
    struct settings *settings = server->settings;
    TRY(open_store(server, faults));
    server->keyring = keyring_create(gateway_grace, &server->gateway);
    if (!server->keyring)
        return ERR_MEMORY;
    TRY(keyring_load(server->keyring, server->store));
    TRY(recorder_create(settings, gateway_worker_count(settings), &server->recorder));
    struct gateway_parts parts = {
        .settings = settings,
        .arguments = &server->arguments,
        .keyring = server->keyring,
        .recorder = server->recorder,
        .routes = api_routes(),
        .list_models = answer_model_list,
        .version = SALLYPORT_VERSION,
        .chore = save_uses,
        .chore_context = server,
    };
    return gateway_create(&parts, &server->gateway, faults);
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

/* A key for a first try, with lines to paste. It is a key like any other: list it, revoke it. */
static enum err print_demo(struct server *server)
{
    AUTO(buffer) address = BUFFER_MAX(512);
    AUTO(secret) plain = {0};
    struct api_key *key;
    struct key_request request = {
        .name = SLICE("demo"),
        .permissions = READ_MODELS | RUN_INFERENCE | USE_STREAMING | READ_METRICS,
    };
    TRY(keyring_create_key(server->keyring, server->store, &request, clock_wall_us() / SECOND_US,
                           &plain, &key));
    gateway_print_listener(server->gateway, 0, &address);
    struct slice text = secret_reveal(&plain);
    const char *at = buffer_text_of(&address);
    printf("\nThe demo model is behind the gate. Your API key (shown once):\n\n  %.*s\n\n"
           "A chat:\n\n"
           "  curl http://%s/v1/chat/completions -H 'Authorization: Bearer %.*s' "
           "-H 'Content-Type: application/json' "
           "-d "
           "'{\"model\":\"sallyport-demo\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]"
           "}'\n\n"
           "The same, streamed:\n\n"
           "  curl -N http://%s/v1/chat/completions -H 'Authorization: Bearer %.*s' "
           "-H 'Content-Type: application/json' "
           "-d '{\"model\":\"sallyport-demo\",\"stream\":true,"
           "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n"
           "The models:\n\n"
           "  curl http://%s/v1/models -H 'Authorization: Bearer %.*s'\n\n"
           "Ctrl-C ends it. For a real model server: sallyport serve --upstream "
           "ollama=http://127.0.0.1:11434\n",
           SLICE_ARG(text), at, SLICE_ARG(text), at, SLICE_ARG(text), at, SLICE_ARG(text));
    fflush(stdout);
    api_key_unref(key);
    return OK;
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
    block_signals();
    raise_file_limit();
    AUTO(faults) faults = {0};
    enum err err = make(&server, &faults);
    print_faults(&faults);
    if (!err)
        err = gateway_start(server.gateway);
    if (!err) { /* after the workers: a revoke waits for all of them */
        server.control =
            control_serve(server.settings->store.directory, server.store, server.keyring);
        err = server.control ? OK : ERR_IO;
        if (!server.control)
            fprintf(stderr, "sallyport: cannot open the control socket in %s: %s\n",
                    server.settings->store.directory, strerror(errno));
    }
    if (!err) {
        print_listeners(&server);
        if (server.settings->demo)
            err = print_demo(&server);
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
