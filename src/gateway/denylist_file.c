/* See denylist_file.h. The hard problem is that the file has two masters. So nothing of it is ever
 * assumed: before lines are removed it is read again when it is not as we left it, in an append it
 * is found out whether it was, and a file that is gone or cannot be read changes no ban, for losing
 * the bans is what an attacker would want. `lock` is held while the disk is waited for; event loops
 * take `queue_lock` alone, which is held for the time of a copy. */
#include "gateway/denylist_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/file_stamp.h"
#include "config/file_text.h"
#include "gateway/denylist_disk.h"

enum {
    QUEUE_MAX = 1024, /* bans between two looks */
    /* With what is queued behind it the file never has more than can be read back. */
    TEXT_MAX = DENYLIST_ENTRIES_MAX - QUEUE_MAX,
    SETTLE_US = 100 * 1000,
    SETTLE_TRIES = 10,
};

struct queued {
    struct deny_entry entry;
    struct ban ban;
};

struct denylist {
    char *path;
    struct bans *bans;
    struct denylist_ear ear;

    pthread_mutex_t lock;  /* of what follows */
    struct deny_text text; /* what the file said, with what was added since; what holds */
    uint64_t stamp;        /* of the file when it was the same as `text` */
    uint64_t seen_stamp;   /* in the last look */
    bool unshown;          /* `bans` does not say yet what `text` does */

    pthread_mutex_t queue_lock;
    struct queued *queue;
    unsigned queued;

    _Atomic uint64_t entries[DENY_KIND_COUNT];
    _Atomic uint64_t banned, refused;
    atomic_bool failing;
};

static struct deny_now both_clocks(void)
{
    return (struct deny_now){.wall_us = clock_wall_us(), .now_us = clock_now_us()};
}

/* For a line, which has whole seconds. Up: what is written then holds no shorter than it says. */
static uint64_t this_second(void)
{
    return (clock_wall_us() + SECOND_US - 1) / SECOND_US;
}

/* --- what holds ---------------------------------------------------------------------------------
 */

static void tell(const struct denylist *d, enum deny_change change, const struct deny_entry *entry)
{
    if (d->ear.on_change)
        d->ear.on_change(d->ear.context, change, entry);
}

/* Is it the first line of an identity that `other` does not have? */
static bool is_only_in(const struct deny_text *text, const struct denial *denial,
                       const struct deny_text *other)
{
    uint64_t identity = denial->ban.identity;
    return !deny_text_find(other, identity, 0) && deny_text_find(text, identity, 0) == denial;
}

/* Of what came with `made`, and went. What was asked for here is recorded where it was asked for.
 */
static void tell_changes(const struct denylist *d, const struct deny_text *made, bool by_others)
{
    uint64_t now_us = clock_now_us();
    struct deny_entry entry;
    for (size_t i = 0; by_others && i < made->count; i++) {
        if (denial_goes(&made->denials[i], 0, now_us) ||
            !is_only_in(made, &made->denials[i], &d->text))
            continue;
        deny_text_entry(made, &made->denials[i], &entry);
        tell(d, DENY_WRITTEN, &entry);
    }
    for (size_t i = 0; i < d->text.count; i++) {
        bool over = denial_goes(&d->text.denials[i], 0, now_us);
        if (!(over || by_others) || !is_only_in(&d->text, &d->text.denials[i], made))
            continue;
        deny_text_entry(&d->text, &d->text.denials[i], &entry);
        tell(d, over ? DENY_OVER : DENY_ERASED, &entry);
    }
}

static void count_entries(struct denylist *d)
{
    uint64_t entries[DENY_KIND_COUNT] = {0};
    for (size_t i = 0; i < d->text.count; i++)
        entries[d->text.denials[i].kind]++;
    for (unsigned i = 0; i < DENY_KIND_COUNT; i++)
        atomic_store_explicit(&d->entries[i], entries[i], memory_order_relaxed);
}

/* Those on their way to the disk hold as well, also those that came while the others were put into
 * their table: what is queued after the swap finds the new one. */
static enum err show(struct denylist *d)
{
    struct ban_table *table = bans_make(d->text.count + QUEUE_MAX);
    if (!table)
        return ERR_MEMORY;
    for (size_t i = 0; i < d->text.count; i++)
        bans_put(table, &d->text.denials[i].ban);
    pthread_mutex_lock(&d->queue_lock);
    for (unsigned i = 0; i < d->queued; i++)
        bans_put(table, &d->queue[i].ban);
    struct ban_table *old = bans_swap(d->bans, table);
    pthread_mutex_unlock(&d->queue_lock);
    bans_drop(d->bans, old);
    return OK;
}

/* `bytes` are what the file says now. An error leaves all as it was, and has the next look read the
 * file again. */
