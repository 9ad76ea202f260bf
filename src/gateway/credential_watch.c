/* See credential_watch.h. As with certificates, a file's stamp is taken before it is read, so that
 * a change during the reading is seen by the next look: programs that write a file in place may be
 * met half way. */
#include "gateway/credential_watch.h"

#include "base/log.h"
#include "config/file_stamp.h"
#include "config/file_text.h"
#include "gateway/supervisor.h"
#include "identity/credential_files.h"

enum { LOOK_EVERY_US = 500 * 1000 };

/* --- reading, on a job's thread -----------------------------------------------------------------
 */

/* ERR_CONFIG with `faults`, ERR_MEMORY. */
static enum err read_text(const char *path, const char *option, size_t max_bytes,
                          struct file_text *text, struct faults *faults)
{
    enum err err = file_text_read(text, path, max_bytes);
    if (err == OK || err == ERR_MEMORY)
        return err;
    faults_add(faults, path, 0, option, "it cannot be read: %s", file_text_why(err));
    return ERR_CONFIG;
}

/* Those two leave `*table` as it is after an error. */

static enum err read_names(const char *path, struct htpasswd **table, struct faults *faults)
{
    AUTO(file_text) text = {0};
    TRY(read_text(path, "security.htpasswd_file", HTPASSWD_BYTES_MAX, &text, faults));
    struct htpasswd *found;
    TRY(htpasswd_parse(slice_make(text.bytes, text.len), path, faults, &found));
    htpasswd_unref(*table);
    *table = found;
    return OK;
}

static enum err read_keys(const char *path, struct keys_file **table, struct faults *faults)
{
    AUTO(file_text) text = {0};
    TRY(read_text(path, "security.api_keys_file", KEYS_FILE_BYTES_MAX, &text, faults));
    struct keys_file *found;
    enum err err = keys_file_parse(slice_make(text.bytes, text.len), path, faults, &found);
    if (err != OK)
        return err == ERR_MEMORY ? err : ERR_CONFIG;
    keys_file_unref(*table);
    *table = found;
    return OK;
}

/* Is it to be read? */
static bool note_stamp(struct watched_file *file, const char *path, bool forced)
{
    uint64_t stamp = path ? file_stamp(0, path) : 0;
    file->changed = forced || stamp != file->stamp;
    file->stamp = stamp;
    file->err = OK;
    return file->changed && path;
}

/* Reads what changed into watch->names and ->keys; the rest stays what it was. */
static void read_changed(struct credential_watch *watch)
{
    const char *names_path = watch->settings->security.htpasswd_file;
    const char *keys_path = watch->settings->security.api_keys_file;
    if (note_stamp(&watch->names_file, names_path, watch->forced))
        watch->names_file.err = read_names(names_path, &watch->names, &watch->faults);
    if (note_stamp(&watch->keys_file, keys_path, watch->forced))
        watch->keys_file.err = read_keys(keys_path, &watch->keys, &watch->faults);
    if (!names_path) {
        htpasswd_unref(watch->names);
        watch->names = NULL;
    }
    if (!keys_path) {
        keys_file_unref(watch->keys);
        watch->keys = NULL;
    }
}

static void look(struct job *job)
{
    read_changed(CONTAINER_OF(job, struct credential_watch, job));
}

/* --- on the supervisor's loop -------------------------------------------------------------------
 */

static enum err use(struct gateway *gateway)
{
    struct credential_watch *watch = &gateway->credential_files;
    struct credential_files *files = credential_files_create(watch->names, watch->keys);
    if (!files)
        return ERR_MEMORY;
    enum err err = gateway_use_files(gateway, files);
    struct credential_files *old = files;
    pthread_mutex_lock(&watch->lock);
    if (!err) {
        old = watch->current;
        watch->current = files;
    }
    pthread_mutex_unlock(&watch->lock);
    credential_files_unref(old);
    return err;
}

/* Says what became of a file that changed. `err` is that of all of them together. */
static void say(struct watched_file *file, const char *path, enum err err, size_t count)
{
    if (!file->changed || !path)
        return;
    if (file->err)
        err = file->err;
    if (err == ERR_MEMORY)
        file->stamp = 0; /* the next look tries again */
    if (err)
        log_error("%s was not read anew (%s); what it said before stays in use", path,
                  err_name(err));
    else
        log_info("%s was read anew: %zu entries", path, count);
}

