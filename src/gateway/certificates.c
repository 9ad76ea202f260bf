/* See certificates.h. The hard problem: files change one after the other, and under any moment's
 * look. The files' stamp is taken before they are read, so that a change during the reading is seen
 * by the next look. */
#include "gateway/certificates.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/file_stamp.h"
#include "gateway/supervisor.h"

enum {
    LOOK_EVERY_US = 1000 * 1000,
    DAY_S = 24 * 3600,
    WARN_BEFORE_S = 14 * DAY_S,
};

/* --- reading, on a job's thread -----------------------------------------------------------------
 */

static uint64_t stamp_all(const struct settings *settings)
{
    const struct text_list *certificates = &settings->server.tls_certificates;
    const struct text_list *keys = &settings->server.tls_keys;
    uint64_t stamp = 0;
    for (unsigned i = 0; i < certificates->count; i++)
        stamp = file_stamp(file_stamp(stamp, certificates->items[i]), keys->items[i]);
    return stamp;
}

static enum err read_pairs(const struct settings *settings, struct tls_identities **identities,
                           struct faults *faults)
{
    return tls_identities_load(
        settings->server.tls_certificates.items, settings->server.tls_keys.items,
        settings->server.tls_certificates.count, clock_wall_us(), identities, faults);
}

static void drop_servers(struct certificates *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        tls_server_unref(c->servers[i]);
        c->servers[i] = NULL;
    }
}

static enum err make_servers(struct certificates *c, struct tls_identities *identities)
{
    struct tls_terms terms = {
        .identities = identities,
        .tickets = c->tickets,
        .only_tls13 = c->settings->security.min_tls_version == TLS_1_3,
        .http2 = c->settings->server.http2,
    };
    enum err err = OK;
    for (unsigned i = 0; i < c->count && !err; i++)
        err = tls_server_create(&terms, &c->servers[i]);
    if (err)
        drop_servers(c);
    return err;
}

/* New servers of what the files hold. When they are not fit for use, and the settings may have
 * changed, servers of the old identities. */
static void read_anew(struct certificates *c)
{
    c->err = read_pairs(c->settings, &c->found, &c->faults);
    if (c->err == ERR_MEMORY)
        c->stamp = 0; /* the next look tries again */
    if (c->err == OK)
        c->err = make_servers(c, c->found);
    else if (c->forced)
        c->err = make_servers(c, c->identities);
}

static void look(struct job *job)
{
    struct certificates *c = CONTAINER_OF(job, struct certificates, job);
    uint64_t stamp = stamp_all(c->settings);
    c->changed = c->forced || stamp != c->stamp;
    c->stamp = stamp;
    if (c->changed)
        read_anew(c);
}

/* --- on the supervisor's loop -------------------------------------------------------------------
 */

/* Takes what the job found into use; without workers (at the end) there is none. */
static void take(struct gateway *gateway)
{
    struct certificates *c = &gateway->certificates;
    enum err err = c->err;
    if (!err && gateway->started_count)
        err = gateway_use_tls(gateway, c->servers);
    if (!err && gateway->started_count)
        memset(c->servers, 0, sizeof c->servers); /* the workers have them now */
    if (err == ERR_MEMORY)
        c->stamp = 0; /* the next look tries again */
    gateway_log_faults(&c->faults);
    if (!err && c->found) {
        tls_identities_unref(c->identities);
        c->identities = c->found;
        c->warn_epoch_s = 0;
        log_info("the certificates were read anew");
    } else {
        tls_identities_unref(c->found);
        log_error("the certificates were not read anew (%s); the old ones stay in use",
                  err_name(err ? err : ERR_CONFIG));
    }
    c->found = NULL;
    drop_servers(c);
    faults_finish(&c->faults);
}

static void look_done(struct job *job)
{
    struct certificates *c = CONTAINER_OF(job, struct certificates, job);
    struct gateway *gateway = CONTAINER_OF(c, struct gateway, certificates);
    c->looking = false;
    if (c->changed)
        take(gateway);
    if (c->again && gateway->started_count)
        certificates_reload(gateway);
}

