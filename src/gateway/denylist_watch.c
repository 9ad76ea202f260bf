/* See denylist_watch.h. Bans are cut by this timer alone, whoever made them: an event loop, a verb,
 * a line. So none of those has to know of connections. */
#include "gateway/denylist_watch.h"

#include "base/clock.h"
#include "gateway/denylist_file.h"
#include "gateway/supervisor.h"

enum { LOOK_EVERY_US = 250 * 1000 };

// clang-format off
static const struct {
    enum audit_event event;
    const char *reason; /* NULL: the entry's own */
} records[] = {
    [DENY_BANNED]  = {AUDIT_BAN,   NULL},
    [DENY_WRITTEN] = {AUDIT_BAN,   "by_line"},
    [DENY_ERASED]  = {AUDIT_UNBAN, "by_line"},
    [DENY_OVER]    = {AUDIT_UNBAN, "over"},
};
// clang-format on

static void on_change(void *context, enum deny_change change, const struct deny_entry *entry)
{
    struct gateway *gateway = context;
    struct audit *audit = shared_audit(&gateway->shared);
    char memory[160];
    struct buffer path = BUFFER_OVER(memory, sizeof memory);
    buffer_text(&path, "/api/v1/denylist/");
    deny_entry_print(&path, entry);
    const char *reason = records[change].reason ? records[change].reason : entry->reason;
    log_info("%s of the deny-list: %s (%s)", buffer_text_of(&path) + strlen("/api/v1/denylist/"),
             records[change].event == AUDIT_BAN ? "banned" : "lifted", reason);
    if (!audit)
        return;
    struct audit_record record = {.wall_us = clock_wall_us(),
                                  .now_us = clock_now_us(),
                                  .event = records[change].event,
                                  .actor = SLICE("system"),
                                  .path = buffer_slice(&path),
                                  .reason = slice_of(reason)};
    if (entry->kind == DENY_ADDRESS)
        record.ip = entry->range.network;
    audit_note(audit, &record);
}

static void on_faults(void *context, const struct faults *faults)
{
    (void)context;
    gateway_log_faults(faults);
}

/* Once the folder is another process's, the file is too. */
static void look(struct job *job)
{
    struct denylist_watch *watch = CONTAINER_OF(job, struct denylist_watch, job);
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, denylist);
    bool hurried = watch->hurried;
    watch->hurried = false;
    if (!gateway->shared.left)
        denylist_look(gateway->shared.denylist, hurried);
}

static void look_done(struct job *job)
{
    CONTAINER_OF(job, struct denylist_watch, job)->looking = false;
}

static void start_look(struct gateway *gateway)
{
    struct denylist_watch *watch = &gateway->denylist;
    watch->job = (struct job){.run = look, .done = look_done, .home = &gateway->loop};
    watch->looking = jobs_submit(gateway->shared.jobs, LANE_FILE, &watch->job) == OK;
}

static void on_look_time(struct timer *timer)
{
    struct denylist_watch *watch = CONTAINER_OF(timer, struct denylist_watch, timer);
    struct gateway *gateway = CONTAINER_OF(watch, struct gateway, denylist);
    unsigned generation = bans_generation(gateway->shared.bans);
    if (generation != watch->generation)
        gateway_order_cut(gateway);
    watch->generation = generation;
    if (!watch->looking)
        start_look(gateway);
    timer_arm(&gateway->loop, timer, gateway->loop.now_us + LOOK_EVERY_US);
}

void denylist_watch(struct gateway *gateway)
{
    struct denylist_watch *watch = &gateway->denylist;
    denylist_listen(gateway->shared.denylist,
                    &(struct denylist_ear){on_change, on_faults, gateway});
    watch->running = true;
    watch->timer.on_time = on_look_time;
    timer_arm(&gateway->loop, &watch->timer, gateway->loop.now_us + LOOK_EVERY_US);
}

/* `hurried` is the job's while it runs: it would miss this, and the two looks find the change too.
 */
void denylist_watch_hurry(struct gateway *gateway)
{
    if (!gateway->denylist.looking)
        gateway->denylist.hurried = true;
}

void denylist_watch_finish(struct gateway *gateway)
{
    if (!gateway->denylist.running)
        return;
    if (!gateway->shared.left)
        denylist_look(gateway->shared.denylist, false);
    denylist_listen(gateway->shared.denylist, &(struct denylist_ear){0});
}
