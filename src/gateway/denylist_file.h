/* The deny-list on disk, and the bans that hold by it. Only the holder of the writer lock makes
 * one: the gateway, or a command while none runs. Bans are added to the end of the file, so that
 * somebody else's `echo >>` and we never overwrite each other, and removed by a new file in its
 * place. What others do to the file is taken over (denylist_look); while it cannot be read, all
 * bans stay. */
#ifndef GATEWAY_DENYLIST_FILE_H
#define GATEWAY_DENYLIST_FILE_H

#include "guard/denylist.h"

struct denylist;

/* What became of an entry without anybody's asking for it here. */
enum deny_change {
    DENY_BANNED,  /* by denylist_ban; it is on disk now */
    DENY_WRITTEN, /* by a line that somebody wrote */
    DENY_ERASED,  /* a line of it is gone */
    DENY_OVER,    /* its time is up */
};

struct denylist_ear {
    void (*on_change)(void *context, enum deny_change change, const struct deny_entry *entry);
    void (*on_faults)(void *context, const struct faults *faults);
    void *context;
};

/* Reads the file; none is an empty one. `grace` as of bans_create. ERR_CONFIG with `faults`: it is
 * there and cannot be read; ERR_MEMORY. */
enum err denylist_open(const char *path, void (*grace)(void *context), void *context,
                       struct denylist **denylist, struct faults *faults) MUST_CHECK;
void denylist_close(struct denylist *denylist);
/* Says what is wrong with the file. */
void denylist_check(const char *path, struct faults *faults);
/* Who is told of changes, from threads that wait for the disk. Before any of those. */
void denylist_listen(struct denylist *denylist, const struct denylist_ear *ear);

/* What requests ask. */
struct bans *denylist_bans(struct denylist *denylist);

/* For event loops: bans at once (from `now_us` on, for entry->seconds), and never waits; the line
 * follows with the next denylist_look. A client or a key; whether it may be banned without
 * anybody's asking for it is the caller's to know (client_is_bannable). False: there are too many
 * bans, or too many on their way to the disk. */
bool denylist_ban(struct denylist *denylist, const struct deny_entry *entry, uint64_t now_us);

/* All below wait for the disk, and for the loops to see what changed. */

/* Writes what denylist_ban left, takes over what others changed in the file, and removes lines
 * whose time is up. A change is believed once the file was the same in two looks, an editor may be
 * half way; `at_once`: in this one. */
void denylist_look(struct denylist *denylist, bool at_once);
/* Bans from now on (entry->at_epoch_s is set). When there is a line of it already, the later end
 * holds. ERR_IO with errno, ERR_LIMIT, ERR_MEMORY: nothing changed. */
enum err denylist_add(struct denylist *denylist, struct deny_entry *entry) MUST_CHECK;
/* Removes all lines of it. ERR_NOT_FOUND: there is none; else as above. */
enum err denylist_remove(struct denylist *denylist, const struct deny_entry *entry) MUST_CHECK;
bool denylist_has(struct denylist *denylist, const struct deny_entry *entry);
/* The entries behind line `after`, in their order, until `show` says stop. */
void denylist_each(struct denylist *denylist, uint32_t after,
                   bool (*show)(void *context, const struct deny_entry *entry, uint32_t line),
                   void *context);

/* For metrics; any thread. */
struct denylist_counts {
    uint64_t entries[DENY_KIND_COUNT];
    uint64_t banned;  /* by denylist_ban, ever */
    uint64_t refused; /* by the same, for want of room */
    bool failing;     /* the file could not be read or written the last time */
};
struct denylist_counts denylist_count(const struct denylist *denylist);

#endif