static void start_look(struct gateway *gateway, bool forced)
{
    struct certificates *c = &gateway->certificates;
    c->forced = forced;
    c->changed = false;
    c->again = false;
    c->job = (struct job){.run = look, .done = look_done, .home = &gateway->loop};
    c->looking = jobs_submit(gateway->shared.jobs, LANE_FILE, &c->job) == OK;
    c->again = forced && !c->looking; /* the lane is full: with the timer's next look */
}

/* Once a day for each certificate that is about to expire, and at once for a new one. */
static void warn_of_expiry(struct certificates *c)
{
    uint64_t now_s = clock_wall_us() / SECOND_US, expires_s;
    const char *file;
    if (now_s < c->warn_epoch_s)
        return;
    c->warn_epoch_s = now_s + DAY_S;
    for (unsigned i = 0; (file = tls_identities_expiry(c->identities, i, &expires_s)); i++) {
        if (expires_s > now_s + WARN_BEFORE_S)
            continue;
        char memory[32];
        struct buffer date = BUFFER_OVER(memory, sizeof memory);
        clock_print_rfc3339(&date, expires_s * SECOND_US);
        log_warning("%s: the certificate %s on %s", file, expires_s > now_s ? "expires" : "expired",
                    buffer_text_of(&date));
    }
}

static void on_look_time(struct timer *timer)
{
    struct certificates *c = CONTAINER_OF(timer, struct certificates, timer);
    struct gateway *gateway = CONTAINER_OF(c, struct gateway, certificates);
    tls_tickets_turn(c->tickets, gateway->loop.now_us);
    warn_of_expiry(c);
    if (!c->looking)
        start_look(gateway, c->again);
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void certificates_watch(struct gateway *gateway)
{
    struct certificates *c = &gateway->certificates;
    c->timer.on_time = on_look_time;
    if (c->settings)
        timer_arm(&gateway->loop, &c->timer, gateway->loop.now_us);
}

void certificates_reload(struct gateway *gateway)
{
    struct certificates *c = &gateway->certificates;
    struct settings *settings = gateway->snapshot->settings;
    if (!c->settings) /* whether there is TLS is settled at the start */
        return;
    if (c->looking) {
        c->again = true;
        return;
    }
    if (settings->server.tls_certificates.count) {
        settings_ref(settings);
        settings_unref(c->settings);
        c->settings = settings;
    }
    start_look(gateway, true);
}

enum err certificates_load(struct gateway *gateway, unsigned workers, struct faults *faults)
{
    struct certificates *c = &gateway->certificates;
    struct settings *settings = gateway->snapshot->settings;
    if (!settings_any_tls(settings))
        return OK;
    settings_ref(settings);
    c->settings = settings;
    c->count = workers;
    c->tickets = tls_tickets_create(gateway->loop.now_us);
    if (!c->tickets)
        return ERR_MEMORY;
    c->stamp = stamp_all(settings);
    TRY(read_pairs(settings, &c->identities, faults));
    return make_servers(c, c->identities);
}

void certificates_hand_out(struct gateway *gateway)
{
    struct certificates *c = &gateway->certificates;
    for (unsigned i = 0; i < c->count; i++) {
        worker_switch_tls(gateway->workers[i], c->servers[i]);
        c->servers[i] = NULL;
    }
}

void certificates_finish(struct gateway *gateway)
{
    struct certificates *c = &gateway->certificates;
    drop_servers(c);
    tls_identities_unref(c->found);
    tls_identities_unref(c->identities);
    tls_tickets_destroy(c->tickets);
    settings_unref(c->settings);
    faults_finish(&c->faults);
}

void certificates_check(const struct settings *settings, struct faults *faults)
{
    struct tls_identities *identities = NULL;
    if (settings_any_tls(settings) && read_pairs(settings, &identities, faults) == OK)
        tls_identities_unref(identities);
}