static enum err take(struct denylist *d, struct slice bytes, bool by_others)
{
    AUTO(faults) faults = {0};
    struct deny_text made;
    enum err err =
        deny_text_read(&made, bytes, &d->text, both_clocks(), d->path, by_others ? &faults : NULL);
    if (err) {
        d->stamp = 0;
        return err;
    }
    tell_changes(d, &made, by_others);
    if (faults.count && d->ear.on_faults)
        d->ear.on_faults(d->ear.context, &faults);
    deny_text_finish(&d->text);
    d->text = made;
    d->unshown = true;
    count_entries(d);
    return OK;
}

/* Without memory the next look tries again; until then the old ones hold. */
static void show_changes(struct denylist *d)
{
    if (d->unshown)
        d->unshown = show(d) != OK;
}

/* --- the file -----------------------------------------------------------------------------------
 */

/* Said once, until it works again. */
static void note_outcome(struct denylist *d, enum err err, const char *what)
{
    int why = errno;
    bool failed = err != OK, before = atomic_exchange(&d->failing, failed);
    if (failed && !before)
        log_error("%s cannot be %s (%s); all bans stay, and it is tried again", d->path, what,
                  err == ERR_IO ? strerror(why) : err_name(err));
    if (!failed && before)
        log_info("%s can be used again", d->path);
    errno = why;
}

static void know_stamp(struct denylist *d)
{
    d->stamp = d->seen_stamp = file_stamp(0, d->path);
}

/* `bytes` become the file, if that is still the one of `stamp`; else ERR_AGAIN. */
static enum err replace(struct denylist *d, struct slice bytes, uint64_t stamp)
{
    enum err err = deny_disk_replace(d->path, bytes, stamp);
    if (err == OK)
        know_stamp(d);
    return err;
}

