/* Changing the configuration while requests run: HUP, and the kinds of upstreams that did not say.
 * A kind is found by asking (probe.c) on a job's thread, again and again until the server answers;
 * what is found makes a new snapshot, as a reload does. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/probe.h"
#include "gateway/supervisor.h"

enum { PROBE_EVERY_US = 5 * 1000 * 1000 };

void gateway_log_faults(const struct faults *faults)
{
    AUTO(buffer) text = BUFFER_MAX(64 * 1024);
    faults_print(faults, &text);
    struct slice rest = buffer_slice(&text);
    while (rest.len) {
        struct slice one = slice_cut(&rest, '\n');
        log_line(faults->errors ? LOG_ERROR : LOG_WARNING, "%.*s", SLICE_ARG(one));
    }
}

static bool any_unknown(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->snapshot->upstream_count; i++)
        if (!gateway->snapshot->upstreams[i]->kind_found)
            return true;
    return false;
}

void gateway_plan_probe(struct gateway *gateway)
{
    if (any_unknown(gateway) && !gateway->probing)
        timer_arm(&gateway->loop, &gateway->probe_timer, gateway->loop.now_us + PROBE_EVERY_US);
}

enum upstream_kind *gateway_kinds_of(const struct gateway *gateway, const struct settings *settings)
{
    enum upstream_kind *kinds = calloc(settings->upstream_count + 1, sizeof *kinds);
    for (unsigned i = 0; kinds && i < settings->upstream_count; i++) {
        kinds[i] = settings->upstreams[i].kind;
        const struct snapshot *old = gateway->snapshot;
        for (unsigned j = 0; kinds[i] == KIND_ASK && old && j < old->upstream_count; j++)
            if (old->upstreams[j]->kind_found && old->upstreams[j]->settings->kind == KIND_ASK &&
                !strcmp(old->upstreams[j]->settings->url_text, settings->upstreams[i].url_text))
                kinds[i] = old->upstreams[j]->kind;
    }
    return kinds;
}

void gateway_reload(struct gateway *gateway)
{
    struct settings *settings = NULL;
    AUTO(faults) faults = {0};
    enum err err = config_load(gateway->arguments, &settings, &faults);
    struct snapshot *snapshot = NULL;
    enum upstream_kind *kinds = err ? NULL : gateway_kinds_of(gateway, settings);
    if (!err && !kinds)
        err = ERR_MEMORY;
    if (!err)
        err = snapshot_create(settings, gateway->snapshot, kinds, &snapshot, &faults);
    AUTO(buffer) fixed = BUFFER_MAX(4096);
    if (!err) {
        config_print_fixed_changes(gateway->snapshot->settings, settings, &fixed);
        err = gateway->before_reload(gateway->chore_context);
    }
    if (!err)
        err = gateway_use_snapshot(gateway, snapshot);
    if (err) {
        gateway_log_faults(&faults);
        log_error("the configuration was not reloaded (%s); the running one stays", err_name(err));
        snapshot_unref(snapshot);
        free(kinds);
        settings_unref(settings);
        return;
    }
    gateway_log_faults(&faults);
    if (fixed.len)
        log_warning("these changes need a restart: %.*s", SLICE_ARG(buffer_slice(&fixed)));
    recorder_configure(gateway->shared.recorder, settings);
    free(gateway->kinds);
    gateway->kinds = kinds;
    settings_unref(settings);
    log_info("the configuration was reloaded");
    certificates_reload(gateway);
    credential_files_reload(gateway);
    denylist_watch_hurry(gateway);
    gateway_plan_probe(gateway);
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
        err = gateway_use_snapshot(gateway, snapshot);
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
    gateway_plan_probe(gateway);
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
        gateway->found && jobs_submit(gateway->shared.jobs, LANE_PROBE, &gateway->probe_job) == OK;
    if (gateway->probing)
        return;
    settings_unref(gateway->probed); /* later, then */
    gateway->probed = NULL;
    free(gateway->found);
    gateway->found = NULL;
    gateway_plan_probe(gateway);
}

void gateway_init_probe(struct gateway *gateway)
{
    gateway->probe_timer.on_time = on_probe_time;
}
