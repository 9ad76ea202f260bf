/* See htpasswd_watch.h. As with certificates, the stamp is taken before the file is read, so that a
 * change during the reading is seen by the next look: programs that write the file in place may be
 * met half way. */
#include "gateway/htpasswd_watch.h"

#include "base/log.h"
#include "config/file_stamp.h"
#include "config/file_text.h"
#include "gateway/supervisor.h"
#include "identity/htpasswd.h"

enum { LOOK_EVERY_US = 500 * 1000 };

/* --- reading, on a job's thread -----------------------------------------------------------------
 */

/* ERR_CONFIG with `faults`, ERR_MEMORY. */
static enum err read_file(const char *path, struct htpasswd **table, struct faults *faults)
{
    struct file_text text;
    enum err err = file_text_read(&text, path, HTPASSWD_BYTES_MAX);
    if (err == OK)
        err = htpasswd_parse(slice_make(text.bytes, text.len), path, faults, table);
    else
        faults_add(faults, path, 0, "security.htpasswd_file", "it cannot be read: %s",
                   file_text_why(err));
    file_text_finish(&text);
    return err == OK || err == ERR_MEMORY ? err : ERR_CONFIG;
}

/* Changes when the settings name another file, too. */
static uint64_t stamp_of(const struct settings *settings)
{
    const char *path = settings->security.htpasswd_file;
    return path ? file_stamp(0, path) : 0;
}

static void look(struct job *job)
{
    struct htpasswd_watch *watch = CONTAINER_OF(job, struct htpasswd_watch, job);
    const char *path = watch->settings->security.htpasswd_file;
    uint64_t stamp = stamp_of(watch->settings);
    watch->changed = watch->forced || stamp != watch->stamp;
    watch->stamp = stamp;
    watch->err = watch->changed && path ? read_file(path, &watch->found, &watch->faults) : OK;
    if (watch->err == ERR_MEMORY)
        watch->stamp = 0; /* the next look tries again */
}

/* --- on the supervisor's loop -------------------------------------------------------------------
 */

/* Takes what the job found into use; without workers (at the end) there is none. */
static void take(struct gateway *gateway)
{
    struct htpasswd_watch *watch = &gateway->htpasswd;
    const char *path = watch->settings->security.htpasswd_file;
    enum err err = watch->err;
    if (!err)
        err = gateway_use_htpasswd(gateway, watch->found);
    if (err == ERR_MEMORY)
        watch->stamp = 0;
    gateway_log_faults(&watch->faults);
    if (err)
        log_error("%s was not read anew (%s); what it said before stays in use", path ? path : "",
                  err_name(err));
    else if (path)
        log_info("%s was read anew: %zu names", path, htpasswd_count(watch->found));
    htpasswd_unref(watch->found);
    watch->found = NULL;
    faults_finish(&watch->faults);
}

static void look_done(struct job *job)
{
    struct htpasswd_watch *watch = CONTAINER_OF(job, struct htpasswd_watch, job);
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, htpasswd);
    watch->looking = false;
    if (watch->changed)
        take(gateway);
    if (watch->again && gateway->started_count)
        htpasswd_reload(gateway);
}

static void start_look(struct gateway *gateway, bool forced)
{
    struct htpasswd_watch *watch = &gateway->htpasswd;
    watch->forced = forced;
    watch->changed = false;
    watch->again = false;
    watch->job = (struct job){.run = look, .done = look_done, .home = &gateway->loop};
    watch->looking = jobs_submit(gateway->shared.jobs, LANE_FILE, &watch->job) == OK;
    watch->again = forced && !watch->looking; /* the lane is full: with the timer's next look */
}

static void on_look_time(struct timer *timer)
{
    struct htpasswd_watch *watch = CONTAINER_OF(timer, struct htpasswd_watch, timer);
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, htpasswd);
    if (!watch->looking && (watch->again || watch->settings->security.htpasswd_file))
        start_look(gateway, watch->again);
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void htpasswd_watch(struct gateway *gateway)
{
    struct htpasswd_watch *watch = &gateway->htpasswd;
    watch->timer.on_time = on_look_time;
    timer_arm(&gateway->loop, &watch->timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void htpasswd_reload(struct gateway *gateway)
{
    struct htpasswd_watch *watch = &gateway->htpasswd;
    struct settings *settings = gateway->snapshot->settings;
    if (watch->looking) {
        watch->again = true;
        return;
    }
    if (!settings->security.htpasswd_file && !watch->settings->security.htpasswd_file)
        return;
    settings_ref(settings);
    settings_unref(watch->settings);
    watch->settings = settings;
    start_look(gateway, true);
}

enum err htpasswd_load(struct gateway *gateway, struct faults *faults)
{
    struct htpasswd_watch *watch = &gateway->htpasswd;
    struct settings *settings = gateway->snapshot->settings;
    settings_ref(settings);
    watch->settings = settings;
    watch->stamp = stamp_of(settings);
    if (!settings->security.htpasswd_file)
        return OK;
    struct htpasswd *table = NULL;
    TRY(read_file(settings->security.htpasswd_file, &table, faults));
    for (unsigned i = 0; i < gateway->worker_count; i++) {
        htpasswd_ref(table);
        worker_switch_htpasswd(gateway->workers[i], table);
    }
    htpasswd_unref(table);
    return OK;
}

void htpasswd_watch_finish(struct gateway *gateway)
{
    struct htpasswd_watch *watch = &gateway->htpasswd;
    htpasswd_unref(watch->found);
    settings_unref(watch->settings);
    faults_finish(&watch->faults);
}

void htpasswd_check(const struct settings *settings, struct faults *faults)
{
    struct htpasswd *table = NULL;
    if (settings->security.htpasswd_file &&
        read_file(settings->security.htpasswd_file, &table, faults) == OK)
        htpasswd_unref(table);
}