/* The file is as `stamp` says, and not as we know it. */
static enum err reread(struct denylist *d, uint64_t stamp)
{
    AUTO(file_text) text = {0};
    enum err err = file_text_read(&text, d->path, DENYLIST_BYTES_MAX);
    if (err == ERR_NOT_FOUND && d->text.len) {
        log_warning(
            "%s was removed; it is written anew, since an empty file is what lifts all bans",
            d->path);
        return replace(d, slice_make(d->text.bytes, d->text.len), stamp);
    }
    if (err == OK)
        err = take(d, slice_make(text.bytes, text.len), true);
    if (err == OK || err == ERR_NOT_FOUND)
        d->stamp = stamp;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Waits until nobody is half way through changing it. */
static enum err settle(struct denylist *d)
{
    for (unsigned i = 0; i < SETTLE_TRIES; i++) {
        uint64_t stamp = file_stamp(0, d->path);
        if (stamp == d->stamp)
            return OK;
        usleep(SETTLE_US);
        if (stamp == file_stamp(0, d->path))
            return reread(d, stamp);
    }
    errno = EBUSY;
    return ERR_IO;
}

/* The lines go behind those that are there, whatever became of them: when the file was not as we
 * know it, its stamp still says so, and the next look reads all of it. Its length alone would not
 * tell: an edit may leave that as it was. What we wrote ourselves does not make the file restless:
 * else no edit would be believed while bans go on coming. */
static enum err append(struct denylist *d, struct slice lines)
{
    bool open_end = d->text.len && d->text.bytes[d->text.len - 1] != '\n';
    AUTO(buffer) all = BUFFER_MAX(DENYLIST_BYTES_MAX);
    buffer_append(&all, slice_make(d->text.bytes, d->text.len));
    if (open_end)
        buffer_byte(&all, '\n');
    buffer_append(&all, lines);
    TRY(all.failed);
    uint64_t before = file_stamp(0, d->path);
    bool as_known = false;
    enum err err = deny_disk_append(d->path, lines, all.len, &as_known);
    if (err == ERR_NOT_FOUND) /* a new file must not have this ban alone */
        err = replace(d, buffer_slice(&all), file_stamp(0, d->path));
    else if (err == OK && as_known && before == d->stamp)
        know_stamp(d);
    else if (err == OK && before == d->seen_stamp)
        d->seen_stamp = file_stamp(0, d->path);
    TRY(err);
    return take(d, buffer_slice(&all), false);
}

/* Without the lines of `identity`, and those that are over. */
static enum err drop(struct denylist *d, uint64_t identity)
{
    AUTO(buffer) rest = BUFFER_MAX(DENYLIST_BYTES_MAX);
    deny_text_without(&d->text, identity, clock_now_us(), &rest);
    TRY(rest.failed);
    TRY(replace(d, buffer_slice(&rest), d->stamp));
    return take(d, buffer_slice(&rest), false);
}

/* --- looking ------------------------------------------------------------------------------------
 */

/* A ban that is known to last as long already needs no second line. */
static bool is_known(const struct denylist *d, const struct ban *ban)
{
    const struct denial *denial = deny_text_find(&d->text, ban->identity, 0);
    return denial && denial->ban.until_us >= ban->until_us;
}

static enum err write_lines(struct denylist *d, const struct queued *queue, unsigned count)
{
    AUTO(buffer) lines = BUFFER_MAX(QUEUE_MAX * 512);
    for (unsigned i = 0; i < count; i++)
        if (!is_known(d, &queue[i].ban))
            deny_line_print(&lines, &queue[i].entry);
    TRY(lines.failed);
    return lines.len ? append(d, buffer_slice(&lines)) : OK;
}

/* What denylist_ban left. It stays in the queue until it is on disk. */
static enum err write_queue(struct denylist *d)
{
    pthread_mutex_lock(&d->queue_lock);
    unsigned count = d->queued;
    struct queued *copy = count ? malloc(count * sizeof *copy) : NULL;
    if (copy)
        memcpy(copy, d->queue, count * sizeof *copy);
    pthread_mutex_unlock(&d->queue_lock);
    if (!copy)
        return count ? ERR_MEMORY : OK;
    enum err err = write_lines(d, copy, count);
    if (err == OK) {
        pthread_mutex_lock(&d->queue_lock);
        d->queued -= count;
        memmove(d->queue, d->queue + count, d->queued * sizeof *d->queue);
        pthread_mutex_unlock(&d->queue_lock);
    }
    for (unsigned i = 0; err == OK && i < count; i++)
        tell(d, DENY_BANNED, &copy[i].entry);
    free(copy);
    return err;
}

static bool any_over(const struct denylist *d)
{
    uint64_t now_us = clock_now_us();
    for (size_t i = 0; i < d->text.count; i++)
        if (denial_goes(&d->text.denials[i], 0, now_us))
            return true;
    return false;
}

/* What others did to it; with `at_once` without waiting for a second look. */
static enum err take_changes(struct denylist *d, bool at_once)
{
    uint64_t stamp = file_stamp(0, d->path);
    bool settled = stamp == d->seen_stamp || at_once;
    d->seen_stamp = stamp;
    return stamp != d->stamp && settled ? reread(d, stamp) : OK;
}

void denylist_look(struct denylist *d, bool at_once)
{
    pthread_mutex_lock(&d->lock);
    enum err err = take_changes(d, at_once);
    const char *what = err ? "read" : "written";
    bool as_known = d->seen_stamp == d->stamp;
    if (err == OK)
        err = write_queue(d);
    if (err == OK && as_known && any_over(d))
        err = drop(d, 0);
    note_outcome(d, err == ERR_AGAIN ? OK : err, what); /* again: with the next look */
    show_changes(d);
    pthread_mutex_unlock(&d->lock);
}

/* --- asked for ----------------------------------------------------------------------------------
 */

static uint64_t entries_of_all_kinds(const struct denylist *d)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < DENY_KIND_COUNT; i++)
        count += atomic_load_explicit(&d->entries[i], memory_order_relaxed);
    return count;
}

bool denylist_ban(struct denylist *d, const struct deny_entry *entry, uint64_t now_us)
{
    struct queued one = {.entry = *entry};
    one.entry.at_epoch_s = this_second();
    one.ban =
        deny_entry_ban(entry, entry->seconds ? now_us + entry->seconds * SECOND_US : BAN_FOREVER);
    pthread_mutex_lock(&d->queue_lock);
    bool room = d->queued < QUEUE_MAX && entries_of_all_kinds(d) + d->queued < TEXT_MAX;
    if (room)
        d->queue[d->queued++] = one;
    pthread_mutex_unlock(&d->queue_lock);
    atomic_fetch_add_explicit(room ? &d->banned : &d->refused, 1, memory_order_relaxed);
    if (room) /* when its table is full the next look makes a larger one */
        bans_add(d->bans, one.ban.identity, one.ban.until_us);
    return room;
}

/* Gives the lock back. What is written but does not hold yet was not done. */
static enum err end_change(struct denylist *d, enum err err)
{
    int why = errno;
    show_changes(d);
    if (err == OK && d->unshown)
        err = ERR_MEMORY;
    pthread_mutex_unlock(&d->lock);
    errno = why;
    return err;
}

enum err denylist_add(struct denylist *d, struct deny_entry *entry)
{
    char memory[512];
    struct buffer line = BUFFER_OVER(memory, sizeof memory);
    pthread_mutex_lock(&d->lock);
    entry->at_epoch_s = this_second();
    deny_line_print(&line, entry);
    enum err err = d->text.count < TEXT_MAX ? line.failed : ERR_LIMIT;
    if (err == OK)
        err = append(d, buffer_slice(&line));
    return end_change(d, err);
}