/* Takes what the job found into use; without workers (at the end) there is none. */
static void take(struct gateway *gateway)
{
    struct credential_watch *watch = &gateway->credential_files;
    const struct settings *settings = watch->settings;
    enum err err = use(gateway);
    gateway_log_faults(&watch->faults);
    say(&watch->names_file, settings->security.htpasswd_file, err,
        watch->names ? htpasswd_count(watch->names) : 0);
    say(&watch->keys_file, settings->security.api_keys_file, err,
        watch->keys ? keys_file_count(watch->keys) : 0);
    faults_finish(&watch->faults);
}

static void look_done(struct job *job)
{
    struct credential_watch *watch = CONTAINER_OF(job, struct credential_watch, job);
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, credential_files);
    watch->looking = false;
    if (watch->names_file.changed || watch->keys_file.changed)
        take(gateway);
    if (watch->again && gateway->started_count)
        credential_files_reload(gateway);
}

static void start_look(struct gateway *gateway, bool forced)
{
    struct credential_watch *watch = &gateway->credential_files;
    watch->forced = forced;
    watch->again = false;
    watch->job = (struct job){.run = look, .done = look_done, .home = &gateway->loop};
    watch->looking = jobs_submit(gateway->shared.jobs, LANE_FILE, &watch->job) == OK;
    watch->again = forced && !watch->looking; /* the lane is full: with the timer's next look */
}

static bool names_any(const struct settings *settings)
{
    return settings->security.htpasswd_file || settings->security.api_keys_file;
}

static void on_look_time(struct timer *timer)
{
    struct credential_watch *watch = CONTAINER_OF(timer, struct credential_watch, timer);
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, credential_files);
    if (!watch->looking && (watch->again || names_any(watch->settings)))
        start_look(gateway, watch->again);
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void credential_files_watch(struct gateway *gateway)
{
    struct credential_watch *watch = &gateway->credential_files;
    watch->timer.on_time = on_look_time;
    timer_arm(&gateway->loop, &watch->timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void credential_files_reload(struct gateway *gateway)
{
    struct credential_watch *watch = &gateway->credential_files;
    struct settings *settings = gateway->snapshot->settings;
    if (watch->looking) {
        watch->again = true;
        return;
    }
    if (!names_any(settings) && !names_any(watch->settings))
        return;
    settings_ref(settings);
    settings_unref(watch->settings);
    watch->settings = settings;
    start_look(gateway, true);
}

enum err credential_files_load(struct gateway *gateway, struct faults *faults)
{
    struct credential_watch *watch = &gateway->credential_files;
    struct settings *settings = gateway->snapshot->settings;
    settings_ref(settings);
    watch->settings = settings;
    const char *names_path = settings->security.htpasswd_file;
    const char *keys_path = settings->security.api_keys_file;
    if (note_stamp(&watch->names_file, names_path, true))
        TRY(read_names(names_path, &watch->names, faults));
    if (note_stamp(&watch->keys_file, keys_path, true))
        TRY(read_keys(keys_path, &watch->keys, faults));
    watch->current = credential_files_create(watch->names, watch->keys);
    if (!watch->current)
        return ERR_MEMORY;
    for (unsigned i = 0; i < gateway->worker_count; i++) {
        credential_files_ref(watch->current);
        worker_switch_files(gateway->workers[i], watch->current);
    }
    return OK;
}

struct keys_file *gateway_keys_file(struct gateway *gateway)
{
    struct credential_watch *watch = &gateway->credential_files;
    pthread_mutex_lock(&watch->lock);
    struct keys_file *keys = watch->current ? watch->current->keys : NULL;
    if (keys)
        keys_file_ref(keys);
    pthread_mutex_unlock(&watch->lock);
    return keys;
}

void credential_files_finish(struct gateway *gateway)
{
    struct credential_watch *watch = &gateway->credential_files;
    htpasswd_unref(watch->names);
    keys_file_unref(watch->keys);
    credential_files_unref(watch->current);
    settings_unref(watch->settings);
    faults_finish(&watch->faults);
    pthread_mutex_destroy(&watch->lock);
}

enum err credential_files_read_keys(const struct settings *settings, struct keys_file **keys,
                                    struct faults *faults)
{
    const char *path = settings->security.api_keys_file;
    *keys = NULL;
    return path ? read_keys(path, keys, faults) : OK;
}

void credential_files_check(const struct settings *settings, struct faults *faults)
{
    struct htpasswd *names = NULL;
    struct keys_file *keys = NULL;
    /* Without memory there are other worries than what is wrong with these. */
    enum err ignored = OK;
    if (settings->security.htpasswd_file)
        ignored = read_names(settings->security.htpasswd_file, &names, faults);
    if (settings->security.api_keys_file)
        ignored = read_keys(settings->security.api_keys_file, &keys, faults);
    (void)ignored;
    htpasswd_unref(names);
    keys_file_unref(keys);
}