static enum err remove_lines(struct denylist *d, uint64_t identity)
{
    TRY(write_queue(d));
    for (unsigned i = 0; i < SETTLE_TRIES; i++) {
        TRY(settle(d));
        if (!deny_text_find(&d->text, identity, 0))
            return ERR_NOT_FOUND;
        enum err err = drop(d, identity);
        if (err != ERR_AGAIN)
            return err;
    }
    errno = EBUSY;
    return ERR_IO;
}

enum err denylist_remove(struct denylist *d, const struct deny_entry *entry)
{
    pthread_mutex_lock(&d->lock);
    enum err err = remove_lines(d, deny_entry_ban(entry, 0).identity);
    return end_change(d, err);
}

bool denylist_has(struct denylist *d, const struct deny_entry *entry)
{
    uint64_t identity = deny_entry_ban(entry, 0).identity;
    pthread_mutex_lock(&d->lock);
    enum err ignored = settle(d); /* the removal says it */
    (void)ignored;
    bool found = deny_text_find(&d->text, identity, 0) != NULL;
    show_changes(d);
    pthread_mutex_unlock(&d->lock);
    return found;
}

void denylist_each(struct denylist *d, uint32_t after,
                   bool (*shown)(void *context, const struct deny_entry *entry, uint32_t line),
                   void *context)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->text.count; i++) {
        struct deny_entry entry;
        if (d->text.denials[i].line <= after)
            continue;
        deny_text_entry(&d->text, &d->text.denials[i], &entry);
        if (!shown(context, &entry, d->text.denials[i].line))
            break;
    }
    pthread_mutex_unlock(&d->lock);
}

/* --- beginning and end --------------------------------------------------------------------------
 */

/* None is an empty text. */
static enum err read_file(const char *path, const struct deny_text *before, struct deny_text *text,
                          struct faults *faults)
{
    AUTO(file_text) file = {0};
    enum err err = file_text_read(&file, path, DENYLIST_BYTES_MAX);
    if (err && err != ERR_NOT_FOUND) {
        faults_add(faults, path, 0, "abuse.denylist_file", "it cannot be read: %s",
                   file_text_why(err));
        return err == ERR_MEMORY ? err : ERR_CONFIG;
    }
    err =
        deny_text_read(text, slice_make(file.bytes, file.len), before, both_clocks(), path, faults);
    if (err == ERR_LIMIT)
        faults_add(faults, path, 0, "abuse.denylist_file", "it has more than %d entries",
                   DENYLIST_ENTRIES_MAX);
    return err == ERR_LIMIT ? ERR_CONFIG : err;
}

static enum err read_first(struct denylist *d, struct faults *faults)
{
    know_stamp(d);
    TRY(read_file(d->path, NULL, &d->text, faults));
    count_entries(d);
    return d->text.count ? show(d) : OK;
}

enum err denylist_open(const char *path, void (*grace)(void *context), void *context,
                       struct denylist **denylist, struct faults *faults)
{
    struct denylist *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_MEMORY;
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->queue_lock, NULL);
    d->path = strdup(path);
    d->bans = bans_create(grace, context);
    d->queue = calloc(QUEUE_MAX, sizeof *d->queue);
    enum err err = d->path && d->bans && d->queue ? read_first(d, faults) : ERR_MEMORY;
    if (err) {
        denylist_close(d);
        return err;
    }
    *denylist = d;
    return OK;
}

void denylist_close(struct denylist *d)
{
    if (!d)
        return;
    deny_text_finish(&d->text);
    bans_destroy(d->bans);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->queue_lock);
    free(d->queue);
    free(d->path);
    free(d);
}

void denylist_check(const char *path, struct faults *faults)
{
    struct deny_text text = {0};
    enum err ignored = read_file(path, NULL, &text, faults);
    (void)ignored; /* it is among the faults */
    deny_text_finish(&text);
}

void denylist_listen(struct denylist *d, const struct denylist_ear *ear)
{
    d->ear = *ear;
}

struct bans *denylist_bans(struct denylist *d)
{
    return d->bans;
}

struct denylist_counts denylist_count(const struct denylist *d)
{
    struct denylist_counts counts = {
        .banned = atomic_load_explicit(&d->banned, memory_order_relaxed),
        .refused = atomic_load_explicit(&d->refused, memory_order_relaxed),
        .failing = atomic_load_explicit(&d->failing, memory_order_relaxed),
    };
    for (unsigned i = 0; i < DENY_KIND_COUNT; i++)
        counts.entries[i] = atomic_load_explicit(&d->entries[i], memory_order_relaxed);
    return counts;
}
